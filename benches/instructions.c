/* Appends the events of a file COUNT times over, for callgrind to count the
 * instructions of (benches/instructions.sh).
 *
 *   instructions FOLDER EVENTS buffered|mapped|written|batch COUNT
 *
 * Prints how many events were appended. */
#include "../include/auditrail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 };

static void check(auditrail_status status, const auditrail_error *error)
{
    if (status != AUDITRAIL_OK) {
        fprintf(stderr, "instructions: %s: %s\n", auditrail_status_name(status), error->message);
        exit(1);
    }
}

/* The end of `lines` lines from `at`. */
static const char *skip_lines(const char *at, const char *end, int lines)
{
    while (lines-- > 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline == NULL ? end : newline + 1;
    }
    return at;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: instructions FOLDER EVENTS buffered|mapped|written|batch COUNT\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (file == NULL) {
        perror(argv[2]);
        return 1;
    }
    static char text[8 << 20];
    const size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    const char *end = text + size;

    auditrail_error error;
    auditrail_options *options = auditrail_options_new();
    const auditrail_durability durability =
        strcmp(argv[3], "buffered") == 0 ? AUDITRAIL_DURABILITY_BUFFERED
        : strcmp(argv[3], "mapped") == 0 ? AUDITRAIL_DURABILITY_MAPPED
                                         : AUDITRAIL_DURABILITY_WRITTEN;
    const int lines = strcmp(argv[3], "batch") == 0 ? BATCH : 1;
    check(auditrail_options_set_durability(options, durability, &error), &error);
    /* No thread: what is counted must not depend on the clock. */
    check(auditrail_options_set_flush_interval_ms(options, 0, &error), &error);
    auditrail_writer *writer = NULL;
    check(auditrail_writer_open(argv[1], options, &writer, &error), &error);
    auditrail_options_free(options);

    unsigned long long appended = 0;
    for (int times = atoi(argv[4]); times > 0; --times) {
        for (const char *at = text; at < end;) {
            const char *next = skip_lines(at, end, lines);
            if (lines > 1) {
                size_t count = 0;
                check(auditrail_writer_append_batch(writer, at, (size_t)(next - at), NULL, &count,
                                                    &error),
                      &error);
                appended += count;
            } else {
                check(auditrail_writer_append(writer, at, (size_t)(next - at), NULL, &error),
                      &error);
                ++appended;
            }
            at = next;
        }
    }
    check(auditrail_writer_close(writer, &error), &error);
    printf("%llu\n", appended);
    return 0;
}
