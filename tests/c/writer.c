/* The writer through the C interface: what goes in, what is refused, and that
 * what is refused leaves nothing. Also compiled as C++. Usage: writer FOLDER */
#include "auditrail.h"
#include "check.h"

#include <stdint.h>

static auditrail_error error;
static const char *folder;

static const char GOOD[] =
    "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\","
    "\"logical_user_id\":\"u\",\"timestamp\":7}";

static char *at(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The whole of a file, NUL-terminated; an empty text where there is none. */
static char *content(const char *name) {
    static char text[1 << 20];
    FILE *file = fopen(at(name), "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file) fclose(file);
    return text;
}

static auditrail_writer *open_writer(const char *name, const auditrail_options *options) {
    auditrail_writer *writer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_writer_open(at(name), options, &writer, &error));
    if (writer == NULL) exit(EXIT_FAILURE);
    return writer;
}

/* From memory that ends where the text does, so that a byte read too many is seen
 * by valgrind and ASan. */
static auditrail_status append(auditrail_writer *writer, const char *text, uint64_t *id) {
    size_t length = strlen(text);
    char *exact = (char *)malloc(length ? length : 1);
    memcpy(exact, text, length);
    auditrail_status status = auditrail_writer_append(writer, exact, length, id, &error);
    free(exact);
    return status;
}

static void versions_and_names(void) {
    CHECK(strcmp(auditrail_version(), AUDITRAIL_VERSION) == 0);
    CHECK(strcmp(auditrail_status_name(AUDITRAIL_OK), "AUDITRAIL_OK") == 0);
    CHECK(strcmp(auditrail_status_name(AUDITRAIL_ERR_BUSY), "AUDITRAIL_ERR_BUSY") == 0);
    CHECK(strcmp(auditrail_status_name(12345), "AUDITRAIL_UNKNOWN") == 0);
    CHECK(sizeof(auditrail_error) == 512);
}

static void every_way_of_appending(void) {
    auditrail_writer *writer = open_writer("ways/of/appending", NULL);
    uint64_t id = 0, first = 0;
    size_t count = 0;
    GIVES(AUDITRAIL_OK, append(writer, GOOD, &id));
    CHECK(id == 1);
    CHECK(error.status == 0 && error.message[0] == '\0');
    GIVES(AUDITRAIL_OK, append(writer, GOOD, NULL));
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, GOOD, strlen(GOOD), &id, NULL));
    CHECK(id == 3);

    auditrail_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.timestamp = 7;
    event.domain = "v2";
    event.category = "c";
    event.model_name = "m\xc3\xa9\xf0\x9f\x98\x80/\x7f\"";
    event.operation = "update";
    event.logical_user_id = "";
    event.request_id = "r";
    event.payload = " { \"delta\" : { \"a\" : { \"new\" : null , \"old\" : 1.10 } } , \"x\" : [ 1E5 ] }";
    event.payload_length = strlen(event.payload);
    GIVES(AUDITRAIL_OK, auditrail_writer_append_event(writer, &event, &id, &error));
    CHECK(id == 4);

    char batch[1024];
    snprintf(batch, sizeof batch, "%s\n\n  \r\n%s\r\n%s", GOOD, GOOD, GOOD);
    GIVES(AUDITRAIL_OK,
          auditrail_writer_append_batch(writer, batch, strlen(batch), &first, &count, &error));
    CHECK(first == 5 && count == 3);
    GIVES(AUDITRAIL_OK,
          auditrail_writer_append_batch(writer, GOOD, strlen(GOOD), NULL, NULL, &error));

    auditrail_buffer *line = NULL;
    GIVES(AUDITRAIL_OK,
          auditrail_writer_append_returning(writer, GOOD, strlen(GOOD), &line, &error));
    const char *expected =
        "{\"event_id\":9,\"timestamp\":7,\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\","
        "\"operation\":\"create\",\"logical_user_id\":\"u\"}\n";
    CHECK(line != NULL && strcmp(auditrail_buffer_data(line), expected) == 0);
    CHECK(auditrail_buffer_length(line) == strlen(expected));
    auditrail_buffer_free(line);

    /* Written means that a reader sees it, now. */
    char *text = content("ways/of/appending/v2/c/audit-000001.jsonl");
    CHECK(strstr(text, expected) != NULL);
    CHECK(strstr(text,
                 "{\"event_id\":4,\"timestamp\":7,\"domain\":\"v2\",\"category\":\"c\","
                 "\"model_name\":\"m\\u00e9\\ud83d\\ude00/\\u007f\\\"\",\"operation\":\"update\","
                 "\"logical_user_id\":\"\",\"request_id\":\"r\","
                 "\"payload\":{\"delta\":{\"a\":{\"old\":1.10,\"new\":null}},\"x\":[1E5]}}\n") !=
          NULL);

    GIVES(AUDITRAIL_OK, auditrail_writer_flush(writer, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_sync(writer, &error));
    auditrail_stats stats;
    memset(&stats, 0xff, sizeof stats);
    stats.size = sizeof stats;
    GIVES(AUDITRAIL_OK, auditrail_writer_stats(writer, &stats, &error));
    CHECK(stats.events == 9 && stats.last_id == 9 && stats.written_id == 9);
    CHECK(stats.synced_id == 9 && stats.streams == 1 && stats.waiting == 0);
    CHECK(stats.bytes == strlen(text));
    stats.size = 8;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_stats(writer, &stats, &error));
    SAYS("auditrail_stats.size");
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    CHECK(strcmp(content("ways/of/appending/index.json"), "{\"last_event_id\":9}") == 0);
}

struct refused {
    const char *text;
    auditrail_status status;
    int64_t offset; /* -2: not looked at */
    const char *says;
};

#define HEAD "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\""

static void what_is_refused(void) {
    static const struct refused cases[] = {
        {"", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {" ", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {"null", AUDITRAIL_ERR_INVALID_EVENT, 0, ""},
        {"[]", AUDITRAIL_ERR_INVALID_EVENT, 0, ""},
        {"{}", AUDITRAIL_ERR_INVALID_EVENT, -2, "missing"},
        {HEAD, AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD "}}", AUDITRAIL_ERR_INVALID_EVENT, sizeof HEAD, ""},
        {HEAD "} x", AUDITRAIL_ERR_INVALID_EVENT, sizeof HEAD + 1, ""},
        {HEAD ",}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"event_id\":1}", AUDITRAIL_ERR_INVALID_EVENT, sizeof HEAD, "event_id"},
        {HEAD ",\"nothing\":1}", AUDITRAIL_ERR_INVALID_EVENT, sizeof HEAD, "nothing"},
        {HEAD ",\"domain\":\"v2\"}", AUDITRAIL_ERR_INVALID_EVENT, sizeof HEAD, "domain"},
        {HEAD ",\"timestamp\":1.5}", AUDITRAIL_ERR_INVALID_EVENT, -2, "timestamp"},
        {HEAD ",\"timestamp\":\"1\"}", AUDITRAIL_ERR_INVALID_EVENT, -2, "timestamp"},
        {HEAD ",\"timestamp\":1e3}", AUDITRAIL_ERR_INVALID_EVENT, -2, "timestamp"},
        {HEAD ",\"timestamp\":9223372036854775808}", AUDITRAIL_ERR_INVALID_EVENT, -2, "timestamp"},
        {HEAD ",\"timestamp\":NaN}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"request_id\":1}", AUDITRAIL_ERR_INVALID_EVENT, -2, "request_id"},
        {HEAD ",\"payload\":[]}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload"},
        {HEAD ",\"payload\":\"x\"}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload"},
        {HEAD ",\"payload\":{\"after\":1}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload.after"},
        {HEAD ",\"payload\":{\"before\":[]}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload.before"},
        {HEAD ",\"payload\":{\"delta\":[]}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload.delta"},
        {HEAD ",\"payload\":{\"delta\":{\"f\":1}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "payload.delta.f"},
        {HEAD ",\"payload\":{\"delta\":{\"f\":{\"old\":1}}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "new"},
        {HEAD ",\"payload\":{\"delta\":{\"f\":{\"new\":1}}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "old"},
        {HEAD ",\"payload\":{\"delta\":{\"f\":{\"old\":1,\"new\":1,\"x\":1}}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "x"},
        {HEAD ",\"payload\":{\"after\":{\"a\":1,\"b\":{\"k\":1,\"k\":2}}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "k"},
        {HEAD ",\"payload\":{\"after\":{\"a\":1,\"\\u0061\":2}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "a"},
        {HEAD ",\"payload\":{\"after\":{},\"after\":{}}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "after"},
        {HEAD ",\"payload\":{\"x\":NaN}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":Infinity}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":01}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":1.}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":+1}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":tru}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":\"\\ud800\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "surrogate"},
        {HEAD ",\"payload\":{\"x\":\"\\udc00\\ud800\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "surrogate"},
        {HEAD ",\"payload\":{\"x\":\"\\x\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":\"\n\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, ""},
        {HEAD ",\"payload\":{\"x\":\"\xff\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "UTF-8"},
        {HEAD ",\"payload\":{\"x\":\"\xed\xa0\x80\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "UTF-8"},
        {HEAD ",\"payload\":{\"x\":\"\xc0\x80\"}}", AUDITRAIL_ERR_INVALID_EVENT, -2, "UTF-8"},
        {"{\"domain\":\"v3\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "domain"},
        {"{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"drop\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "operation"},
        {"{\"domain\":\"v2\",\"category\":\"../../x\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "category"},
        {"{\"domain\":\"v2\",\"category\":\"a/b\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "category"},
        {"{\"domain\":\"v2\",\"category\":\".auditrail\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "category"},
        {"{\"domain\":\"v2\",\"category\":\"\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "category"},
        {"{\"domain\":\"v2\",\"category\":\"c\\u0000\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "category"},
        {"{\"domain\":null,\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "domain"},
        {"{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":7,\"operation\":\"create\",\"logical_user_id\":\"u\"}",
         AUDITRAIL_ERR_INVALID_EVENT, -2, "model_name"},
    };
    auditrail_writer *writer = open_writer("refused", NULL);
    GIVES(AUDITRAIL_OK, append(writer, GOOD, NULL));
    char *before = strdup(content("refused/v2/c/audit-000001.jsonl"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct refused *c = &cases[i];
        uint64_t id = 77;
        int was = failures;
        GIVES(c->status, append(writer, c->text, &id));
        CHECK(error.status == c->status);
        CHECK(id == 77);
        SAYS(c->says);
        CHECK(c->offset == -2 || error.offset == c->offset);
        CHECK(error.offset >= 0 && error.offset <= (int64_t)strlen(c->text));
        if (failures != was) fprintf(stderr, "    the text was: %s\n", c->text);
    }

    /* Too deep: the event is level 1, the payload level 2. */
    char deep[2048];
    for (int levels = 126; levels <= 127; levels++) {
        char *to = deep + sprintf(deep, "%s,\"payload\":{\"x\":", HEAD);
        memset(to, '[', (size_t)levels);
        memset(to + levels, ']', (size_t)levels);
        strcpy(to + 2 * levels, "}}");
        GIVES(levels == 126 ? AUDITRAIL_OK : AUDITRAIL_ERR_INVALID_EVENT, append(writer, deep, NULL));
    }
    SAYS("128");

    /* Too long. */
    size_t long_length = (1 << 20) + 100;
    char *long_text = (char *)malloc(long_length + 1);
    char *to = long_text + sprintf(long_text, "%s,\"request_id\":\"", HEAD);
    memset(to, 'x', (size_t)(long_text + long_length - to));
    strcpy(long_text + long_length - 2, "\"}");
    GIVES(AUDITRAIL_ERR_TOO_LARGE, append(writer, long_text, NULL));
    SAYS("1048576");
    free(long_text);

    /* A batch is all or nothing, and says where in it. */
    char batch[1024];
    uint64_t first = 77;
    size_t count = 77;
    int bad_at = snprintf(batch, sizeof batch, "%s\n%s\n", GOOD, GOOD);
    strcat(batch, "{\"domain\":1}\n");
    GIVES(AUDITRAIL_ERR_INVALID_EVENT,
          auditrail_writer_append_batch(writer, batch, strlen(batch), &first, &count, &error));
    CHECK(error.offset == bad_at + 10);
    SAYS("line 3");
    CHECK(first == 77 && count == 77);
    GIVES(AUDITRAIL_ERR_INVALID_EVENT,
          auditrail_writer_append_batch(writer, "\n \n", 3, &first, &count, &error));
    GIVES(AUDITRAIL_ERR_INVALID_EVENT,
          auditrail_writer_append_batch(writer, NULL, 0, &first, &count, &error));

    /* Structs. */
    auditrail_event event;
    memset(&event, 0, sizeof event);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    SAYS("size");
    event.size = sizeof event;
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    SAYS("domain");
    event.domain = "v2";
    event.category = "c";
    event.model_name = "m";
    event.operation = "create";
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    SAYS("logical_user_id");
    event.logical_user_id = "\xff";
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    SAYS("logical_user_id");
    event.logical_user_id = "u";
    event.payload = "{\"after\":{}} ]";
    event.payload_length = strlen(event.payload);
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    CHECK(error.offset == 13);
    event.payload_length = 0;
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    event.payload = NULL;
    event.payload_length = 5;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_event(writer, &event, NULL, &error));
    struct {
        auditrail_event event;
        uint64_t newer;
    } later;
    memset(&later, 0, sizeof later);
    event.payload_length = 0;
    later.event = event;
    later.event.size = sizeof later;
    later.newer = 1;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_event(writer, &later.event, NULL, &error));

    /* NULLs. */
    auditrail_buffer *line = NULL;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append(NULL, GOOD, 3, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append(writer, NULL, 3, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, auditrail_writer_append(writer, NULL, 0, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append(writer, GOOD, SIZE_MAX, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append(writer, NULL, 3, NULL, NULL));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_event(writer, NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_returning(writer, GOOD, strlen(GOOD), NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_returning(NULL, GOOD, strlen(GOOD), &line, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_append_batch(NULL, GOOD, strlen(GOOD), NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_flush(NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_sync(NULL, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_stats(writer, NULL, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(NULL, &error));
    auditrail_buffer_free(NULL);
    CHECK(auditrail_buffer_data(NULL) == NULL && auditrail_buffer_length(NULL) == 0);

    /* Only the good one and the one that was just deep enough are there. */
    uint64_t id = 0;
    GIVES(AUDITRAIL_OK, append(writer, GOOD, &id));
    CHECK(id == 3);
    CHECK(strncmp(content("refused/v2/c/audit-000001.jsonl"), before, strlen(before)) == 0);
    free(before);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
}

static void what_cannot_be_opened(void) {
    auditrail_writer *writer = NULL, *second = NULL;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_open(NULL, NULL, &writer, &error));
    SAYS("root");
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_open("", NULL, &writer, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_writer_open(at("x"), NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_IO, auditrail_writer_open("/dev/null/trail", NULL, &writer, &error));
    SAYS("/dev/null");
    CHECK(error.os_errno != 0);
    CHECK(writer == NULL);

    writer = open_writer("taken", NULL);
    GIVES(AUDITRAIL_ERR_BUSY, auditrail_writer_open(at("taken"), NULL, &second, &error));
    SAYS("taken");
    SAYS("this process");
    CHECK(second == NULL);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    second = open_writer("taken", NULL);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(second, &error));
}

static void options(void) {
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_max_segment_bytes(options, 0, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_max_segment_bytes(NULL, 1, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_durability(options, 4, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_durability(options, -1, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_max_event_bytes(options, 255, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_buffer_bytes(options, 1, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_max_open_files(options, 0, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_add_domain(options, "a/b", 3, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_add_domain(options, "..", 2, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_add_operation(options, "", 0, &error));

    GIVES(AUDITRAIL_OK, auditrail_options_set_max_segment_bytes(options, 1, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_event_bytes(options, 256, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_open_files(options, 1, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_lock_timeout_ms(options, 7, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_add_domain(options, "mine", 4, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_add_operation(options, "seen", 4, &error));
    auditrail_writer *writer = open_writer("options", options);
    uint64_t id = 0;
    const char *mine =
        "{\"domain\":\"mine\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"seen\",\"logical_user_id\":\"u\"}";
    GIVES(AUDITRAIL_OK, append(writer, mine, &id));
    GIVES(AUDITRAIL_OK, append(writer, mine, &id));
    CHECK(id == 2);
    CHECK(content("options/mine/c/audit-000002.jsonl")[0] == '{');
    GIVES(AUDITRAIL_ERR_INVALID_EVENT, append(writer, GOOD, &id));
    SAYS("v2");
    char long_text[600];
    snprintf(long_text, sizeof long_text,
             "{\"domain\":\"mine\",\"category\":\"c\",\"model_name\":\"%0300d\",\"operation\":\"seen\",\"logical_user_id\":\"u\"}", 0);
    GIVES(AUDITRAIL_ERR_TOO_LARGE, append(writer, long_text, &id));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));

    GIVES(AUDITRAIL_OK, auditrail_options_set_any_domain(options, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_any_operation(options, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, AUDITRAIL_DURABILITY_BUFFERED, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_flush_interval_ms(options, 0, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_buffer_bytes(options, 4096, &error));
    writer = open_writer("options", options);
    GIVES(AUDITRAIL_OK, append(writer, GOOD, &id));
    CHECK(id == 3);
    CHECK(content("options/v2/c/audit-000001.jsonl")[0] == '\0');
    GIVES(AUDITRAIL_OK, auditrail_writer_flush(writer, &error));
    CHECK(content("options/v2/c/audit-000001.jsonl")[0] == '{');
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));

    GIVES(AUDITRAIL_OK, auditrail_options_set_shared(options, 1, &error));
    GIVES(AUDITRAIL_ERR_UNSUPPORTED, auditrail_writer_open(at("options"), options, &writer, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, AUDITRAIL_DURABILITY_SYNCED, &error));
    auditrail_writer *one = open_writer("options", options), *two = open_writer("options", options);
    GIVES(AUDITRAIL_OK, append(one, GOOD, &id));
    CHECK(id == 4);
    GIVES(AUDITRAIL_OK, append(two, GOOD, &id));
    CHECK(id == 5);
    GIVES(AUDITRAIL_OK, append(one, GOOD, &id));
    CHECK(id == 6);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(one, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(two, &error));
    auditrail_options_free(options);
    auditrail_options_free(NULL);
}

struct told {
    int calls;
    auditrail_warning last;
    char message[512];
};

static void tell(void *user_data, auditrail_warning warning, const char *message) {
    struct told *told = (struct told *)user_data;
    told->calls++;
    told->last = warning;
    snprintf(told->message, sizeof told->message, "%s", message);
}

static void recovery_is_told(void) {
    auditrail_writer *writer = open_writer("torn", NULL);
    GIVES(AUDITRAIL_OK, append(writer, GOOD, NULL));
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    FILE *segment = fopen(at("torn/v2/c/audit-000001.jsonl"), "a");
    CHECK(segment != NULL && fputs("{\"event_id\":2,\"time", segment) >= 0);
    fclose(segment);
    CHECK(remove(at("torn/index.json")) == 0);

    struct told told = {0, 0, ""};
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_OK, auditrail_options_set_warning_callback(options, tell, &told, &error));
    writer = open_writer("torn", options);
    auditrail_options_free(options);
    CHECK(told.calls == 2);
    uint64_t id = 0;
    GIVES(AUDITRAIL_OK, append(writer, GOOD, &id));
    CHECK(id == 2);
    auditrail_stats stats;
    stats.size = sizeof stats;
    GIVES(AUDITRAIL_OK, auditrail_writer_stats(writer, &stats, &error));
    CHECK(stats.torn_tails == 1 && stats.torn_bytes == 19);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    CHECK(strcmp(content("torn/.auditrail/torn/v2-c-audit-000001.jsonl-at-118"), "{\"event_id\":2,\"time") == 0);
    CHECK(strstr(content("torn/v2/c/audit-000001.jsonl"), "}\n{\"event_id\":2,") != NULL);
}

struct used {
    auditrail_writer *writer;
    int calls, refused, after_the_end;
};

/* A handler that closes its writer, and then appends to it. */
static void use(void *user_data, auditrail_warning warning, const char *message) {
    struct used *used = (struct used *)user_data;
    auditrail_error why;
    (void)warning;
    (void)message;
    if (used->writer == NULL) return;
    used->calls++;
    used->refused += auditrail_writer_close(used->writer, &why) == AUDITRAIL_ERR_INVALID_ARGUMENT &&
                     strstr(why.message, "its own warning handler") != NULL;
    used->after_the_end += auditrail_writer_append(used->writer, GOOD, strlen(GOOD), NULL, &why) ==
                               AUDITRAIL_ERR_INVALID_ARGUMENT &&
                           strstr(why.message, "is closed") != NULL;
}

/* By whom the handler is called: by the program's own call, by the flusher's thread,
 * and by closing. */
static void a_handler_uses_its_writer_and_cannot_close_it(int flusher) {
    struct used used = {NULL, 0, 0, 0};
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_OK, auditrail_options_set_warning_callback(options, use, &used, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, AUDITRAIL_DURABILITY_BUFFERED, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_flush_interval_ms(options, flusher ? 1 : 0, &error));
    auditrail_writer *writer = open_writer(flusher ? "flusher" : "caller", options);
    auditrail_options_free(options);
    FILE *in_the_way = fopen(at(flusher ? "flusher/v2" : "caller/v2"), "w"); /* where a folder is wanted */
    CHECK(in_the_way != NULL);
    fclose(in_the_way);
    used.writer = writer;
    GIVES(AUDITRAIL_OK, append(writer, GOOD, NULL));
    if (flusher) {
        auditrail_stats stats;
        stats.size = sizeof stats;
        do {
            CHECK(auditrail_writer_stats(writer, &stats, &error) == AUDITRAIL_OK);
            checks--;
        } while (stats.flush_failures == 0);
    } else {
        CHECK(auditrail_writer_flush(writer, &error) < 0);
        CHECK(used.calls == 1 && used.refused == 1 && used.after_the_end == 0);
    }
    CHECK(auditrail_writer_close(writer, &error) < 0);
    SAYS("/v2");
    CHECK(used.calls > 0 && used.refused == used.calls && used.after_the_end > 0);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    folder = argv[1];
    versions_and_names();
    every_way_of_appending();
    what_is_refused();
    what_cannot_be_opened();
    options();
    recovery_is_told();
    a_handler_uses_its_writer_and_cannot_close_it(0);
    a_handler_uses_its_writer_and_cannot_close_it(1);
    return CLOSING_LINE(argv[0]);
}
