/* A user of the installed library: appends an event to argv[1]. */
#include <auditrail.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *event = "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\","
                        "\"operation\":\"create\",\"logical_user_id\":\"u\"}";
    auditrail_error error;
    auditrail_writer *writer;
    uint64_t id;
    if (argc != 2 || strcmp(auditrail_version(), AUDITRAIL_VERSION) != 0)
        return 2;
    if (auditrail_writer_open(argv[1], NULL, &writer, &error) ||
        auditrail_writer_append(writer, event, strlen(event), &id, &error) ||
        auditrail_writer_close(writer, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("event %llu\n", (unsigned long long)id);
    return 0;
}
