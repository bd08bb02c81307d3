/* A program in C90, for which auditrail.h must be clean too: c90 SCRATCH */
#include <auditrail.h>

#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    auditrail_writer *trail = NULL;
    auditrail_event event;
    auditrail_stats stats;
    auditrail_error error;
    uint64_t id = 0;

    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    event.domain = "v2";
    event.category = "users";
    event.model_name = "ada";
    event.operation = "create";
    event.logical_user_id = "admin-7";
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    if (count < 2 || auditrail_writer_open(arguments[1], NULL, &trail, &error) ||
        auditrail_writer_append_event(trail, &event, &id, &error) ||
        auditrail_writer_stats(trail, &stats, &error) || auditrail_writer_close(trail, &error)) {
        fprintf(stderr, "%s\n", count < 2 ? "no folder" : error.message);
        return 1;
    }
    return id == 1 && stats.last_id == 1 ? 0 : 1;
}
