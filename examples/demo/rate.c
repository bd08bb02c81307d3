/* How fast is an append, and how fast could it be? Appends each line of a file
 * of events to a trail, and writes the same lines to a bare file with one
 * write(2) each, in turns, so that both see the same machine.
 *
 *     rate EVENTS.jsonl FOLDER [ROUNDS]
 *
 * FOLDER is made; a trail and a file are left in it. */
#include "auditrail.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct line {
    const char *text;
    size_t length; /* without its newline */
};

static struct line *lines;
static size_t count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) die(path);
    char *text = NULL;
    size_t room = 0, places = 0;
    ssize_t length;
    while ((length = getline(&text, &room, file)) > 0) {
        if (count == places) {
            places = places ? places * 2 : 1024;
            lines = realloc(lines, places * sizeof *lines);
            if (lines == NULL) die("rate");
        }
        lines[count].text = text;
        lines[count++].length = (size_t)length - (text[length - 1] == '\n');
        text = NULL; /* the line is kept */
        room = 0;
    }
    free(text);
    fclose(file);
    if (count == 0) {
        fprintf(stderr, "%s holds no events\n", path);
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: rate EVENTS.jsonl FOLDER [ROUNDS]\n");
        return 2;
    }
    read_lines(argv[1]);
    long rounds = argc > 3 ? atol(argv[3]) : (long)(200000 / count + 1);

    char path[4096];
    mkdir(argv[2], 0777);
    snprintf(path, sizeof path, "%s/bare.jsonl", argv[2]);
    int bare = open(path, O_WRONLY | O_CREAT | O_APPEND | O_TRUNC | O_CLOEXEC, 0666);
    if (bare < 0) die(path);

    auditrail_error error;
    auditrail_writer *writer;
    snprintf(path, sizeof path, "%s/trail", argv[2]);
    if (auditrail_writer_open(path, NULL, &writer, &error)) {
        fprintf(stderr, "open: %s\n", error.message);
        return 1;
    }

    double appending = 0, writing = 0;
    for (long round = 0; round < rounds; round++) {
        double start = now();
        for (size_t i = 0; i < count; i++)
            if (auditrail_writer_append(writer, lines[i].text, lines[i].length, NULL, &error)) {
                fprintf(stderr, "event %zu: %s\n", i + 1, error.message);
                return 1;
            }
        double between = now();
        for (size_t i = 0; i < count; i++) {
            /* The trail's line is longer by its id; the newline is there. */
            size_t length = lines[i].length + 1;
            if (write(bare, lines[i].text, length) != (ssize_t)length) die("write");
        }
        appending += between - start;
        writing += now() - between;
    }
    if (auditrail_writer_close(writer, &error)) {
        fprintf(stderr, "close: %s\n", error.message);
        return 1;
    }
    double events = (double)count * (double)rounds;
    printf("%.0f events: %.0f appends a second, %.0f bare write(2) a second, ratio %.2f\n", events,
           events / appending, events / writing, writing / appending);
    close(bare);
    for (size_t i = 0; i < count; i++) free((char *)lines[i].text);
    free(lines);
    return 0;
}
