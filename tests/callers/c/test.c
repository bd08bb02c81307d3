/* The events of a corpus in every way that C has: test CORPUS SCRATCH
 *
 * What else the C interface promises is tested in tests/c/. Fields come from a
 * first trail, which is read back with the reader's accessors. */
#include <auditrail.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 1000, MAX_TEXT = 1 << 20 };

static auditrail_error error;
static char text[MAX_TEXT];
static const char *lines[MAX_LINES + 1]; /* where each begins, and the end of the last */

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, error.message); \
            exit(EXIT_FAILURE);                                                                \
        }                                                                                      \
    } while (0)

static size_t length_of(size_t line) { return (size_t)(lines[line + 1] - lines[line]) - 1; }

static size_t read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t length = fread(text, 1, sizeof text, file), count = 0;
    CHECK(length > 0 && length < sizeof text && text[length - 1] == '\n');
    fclose(file);
    for (const char *at = text; at < text + length; at = strchr(at, '\n') + 1) {
        CHECK(count < MAX_LINES);
        lines[count++] = at;
    }
    lines[count] = text + length;
    return count;
}

/* The reader's present event as fields; 0 if a text holds a NUL, which fields
 * cannot. */
static int fields_of(auditrail_reader *reader, auditrail_event *event) {
    size_t name, user, request = 0;
    memset(event, 0, sizeof *event);
    event->size = sizeof *event;
    event->timestamp = auditrail_reader_timestamp(reader);
    event->domain = auditrail_reader_domain(reader, NULL);
    event->category = auditrail_reader_category(reader, NULL);
    event->model_name = auditrail_reader_model_name(reader, &name);
    event->operation = auditrail_reader_operation(reader, NULL);
    event->logical_user_id = auditrail_reader_user(reader, &user);
    event->request_id = auditrail_reader_request_id(reader, &request);
    event->payload = auditrail_reader_payload(reader, &event->payload_length);
    return strlen(event->model_name) == name && strlen(event->logical_user_id) == user &&
           (event->request_id == NULL || strlen(event->request_id) == request);
}

static auditrail_writer *open_trail(const char *root) {
    auditrail_options *options = auditrail_options_new();
    auditrail_writer *writer;
    CHECK(auditrail_options_set_max_segment_bytes(options, 2048, &error) == AUDITRAIL_OK);
    CHECK(auditrail_writer_open(root, options, &writer, &error) == AUDITRAIL_OK);
    auditrail_options_free(options);
    return writer;
}

int main(int argc, char **argv) {
    char root[4096];
    CHECK(argc == 3);
    size_t count = read_lines(argv[1]);
    CHECK(count % 5 == 0);

    snprintf(root, sizeof root, "%s/fields", argv[2]);
    auditrail_writer *first = open_trail(root);
    CHECK(auditrail_writer_append_batch(first, text, strlen(text), NULL, NULL, &error) == AUDITRAIL_OK);
    CHECK(auditrail_writer_close(first, &error) == AUDITRAIL_OK);
    auditrail_filter *filter = auditrail_filter_new();
    auditrail_reader *reader;
    CHECK(auditrail_filter_set_order(filter, AUDITRAIL_ORDER_OLDEST_FIRST, &error) == AUDITRAIL_OK);
    CHECK(auditrail_reader_open(root, filter, &reader, &error) == AUDITRAIL_OK);
    auditrail_filter_free(filter);

    snprintf(root, sizeof root, "%s/same", argv[2]);
    auditrail_writer *writer = open_trail(root);
    size_t as_fields = 0;
    for (size_t at = 0; at < count; at += 5) {
        uint64_t id = 0;
        size_t batch = 0;
        CHECK(auditrail_writer_append(writer, lines[at], length_of(at), &id, &error) == AUDITRAIL_OK);
        CHECK(id == at + 1);

        auditrail_event event;
        for (int step = 0; step < 5; step++) {
            CHECK(auditrail_reader_next(reader, NULL, NULL, &id, &error) == AUDITRAIL_OK);
            if (id != at + 2) continue;
            if (fields_of(reader, &event)) {
                as_fields++;
                CHECK(auditrail_writer_append_event(writer, &event, &id, &error) == AUDITRAIL_OK);
            } else {
                CHECK(auditrail_writer_append(writer, lines[at + 1], length_of(at + 1), &id, &error) ==
                      AUDITRAIL_OK);
            }
            CHECK(id == at + 2);
        }

        char begins[64];
        auditrail_buffer *line;
        CHECK(auditrail_writer_append_returning(writer, lines[at + 2], length_of(at + 2), &line, &error) ==
              AUDITRAIL_OK);
        snprintf(begins, sizeof begins, "{\"event_id\":%zu,", at + 3);
        CHECK(strncmp(auditrail_buffer_data(line), begins, strlen(begins)) == 0);
        auditrail_buffer_free(line);

        CHECK(auditrail_writer_append_batch(writer, lines[at + 3], (size_t)(lines[at + 5] - lines[at + 3]),
                                            &id, &batch, &error) == AUDITRAIL_OK);
        CHECK(id == at + 4 && batch == 2);
    }
    CHECK(as_fields > count / 5 / 2);
    auditrail_reader_close(reader);
    CHECK(auditrail_writer_close(writer, &error) == AUDITRAIL_OK);
    return 0;
}
