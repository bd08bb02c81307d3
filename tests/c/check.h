/* The few words that the C tests are written in. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

#define CHECK(condition)                                                          \
    do {                                                                          \
        checks++;                                                                 \
        if (!(condition)) {                                                       \
            failures++;                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                         \
    } while (0)

/* That a call gives a status; says what it said instead. */
#define GIVES(expected, call)                                                             \
    do {                                                                                  \
        checks++;                                                                         \
        auditrail_status gives_status = (call);                                           \
        if (gives_status != (expected)) {                                                 \
            failures++;                                                                   \
            fprintf(stderr, "%s:%d: %s gave %s instead of %s: %s\n", __FILE__, __LINE__, #call, \
                    auditrail_status_name(gives_status), #expected, error.message);       \
        }                                                                                 \
    } while (0)

/* That the last error's message has a text in it. */
#define SAYS(part)                                                                            \
    do {                                                                                      \
        checks++;                                                                             \
        if (strstr(error.message, (part)) == NULL) {                                          \
            failures++;                                                                       \
            fprintf(stderr, "%s:%d: the message lacks \"%s\": %s\n", __FILE__, __LINE__, (part), \
                    error.message);                                                           \
        }                                                                                     \
    } while (0)

#define CLOSING_LINE(name)                                                            \
    (printf("%s: %d checks passed, %d failed\n", (name), checks - failures, failures), \
     failures ? EXIT_FAILURE : EXIT_SUCCESS)

#endif
