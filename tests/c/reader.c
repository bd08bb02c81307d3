/* Reading through the C interface: events, filters, following, damage, replay,
 * history and check. Also compiled as C++. Usage: reader FOLDER */
#include "auditrail.h"
#include "check.h"

#include <stdint.h>

static auditrail_error error;
static const char *root;

static const char *const EVENTS[] = {
    "{\"domain\":\"v2\",\"category\":\"text\",\"model_name\":\"m\\u00e9\\u0000\",\"timestamp\":10,"
    "\"operation\":\"create\",\"logical_user_id\":\"u-1\",\"request_id\":\"r-1\","
    "\"payload\":{\"after\":{\"n\":1.10}}}",
    "{\"domain\":\"legacy\",\"category\":\"image\",\"model_name\":\"x\",\"timestamp\":20,"
    "\"operation\":\"create\",\"logical_user_id\":\"u-2\"}",
    "{\"domain\":\"v2\",\"category\":\"text\",\"model_name\":\"m\\u00e9\\u0000\",\"timestamp\":30,"
    "\"operation\":\"update\",\"logical_user_id\":\"u-2\","
    "\"payload\":{\"delta\":{\"n\":{\"old\":1.10,\"new\":2E400}}}}",
    "{\"domain\":\"v2\",\"category\":\"text\",\"model_name\":\"other\",\"timestamp\":40,"
    "\"operation\":\"create\",\"logical_user_id\":\"u-1\",\"payload\":{\"after\":{\"k\":[]}}}",
};

static void append(const char *text) {
    auditrail_writer *writer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root, NULL, &writer, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, text, strlen(text), NULL, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
}

/* The ids that a filter gives, as decimal digits one after another. */
static const char *ids(const auditrail_filter *filter) {
    static char digits[64];
    auditrail_reader *reader = NULL;
    uint64_t id = 0;
    size_t count = 0;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, filter, &reader, &error));
    while (auditrail_reader_next(reader, NULL, NULL, &id, &error) == AUDITRAIL_OK &&
           count < sizeof digits - 1)
        digits[count++] = (char)('0' + id);
    CHECK(error.status == AUDITRAIL_OK);
    auditrail_reader_close(reader);
    digits[count] = '\0';
    return digits;
}

static int is(const char *text, size_t length, const char *expected) {
    return text != NULL && length == strlen(expected) && memcmp(text, expected, length) == 0 &&
           text[length] == '\0';
}

/* That a field of the present event is this text. */
#define FIELD(function, expected)                         \
    do {                                                  \
        size_t field_length = 0;                          \
        const char *text = function(reader, &field_length); \
        CHECK(is(text, field_length, expected));          \
    } while (0)

static void one_event(void) {
    auditrail_reader *reader = NULL;
    const char *json = NULL;
    size_t length = 0;
    uint64_t id = 0;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, NULL, &reader, &error));
    CHECK(auditrail_reader_path(reader) == NULL);
    CHECK(auditrail_reader_model_name(reader, &length) == NULL);
    CHECK(auditrail_reader_timestamp(reader) == 0);
    GIVES(AUDITRAIL_OK, auditrail_reader_next(reader, &json, &length, &id, &error));
    CHECK(id == 2 && length > 20 && memcmp(json, "{\"event_id\":2,", 14) == 0);
    CHECK(json[length - 1] == '}');
    CHECK(auditrail_reader_request_id(reader, &length) == NULL);
    CHECK(auditrail_reader_payload(reader, &length) == NULL);

    GIVES(AUDITRAIL_OK, auditrail_reader_next(reader, &json, &length, &id, &error));
    CHECK(id == 1);
    CHECK(auditrail_reader_timestamp(reader) == 10);
    CHECK(auditrail_reader_offset(reader) == 0);
    CHECK(strstr(auditrail_reader_path(reader), "v2/text/audit-000001.jsonl") != NULL);
    const char *domain = auditrail_reader_domain(reader, &length);
    CHECK(is(domain, length, "v2"));
    FIELD(auditrail_reader_category, "text");
    FIELD(auditrail_reader_operation, "create");
    FIELD(auditrail_reader_user, "u-1");
    FIELD(auditrail_reader_request_id, "r-1");
    FIELD(auditrail_reader_payload, "{\"after\":{\"n\":1.10}}");
    /* All that was lent stays until the next event. */
    CHECK(strcmp(domain, "v2") == 0);
    const char *name = auditrail_reader_model_name(reader, &length);
    CHECK(length == 4 && memcmp(name, "m\xc3\xa9\0", 5) == 0);
    CHECK(auditrail_reader_model_name(reader, NULL) != NULL);

    GIVES(AUDITRAIL_OK, auditrail_reader_next(reader, NULL, NULL, NULL, NULL));
    CHECK(auditrail_reader_offset(reader) > 0);
    GIVES(AUDITRAIL_OK, auditrail_reader_next(reader, NULL, NULL, NULL, &error));
    id = 99;
    GIVES(AUDITRAIL_END, auditrail_reader_next(reader, &json, &length, &id, &error));
    GIVES(AUDITRAIL_END, auditrail_reader_next(reader, &json, &length, &id, &error));
    CHECK(id == 99);
    CHECK(auditrail_reader_path(reader) == NULL);
    auditrail_reader_close(reader);
    auditrail_reader_close(NULL);
}

static void filters(void) {
    auditrail_filter *filter = auditrail_filter_new();
    CHECK(strcmp(ids(NULL), "2134") == 0);
    CHECK(strcmp(ids(filter), "2134") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_set_order(filter, AUDITRAIL_ORDER_OLDEST_FIRST, &error));
    CHECK(strcmp(ids(filter), "1234") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_set_order(filter, AUDITRAIL_ORDER_NEWEST_FIRST, &error));
    CHECK(strcmp(ids(filter), "4321") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_set_limit(filter, 3, &error));
    CHECK(strcmp(ids(filter), "432") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_add_domain(filter, "v2?", 2, &error));
    CHECK(strcmp(ids(filter), "431") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_add_category(filter, "text", 4, &error));
    GIVES(AUDITRAIL_OK, auditrail_filter_add_user(filter, "u-1", 3, &error));
    CHECK(strcmp(ids(filter), "41") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_add_user(filter, "u-2", 3, &error));
    GIVES(AUDITRAIL_OK, auditrail_filter_add_model_name(filter, "m\xc3\xa9\0", 4, &error));
    CHECK(strcmp(ids(filter), "31") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_add_operation(filter, "create", 6, &error));
    CHECK(strcmp(ids(filter), "1") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_set_request_id(filter, NULL, 0, &error));
    CHECK(strcmp(ids(filter), "") == 0);
    auditrail_filter_free(filter);

    filter = auditrail_filter_new();
    GIVES(AUDITRAIL_OK, auditrail_filter_set_event_ids(filter, 2, 3, &error));
    CHECK(strcmp(ids(filter), "23") == 0);
    GIVES(AUDITRAIL_OK, auditrail_filter_set_event_ids(filter, 0, UINT64_MAX, &error));
    GIVES(AUDITRAIL_OK, auditrail_filter_set_timestamps(filter, 30, INT64_MAX, &error));
    CHECK(strcmp(ids(filter), "34") == 0);

    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_event_ids(filter, 3, 2, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_timestamps(filter, 3, 2, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_order(filter, 3, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_order(filter, -1, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_add_domain(filter, "../x", 4, &error));
    SAYS("domain");
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_add_category(filter, "", 0, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_add_user(filter, "\xff", 1, &error));
    SAYS("user");
    CHECK(error.offset == 0);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_add_user(filter, NULL, 1, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_limit(NULL, 1, &error));
    auditrail_filter_free(filter);
    auditrail_filter_free(NULL);
}

static void following(void) {
    auditrail_reader *reader = NULL;
    uint64_t id = 0;
    const char *json = NULL;
    size_t length = 0;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, NULL, &reader, &error));
    while (auditrail_reader_next(reader, NULL, NULL, &id, &error) == AUDITRAIL_OK) {
    }
    GIVES(AUDITRAIL_END, auditrail_reader_follow(reader, 5, &json, &length, &id, &error));
    CHECK(auditrail_reader_is_exhausted(reader) == 0 && auditrail_reader_is_exhausted(NULL) == 0);
    append("{\"domain\":\"v2\",\"category\":\"new\",\"model_name\":\"m\",\"operation\":\"create\","
           "\"logical_user_id\":\"u-3\"}");
    GIVES(AUDITRAIL_OK, auditrail_reader_follow(reader, 30000, &json, &length, &id, &error));
    CHECK(id == 5);
    FIELD(auditrail_reader_category, "new");
    auditrail_reader_close(reader);

    /* A range of ids that the trail has gone past: nothing can come any more. */
    auditrail_filter *filter = auditrail_filter_new();
    GIVES(AUDITRAIL_OK, auditrail_filter_set_event_ids(filter, 0, 1, &error));
    GIVES(AUDITRAIL_OK, auditrail_filter_set_use_hints(filter, 0, &error));
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, filter, &reader, &error));
    auditrail_filter_free(filter);
    GIVES(AUDITRAIL_OK, auditrail_reader_follow(reader, 30000, &json, &length, &id, &error));
    GIVES(AUDITRAIL_END, auditrail_reader_follow(reader, UINT64_MAX, &json, &length, &id, &error));
    CHECK(auditrail_reader_is_exhausted(reader) == 1);
    auditrail_reader_close(reader);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_filter_set_use_hints(NULL, 0, &error));

    filter = auditrail_filter_new();
    GIVES(AUDITRAIL_OK, auditrail_filter_set_order(filter, AUDITRAIL_ORDER_NEWEST_FIRST, &error));
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, filter, &reader, &error));
    auditrail_filter_free(filter);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
          auditrail_reader_follow(reader, 0, &json, &length, &id, &error));
    auditrail_reader_close(reader);
}

static void questions(void) {
    auditrail_buffer *buffer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_replay(root, "v2", "text", NULL, &buffer, &error));
    CHECK(strcmp(auditrail_buffer_data(buffer),
                 "{\"state\":{\"m\\u00e9\\u0000\":{\"n\":2E400},\"other\":{\"k\":[]}},"
                 "\"last_event_id\":4,\"applied_events\":3}") == 0);
    auditrail_buffer_free(buffer);
    auditrail_filter *filter = auditrail_filter_new();
    GIVES(AUDITRAIL_OK, auditrail_filter_set_event_ids(filter, 0, 2, &error));
    GIVES(AUDITRAIL_OK, auditrail_replay(root, "v2", "text", filter, &buffer, &error));
    CHECK(strcmp(auditrail_buffer_data(buffer),
                 "{\"state\":{\"m\\u00e9\\u0000\":{\"n\":1.10}},"
                 "\"last_event_id\":1,\"applied_events\":1}") == 0);
    auditrail_buffer_free(buffer);
    GIVES(AUDITRAIL_OK, auditrail_replay(root, "v2", "none", filter, &buffer, &error));
    CHECK(strcmp(auditrail_buffer_data(buffer),
                 "{\"state\":{},\"last_event_id\":null,\"applied_events\":0}") == 0);
    auditrail_buffer_free(buffer);
    auditrail_filter_free(filter);

    GIVES(AUDITRAIL_OK, auditrail_history(root, "v2", "text", "other", NULL, &buffer, &error));
    CHECK(strcmp(auditrail_buffer_data(buffer),
                 "[{\"event_id\":4,\"timestamp\":40,\"operation\":\"create\","
                 "\"logical_user_id\":\"u-1\",\"changes\":{\"k\":{\"new\":[]}}}]") == 0);
    auditrail_buffer_free(buffer);

    GIVES(AUDITRAIL_OK, auditrail_check(root, &buffer, &error));
    CHECK(strstr(auditrail_buffer_data(buffer), "{\"ok\":true,\"events\":5,\"streams\":3,") ==
          auditrail_buffer_data(buffer));
    auditrail_buffer_free(buffer);
    GIVES(AUDITRAIL_OK, auditrail_check_pruned(root, 7, &buffer, &error));
    CHECK(strstr(auditrail_buffer_data(buffer), "\"pruned_events\":0,") != NULL);
    auditrail_buffer_free(buffer);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_check_pruned(NULL, 7, &buffer, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_check_pruned(root, 7, NULL, &error));

    auditrail_reader *reader = NULL;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
          auditrail_replay(root, "v2", "../v2", NULL, &buffer, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_replay(root, NULL, "c", NULL, &buffer, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_replay(root, "v2", "c", NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_check(NULL, &buffer, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_reader_open(root, NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_reader_next(NULL, NULL, NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_NOT_FOUND, auditrail_check("/nowhere/at/all", &buffer, &error));
    SAYS("/nowhere/at/all");
    GIVES(AUDITRAIL_ERR_NOT_FOUND, auditrail_reader_open("/nowhere/at/all", NULL, &reader, &error));
    GIVES(AUDITRAIL_ERR_NOT_FOUND,
          auditrail_history("/nowhere/at/all", "v2", "c", "m", NULL, &buffer, &error));
}

static void damage(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s/v2/text/audit-000001.jsonl", root);
    FILE *file = fopen(path, "a");
    CHECK(file != NULL);
    if (file == NULL) return;
    long end = ftell(file);
    fputs("{\"event_id\":6}\nbroken\n", file);
    fclose(file);

    auditrail_reader *reader = NULL;
    const char *where = NULL, *reason = NULL;
    uint64_t offset = 0, last = 0;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(root, NULL, &reader, &error));
    CHECK(auditrail_reader_damage_count(reader) == 0);
    GIVES(AUDITRAIL_END, auditrail_reader_damage(reader, 0, &where, &offset, &reason, &error));
    while (auditrail_reader_next(reader, NULL, NULL, &last, &error) == AUDITRAIL_OK) {
    }
    CHECK(last == 4);
    CHECK(auditrail_reader_damage_count(reader) == 2);
    GIVES(AUDITRAIL_OK, auditrail_reader_damage(reader, 1, NULL, &offset, NULL, &error));
    GIVES(AUDITRAIL_OK, auditrail_reader_damage(reader, 0, &where, &last, &reason, &error));
    CHECK(strcmp(where, path) == 0);
    CHECK(strstr(reason, "timestamp") != NULL);
    CHECK(offset == last + 15 && (end <= 0 || last == (uint64_t)end));
    GIVES(AUDITRAIL_END, auditrail_reader_damage(reader, 2, &where, &offset, &reason, &error));
    auditrail_reader_close(reader);

    auditrail_buffer *buffer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_check(root, &buffer, &error));
    CHECK(strstr(auditrail_buffer_data(buffer), "\"ok\":false") != NULL);
    CHECK(strstr(auditrail_buffer_data(buffer), "\"damaged_lines\":{\"count\":2,") != NULL);
    auditrail_buffer_free(buffer);
}

int main(int argc, char **argv) {
    static char path[4000];
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    snprintf(path, sizeof path, "%s/trail", argv[1]);
    root = path;
    for (size_t i = 0; i < sizeof EVENTS / sizeof *EVENTS; i++) append(EVENTS[i]);
    one_event();
    filters();
    following();
    questions();
    damage();
    return CLOSING_LINE("reader");
}
