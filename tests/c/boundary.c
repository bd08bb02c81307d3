/* The rules for all functions, which stand at the head of the header: what NULL
 * does, what an error leaves alone, what is always said. Also compiled as C++.
 * Usage: boundary FOLDER */
#include "auditrail.h"
#include "check.h"

#include <stdint.h>

#define GOOD                                                                               \
    "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\"," \
    "\"logical_user_id\":\"u\"}"
#define LENGTH(text) (text), strlen(text)

static auditrail_error error;
static const char *root;

/* That a call is refused as an argument, with exactly this message. The error held
 * something else before, and all of it is about this call now. */
#define REFUSED(expected, call)                                                    \
    do {                                                                           \
        memset(&error, 0x5a, sizeof error);                                        \
        GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, call);                               \
        CHECK(error.status == AUDITRAIL_ERR_INVALID_ARGUMENT);                     \
        CHECK(error.os_errno == 0 && error.offset == -1);                          \
        CHECK(memchr(error.message, '\0', sizeof error.message) != NULL);          \
        CHECK(strcmp(error.message, (expected)) == 0);                             \
        if (strcmp(error.message, (expected)) != 0) fprintf(stderr, "%s\n", error.message); \
    } while (0)

/* Places that hold something which no call gives. */
static char marker;
#define TEXT_MARK ((const char *)&marker)
#define BUFFER_MARK ((auditrail_buffer *)(void *)&marker)

static void the_error_is_always_filled_in(auditrail_writer *writer) {
    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_OK, auditrail_writer_flush(writer, &error));
    CHECK(error.status == 0 && error.os_errno == 0 && error.offset == -1);
    CHECK(error.message[0] == '\0');

    auditrail_writer *other = NULL;
    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_ERR_IO, auditrail_writer_open("/dev/null/trail", NULL, &other, &error));
    CHECK(error.status == AUDITRAIL_ERR_IO && error.os_errno > 0 && error.offset == -1);

    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_ERR_INVALID_EVENT,
          auditrail_writer_append(writer, LENGTH("{\"domain\":1}"), NULL, &error));
    CHECK(error.status == AUDITRAIL_ERR_INVALID_EVENT && error.os_errno == 0 && error.offset == 10);

    /* A name that is longer than the message: it is cut, at a character. */
    char name[1200];
    for (size_t i = 0; i < sizeof name; i += 2) memcpy(name + i, "\xc3\xa9", 2);
    auditrail_options *options = auditrail_options_new();
    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
          auditrail_options_add_domain(options, name, sizeof name, &error));
    size_t length = strlen(error.message);
    CHECK(length == 494 || length == 495);
    CHECK(memcmp(error.message + length - 2, "\xc3\xa9", 2) == 0);
    auditrail_options_free(options);
}

static void a_writer(auditrail_writer *writer) {
    uint64_t id = 77, first = 77;
    size_t count = 77;
    char huge[160];
    REFUSED("writer is NULL", auditrail_writer_append(NULL, LENGTH(GOOD), &id, &error));
    REFUSED("event_json is NULL, but its length is 3",
            auditrail_writer_append(writer, NULL, 3, &id, &error));
    snprintf(huge, sizeof huge, "the length of event_json, %zu, is impossible (negative?)", SIZE_MAX);
    REFUSED(huge, auditrail_writer_append(writer, GOOD, SIZE_MAX, &id, &error));
    REFUSED("writer is NULL", auditrail_writer_append_event(NULL, NULL, &id, &error));
    REFUSED("fields is NULL", auditrail_writer_append_event(writer, NULL, &id, &error));
    REFUSED("writer is NULL",
            auditrail_writer_append_batch(NULL, LENGTH(GOOD), &first, &count, &error));
    REFUSED("jsonl is NULL, but its length is 1",
            auditrail_writer_append_batch(writer, NULL, 1, &first, &count, &error));
    REFUSED("writer is NULL", auditrail_writer_flush(NULL, &error));
    REFUSED("writer is NULL", auditrail_writer_sync(NULL, &error));

    auditrail_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event - 1;
    snprintf(huge, sizeof huge,
             "auditrail_event.size is %zu; set it to sizeof(auditrail_event), which is at least %zu",
             event.size, sizeof event);
    REFUSED(huge, auditrail_writer_append_event(writer, &event, &id, &error));
    event.size = SIZE_MAX;
    snprintf(huge, sizeof huge,
             "auditrail_event.size is %zu; set it to sizeof(auditrail_event), which is at least %zu",
             event.size, sizeof event);
    REFUSED(huge, auditrail_writer_append_event(writer, &event, &id, &error));
    CHECK(id == 77 && first == 77 && count == 77);

    /* A place that must not be NULL is looked at before anything is done. */
    auditrail_buffer *line = BUFFER_MARK;
    REFUSED("line is NULL",
            auditrail_writer_append_returning(writer, LENGTH(GOOD), NULL, &error));
    REFUSED("line is NULL", auditrail_writer_append_returning(NULL, LENGTH(GOOD), NULL, &error));
    REFUSED("writer is NULL",
            auditrail_writer_append_returning(NULL, LENGTH(GOOD), &line, &error));
    CHECK(line == BUFFER_MARK);
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, LENGTH(GOOD), &id, &error));
    CHECK(id == 1);

    auditrail_writer *other = writer;
    REFUSED("writer is NULL", auditrail_writer_open(NULL, NULL, NULL, &error));
    REFUSED("root is NULL", auditrail_writer_open(NULL, NULL, &other, &error));
    REFUSED("root is empty", auditrail_writer_open("", NULL, &other, &error));
    GIVES(AUDITRAIL_ERR_BUSY, auditrail_writer_open(root, NULL, &other, &error));
    CHECK(other == writer);
}

static void stats(auditrail_writer *writer) {
    auditrail_stats stats;
    char message[120];
    REFUSED("stats is NULL", auditrail_writer_stats(NULL, NULL, &error));
    memset(&stats, 0x5a, sizeof stats);
    stats.size = sizeof stats - 1;
    snprintf(message, sizeof message,
             "auditrail_stats.size is %zu; set it to sizeof(auditrail_stats), which is at least %zu",
             stats.size, sizeof stats);
    REFUSED(message, auditrail_writer_stats(NULL, &stats, &error));
    stats.size = sizeof stats;
    const auditrail_stats as_it_was = stats;
    REFUSED("writer is NULL", auditrail_writer_stats(NULL, &stats, &error));
    CHECK(memcmp(&stats, &as_it_was, sizeof stats) == 0);

    /* What a later version has is zeroed, and nothing past it. */
    struct {
        auditrail_stats stats;
        uint64_t newer, others;
    } later;
    memset(&later, 0x5a, sizeof later);
    later.stats.size = sizeof later.stats + sizeof later.newer;
    GIVES(AUDITRAIL_OK, auditrail_writer_stats(writer, &later.stats, &error));
    CHECK(later.stats.size == sizeof later.stats + sizeof later.newer);
    CHECK(later.stats.events == 1 && later.stats.last_id == 1 && later.stats.flush_failures == 0);
    CHECK(later.newer == 0 && later.others == UINT64_C(0x5a5a5a5a5a5a5a5a));
}

static void builders(void) {
    auditrail_options *options = auditrail_options_new();
    auditrail_filter *filter = auditrail_filter_new();
    REFUSED("options is NULL", auditrail_options_set_max_segment_bytes(NULL, 1, &error));
    REFUSED("options is NULL", auditrail_options_set_warning_callback(NULL, NULL, NULL, &error));
    REFUSED("options is NULL", auditrail_options_set_proof_key_file(NULL, NULL, &error));
    REFUSED("key_file is NULL", auditrail_options_set_proof_key_file(options, NULL, &error));
    REFUSED("progress is NULL", auditrail_options_set_proof_progress(NULL, NULL, NULL, &error));
    REFUSED("4 is no AUDITRAIL_DURABILITY_\xe2\x80\xa6",
            auditrail_options_set_durability(NULL, 4, &error));
    REFUSED("options is NULL",
            auditrail_options_set_durability(NULL, AUDITRAIL_DURABILITY_SYNCED, &error));
    REFUSED("filter is NULL", auditrail_filter_add_domain(NULL, NULL, 1, &error));
    REFUSED("domain is NULL, but its length is 1",
            auditrail_filter_add_domain(filter, NULL, 1, &error));
    REFUSED("order 3 is none", auditrail_filter_set_order(NULL, 3, &error));
    REFUSED("filter is NULL",
            auditrail_filter_set_order(NULL, AUDITRAIL_ORDER_OLDEST_FIRST, &error));
    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
          auditrail_filter_add_operation(filter, LENGTH("ab\xff"), &error));
    CHECK(strcmp(error.message, "operation is not UTF-8") == 0 && error.offset == 2);
    for (int order = 0; order < 3; order++)
        GIVES(AUDITRAIL_OK, auditrail_filter_set_order(filter, order, &error));
    for (int durability = 0; durability < 3; durability++)
        GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, durability, &error));
    auditrail_options_free(options);
    auditrail_options_free(NULL);
    auditrail_filter_free(filter);
    auditrail_filter_free(NULL);
}

static void a_reader(void) {
    auditrail_reader *reader = NULL;
    const char *json = TEXT_MARK, *reason = TEXT_MARK;
    size_t length = 77;
    uint64_t id = 77;
    REFUSED("reader is NULL", auditrail_reader_open(NULL, NULL, NULL, &error));
    REFUSED("root is NULL", auditrail_reader_open(NULL, NULL, &reader, &error));
    CHECK(reader == NULL);
    REFUSED("reader is NULL", auditrail_reader_next(NULL, &json, &length, &id, &error));
    REFUSED("reader is NULL", auditrail_reader_follow(NULL, 0, &json, &length, &id, &error));
    REFUSED("reader is NULL", auditrail_reader_damage(NULL, 0, &json, &id, &reason, &error));
    CHECK(auditrail_reader_timestamp(NULL) == 0 && auditrail_reader_offset(NULL) == 0);
    CHECK(auditrail_reader_damage_count(NULL) == 0 && auditrail_reader_path(NULL) == NULL);
    CHECK(auditrail_reader_domain(NULL, &length) == NULL);

    /* Nothing is written where there is nothing. */
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, NULL, &reader, &error));
    CHECK(auditrail_reader_user(reader, &length) == NULL);
    GIVES(AUDITRAIL_OK, auditrail_reader_next(reader, NULL, NULL, NULL, &error));
    CHECK(auditrail_reader_request_id(reader, &length) == NULL);
    CHECK(auditrail_reader_payload(reader, &length) == NULL);
    memset(&error, 0x5a, sizeof error);
    GIVES(AUDITRAIL_END, auditrail_reader_next(reader, &json, &length, &id, &error));
    CHECK(error.status == AUDITRAIL_OK && error.message[0] == '\0');
    GIVES(AUDITRAIL_END, auditrail_reader_follow(reader, 1, &json, &length, &id, &error));
    GIVES(AUDITRAIL_END, auditrail_reader_damage(reader, 0, &json, &id, &reason, &error));
    CHECK(json == TEXT_MARK && reason == TEXT_MARK && length == 77 && id == 77);
    auditrail_reader_close(reader);
    auditrail_reader_close(NULL);
}

static void questions_and_proofs(void) {
    auditrail_buffer *buffer = BUFFER_MARK, *other = BUFFER_MARK;
    uint64_t id = 77;
    REFUSED("result_json is NULL", auditrail_replay(NULL, NULL, NULL, NULL, NULL, &error));
    REFUSED("root is NULL", auditrail_replay(NULL, NULL, NULL, NULL, &buffer, &error));
    REFUSED("domain is NULL", auditrail_replay(root, NULL, NULL, NULL, &buffer, &error));
    REFUSED("category is NULL", auditrail_replay(root, "v2", NULL, NULL, &buffer, &error));
    REFUSED("result_json is NULL", auditrail_history(root, "v2", "c", "m", NULL, NULL, &error));
    REFUSED("model_name is NULL", auditrail_history(root, "v2", "c", NULL, NULL, &buffer, &error));
    REFUSED("report_json is NULL", auditrail_check(root, NULL, &error));
    REFUSED("secret_key is NULL", auditrail_keygen(NULL, NULL, NULL, &error));
    REFUSED("public_key is NULL", auditrail_keygen(NULL, &buffer, NULL, &error));
    REFUSED("name is NULL", auditrail_keygen(NULL, &buffer, &other, &error));
    REFUSED("public_key is NULL", auditrail_public_key("x", 1, NULL, &error));
    REFUSED("checkpoint is NULL", auditrail_checkpoint(root, NULL, &error));
    REFUSED("root is NULL", auditrail_checkpoint(NULL, &buffer, &error));
    GIVES(AUDITRAIL_ERR_NOT_FOUND, auditrail_checkpoint(root, &buffer, &error));
    REFUSED("public_keys holds no key", auditrail_verify(root, "\n", 1, NULL, 0, 0, 0, &buffer, &error));
    REFUSED("proof is NULL", auditrail_prove(root, 1, NULL, 0, NULL, &error));
    REFUSED("root is NULL", auditrail_prove(NULL, 1, NULL, 0, &buffer, &error));
    REFUSED("proof is NULL", auditrail_prove_consistency(root, 1, NULL, 0, NULL, &error));
    REFUSED("public_keys holds no key", auditrail_export(NULL, NULL, NULL, 0, &id, &error));

    /* A pair is given as a whole or not at all. */
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_keygen("no spaces", &buffer, &other, &error));
    CHECK(buffer == BUFFER_MARK && other == BUFFER_MARK && id == 77);
    GIVES(AUDITRAIL_OK, auditrail_keygen("example.com/log", &buffer, &other, &error));

    const char *key = auditrail_buffer_data(other);
    REFUSED("root is NULL", auditrail_export(NULL, NULL, LENGTH(key), &id, &error));
    REFUSED("out is NULL", auditrail_export(root, NULL, LENGTH(key), &id, &error));
    GIVES(AUDITRAIL_ERR_CORRUPT, auditrail_verify_proof(LENGTH("x"), LENGTH(GOOD), LENGTH(key), &id,
                                                        &id, &error));
    CHECK(id == 77);
    auditrail_options *options = auditrail_options_new();
    REFUSED("sign is NULL",
            auditrail_options_set_proof_signer(options, LENGTH(key), NULL, NULL, &error));
    auditrail_options_free(options);
    auditrail_buffer_free(buffer);
    auditrail_buffer_free(other);
    auditrail_buffer_free(NULL);
    CHECK(auditrail_buffer_data(NULL) == NULL && auditrail_buffer_length(NULL) == 0);
}

/* A caller may let two results that it does not want go to one place. */
static void one_place_for_two_results(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/v2/c/audit-000001.jsonl", root);
    FILE *file = fopen(path, "a");
    CHECK(file != NULL);
    if (file == NULL) return;
    fputs("broken\n", file);
    fclose(file);
    auditrail_reader *reader = NULL;
    const char *text = NULL;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, NULL, &reader, &error));
    while (auditrail_reader_next(reader, NULL, NULL, NULL, &error) == AUDITRAIL_OK) {
    }
    GIVES(AUDITRAIL_OK, auditrail_reader_damage(reader, 0, &text, NULL, &text, &error));
    CHECK(text != NULL && strlen(text) > 0);
    auditrail_reader_close(reader);
}

int main(int argc, char **argv) {
    static char path[4000];
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    snprintf(path, sizeof path, "%s/trail", argv[1]);
    root = path;
    auditrail_writer *writer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root, NULL, &writer, &error));
    if (writer == NULL) return EXIT_FAILURE;
    the_error_is_always_filled_in(writer);
    a_writer(writer);
    stats(writer);
    builders();
    a_reader();
    questions_and_proofs();
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(NULL, &error));
    one_place_for_two_results();
    return CLOSING_LINE("boundary");
}
