/* Records the history of a git repository as an audit trail: who created,
 * updated and deleted which file, in which commit.
 *
 *     git log --reverse --no-renames --name-status \
 *         --format='commit%x09%H%x09%at%x09%ae' | record ROOT
 *
 * Each file is a record of the trail: its name is the model_name, its ending the
 * category, the commit the request_id. The trail is opened as it is, so that a
 * second run goes on where the first one ended. */
#include "auditrail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_LINE = 8192, BUCKETS = 4096 };

/* Which commit a file was last changed by, for the "old" of an update. */
struct file {
    struct file *next;
    char commit[65];
    char name[];
};

static struct file *files[BUCKETS];

static struct file *find_file(const char *name) {
    unsigned hash = 5381;
    for (const char *c = name; *c; c++) hash = hash * 33 + (unsigned char)*c;
    struct file **place = &files[hash % BUCKETS];
    for (; *place; place = &(*place)->next)
        if (strcmp((*place)->name, name) == 0) return *place;
    *place = calloc(1, sizeof **place + strlen(name) + 1);
    if (*place == NULL) {
        perror("record");
        exit(1);
    }
    strcpy((*place)->name, name);
    return *place;
}

/* The ending of a file's name, where it can name a folder. */
static const char *category_of(const char *name) {
    const char *base = strrchr(name, '/');
    const char *dot = strrchr(base ? base : name, '.');
    if (dot == NULL || dot[1] == '\0' || strlen(dot) > 16) return "other";
    for (const char *c = dot + 1; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
            return "other";
    return dot + 1;
}

static int fail(const char *what, const auditrail_error *error) {
    fprintf(stderr, "record: %s: %s: %s", what, auditrail_status_name(error->status),
            error->message);
    if (error->offset >= 0) fprintf(stderr, " (byte %" PRId64 ")", error->offset);
    fputc('\n', stderr);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: git log … | record ROOT\n");
        return 2;
    }
    auditrail_error error;
    auditrail_writer *writer;
    if (auditrail_writer_open(argv[1], NULL, &writer, &error)) return fail("open", &error);

    char commit[65] = "", author[256] = "";
    int64_t when = 0;
    uint64_t events = 0, first_id = 0, last_id = 0;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);

    static char line[MAX_LINE];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "commit\t%64s\t%" SCNd64 "\t%255[^\n]", commit, &when, author) == 3)
            continue;
        char *name = strchr(line, '\t');
        if (name == NULL) continue;
        *name++ = '\0';

        struct file *file = find_file(name);
        char payload[256];
        auditrail_event event = {sizeof event, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        switch (line[0]) {
            case 'A':
                event.operation = "create";
                snprintf(payload, sizeof payload, "{\"after\":{\"commit\":\"%s\"}}", commit);
                break;
            case 'M':
            case 'T':
                event.operation = "update";
                snprintf(payload, sizeof payload,
                         "{\"delta\":{\"commit\":{\"old\":\"%s\",\"new\":\"%s\"}}}", file->commit,
                         commit);
                break;
            case 'D':
                event.operation = "delete";
                snprintf(payload, sizeof payload, "{\"before\":{\"commit\":\"%s\"}}",
                         file->commit);
                break;
            default: continue;
        }
        strcpy(file->commit, commit);
        event.timestamp = when;
        event.domain = "v2";
        event.category = category_of(name);
        event.model_name = name;
        event.logical_user_id = author;
        event.request_id = commit;
        event.payload = payload;
        event.payload_length = strlen(payload);
        if (auditrail_writer_append_event(writer, &event, &last_id, &error)) {
            int status = fail(name, &error);
            auditrail_writer_close(writer, NULL);
            return status;
        }
        if (events++ == 0) first_id = last_id;
    }

    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    if (auditrail_writer_close(writer, &error)) return fail("close", &error);
    if (events == 0) {
        printf("no events\n");
        return 0;
    }
    printf("%" PRIu64 " events, ids %" PRIu64 " to %" PRIu64 ", in %.1f ms: %.0f a second\n", events,
           first_id, last_id, seconds * 1e3, (double)events / seconds);
    return 0;
}
