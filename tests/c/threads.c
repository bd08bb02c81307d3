/* Many threads use one writer at once in every way, while another one reads; then all
 * of it is there, once. Also compiled as C++. Usage: threads FOLDER */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "auditrail.h"
#include "check.h"

#include <pthread.h>
#include <stdint.h>

#define THREADS 6
#define ROUNDS 40

static const char *folder;
static auditrail_writer *writer;
static int32_t durability;
static int with_proof;
static auditrail_buffer *secret, *public_key;

struct worker {
    pthread_t thread;
    int number;
    int failed;
    uint64_t appended;
};

static char *root(char *path, size_t size) {
    snprintf(path, size, "%s/%d%s", folder, (int)durability, with_proof ? "proof" : "");
    return path;
}

static const char TEXT[] =
    "{\"domain\":\"v2\",\"category\":\"c%d\",\"model_name\":\"m\",\"operation\":\"create\","
    "\"logical_user_id\":\"u\",\"payload\":{\"after\":{\"n\":%d}}}\n";

static void *work(void *argument) {
    struct worker *worker = (struct worker *)argument;
    auditrail_error error;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        char text[1024];
        size_t length = (size_t)snprintf(text, sizeof text, TEXT, worker->number % 3, round), count;
        uint64_t id, first;
        auditrail_stats stats;
        worker->failed |= auditrail_writer_append(writer, text, length, &id, &error);
        worker->appended++;
        switch ((round + worker->number) % 5) {
        case 0:
            length += (size_t)snprintf(text + length, sizeof text - length, TEXT, 3, round);
            worker->failed |= auditrail_writer_append_batch(writer, text, length, &first, &count, &error);
            worker->appended += count;
            break;
        case 1:
            worker->failed |= auditrail_writer_flush(writer, &error);
            break;
        case 2:
            if (round % 10 == 0) worker->failed |= auditrail_writer_sync(writer, &error);
            break;
        case 3:
            memset(&stats, 0, sizeof stats);
            stats.size = sizeof stats;
            worker->failed |= auditrail_writer_stats(writer, &stats, &error);
            break;
        default:
            /* One that is refused. */
            worker->failed |= auditrail_writer_append(writer, text, 20, &id, &error) !=
                              AUDITRAIL_ERR_INVALID_EVENT;
        }
    }
    return NULL;
}

static void *read_along(void *argument) {
    struct worker *worker = (struct worker *)argument;
    auditrail_error error;
    char path[4096];
    int round;
    for (round = 0; round < 10; round++) {
        auditrail_filter *filter = auditrail_filter_new();
        auditrail_reader *reader = NULL;
        const char *line;
        size_t length;
        uint64_t id, last = 0;
        worker->failed |= auditrail_filter_set_order(filter, AUDITRAIL_ORDER_OLDEST_FIRST, &error);
        worker->failed |= auditrail_reader_open(root(path, sizeof path), filter, &reader, &error);
        auditrail_filter_free(filter);
        if (reader == NULL) break;
        while (auditrail_reader_next(reader, &line, &length, &id, &error) == AUDITRAIL_OK) {
            worker->failed |= id != last + 1;
            last = id;
        }
        auditrail_reader_close(reader);
    }
    return NULL;
}

static void warned(void *user_data, auditrail_warning kind, const char *message) {
    (void)user_data;
    fprintf(stderr, "a warning: %d %s\n", (int)kind, message);
}

static void all_at_once(void) {
    struct worker workers[THREADS + 1];
    auditrail_options *options = auditrail_options_new();
    auditrail_error error;
    auditrail_stats stats;
    char path[4096];
    uint64_t appended = 0;
    int i;
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, durability, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_segment_bytes(options, 5000, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_open_files(options, 2, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_flush_interval_ms(options, 2, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_warning_callback(options, warned, NULL, &error));
    if (with_proof) {
        GIVES(AUDITRAIL_OK,
              auditrail_options_set_proof_key(options, auditrail_buffer_data(secret),
                                              auditrail_buffer_length(secret), &error));
        GIVES(AUDITRAIL_OK, auditrail_options_set_checkpoint_events(options, 50, &error));
    }
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root(path, sizeof path), options, &writer, &error));
    auditrail_options_free(options);
    if (writer == NULL) exit(EXIT_FAILURE);
    memset(workers, 0, sizeof workers);
    for (i = 0; i <= THREADS; i++) {
        workers[i].number = i;
        CHECK(pthread_create(&workers[i].thread, NULL, i < THREADS ? work : read_along,
                             &workers[i]) == 0);
    }
    for (i = 0; i <= THREADS; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        CHECK(workers[i].failed == 0);
        appended += workers[i].appended;
    }
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    GIVES(AUDITRAIL_OK, auditrail_writer_stats(writer, &stats, &error));
    CHECK(stats.last_id == appended);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
}

int main(int argc, char **argv) {
    auditrail_error error;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    GIVES(AUDITRAIL_OK, auditrail_keygen("threads.example", &secret, &public_key, &error));
    for (with_proof = 0; with_proof < 2; with_proof++)
        for (durability = 0; durability < 3; durability++) all_at_once();
    auditrail_buffer_free(secret);
    auditrail_buffer_free(public_key);
    return CLOSING_LINE("threads");
}
