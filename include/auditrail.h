/* auditrail: an embedded audit trail.
 *
 * A program opens a directory, appends structured events as JSON, gets back a
 * strictly increasing event id, and closes:
 *
 *     auditrail_error error;
 *     auditrail_writer *writer;
 *     uint64_t id;
 *     if (auditrail_writer_open("audit", NULL, &writer, &error)) …
 *     if (auditrail_writer_append(writer, text, strlen(text), &id, &error)) …
 *     if (auditrail_writer_close(writer, &error)) …
 *
 * Rules for all functions
 * - Fallible functions return an auditrail_status and take, last, a pointer to
 *   an auditrail_error that the caller owns (NULL allowed). Results are written
 *   only on success.
 * - A text that is taken with a length need not be NUL-terminated; (NULL, 0) is
 *   the empty text. Names and paths without a length are NUL-terminated. What
 *   is passed in stays the caller's and is not kept.
 * - A struct that begins with `size` is zeroed, and its size set, before it is
 *   used: `auditrail_event event = {.size = sizeof event};` in C99, memset and
 *   `event.size = sizeof event;` in C90 and C++.
 * - Handles come from _new or _open and go to _free or _close, which accept
 *   NULL. A handle is used after that by nobody.
 * - Many threads may use a writer at once; options, filters and readers are for
 *   one thread at a time. A child made by fork must open its own handles.
 * - A thread that calls needs 64 KiB of stack, whatever it calls: half of that
 *   is the most that was measured (opening with proof, 28 KiB on x86-64; an
 *   append takes 9).
 * - The library prints nothing, reads no environment variable, installs no
 *   signal handler, and never ends the process.
 *
 * This file is made from the sources by `make header`; do not edit it.
 */

#ifndef AUDITRAIL_H
#define AUDITRAIL_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header. */
#define AUDITRAIL_VERSION "0.2.0"
#define AUDITRAIL_VERSION_MAJOR 0
#define AUDITRAIL_VERSION_MINOR 2
#define AUDITRAIL_VERSION_PATCH 0

/**
 * Bytes that the library made and the caller owns, until
 * `auditrail_buffer_free`. They may be read by many threads at once.
 */
typedef struct auditrail_buffer auditrail_buffer;

/**
 * Which events to read. For one thread at a time.
 */
typedef struct auditrail_filter auditrail_filter;

/**
 * How a trail is opened. For one thread at a time.
 */
typedef struct auditrail_options auditrail_options;

/**
 * Reads events. It takes no lock and writes nothing, and may read while
 * others write. For one thread at a time.
 */
typedef struct auditrail_reader auditrail_reader;

/**
 * An open trail. Many threads may use it at once; closing it comes last.
 */
typedef struct auditrail_writer auditrail_writer;

/**
 * What a fallible function returns: 0 for success, positive for an answer
 * that is no failure, negative for an error. The numbers never change; later
 * versions may add some.
 */
typedef int32_t auditrail_status;

/**
 * Why a function failed. The caller owns it; there is nothing to free. 512
 * bytes in all versions. Every function that takes one accepts NULL; a
 * function that succeeds leaves status 0 and an empty message in it.
 */
typedef struct auditrail_error {
    /**
     * What the function returned.
     */
    int32_t status;
    /**
     * The operating system's error number; 0: none.
     */
    int32_t os_errno;
    /**
     * The byte in the text or file that the error is about; -1: none.
     */
    int64_t offset;
    /**
     * For a person: UTF-8, NUL-terminated, cut at a character.
     */
    char message[496];
} auditrail_error;

/**
 * What an append waits for before it returns: one of AUDITRAIL_DURABILITY_….
 */
typedef int32_t auditrail_durability;

/**
 * A sort of warning: one of AUDITRAIL_WARNING_….
 */
typedef int32_t auditrail_warning;

/**
 * Called with a warning: its sort and a message for a person (UTF-8,
 * NUL-terminated, valid during the call). It may be called from any thread
 * that uses the writer and from the flusher's, from one at a time, with no lock
 * held; it must return normally. It may use the writer, but not close it: what it
 * causes is told by a later call, never from within the handler. While the writer
 * is being closed, what it asks for may be refused with
 * AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
typedef void (*auditrail_warning_callback)(void *user_data,
                                           auditrail_warning warning,
                                           const char *message);

/**
 * One event as fields, for `auditrail_writer_append_event`. Set `size` and
 * zero the rest (in C99 `auditrail_event e = {.size = sizeof e};`), then fill
 * in. All texts are UTF-8 and NUL-terminated, and stay the caller's.
 */
typedef struct auditrail_event {
    /**
     * sizeof(auditrail_event): later versions may add fields at the end.
     */
    size_t size;
    /**
     * Seconds since 1970, UTC; 0: now.
     */
    int64_t timestamp;
    /**
     * One of the allowed domains.
     */
    const char *domain;
    /**
     * 1 to 128 of A-Z a-z 0-9 . _ -, not starting with a dot.
     */
    const char *category;
    /**
     * Any text.
     */
    const char *model_name;
    /**
     * One of the allowed operations.
     */
    const char *operation;
    /**
     * Who did it: any text.
     */
    const char *logical_user_id;
    /**
     * Any text; NULL: none.
     */
    const char *request_id;
    /**
     * The text of a JSON object; NULL: none.
     */
    const char *payload;
    /**
     * Its length in bytes.
     */
    size_t payload_length;
} auditrail_event;

/**
 * What a writer has done and where it is. Ids are 0 where there is no event.
 */
typedef struct auditrail_stats {
    /**
     * sizeof(auditrail_stats), set by the caller: later versions may add
     * fields at the end; only what fits is filled in.
     */
    size_t size;
    /**
     * Events that this writer has written.
     */
    uint64_t events;
    /**
     * Bytes that it has written to segments.
     */
    uint64_t bytes;
    /**
     * Commits: each wrote one or more events.
     */
    uint64_t batches;
    /**
     * Segments that were opened because the one before was full.
     */
    uint64_t rotations;
    /**
     * Times that something was synced.
     */
    uint64_t syncs;
    /**
     * The last id that was given.
     */
    uint64_t last_id;
    /**
     * All events up to this one are in their segment files.
     */
    uint64_t written_id;
    /**
     * All events up to this one are on disk.
     */
    uint64_t synced_id;
    /**
     * Torn tails that were cut off, at opening and since.
     */
    uint64_t torn_tails;
    /**
     * Their bytes, kept under .auditrail/torn/.
     */
    uint64_t torn_bytes;
    /**
     * Ids whose events a crash took, found at opening.
     */
    uint64_t missing_ids;
    /**
     * BUFFERED, MAPPED: events that were accepted and wait to be written.
     */
    uint64_t waiting;
    /**
     * Streams that this writer has written to.
     */
    uint64_t streams;
    /**
     * Segment files that are held open.
     */
    uint64_t open_files;
    /**
     * BUFFERED, MAPPED: flushes that failed.
     */
    uint64_t flush_failures;
} auditrail_stats;

/**
 * In what order events are read: one of AUDITRAIL_ORDER_….
 */
typedef int32_t auditrail_order;

/**
 * Signs `length` bytes of `message` with Ed25519, and writes the 64 bytes of
 * the signature. Returns 0, or anything else where it cannot sign. It may be
 * called from any thread that uses the writer, from one at a time; it must
 * return normally.
 */
typedef int32_t (*auditrail_sign_callback)(void *user_data,
                                           const uint8_t *message,
                                           size_t length,
                                           uint8_t *signature);

/**
 * Told how many events the tree has, and how many it is to have.
 */
typedef void (*auditrail_progress_callback)(void *user_data, uint64_t done, uint64_t all);

/**
 * Success.
 */
#define AUDITRAIL_OK 0

/**
 * There is nothing more.
 */
#define AUDITRAIL_END 1

/**
 * An argument is NULL, out of range, or makes no sense together with another.
 */
#define AUDITRAIL_ERR_INVALID_ARGUMENT -10

/**
 * The event breaks a rule; nothing was written. `offset` is the byte.
 */
#define AUDITRAIL_ERR_INVALID_EVENT -11

/**
 * The event or batch is larger than a limit; nothing was written.
 */
#define AUDITRAIL_ERR_TOO_LARGE -12

/**
 * These options do not go together.
 */
#define AUDITRAIL_ERR_UNSUPPORTED -13

/**
 * The operating system refused a file operation; `os_errno` says why.
 */
#define AUDITRAIL_ERR_IO -20

/**
 * The disk or the quota is full; nothing of the event was kept.
 */
#define AUDITRAIL_ERR_NO_SPACE -21

/**
 * Another writer has the trail; the message names its process.
 */
#define AUDITRAIL_ERR_BUSY -22

/**
 * The writer has failed for good and must be reopened: a sync failed, a failed
 * batch could not be undone, or its files were changed from outside. If an
 * append is the first to say so, only reopening tells whether its event is in.
 */
#define AUDITRAIL_ERR_FAILED -23

/**
 * BUFFERED: the buffer is full and cannot be flushed, for the reason that the
 * message tells. The event was not accepted; those that were are still there.
 */
#define AUDITRAIL_ERR_BUFFER_FULL -24

/**
 * There is no trail at the path.
 */
#define AUDITRAIL_ERR_NOT_FOUND -25

/**
 * What is on disk is not what a trail may hold.
 */
#define AUDITRAIL_ERR_CORRUPT -30

/**
 * What is on disk is not what was signed.
 */
#define AUDITRAIL_ERR_TAMPERED -31

/**
 * The handle was inherited by a forked child, which must open its own.
 */
#define AUDITRAIL_ERR_FORKED -40

/**
 * A defect of the library; nothing that was accepted before is lost.
 */
#define AUDITRAIL_ERR_PANIC -90

/**
 * The event is in memory. A flush follows by size or time (this starts one
 * thread, in which no signal is delivered); until then, the end of the process
 * loses the event.
 */
#define AUDITRAIL_DURABILITY_BUFFERED 0

/**
 * The default. The event is in its segment file, visible to any reader. The
 * end of the process loses nothing; a loss of power loses what the operating
 * system had not yet written.
 */
#define AUDITRAIL_DURABILITY_WRITTEN 1

/**
 * The event is on disk. Nothing loses it.
 */
#define AUDITRAIL_DURABILITY_SYNCED 2

/**
 * The event is in a mapped file of the trail, and follows into its segment as with
 * BUFFERED. The end of the process loses nothing: the next opening writes what is not
 * yet in the segments. A power loss loses what was not yet flushed. One thread flushes
 * by time. Only on ext2 to ext4, XFS and tmpfs; elsewhere, and for a shared trail,
 * opening gives AUDITRAIL_ERR_UNSUPPORTED. Who cuts the files `.auditrail/buffer-…`
 * while they are mapped, or takes the file system away, ends the process by SIGBUS.
 */
#define AUDITRAIL_DURABILITY_MAPPED 3

/**
 * Bytes that were no whole event were cut off and kept under .auditrail/torn/.
 */
#define AUDITRAIL_WARNING_TORN_TAIL 1

/**
 * A crash took events, as the durability that was chosen allows.
 */
#define AUDITRAIL_WARNING_MISSING_IDS 2

/**
 * index.json was missing or unreadable, and was made anew.
 */
#define AUDITRAIL_WARNING_INDEX_REBUILT 3

/**
 * A whole line is no event, or what has the name of a segment is a folder, a
 * pipe, a socket or a device; it was left as it is, and passed over.
 */
#define AUDITRAIL_WARNING_DAMAGED_LINE 4

/**
 * Synced events were put back from the journal.
 */
#define AUDITRAIL_WARNING_REDONE 5

/**
 * Accepted events could not be flushed; they are kept, and tried again.
 */
#define AUDITRAIL_WARNING_FLUSH_FAILED 6

/**
 * A checkpoint that was due could not be made; it is tried again later.
 */
#define AUDITRAIL_WARNING_PROOF_FAILED 7

/**
 * A segment that was not yet synced was moved or deleted by someone else; its
 * events are not known to be on disk.
 */
#define AUDITRAIL_WARNING_SEGMENT_GONE 8

/**
 * A writer has waited for a second for a lock of the trail that another process
 * holds, and goes on waiting (see `auditrail_options_set_lock_timeout_ms`).
 */
#define AUDITRAIL_WARNING_LOCK_WAIT 9

/**
 * The default, and the cheapest. Stream after stream: domains and categories
 * sorted by name, within each the events as they were written.
 */
#define AUDITRAIL_ORDER_STREAM 0

/**
 * All streams together, the lowest id first.
 */
#define AUDITRAIL_ORDER_OLDEST_FIRST 1

/**
 * All streams together, the highest id first.
 */
#define AUDITRAIL_ORDER_NEWEST_FIRST 2

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * The version of the library, as in AUDITRAIL_VERSION. Static.
 */
const char *auditrail_version(void);

/**
 * The name of a status, such as "AUDITRAIL_ERR_BUSY"; "AUDITRAIL_UNKNOWN" for
 * a number that is none. Static, never NULL.
 */
const char *auditrail_status_name(auditrail_status status);

/**
 * The bytes of a buffer; behind them stands a NUL that does not count. Valid
 * until the buffer is freed. NULL for NULL.
 */
const char *auditrail_buffer_data(const struct auditrail_buffer *buffer);

/**
 * How many bytes a buffer holds. 0 for NULL.
 */
size_t auditrail_buffer_length(const struct auditrail_buffer *buffer);

/**
 * Frees a buffer. NULL is accepted.
 */
void auditrail_buffer_free(struct auditrail_buffer *buffer);

/**
 * New options, all at their defaults. Free them with `auditrail_options_free`.
 */
struct auditrail_options *auditrail_options_new(void);

/**
 * Frees options. NULL is accepted. Writers that were opened with them go on.
 */
void auditrail_options_free(struct auditrail_options *options);

/**
 * The size at which a segment is full, so that the next event goes into the
 * next one; a segment can pass it by less than one event. 1 byte or more;
 * default 5242880 (5 MiB). Otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_set_max_segment_bytes(struct auditrail_options *options,
                                                         uint64_t bytes,
                                                         struct auditrail_error *error);

/**
 * What an append waits for. Default AUDITRAIL_DURABILITY_WRITTEN. A number
 * that is no durability: AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_set_durability(struct auditrail_options *options,
                                                  auditrail_durability durability,
                                                  struct auditrail_error *error);

/**
 * The largest event, in bytes of its line, the newline included and the id
 * counted as 20 digits. 256 to 1073741824; default 1048576 (1 MiB). Otherwise
 * AUDITRAIL_ERR_INVALID_ARGUMENT. Larger events: AUDITRAIL_ERR_TOO_LARGE.
 */
auditrail_status auditrail_options_set_max_event_bytes(struct auditrail_options *options,
                                                       uint64_t bytes,
                                                       struct auditrail_error *error);

/**
 * Allows events of a domain. The first call replaces the default (`legacy` and
 * `v2`), each further one adds to the list. 1 to 128 of A-Z a-z 0-9 . _ -, not
 * starting with a dot; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_add_domain(struct auditrail_options *options,
                                              const char *domain,
                                              size_t length,
                                              struct auditrail_error *error);

/**
 * Allows events of any domain whose name has the right form.
 */
auditrail_status auditrail_options_set_any_domain(struct auditrail_options *options,
                                                  struct auditrail_error *error);

/**
 * Allows events with an operation. The first call replaces the default
 * (`create`, `update` and `delete`), each further one adds to the list. 1 to
 * 128 bytes of UTF-8; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_add_operation(struct auditrail_options *options,
                                                 const char *operation,
                                                 size_t length,
                                                 struct auditrail_error *error);

/**
 * Allows events with any operation of 1 to 128 bytes.
 */
auditrail_status auditrail_options_set_any_operation(struct auditrail_options *options,
                                                     struct auditrail_error *error);

/**
 * Not 0: other writers, in this process or others, may write to the trail at
 * the same time; all of them must say so. Each batch then takes a turn, which
 * costs a few system calls. Default 0. Not with
 * AUDITRAIL_DURABILITY_BUFFERED or _MAPPED: opening says AUDITRAIL_ERR_UNSUPPORTED.
 */
auditrail_status auditrail_options_set_shared(struct auditrail_options *options,
                                              int32_t shared,
                                              struct auditrail_error *error);

/**
 * BUFFERED, MAPPED: how many bytes of events are held at most. (MAPPED takes that
 * and two thirds more on disk, and in memory, which it locks if RLIMIT_MEMLOCK
 * allows.) When they cannot be
 * flushed, an append that does not fit says AUDITRAIL_ERR_BUFFER_FULL. 4096 to
 * 1073741824; default 3145728 (3 MiB). Otherwise
 * AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_set_buffer_bytes(struct auditrail_options *options,
                                                    uint64_t bytes,
                                                    struct auditrail_error *error);

/**
 * BUFFERED, MAPPED: for how many milliseconds an event is held at most. 0: no thread,
 * and no flush by time. Default 1000.
 */
auditrail_status auditrail_options_set_flush_interval_ms(struct auditrail_options *options,
                                                         uint64_t milliseconds,
                                                         struct auditrail_error *error);

/**
 * How many segment files are held open at most. 1 or more; default 128.
 * Otherwise AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_options_set_max_open_files(struct auditrail_options *options,
                                                      uint64_t files,
                                                      struct auditrail_error *error);

/**
 * For how many milliseconds a call waits for a lock of the trail that another process
 * holds: the commit lock of a shared trail, at an append, a batch, a sync or an opening,
 * or the lock of the proof's log, at a sync, a close or an opening. Then it gives
 * AUDITRAIL_ERR_BUSY with the holder's process id, and the trail is as before; calls
 * that wait together end together. 0, the default: no limit. Either way, a wait of a
 * second is told by AUDITRAIL_WARNING_LOCK_WAIT.
 */
auditrail_status auditrail_options_set_lock_timeout_ms(struct auditrail_options *options,
                                                       uint64_t milliseconds,
                                                       struct auditrail_error *error);

/**
 * Who is told what is worth telling and no error: what recovery did and could
 * not do, that a flush failed. `user_data` is handed to each call and must
 * stay valid until the writer is closed. A NULL callback: nobody.
 */
auditrail_status auditrail_options_set_warning_callback(struct auditrail_options *options,
                                                        auditrail_warning_callback callback,
                                                        void *user_data,
                                                        struct auditrail_error *error);

/**
 * Opens the trail at `root` for writing. The folder is made, with its parents,
 * where it is missing; what a crash has left is recovered. NULL options: the
 * defaults. The options stay the caller's. On success `*writer` must be closed
 * with `auditrail_writer_close`.
 *
 * AUDITRAIL_ERR_INVALID_ARGUMENT; AUDITRAIL_ERR_UNSUPPORTED for options that
 * do not go together; AUDITRAIL_ERR_BUSY when another writer has the trail;
 * AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE; AUDITRAIL_ERR_CORRUPT.
 */
auditrail_status auditrail_writer_open(const char *root,
                                       const struct auditrail_options *options,
                                       struct auditrail_writer **writer,
                                       struct auditrail_error *error);

/**
 * Appends one event, given as the text of one JSON object with the fields of
 * `auditrail_event` (but `event_id`), in any order. Returns when it is as safe
 * as the durability promises; `*event_id` (NULL allowed) is then its id. After
 * an error nothing of it is in the trail, unless it is AUDITRAIL_ERR_FAILED.
 *
 * AUDITRAIL_ERR_INVALID_EVENT with the key and the byte; AUDITRAIL_ERR_TOO_LARGE;
 * AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE, AUDITRAIL_ERR_BUFFER_FULL,
 * AUDITRAIL_ERR_FAILED; AUDITRAIL_ERR_FORKED; AUDITRAIL_ERR_INVALID_ARGUMENT.
 */
auditrail_status auditrail_writer_append(struct auditrail_writer *writer,
                                         const char *event_json,
                                         size_t length,
                                         uint64_t *event_id,
                                         struct auditrail_error *error);

/**
 * Appends one event, given as fields. Everything else is as for
 * `auditrail_writer_append`; the line is the same as for the same event there.
 * An error's offset counts in the payload or the text that the message names.
 */
auditrail_status auditrail_writer_append_event(struct auditrail_writer *writer,
                                               const struct auditrail_event *fields,
                                               uint64_t *event_id,
                                               struct auditrail_error *error);

/**
 * Appends events, given as lines of JSON, all or none; blank lines are
 * skipped, a batch without an event is an error. Their ids are consecutive and
 * in the order of the lines: `*first_id` and on, `*count` of them (each NULL
 * allowed). Everything else is as for `auditrail_writer_append`; an error's
 * offset counts from the start of the batch. At most 256 MiB.
 */
auditrail_status auditrail_writer_append_batch(struct auditrail_writer *writer,
                                               const char *jsonl,
                                               size_t length,
                                               uint64_t *first_id,
                                               size_t *count,
                                               struct auditrail_error *error);

/**
 * Appends one event as `auditrail_writer_append` does, and gives its line as
 * it was persisted, with its id, timestamp and newline. Free `*line` with
 * `auditrail_buffer_free`.
 */
auditrail_status auditrail_writer_append_returning(struct auditrail_writer *writer,
                                                   const char *event_json,
                                                   size_t length,
                                                   struct auditrail_buffer **line,
                                                   struct auditrail_error *error);

/**
 * Gives all events that were accepted so far to the operating system: readers
 * see them, and the end of the process does not lose them.
 *
 * AUDITRAIL_ERR_IO, AUDITRAIL_ERR_NO_SPACE (the events wait, and are tried
 * again), AUDITRAIL_ERR_FAILED, AUDITRAIL_ERR_FORKED.
 */
auditrail_status auditrail_writer_flush(struct auditrail_writer *writer,
                                        struct auditrail_error *error);

/**
 * Brings all events that were accepted so far to disk; other threads can go on
 * appending meanwhile, except on a shared trail, whose other writers wait too. If the
 * disk fails, nobody knows what is on it: the writer has failed for good, and this
 * and every later call says AUDITRAIL_ERR_FAILED. Otherwise as
 * `auditrail_writer_flush`.
 */
auditrail_status auditrail_writer_sync(struct auditrail_writer *writer,
                                       struct auditrail_error *error);

/**
 * Fills in what the writer has done and where it is. `stats->size` must be
 * set. AUDITRAIL_ERR_INVALID_ARGUMENT, AUDITRAIL_ERR_FAILED,
 * AUDITRAIL_ERR_FORKED.
 */
auditrail_status auditrail_writer_stats(struct auditrail_writer *writer,
                                        struct auditrail_stats *stats,
                                        struct auditrail_error *error);

/**
 * Flushes, syncs, marks the trail as closed whole, lets it go, and frees the
 * writer, whatever it returns; an error says what could not be done. No other
 * call may use the writer any more, but for its warning handler until this
 * returns. In a forked child it only frees what the child has, and says
 * AUDITRAIL_ERR_FORKED. From within the writer's own warning handler it does
 * nothing, frees nothing, and says AUDITRAIL_ERR_INVALID_ARGUMENT. NULL is accepted.
 */
auditrail_status auditrail_writer_close(struct auditrail_writer *writer,
                                        struct auditrail_error *error);

/**
 * A new filter. It lets everything through, in stream order; what is added to
 * it narrows it. An event passes if, of each property for which something was
 * added, it has one of the added values. Free it with `auditrail_filter_free`.
 */
struct auditrail_filter *auditrail_filter_new(void);

/**
 * Frees a filter. NULL is accepted. Readers that were opened with it go on.
 */
void auditrail_filter_free(struct auditrail_filter *filter);

/**
 * Adds a domain to those that are let through.
 * AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no domain can have.
 */
auditrail_status auditrail_filter_add_domain(struct auditrail_filter *filter,
                                             const char *domain,
                                             size_t length,
                                             struct auditrail_error *error);

/**
 * Adds a category to those that are let through.
 * AUDITRAIL_ERR_INVALID_ARGUMENT for a name that no category can have.
 */
auditrail_status auditrail_filter_add_category(struct auditrail_filter *filter,
                                               const char *category,
                                               size_t length,
                                               struct auditrail_error *error);

/**
 * Adds a model name (UTF-8) to those that are let through.
 */
auditrail_status auditrail_filter_add_model_name(struct auditrail_filter *filter,
                                                 const char *model_name,
                                                 size_t length,
                                                 struct auditrail_error *error);

/**
 * Adds an operation to those that are let through.
 */
auditrail_status auditrail_filter_add_operation(struct auditrail_filter *filter,
                                                const char *operation,
                                                size_t length,
                                                struct auditrail_error *error);

/**
 * Adds a user (logical_user_id, UTF-8) to those that are let through.
 */
auditrail_status auditrail_filter_add_user(struct auditrail_filter *filter,
                                           const char *user,
                                           size_t length,
                                           struct auditrail_error *error);

/**
 * Lets only events with this request_id (UTF-8) through.
 */
auditrail_status auditrail_filter_set_request_id(struct auditrail_filter *filter,
                                                 const char *request_id,
                                                 size_t length,
                                                 struct auditrail_error *error);

/**
 * Lets only event ids from `min` to `max` through, both included; 0 and
 * UINT64_MAX leave a side open. They are found by search: what comes before
 * is not read. AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
 */
auditrail_status auditrail_filter_set_event_ids(struct auditrail_filter *filter,
                                                uint64_t min,
                                                uint64_t max,
                                                struct auditrail_error *error);

/**
 * Lets only timestamps (Unix seconds) from `min` to `max` through, both
 * included; INT64_MIN and INT64_MAX leave a side open.
 * AUDITRAIL_ERR_INVALID_ARGUMENT if `min` is above `max`.
 */
auditrail_status auditrail_filter_set_timestamps(struct auditrail_filter *filter,
                                                 int64_t min,
                                                 int64_t max,
                                                 struct auditrail_error *error);

/**
 * The order of the events. AUDITRAIL_ERR_INVALID_ARGUMENT if it is none.
 */
auditrail_status auditrail_filter_set_order(struct auditrail_filter *filter,
                                            auditrail_order order,
                                            struct auditrail_error *error);

/**
 * Whether segments may be skipped that, as a writer has recorded, hold no event of
 * the wanted timestamps: not 0, the default. With 0 what is returned depends on
 * nothing but the events; `auditrail_check` compares what is recorded with them.
 */
auditrail_status auditrail_filter_set_use_hints(struct auditrail_filter *filter,
                                                int32_t use_hints,
                                                struct auditrail_error *error);

/**
 * Returns this many events at most; 0, the default: no limit.
 */
auditrail_status auditrail_filter_set_limit(struct auditrail_filter *filter,
                                            uint64_t events,
                                            struct auditrail_error *error);

/**
 * Opens the trail at `root` for reading the events that pass the filter (NULL:
 * all of them, in stream order); the filter may be freed at once. Close the
 * reader with `auditrail_reader_close`. AUDITRAIL_ERR_NOT_FOUND if there is no
 * folder at `root`.
 */
auditrail_status auditrail_reader_open(const char *root,
                                       const struct auditrail_filter *filter,
                                       struct auditrail_reader **reader,
                                       struct auditrail_error *error);

/**
 * Goes on to the next event. Its line, a JSON object without a newline or NUL
 * behind it, is lent until the next call on this reader. Each of the three
 * places may be NULL. AUDITRAIL_END if there is none: at the end, or at the
 * filter's limit. Every line was checked; what is no event is not returned but
 * reported, see `auditrail_reader_damage`. After an error the next call tries
 * again. In the order of ids, the first call waits if a BUFFERED or shared
 * writer is in the midst of a batch of which a part is in the trail: until that
 * is whole, or for a second, after which the writer counts as killed.
 */
auditrail_status auditrail_reader_next(struct auditrail_reader *reader,
                                       const char **json,
                                       size_t *length,
                                       uint64_t *event_id,
                                       struct auditrail_error *error);

/**
 * As `auditrail_reader_next`, but at the end waits until there is a new event,
 * in whichever stream, for `timeout_ms` milliseconds at most (UINT64_MAX: for
 * ever); AUDITRAIL_END if there was none, or none can come any more (see
 * `auditrail_reader_is_exhausted`). A signal does not end the wait. On Linux the
 * first call that waits takes an inotify instance, a file descriptor until the
 * reader is closed, of which a user has 128 unless configured otherwise, and a
 * watch for each folder that it reads: an event is returned as soon as it was
 * written. Elsewhere, where no instances or watches are left, and on file systems
 * that other machines or programs change (NFS, SMB, FUSE, 9p), it looks at the
 * files now and then: an event is returned some milliseconds after it was
 * written, 50 at most if there are not very many streams. The events of a batch
 * that a BUFFERED or shared writer is writing come some milliseconds after its
 * end; what a writer that was killed in a batch has left of it, a second later.
 * AUDITRAIL_ERR_INVALID_ARGUMENT with AUDITRAIL_ORDER_NEWEST_FIRST.
 */
auditrail_status auditrail_reader_follow(struct auditrail_reader *reader,
                                         uint64_t timeout_ms,
                                         const char **json,
                                         size_t *length,
                                         uint64_t *event_id,
                                         struct auditrail_error *error);

/**
 * When the present event was, in Unix seconds; 0 if there is none.
 */
int64_t auditrail_reader_timestamp(const struct auditrail_reader *reader);

/**
 * The path of the segment in which the present event stands, NUL-terminated,
 * lent until the next call on this reader; NULL if there is none.
 */
const char *auditrail_reader_path(struct auditrail_reader *reader);

/**
 * The byte at which the present event's line begins in that segment; 0 if
 * there is none.
 */
uint64_t auditrail_reader_offset(const struct auditrail_reader *reader);

/**
 * The present event's domain, in UTF-8, with a NUL behind it that does not
 * count; its length goes to `length`, which may be NULL. Lent until the next
 * call of `auditrail_reader_next`, `_follow` or this function. NULL if there
 * is no event. The functions that follow do the same for other fields.
 */
const char *auditrail_reader_domain(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's category.
 */
const char *auditrail_reader_category(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's model name, without the escapes of JSON; it may hold
 * NUL characters.
 */
const char *auditrail_reader_model_name(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's operation.
 */
const char *auditrail_reader_operation(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's user, its logical_user_id.
 */
const char *auditrail_reader_user(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's request_id; NULL if it has none.
 */
const char *auditrail_reader_request_id(struct auditrail_reader *reader, size_t *length);

/**
 * The present event's payload, a JSON object as it stands in the line; NULL if
 * it has none.
 */
const char *auditrail_reader_payload(struct auditrail_reader *reader, size_t *length);

/**
 * Whether no further event can come, however long one follows: 1 once the
 * filter's limit is reached, or `auditrail_reader_follow` has found that the
 * trail has gone past the filter's largest id and has returned what there is up
 * to it; otherwise 0. So AUDITRAIL_END of `auditrail_reader_follow` with 0 here
 * is a time-out, and with 1 the end. 0 for NULL.
 */
int32_t auditrail_reader_is_exhausted(const struct auditrail_reader *reader);

/**
 * How many lines were met so far that are no event of the stream in whose file
 * they stand. An unfinished line at the end of a stream is none of them, for
 * it may be in the midst of being written. A folder, pipe, socket or device with
 * the name of a segment counts as one, at byte 0; it is not read.
 */
uint64_t auditrail_reader_damage_count(const struct auditrail_reader *reader);

/**
 * One of these lines: the file, the byte in it at which the line begins, and
 * what is wrong with it, both texts NUL-terminated and lent until the reader
 * is closed. Each of the three places may be NULL. `index` counts from 0; the
 * first 1,000 are kept, AUDITRAIL_END for any other.
 */
auditrail_status auditrail_reader_damage(struct auditrail_reader *reader,
                                         size_t index,
                                         const char **path,
                                         uint64_t *offset,
                                         const char **reason,
                                         struct auditrail_error *error);

/**
 * Closes a reader. NULL is accepted.
 */
void auditrail_reader_close(struct auditrail_reader *reader);

/**
 * Folds the events of one domain and category that pass the filter (NULL: all;
 * its own domains, categories and order count for nothing) into records, as
 * they were at the filter's largest id or time:
 * {"state":{name:record,…},"last_event_id":n or null,"applied_events":n}.
 * Two more numbers stand there if they are not 0: "unfounded_updates", of
 * records that were not there, and "damaged_lines". Numbers keep the digits of
 * their events. Free the result with `auditrail_buffer_free`.
 * AUDITRAIL_ERR_NOT_FOUND if there is no trail.
 */
auditrail_status auditrail_replay(const char *root,
                                  const char *domain,
                                  const char *category,
                                  const struct auditrail_filter *filter,
                                  struct auditrail_buffer **result_json,
                                  struct auditrail_error *error);

/**
 * What happened to one record: an array with an object for each of its events
 * that passes the filter (NULL: all; its own domains, categories and model
 * names count for nothing), oldest first unless its order is
 * AUDITRAIL_ORDER_NEWEST_FIRST: {"event_id":n,"timestamp":n,"operation":…,
 * "logical_user_id":…,"request_id":… (if there is one),"changes":{field:
 * {"old":…,"new":…},…}}. A side on which the field is not there is left out;
 * an update that was written as a delta says null for it. Free the result with
 * `auditrail_buffer_free`. AUDITRAIL_ERR_NOT_FOUND if there is no trail.
 */
auditrail_status auditrail_history(const char *root,
                                   const char *domain,
                                   const char *category,
                                   const char *model_name,
                                   const struct auditrail_filter *filter,
                                   struct auditrail_buffer **result_json,
                                   struct auditrail_error *error);

/**
 * Goes through the whole trail and reports what is there and what is wrong
 * with it; a trail that is being written to can be checked too. Writes
 * nothing. AUDITRAIL_OK whatever is wrong: see "ok" in the report. Its keys:
 * "ok", "events", "streams", "segments", "bytes", "last_event_id",
 * "pruned_events" (see `auditrail_check_pruned`; here 0); "missing_ids", "doubled_ids" and "removed_ids" (after the last event, which the
 * trail once had; {"count":n,"ranges":[[first,last],…]}); "doubled_events" (where
 * those with doubled ids stand, for the first 1,000 ids: [{"event_id":n,"count":n,
 * "places":[{"path":…,"offset":n},…]},…], the first 16 places);
 * "damaged_lines", "misplaced_events", "disordered_events", "foreign_lines" (read
 * without loss, but no writer writes them so: blanks, other keys, another order
 * of keys, carriage returns, blank lines), "torn_tails",
 * "missing_segments", "foreign_files", "false_times" (recorded ranges of times
 * that would hide events; {"count":n,"first":[…]}, the first 1,000); "index" ({"state":"equal", "behind" (events were written since),
 * "ahead" (of ids that no event has), "missing" or "unreadable",
 * "last_event_id":n or null}). Free it with `auditrail_buffer_free`.
 * AUDITRAIL_ERR_NOT_FOUND if there is no trail.
 */
auditrail_status auditrail_check(const char *root,
                                 struct auditrail_buffer **report_json,
                                 struct auditrail_error *error);

/**
 * The same for a trail whose old segments were deleted or moved away. Events
 * before `first_id` may be missing, as in `auditrail_verify`, and so may the
 * segments that held no others: these are no faults, and "pruned_events" says
 * how many events do not exist before it. What is missing from `first_id` on is
 * a fault, and what is there is checked, whatever its id. 0 and 1: nothing may be
 * missing. AUDITRAIL_ERR_NOT_FOUND if there is no trail.
 */
auditrail_status auditrail_check_pruned(const char *root,
                                        uint64_t first_id,
                                        struct auditrail_buffer **report_json,
                                        struct auditrail_error *error);

/**
 * Makes a new key pair for a log of this name, which becomes the origin of its
 * checkpoints: a URL without scheme is usual, such as `example.com/audit`; no
 * spaces, no plus. The secret key is a text, `PRIVATE+KEY+…`, to be kept from
 * others; the public key is one too, `<name>+<id>+<base64>`, to be handed out.
 * Both are the caller's, to be freed with `auditrail_buffer_free`.
 */
auditrail_status auditrail_keygen(const char *name,
                                  struct auditrail_buffer **secret_key,
                                  struct auditrail_buffer **public_key,
                                  struct auditrail_error *error);

/**
 * The public key that belongs to a secret one.
 */
auditrail_status auditrail_public_key(const char *secret_key,
                                      size_t length,
                                      struct auditrail_buffer **public_key,
                                      struct auditrail_error *error);

/**
 * Keeps proof of the trail: a Merkle tree over all events, and checkpoints,
 * signed with this secret key (`PRIVATE+KEY+…`) at each sync and at close. The
 * key is kept in memory only. Opening a writer then begins the tree on a trail
 * that is new, and says AUDITRAIL_ERR_TAMPERED where the trail is not what was
 * signed, or holds events and no log (see `auditrail_options_set_proof_adopt`).
 * A thread of the writer's own, in which no signal is delivered, hashes
 * what is written; a shared writer has none, and hashes at each checkpoint.
 */
auditrail_status auditrail_options_set_proof_key(struct auditrail_options *options,
                                                 const char *secret_key,
                                                 size_t length,
                                                 struct auditrail_error *error);

/**
 * The same, with the key read from a file, now.
 */
auditrail_status auditrail_options_set_proof_key_file(struct auditrail_options *options,
                                                      const char *key_file,
                                                      struct auditrail_error *error);

/**
 * The same, with a key that lives elsewhere, such as in an HSM: `sign` is
 * called for each checkpoint. The public key is a text as `auditrail_keygen`
 * gives. What comes back is checked before it is used. Writers opened with
 * these options call it until they are closed.
 */
auditrail_status auditrail_options_set_proof_signer(struct auditrail_options *options,
                                                    const char *public_key,
                                                    size_t length,
                                                    auditrail_sign_callback sign,
                                                    void *user_data,
                                                    struct auditrail_error *error);

/**
 * Checkpoints that are there may also be signed by this public key, of the
 * same name, from before the key was changed. `<key> until <events>`: it is good
 * for checkpoints over so many events at most, as many as the trail had then.
 * Without, the number is the one that the trail records when its key is
 * replaced. Newer keys first. Call it after one of
 * `auditrail_options_set_proof_…`; otherwise AUDITRAIL_ERR_INVALID_ARGUMENT,
 * as for the functions below.
 */
auditrail_status auditrail_options_add_proof_earlier_key(struct auditrail_options *options,
                                                         const char *public_key,
                                                         size_t length,
                                                         struct auditrail_error *error);

/**
 * A checkpoint is also made after so many events; 0, the default: not. The
 * append that makes it due waits for it, and for the sync that goes before.
 */
auditrail_status auditrail_options_set_checkpoint_events(struct auditrail_options *options,
                                                         uint64_t events,
                                                         struct auditrail_error *error);

/**
 * A checkpoint is also made with the first append after so many milliseconds;
 * 0, the default: not.
 */
auditrail_status auditrail_options_set_checkpoint_interval(struct auditrail_options *options,
                                                           uint64_t milliseconds,
                                                           struct auditrail_error *error);

/**
 * Not 0: opening a writer builds the log of a trail that holds events and never
 * had one, and signs the events as they are. 0, the default: that is
 * AUDITRAIL_ERR_TAMPERED, for the log may have been removed. A trail that is
 * known to have had a log is refused in any case.
 */
auditrail_status auditrail_options_set_proof_adopt(struct auditrail_options *options,
                                                   int32_t adopt,
                                                   struct auditrail_error *error);

/**
 * Opening a writer says AUDITRAIL_ERR_TAMPERED unless the trail goes on from this
 * checkpoint, which was kept elsewhere. Each call adds one.
 */
auditrail_status auditrail_options_add_proof_checkpoint(struct auditrail_options *options,
                                                        const char *checkpoint,
                                                        size_t length,
                                                        struct auditrail_error *error);

/**
 * Whom to tell how far the tree is, while it is built for a trail that exists.
 * Called during `auditrail_writer_open`, and when a checkpoint is made.
 */
auditrail_status auditrail_options_set_proof_progress(struct auditrail_options *options,
                                                      auditrail_progress_callback progress,
                                                      void *user_data,
                                                      struct auditrail_error *error);

/**
 * The trail's newest checkpoint, as its file has it and unchecked: what to keep
 * elsewhere, and to show to witnesses. AUDITRAIL_ERR_NOT_FOUND where there is
 * none.
 */
auditrail_status auditrail_checkpoint(const char *root,
                                      struct auditrail_buffer **checkpoint,
                                      struct auditrail_error *error);

/**
 * Adds a witness's signature lines to the newest checkpoint; a writer may be at
 * work. `public_keys`: that of the log and those of witnesses, one a line. Only
 * lines that are valid and by witnesses among these are kept, and of each
 * witness the newest; AUDITRAIL_ERR_INVALID_ARGUMENT where there is none.
 */
auditrail_status auditrail_add_cosignatures(const char *root,
                                            const char *lines,
                                            size_t lines_length,
                                            const char *public_keys,
                                            size_t public_keys_length,
                                            struct auditrail_error *error);

/**
 * The same for the checkpoint that the witnesses were shown, which may have been
 * replaced by a newer one since. The newest cosigned checkpoint is kept beside
 * the newest one, and counts when `auditrail_verify` asks for witnesses.
 * AUDITRAIL_ERR_TAMPERED where the trail does not go on from the checkpoint.
 */
auditrail_status auditrail_add_cosignatures_to(const char *root,
                                               const char *checkpoint,
                                               size_t checkpoint_length,
                                               const char *lines,
                                               size_t lines_length,
                                               const char *public_keys,
                                               size_t public_keys_length,
                                               struct auditrail_error *error);

/**
 * Verifies the whole trail against its newest checkpoint and, if it is not
 * empty, against one that was kept elsewhere. Reads only; a writer may be at
 * work.
 *
 * `public_keys`: the log's (today's first, then earlier ones) and those of
 * witnesses, one a line. An earlier one is given as `<key> until <events>`: its
 * signature is then good for no more events than the trail had when the key was
 * replaced. A key that has no limit, and none recorded in the trail, is a note.
 * `witnesses`: how many of these must have cosigned. `first_id`:
 * events before it may be missing, because they were pruned; 0: none.
 *
 * `report_json` may be NULL. It is an object: `intact`; `checkpoint` (null, or
 * `origin`, `size`, `root`, `witnesses`); `verified_events`, `unsigned_events`
 * (after the checkpoint), `pruned_events`; `findings`, at most 1,000 of them,
 * and `findings_total`; `notes`. A finding has `kind` (changed, missing, cut,
 * added, displaced, unended, unknown, segment, tile, checkpoint, index), where
 * they apply `first_id`, `last_id`, `path` and `offset`, and a `message`.
 *
 * AUDITRAIL_OK: everything that is signed is there, unchanged, and nothing
 * else among it. AUDITRAIL_ERR_TAMPERED: it is not; as an exception, the report
 * is given then too. But where the checkpoint that was kept elsewhere is itself
 * not signed by one of the keys, there is no report, and its place is not
 * touched: set it to NULL before.
 */
auditrail_status auditrail_verify(const char *root,
                                  const char *public_keys,
                                  size_t public_keys_length,
                                  const char *checkpoint,
                                  size_t checkpoint_length,
                                  uint32_t witnesses,
                                  uint64_t first_id,
                                  struct auditrail_buffer **report_json,
                                  struct auditrail_error *error);

/**
 * Proves that an event is in the trail, in the form `c2sp.org/tlog-proof@v1`:
 * with this text, the event's line and the log's public key anyone can check
 * it, offline. Under the newest checkpoint, or under an earlier one, if that is
 * not empty. AUDITRAIL_ERR_INVALID_ARGUMENT where the checkpoint does not cover
 * the event.
 */
auditrail_status auditrail_prove(const char *root,
                                 uint64_t event_id,
                                 const char *checkpoint,
                                 size_t checkpoint_length,
                                 struct auditrail_buffer **proof,
                                 struct auditrail_error *error);

/**
 * Checks an event's proof: that `line` is in the log of the key, as the event
 * whose id is given back. A newline at the line's end does not matter.
 * `public_keys`: as for `auditrail_verify`. `event_id` and `size`, how many
 * events the checkpoint covers, may be NULL. AUDITRAIL_ERR_TAMPERED: it is not
 * so; AUDITRAIL_ERR_CORRUPT: the text is no proof.
 */
auditrail_status auditrail_verify_proof(const char *proof,
                                        size_t proof_length,
                                        const char *line,
                                        size_t line_length,
                                        const char *public_keys,
                                        size_t public_keys_length,
                                        uint64_t *event_id,
                                        uint64_t *size,
                                        struct auditrail_error *error);

/**
 * Proves that the trail, under its newest checkpoint or the one given, goes on
 * from what it was with `old_size` events: the lines that a witness takes
 * (c2sp.org/tlog-witness, add-checkpoint).
 */
auditrail_status auditrail_prove_consistency(const char *root,
                                             uint64_t old_size,
                                             const char *checkpoint,
                                             size_t checkpoint_length,
                                             struct auditrail_buffer **proof,
                                             struct auditrail_error *error);

/**
 * Checks that the checkpoint in the proof goes on from an earlier checkpoint.
 * Both must be signed by one of the keys. AUDITRAIL_ERR_TAMPERED: it does not.
 */
auditrail_status auditrail_verify_consistency(const char *proof,
                                              size_t proof_length,
                                              const char *old_checkpoint,
                                              size_t old_checkpoint_length,
                                              const char *public_keys,
                                              size_t public_keys_length,
                                              struct auditrail_error *error);

/**
 * Writes the trail as a complete static log (c2sp.org/tlog-tiles) into the
 * folder `out`: checkpoint, tiles and entry bundles. What is there already is
 * kept. `events`, how many it covers, may be NULL.
 */
auditrail_status auditrail_export(const char *root,
                                  const char *out,
                                  const char *public_keys,
                                  size_t public_keys_length,
                                  uint64_t *events,
                                  struct auditrail_error *error);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* AUDITRAIL_H */
