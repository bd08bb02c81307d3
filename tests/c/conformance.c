/* Appends each line of a file to a trail: conformance EVENTS ROOT LIMIT [batch]
 * LIMIT is the size of a segment; with `batch`, all events go in at once. */
#include "auditrail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static auditrail_error error;

static int fail(const char *what) {
    fprintf(stderr, "conformance: %s: %s (byte %lld)\n", what, error.message, (long long)error.offset);
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc < 4) return 2;
    FILE *file = fopen(argv[1], "r");
    if (file == NULL) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    fseek(file, 0, SEEK_END);
    size_t length = (size_t)ftell(file);
    rewind(file);
    char *text = (char *)malloc(length + 1);
    if (text == NULL || fread(text, 1, length, file) != length) return EXIT_FAILURE;
    fclose(file);

    auditrail_options *options = auditrail_options_new();
    auditrail_writer *writer;
    if (auditrail_options_set_max_segment_bytes(options, strtoull(argv[3], NULL, 10), &error)) return fail("limit");
    if (auditrail_writer_open(argv[2], options, &writer, &error)) return fail("open");
    auditrail_options_free(options);
    if (argc > 4) {
        if (auditrail_writer_append_batch(writer, text, length, NULL, NULL, &error)) return fail("batch");
    } else {
        uint64_t expected = 0, id = 0;
        for (char *at = text; at < text + length;) {
            char *end = (char *)memchr(at, '\n', (size_t)(text + length - at));
            if (end == NULL) end = text + length;
            if (auditrail_writer_append(writer, at, (size_t)(end - at), &id, &error)) return fail("append");
            if (id != ++expected) {
                fprintf(stderr, "conformance: id %llu instead of %llu\n", (unsigned long long)id,
                        (unsigned long long)expected);
                return EXIT_FAILURE;
            }
            at = end + 1;
        }
    }
    free(text);
    if (auditrail_writer_close(writer, &error)) return fail("close");
    return 0;
}
