/* Who gave whom which role: a small program over auditrail.h.
 *
 *     cc examples/c/story.c -lauditrail -o build/story && build/story audit
 */
#include <auditrail.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREATE(who)                                                              \
    "{\"domain\":\"v2\",\"category\":\"users\",\"model_name\":\"" who "\","      \
    "\"operation\":\"create\",\"logical_user_id\":\"admin-7\","                  \
    "\"payload\":{\"after\":{\"role\":\"user\"}}}"

static auditrail_error error;

/* Gives a status back, or ends the program with the reason of a failure. */
static auditrail_status check(auditrail_status status) {
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", auditrail_status_name(status), error.message);
        exit(EXIT_FAILURE);
    }
    return status;
}

int main(int argc, char **argv) {
    const char *root = argc > 1 ? argv[1] : "audit";
    auditrail_writer *trail;
    check(auditrail_writer_open(root, NULL, &trail, &error));

    /* A user is created: append gives the event's id. */
    const char *ada = CREATE("ada");
    uint64_t id;
    check(auditrail_writer_append(trail, ada, strlen(ada), &id, &error));
    printf("event %" PRIu64 ": create ada\n", id);

    /* She becomes an owner. Who did that, in this request? */
    const char *payload = "{\"delta\":{\"role\":{\"old\":\"user\",\"new\":\"owner\"}}}";
    auditrail_event promotion = {
        .size = sizeof promotion,
        .domain = "v2",
        .category = "users",
        .model_name = "ada",
        .operation = "update",
        .logical_user_id = "admin-7",
        .request_id = "req-1",
        .payload = payload,
        .payload_length = strlen(payload),
    };
    check(auditrail_writer_append_event(trail, &promotion, NULL, &error));
    auditrail_filter *request = auditrail_filter_new();
    auditrail_reader *events;
    check(auditrail_filter_set_request_id(request, "req-1", strlen("req-1"), &error));
    check(auditrail_reader_open(root, request, &events, &error));
    auditrail_filter_free(request);
    while (check(auditrail_reader_next(events, NULL, NULL, &id, &error)) != AUDITRAIL_END)
        printf("event %" PRIu64 ": %s %s by %s\n", id, auditrail_reader_operation(events, NULL),
               auditrail_reader_model_name(events, NULL), auditrail_reader_user(events, NULL));
    auditrail_reader_close(events);

    /* Two more in one batch: all of it, or nothing. */
    const char *others = CREATE("bob") "\n" CREATE("cyd");
    uint64_t first;
    size_t count;
    check(auditrail_writer_append_batch(trail, others, strlen(others), &first, &count, &error));
    printf("events %" PRIu64 " to %" PRIu64 " in one batch\n", first, first + count - 1);

    /* An event that breaks a rule is refused; the error says why, and where. */
    const char *bad = "{\"domain\":\"v2\",\"category\":\"../etc\",\"model_name\":\"x\","
                      "\"operation\":\"create\",\"logical_user_id\":\"u\"}";
    if (auditrail_writer_append(trail, bad, strlen(bad), NULL, &error) == AUDITRAIL_ERR_INVALID_EVENT)
        printf("refused: %s at byte %" PRId64 ": %s\n", auditrail_status_name(error.status),
               error.offset, error.message);

    /* All that is in the trail, the newest first. */
    auditrail_filter *newest = auditrail_filter_new();
    check(auditrail_filter_add_category(newest, "users", strlen("users"), &error));
    check(auditrail_filter_set_order(newest, AUDITRAIL_ORDER_NEWEST_FIRST, &error));
    check(auditrail_reader_open(root, newest, &events, &error));
    auditrail_filter_free(newest);
    while (check(auditrail_reader_next(events, NULL, NULL, &id, &error)) != AUDITRAIL_END)
        printf("%" PRIu64 " %s %s\n", id, auditrail_reader_operation(events, NULL),
               auditrail_reader_model_name(events, NULL));
    auditrail_reader_close(events);

    /* What the events make of each record: JSON text, for any JSON library. */
    auditrail_buffer *users;
    check(auditrail_replay(root, "v2", "users", NULL, &users, &error));
    if (strstr(auditrail_buffer_data(users), "\"ada\":{\"role\":\"owner\"}") != NULL)
        printf("ada is owner\n");
    auditrail_buffer_free(users);
    check(auditrail_writer_close(trail, &error));
    return 0;
}
