/* Proof through the C interface: keys, checkpoints, verification, proofs, and
 * what is refused. Also compiled as C++. Usage: proof FOLDER */
#include "auditrail.h"
#include "check.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static auditrail_error error;

static const char EVENT[] =
    "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\",\"operation\":\"create\","
    "\"logical_user_id\":\"u\"}";

static void append(const char *root, const auditrail_options *options, int count) {
    auditrail_writer *writer = NULL;
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root, options, &writer, &error));
    for (int i = 0; i < count; i++) {
        GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, EVENT, strlen(EVENT), NULL, &error));
    }
    GIVES(AUDITRAIL_OK, auditrail_writer_close(writer, &error));
}

static int contains(const auditrail_buffer *buffer, const char *text) {
    return strstr(auditrail_buffer_data(buffer), text) != NULL;
}

static int signer_is_away(void *user_data, const uint8_t *message, size_t length, uint8_t *signature) {
    CHECK(message != NULL && length > 0 && signature != NULL);
    ++*(int *)user_data;
    return 7;
}

/* Ends its process while the log is locked, and leaves a child that lives on. */
static int signer_that_leaves_a_child(void *user_data, const uint8_t *message, size_t length,
                                      uint8_t *signature) {
    (void)message;
    (void)length;
    (void)signature;
    if (fork() == 0) {
        pid_t self = getpid();
        CHECK(write(*(int *)user_data, &self, sizeof self) == (ssize_t)sizeof self);
        for (;;) pause();
    }
    kill(getpid(), SIGKILL);
    return 7;
}

/* A child that was forked while the log was locked does not keep it locked. */
static void a_child_of_a_killed_writer(const char *root, const char *secret, const char *key) {
    int report[2], status = 0;
    pid_t left = 0;
    CHECK(pipe(report) == 0);
    pid_t killed = fork();
    if (killed == 0) {
        auditrail_writer *writer = NULL;
        auditrail_options *options = auditrail_options_new();
        GIVES(AUDITRAIL_OK, auditrail_options_set_proof_signer(options, key, strlen(key), signer_that_leaves_a_child, &report[1], &error));
        (void)auditrail_writer_open(root, options, &writer, &error);
        _exit(1);
    }
    CHECK(waitpid(killed, &status, 0) == killed && WIFSIGNALED(status));
    CHECK(read(report[0], &left, sizeof left) == (ssize_t)sizeof left);
    auditrail_options *options = auditrail_options_new();
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_key(options, secret, strlen(secret), &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_lock_timeout_ms(options, 100, &error));
    append(root, options, 1);
    auditrail_options_free(options);
    CHECK(kill(left, SIGKILL) == 0);
    close(report[0]);
    close(report[1]);
}

static void count_progress(void *user_data, uint64_t done, uint64_t all) {
    CHECK(done <= all);
    *(uint64_t *)user_data = done;
}

/* The first line of a file, without its newline. */
static char *first_line(const char *path) {
    static char line[4096];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return line;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char root[4096], path[8192];
    snprintf(root, sizeof root, "%s/trail", argv[1]);

    auditrail_buffer *secret = NULL, *key = NULL, *again = NULL, *other_secret = NULL, *other = NULL;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_keygen("no spaces", &secret, &key, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_keygen(NULL, &secret, &key, &error));
    CHECK(secret == NULL && key == NULL);
    GIVES(AUDITRAIL_OK, auditrail_keygen("example.com/trail", &secret, &key, &error));
    GIVES(AUDITRAIL_OK, auditrail_keygen("example.com/trail", &other_secret, &other, &error));
    const char *secret_text = auditrail_buffer_data(secret), *key_text = auditrail_buffer_data(key);
    size_t secret_length = auditrail_buffer_length(secret), key_length = auditrail_buffer_length(key);
    GIVES(AUDITRAIL_OK, auditrail_public_key(secret_text, secret_length, &again, &error));
    CHECK(strcmp(auditrail_buffer_data(again), key_text) == 0);
    auditrail_buffer_free(again);

    /* A trail without proof, and then with it. */
    append(root, NULL, 300);
    auditrail_buffer *old = NULL, *text = NULL, *proof = NULL, *report = NULL;
    GIVES(AUDITRAIL_ERR_NOT_FOUND, auditrail_checkpoint(root, &old, &error));
    auditrail_options *options = auditrail_options_new();
    uint64_t done = 0;
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_checkpoint_events(options, 10, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_options_set_proof_key(options, key_text, key_length, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_key(options, secret_text, secret_length, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_progress(options, count_progress, &done, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_checkpoint_events(options, 100, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_set_checkpoint_interval(options, 60000, &error));
    auditrail_writer *writer = NULL;
    GIVES(AUDITRAIL_ERR_TAMPERED, auditrail_writer_open(root, options, &writer, &error));
    CHECK(writer == NULL && strstr(error.message, "300 events and no proof log") != NULL);
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_adopt(options, 1, &error));
    append(root, options, 0);
    CHECK(done == 300);
    GIVES(AUDITRAIL_OK, auditrail_checkpoint(root, &old, &error));
    CHECK(contains(old, "example.com/trail\n300\n"));
    GIVES(AUDITRAIL_OK, auditrail_options_add_proof_checkpoint(options, auditrail_buffer_data(old),
                                                               auditrail_buffer_length(old), &error));
    append(root, options, 50);
    snprintf(path, sizeof path, "%s/other", argv[1]);
    GIVES(AUDITRAIL_ERR_TAMPERED, auditrail_writer_open(path, options, &writer, &error));
    CHECK(writer == NULL);
    auditrail_options_free(options);

    /* The whole trail. */
    const char *old_text = auditrail_buffer_data(old);
    size_t old_length = auditrail_buffer_length(old);
    GIVES(AUDITRAIL_OK, auditrail_verify(root, key_text, key_length, NULL, 0, 0, 0, &report, &error));
    CHECK(contains(report, "\"intact\":true") && contains(report, "\"verified_events\":350"));
    auditrail_buffer_free(report);
    GIVES(AUDITRAIL_OK, auditrail_verify(root, key_text, key_length, old_text, old_length, 0, 0, NULL, &error));
    report = NULL;
    GIVES(AUDITRAIL_ERR_TAMPERED,
           auditrail_verify(root, auditrail_buffer_data(other), auditrail_buffer_length(other), NULL, 0, 0, 0,
                            &report, &error));
    CHECK(contains(report, "\"kind\":\"checkpoint\""));
    auditrail_buffer_free(report);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_verify(root, "", 0, NULL, 0, 0, 0, NULL, &error));
    GIVES(AUDITRAIL_ERR_TAMPERED, auditrail_verify(root, key_text, key_length, NULL, 0, 1, 0, NULL, &error));

    /* One event, and the way from the older checkpoint. */
    snprintf(path, sizeof path, "%s/v2/c/audit-000001.jsonl", root);
    const char *line = first_line(path);
    uint64_t id = 0, size = 0;
    GIVES(AUDITRAIL_OK, auditrail_prove(root, 1, NULL, 0, &proof, &error));
    GIVES(AUDITRAIL_OK, auditrail_verify_proof(auditrail_buffer_data(proof), auditrail_buffer_length(proof), line, strlen(line),
                              key_text, key_length, &id, &size, &error));
    CHECK(id == 1 && size == 350);
    GIVES(AUDITRAIL_ERR_TAMPERED,
           auditrail_verify_proof(auditrail_buffer_data(proof), auditrail_buffer_length(proof), line,
                                  strlen(line) - 1, key_text, key_length, NULL, NULL, &error));
    GIVES(AUDITRAIL_ERR_CORRUPT, auditrail_verify_proof("x", 1, line, strlen(line), key_text, key_length, NULL,
                                                         NULL, &error));
    auditrail_buffer_free(proof);
    GIVES(AUDITRAIL_OK, auditrail_prove(root, 300, old_text, old_length, &proof, &error));
    CHECK(contains(proof, old_text));
    auditrail_buffer_free(proof);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT, auditrail_prove(root, 301, old_text, old_length, &proof, &error));
    GIVES(AUDITRAIL_OK, auditrail_prove_consistency(root, 300, NULL, 0, &proof, &error));
    GIVES(AUDITRAIL_OK, auditrail_verify_consistency(auditrail_buffer_data(proof), auditrail_buffer_length(proof), old_text,
                                    old_length, key_text, key_length, &error));
    GIVES(AUDITRAIL_OK, auditrail_checkpoint(root, &text, &error));
    GIVES(AUDITRAIL_ERR_TAMPERED,
           auditrail_verify_consistency(auditrail_buffer_data(proof), auditrail_buffer_length(proof),
                                        auditrail_buffer_data(text), auditrail_buffer_length(text), key_text,
                                        key_length, &error));
    auditrail_buffer_free(text);
    auditrail_buffer_free(proof);
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
           auditrail_add_cosignatures(root, "", 0, key_text, key_length, &error));
    GIVES(AUDITRAIL_ERR_INVALID_ARGUMENT,
           auditrail_add_cosignatures_to(root, old_text, old_length, "", 0, key_text, key_length, &error));

    /* A static log. */
    uint64_t events = 0;
    snprintf(path, sizeof path, "%s/static", argv[1]);
    GIVES(AUDITRAIL_OK, auditrail_export(root, path, key_text, key_length, &events, &error));
    CHECK(events == 350);
    snprintf(path, sizeof path, "%s/static/tile/entries/001.p/94", argv[1]);
    CHECK(strncmp(first_line(path) + 2, "{\"event_id\":257,", 16) == 0); /* after the length */

    /* A signer elsewhere that fails: the events are there all the same. */
    options = auditrail_options_new();
    int calls = 0;
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_signer(options, key_text, key_length, signer_is_away, &calls, &error));
    GIVES(AUDITRAIL_OK, auditrail_options_add_proof_earlier_key(options, auditrail_buffer_data(other),
                                               auditrail_buffer_length(other), &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_open(root, options, &writer, &error));
    GIVES(AUDITRAIL_OK, auditrail_writer_append(writer, EVENT, strlen(EVENT), &id, &error));
    CHECK(id == 351);
    GIVES(AUDITRAIL_ERR_IO, auditrail_writer_sync(writer, &error));
    CHECK(strstr(error.message, "returned 7") != NULL && calls == 1);
    GIVES(AUDITRAIL_ERR_IO, auditrail_writer_close(writer, &error));
    auditrail_options_free(options);

    /* From a file; another key is refused. */
    options = auditrail_options_new();
    snprintf(path, sizeof path, "%s/key", argv[1]);
    GIVES(AUDITRAIL_ERR_IO, auditrail_options_set_proof_key_file(options, path, &error));
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "%s\n", auditrail_buffer_data(other_secret)) > 0 && fclose(file) == 0);
    GIVES(AUDITRAIL_OK, auditrail_options_set_proof_key_file(options, path, &error));
    GIVES(AUDITRAIL_ERR_TAMPERED, auditrail_writer_open(root, options, &writer, &error));
    auditrail_options_free(options);

    /* One changed byte. */
    snprintf(path, sizeof path, "%s/v2/c/audit-000001.jsonl", root);
    file = fopen(path, "r+");
    CHECK(file != NULL && fseek(file, 100, SEEK_SET) == 0 && fputc('X', file) == 'X' && fclose(file) == 0);
    GIVES(AUDITRAIL_ERR_TAMPERED, auditrail_verify(root, key_text, key_length, NULL, 0, 0, 0, &report, &error));
    CHECK(contains(report, "\"kind\":\"changed\",\"first_id\":1,"));
    CHECK(strstr(error.message, "event 1:") != NULL);

    snprintf(path, sizeof path, "%s/left", argv[1]);
    a_child_of_a_killed_writer(path, secret_text, key_text);

    auditrail_buffer_free(report);
    auditrail_buffer_free(old);
    auditrail_buffer_free(secret);
    auditrail_buffer_free(key);
    auditrail_buffer_free(other_secret);
    auditrail_buffer_free(other);
    return CLOSING_LINE("proof");
}
