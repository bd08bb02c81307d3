/* Everything works on threads with the stack that the header asks for. Also compiled
 * as C++. Usage: stack FOLDER
 *
 * With AUDITRAIL_STACKS=1 in the environment, the stacks are painted before, and the
 * program says how much of them each step has used. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "auditrail.h"
#include "check.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

/* Sanitizers put more on a stack, and come with a library that is not optimised. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK ((size_t)1 << 20)
#else
#define STACK ((size_t)64 * 1024)
#endif

static const char KEY_NAME[] = "stack.example";

static const char EVENT[] =
    "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"update\","
    "\"logical_user_id\":\"u\",\"payload\":{\"before\":{\"a\":1},\"after\":{\"a\":[1,{\"b\":null}]},"
    "\"delta\":{\"a\":{\"old\":1,\"new\":2.50}}}}";

static auditrail_error error;
static const char *folder;
static char deepest[2048], batch[1 << 17];
static auditrail_buffer *secret, *public_key;
static int32_t durability;
static int with_proof;
static auditrail_writer *writer;
static auditrail_reader *reader;

static char *root(void) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%d%s", folder, (int)durability, with_proof ? "proof" : "");
    return path;
}

static void open_it(void) {
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, durability, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_segment_bytes(options, 4000, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_open_files(options, 1, &error));
    if (with_proof)
        GIVES(AUDITRAIL_OK,
              auditrail_options_set_proof_key(options, auditrail_buffer_data(secret),
                                              auditrail_buffer_length(secret), &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root(), options, &writer, &error));
    auditrail_options_free(options);
    if (writer == NULL) exit(EXIT_FAILURE);
}

static void append(void) {
    auditrail_event event;
    auditrail_buffer *line;
    int i;
    for (i = 0; i < 50; i++)
        GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, EVENT, sizeof EVENT - 1, NULL, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, deepest, strlen(deepest), NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append(writer, EVENT, 30, NULL, &error));
    GIVES(AUDITRAIL_OK,
          auditrail_writer_append_returning(writer, EVENT, sizeof EVENT - 1, &line, &error));
    auditrail_buffer_free(line);
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.domain = "v2";
    event.category = "d";
    event.model_name = "m";
    event.operation = "create";
    event.logical_user_id = "u";
    event.payload = "{\"after\":{\"a\":1}}";
    event.payload_length = strlen(event.payload);
    GIVES(AUDITRAIL_OK, auditrail_writer_append_event(writer, &event, NULL, &error));
}

static void append_batch(void) {
    size_t count = 0;
    uint64_t first;
    GIVES(AUDITRAIL_OK, auditrail_writer_append_batch(writer, batch, strlen(batch), &first, &count,
                                                      &error));
    CHECK(count == 200);
}

static void sync_it(void) { GIVES(AUDITRAIL_OK, auditrail_writer_sync(writer, &error)); }

static void close_it(void) { GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error)); }

static void open_reader(void) {
    auditrail_filter *filter = auditrail_filter_new();
    GIVES(AUDITRAIL_OK, auditrail_filter_set_order(filter, AUDITRAIL_ORDER_OLDEST_FIRST, &error));
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root(), filter, &reader, &error));
    auditrail_filter_free(filter);
    if (reader == NULL) exit(EXIT_FAILURE);
}

static void read_all(void) {
    const char *line;
    size_t length, events = 0;
    uint64_t id;
    while (auditrail_reader_next(reader, &line, &length, &id, &error) == AUDITRAIL_OK) {
        events++;
        CHECK(auditrail_reader_user(reader, &length) != NULL);
    }
    CHECK(events > 250);
    auditrail_reader_close(reader);
}

static void replay_and_check(void) {
    auditrail_buffer *result;
    GIVES(AUDITRAIL_OK, auditrail_replay(root(), "v2", "c", NULL, &result, &error));
    auditrail_buffer_free(result);
    GIVES(AUDITRAIL_OK, auditrail_history(root(), "v2", "c", "m", NULL, &result, &error));
    auditrail_buffer_free(result);
    GIVES(AUDITRAIL_OK, auditrail_check(root(), &result, &error));
    CHECK(strstr(auditrail_buffer_data(result), "\"ok\":true") != NULL);
    auditrail_buffer_free(result);
}

static void verify_and_prove(void) {
    auditrail_buffer *result, *proof;
    GIVES(AUDITRAIL_OK,
          auditrail_verify(root(), auditrail_buffer_data(public_key),
                           auditrail_buffer_length(public_key), NULL, 0, 0, 0, &result, &error));
    auditrail_buffer_free(result);
    GIVES(AUDITRAIL_OK, auditrail_prove(root(), 7, NULL, 0, &proof, &error));
    auditrail_buffer_free(proof);
}

static void *on_thread(void *step) {
    (*(void (**)(void))step)();
    return NULL;
}

/* Runs a step on a thread of its own, below whose stack nothing is mapped. */
static void run(const char *name, void (*step)(void)) {
    int measured = getenv("AUDITRAIL_STACKS") != NULL;
    size_t page = 4096, unused = 0;
    char *memory = (char *)mmap(NULL, page + STACK, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *stack = memory + page;
    pthread_attr_t attributes;
    pthread_t thread;
    CHECK(memory != (char *)MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0);
    if (measured) memset(stack, 0x5a, STACK);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, stack, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, on_thread, (void *)&step) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (measured && unused < STACK && stack[unused] == 0x5a) unused++;
    if (measured)
        printf("%-12s %d%s %6zu bytes\n", name, (int)durability, with_proof ? "p" : " ",
               STACK - unused);
    munmap(memory, page + STACK);
}

static void make_texts(void) {
    int i;
    strcpy(deepest, "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":"
                    "\"create\",\"logical_user_id\":\"u\",\"payload\":{\"x\":");
    for (i = 0; i < 126; i++) strcat(deepest, "[");
    for (i = 0; i < 126; i++) strcat(deepest, "]");
    strcat(deepest, "}}");
    for (i = 0; i < 200; i++) strcat(strcat(batch, EVENT), "\n");
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    make_texts();
    GIVES(AUDITRAIL_OK, auditrail_keygen(KEY_NAME, &secret, &public_key, &error));
    for (with_proof = 0; with_proof < 2; with_proof++) {
        for (durability = 0; durability < 3; durability++) {
            int opening;
            for (opening = 0; opening < 2; opening++) {
                run("open", open_it);
                run("append", append);
                run("batch", append_batch);
                run("sync", sync_it);
                run("append", append);
                run("close", close_it);
            }
            run("open reader", open_reader);
            run("read", read_all);
            run("check", replay_and_check);
            if (with_proof) run("verify", verify_and_prove);
        }
    }
    auditrail_buffer_free(secret);
    auditrail_buffer_free(public_key);
    return CLOSING_LINE("stack");
}
