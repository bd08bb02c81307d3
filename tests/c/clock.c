/* The wall clock goes back and forth by years between appends and between openings:
 * ids rise, timestamps are what the clock said, flushing by time goes on and does not
 * spin, an unfinished trail is recovered, and reads of a time leave nothing out.
 * Also compiled as C++. Usage: clock FOLDER */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "auditrail.h"
#include "check.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define YEAR (INT64_C(365) * 24 * 3600)
#define EVENTS 400

static auditrail_error error;
static const char *folder;
static int64_t offset;
static unsigned long monotonic_calls;

/* In the place of libc's, for the library too. */
extern int clock_gettime(clockid_t clock, struct timespec *now) __THROW;
int clock_gettime(clockid_t clock, struct timespec *now)
#ifdef __cplusplus
    noexcept
#endif
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += (time_t)__atomic_load_n(&offset, __ATOMIC_RELAXED);
    else
        __atomic_add_fetch(&monotonic_calls, 1, __ATOMIC_RELAXED);
    return status;
}

static void set_offset(int64_t seconds) {
    __atomic_store_n(&offset, seconds, __ATOMIC_RELAXED);
}

static int64_t seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

static char *at(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static auditrail_writer *open_writer(const char *name, int32_t durability) {
    auditrail_writer *writer = NULL;
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_OK, auditrail_options_set_durability(options, durability, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_max_segment_bytes(options, 600, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_flush_interval_ms(options, 20, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_open(at(name), options, &writer, &error));
    auditrail_options_free(options);
    if (writer == NULL) exit(EXIT_FAILURE);
    return writer;
}

/* Appends an event without a time. Says between which seconds it was. */
static uint64_t append(auditrail_writer *writer, int64_t *after, int64_t *before) {
    static const char text[] =
        "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\","
        "\"logical_user_id\":\"u\"}";
    uint64_t id = 0;
    *after = seconds_now();
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, text, sizeof text - 1, &id, &error));
    *before = seconds_now();
    return id;
}

static int64_t timestamp_of(const char *line) {
    const char *key = strstr(line, "\"timestamp\":");
    return key ? strtoll(key + strlen("\"timestamp\":"), NULL, 10) : INT64_MIN;
}

/* How many events a trail has whose times are from `min` to `max`. */
static size_t count(const char *name, int64_t min, int64_t max) {
    auditrail_filter *filter = auditrail_filter_new();
    auditrail_reader *reader = NULL;
    const char *line;
    size_t length, found = 0;
    uint64_t id;
    auditrail_status status;
    GIVES(AUDITRAIL_OK, auditrail_filter_set_timestamps(filter, min, max, &error));
    GIVES(AUDITRAIL_OK, auditrail_reader_open(at(name), filter, &reader, &error));
    auditrail_filter_free(filter);
    if (reader == NULL) exit(EXIT_FAILURE);
    while ((status = auditrail_reader_next(reader, &line, &length, &id, &error)) == AUDITRAIL_OK)
        found++;
    CHECK(status == AUDITRAIL_END);
    auditrail_reader_close(reader);
    return found;
}

/* Years from now, in the order in which the clock shows them. Before 1970 too. */
static const int64_t JUMPS[] = {0, 30, -20, 5, -80, 200, -1, 0};
#define JUMP_COUNT ((int)(sizeof JUMPS / sizeof *JUMPS))

static int64_t times[2][EVENTS + 1];

static void between_appends_and_openings(void) {
    static const int32_t durabilities[] = {AUDITRAIL_DURABILITY_WRITTEN, AUDITRAIL_DURABILITY_SYNCED,
                                           AUDITRAIL_DURABILITY_BUFFERED};
    uint64_t last = 0;
    int opening, i;
    for (opening = 0; opening < 8; opening++) {
        auditrail_writer *writer;
        set_offset(JUMPS[(opening + 3) % JUMP_COUNT] * YEAR);
        writer = open_writer("jumps", durabilities[opening % 3]);
        for (i = 0; i < EVENTS / 8; i++) {
            uint64_t id;
            if (i % 7 == 3) set_offset(JUMPS[(opening + i) % JUMP_COUNT] * YEAR);
            id = append(writer, &times[0][last + 1], &times[1][last + 1]);
            CHECK(id == last + 1);
            last = id;
        }
        GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
    }
    CHECK(last == EVENTS);
}

static void timestamps_are_what_the_clock_said(void) {
    auditrail_reader *reader = NULL;
    const char *line;
    size_t length;
    uint64_t id, expected = 0;
    GIVES(AUDITRAIL_OK, auditrail_reader_open(at("jumps"), NULL, &reader, &error));
    if (reader == NULL) exit(EXIT_FAILURE);
    while (auditrail_reader_next(reader, &line, &length, &id, &error) == AUDITRAIL_OK) {
        int64_t time = timestamp_of(line);
        CHECK(id == ++expected);
        /* Before 1970, the fraction of a second is cut off towards it. */
        if (id <= EVENTS) CHECK(times[0][id] <= time && time <= times[1][id] + (time < 0));
        if (id <= EVENTS) times[0][id] = time;
    }
    CHECK(expected == EVENTS);
    auditrail_reader_close(reader);
}

static void reads_of_a_time_leave_nothing_out(void) {
    int64_t now;
    int i, j;
    set_offset(0);
    now = seconds_now();
    for (i = 0; i < JUMP_COUNT; i++) {
        for (j = 0; j < JUMP_COUNT; j++) {
            int64_t min = now + JUMPS[i] * YEAR - 100, max = now + JUMPS[j] * YEAR + 100;
            size_t expected = 0;
            int event;
            if (min > max) continue;
            for (event = 1; event <= EVENTS; event++)
                expected += times[0][event] >= min && times[0][event] <= max;
            CHECK(expected > 0);
            CHECK(count("jumps", min, max) == expected);
        }
    }
}

/* A writer ends without closing, and the clock is years back when the trail is opened
 * again: the journal's epochs go on. */
static void unfinished_trails_are_recovered(void) {
    static const int64_t years[] = {0, -30, -60, 40, -30};
    uint64_t last = 0;
    size_t opening;
    for (opening = 0; opening < sizeof years / sizeof *years; opening++) {
        pid_t child = fork();
        int status = 0, i;
        if (child == 0) {
            int64_t after, before;
            auditrail_writer *writer;
            set_offset(years[opening] * YEAR);
            writer = open_writer("unfinished", AUDITRAIL_DURABILITY_SYNCED);
            for (i = 0; i < 25; i++) CHECK(append(writer, &after, &before) == last + 1 + (uint64_t)i);
            /* Another program takes the place of this one, which valgrind does not
             * look through for what was never freed. */
            if (failures == 0) execl("/bin/true", "true", (char *)NULL);
            _exit(EXIT_FAILURE);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        last += 25;
    }
    CHECK(count("unfinished", INT64_MIN, INT64_MAX) == last);
}

static void flushing_by_time_goes_on(void) {
    auditrail_writer *writer = open_writer("flushed", AUDITRAIL_DURABILITY_BUFFERED);
    struct timespec moment = {0, 5000000};
    unsigned long calls;
    int64_t after, before;
    int jump, wait;
    for (jump = 0; jump < JUMP_COUNT; jump++) {
        set_offset(JUMPS[jump] * YEAR);
        append(writer, &after, &before);
        for (wait = 0; wait < 4000; wait++) {
            if (count("flushed", INT64_MIN, INT64_MAX) == (size_t)jump + 1) break;
            nanosleep(&moment, NULL);
        }
        CHECK(wait < 4000);
    }
    /* With nothing to do, nobody looks at a clock all the time. */
    calls = __atomic_load_n(&monotonic_calls, __ATOMIC_RELAXED);
    for (wait = 0; wait < 40; wait++) nanosleep(&moment, NULL);
    CHECK(__atomic_load_n(&monotonic_calls, __ATOMIC_RELAXED) - calls < 1000);
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    between_appends_and_openings();
    timestamps_are_what_the_clock_said();
    reads_of_a_time_leave_nothing_out();
    unfinished_trails_are_recovered();
    flushing_by_time_goes_on();
    return CLOSING_LINE("clock");
}
