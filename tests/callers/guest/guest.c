/* Whether the library is a good guest in a program that loads it: guest LIBRARY
 * COPY FOLDER, where COPY is the same library under another name. What is wrong
 * is told on descriptor 3; the standard outputs are the library's to leave empty.
 *
 * To be linked with -rdynamic, so that our getenv is the library's too. */
#define _GNU_SOURCE
#include <auditrail.h>

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int checks, failures, environment_reads;
static const char *folder;
static const char event[] = "{\"domain\":\"v2\",\"category\":\"c\",\"model_name\":\"m\","
                            "\"operation\":\"create\",\"logical_user_id\":\"u\"}";

#define CHECK(condition)                                                      \
    do {                                                                      \
        checks++;                                                             \
        if (!(condition)) {                                                   \
            failures++;                                                       \
            dprintf(3, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                     \
    } while (0)

char *getenv(const char *name) {
    (void)name;
    environment_reads++;
    return NULL;
}

char *secure_getenv(const char *name) { return getenv(name); }

/* One copy of the library. */
typedef struct {
    void *handle;
    __typeof__(&auditrail_options_new) options_new;
    __typeof__(&auditrail_options_free) options_free;
    __typeof__(&auditrail_options_set_durability) set_durability;
    __typeof__(&auditrail_options_set_shared) set_shared;
    __typeof__(&auditrail_writer_open) open;
    __typeof__(&auditrail_writer_append) append;
    __typeof__(&auditrail_writer_close) close;
    __typeof__(&auditrail_check) check;
    __typeof__(&auditrail_buffer_free) buffer_free;
} library;

static void *symbol(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    if (!found) {
        dprintf(3, "%s\n", dlerror());
        _exit(2);
    }
    return found;
}

static library load(const char *path) {
    library l = {dlopen(path, RTLD_NOW | RTLD_LOCAL), 0, 0, 0, 0, 0, 0, 0, 0, 0};
    if (!l.handle) {
        dprintf(3, "%s\n", dlerror());
        _exit(2);
    }
    *(void **)&l.options_new = symbol(l.handle, "auditrail_options_new");
    *(void **)&l.options_free = symbol(l.handle, "auditrail_options_free");
    *(void **)&l.set_durability = symbol(l.handle, "auditrail_options_set_durability");
    *(void **)&l.set_shared = symbol(l.handle, "auditrail_options_set_shared");
    *(void **)&l.open = symbol(l.handle, "auditrail_writer_open");
    *(void **)&l.append = symbol(l.handle, "auditrail_writer_append");
    *(void **)&l.close = symbol(l.handle, "auditrail_writer_close");
    *(void **)&l.check = symbol(l.handle, "auditrail_check");
    *(void **)&l.buffer_free = symbol(l.handle, "auditrail_buffer_free");
    return l;
}

static int entries(const char *path) {
    int count = 0;
    DIR *listing = opendir(path);
    while (readdir(listing))
        count++;
    closedir(listing);
    return count - 2;
}

static int threads(void) { return entries("/proc/self/task"); }

/* A thread that was joined is listed for a moment longer. */
static int settled_threads(void) {
    for (int i = 0; i < 100 && threads() > 1; i++)
        usleep(10000);
    return threads();
}

static int mappings(void) {
    int lines = 0, c;
    FILE *maps = fopen("/proc/self/maps", "r");
    while ((c = fgetc(maps)) != EOF)
        lines += c == '\n';
    fclose(maps);
    return lines;
}

static const char *path(const char *name) {
    static char text[4096];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

/* Opens a trail; NULL, with the status, if that fails. */
static auditrail_writer *open_trail(const library *l, const char *name, int durability, int shared,
                                    auditrail_status *status) {
    auditrail_writer *writer = NULL;
    auditrail_options *options = l->options_new();
    l->set_durability(options, durability, NULL);
    l->set_shared(options, shared, NULL);
    *status = l->open(path(name), options, &writer, NULL);
    l->options_free(options);
    return writer;
}

static uint64_t append(const library *l, auditrail_writer *writer, auditrail_status expected) {
    uint64_t id = 0;
    auditrail_status status = l->append(writer, event, sizeof event - 1, &id, NULL);
    CHECK(status == expected);
    return id;
}

/* How a child ends that runs work; it must not hang. */
static int in_child(int (*work)(void)) {
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(work());
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

static library one, two;
static auditrail_writer *inherited, *inherited_by_two;

static void loaded_and_unloaded(const char *lib) {
    auditrail_status status;
    int before = 0, files = 0;
    for (int round = 0; round < 30; round++) {
        library l = load(lib);
        auditrail_writer *writer = open_trail(&l, "reloaded", AUDITRAIL_DURABILITY_WRITTEN, 0, &status);
        CHECK(append(&l, writer, AUDITRAIL_OK) == (uint64_t)round + 1);
        CHECK(l.close(writer, NULL) == AUDITRAIL_OK);
        CHECK(dlclose(l.handle) == 0);
        if (round == 1) { /* the first rounds may cost what is paid once */
            before = mappings();
            files = entries("/proc/self/fd");
        }
    }
    CHECK(mappings() <= before + 1);
    CHECK(entries("/proc/self/fd") == files);
}

static void no_threads_unless_asked_for(void) {
    auditrail_status status;
    for (int durability = 0; durability <= 2; durability++) {
        auditrail_writer *writer = open_trail(&one, "threads", durability, 0, &status);
        append(&one, writer, AUDITRAIL_OK);
        CHECK(threads() == (durability == AUDITRAIL_DURABILITY_BUFFERED ? 2 : 1));
        CHECK(one.close(writer, NULL) == AUDITRAIL_OK);
        CHECK(settled_threads() == 1);
    }
    auditrail_buffer *report = NULL;
    CHECK(one.check(path("threads"), &report, NULL) == AUDITRAIL_OK);
    one.buffer_free(report);
}

static void two_copies(void) {
    auditrail_status status;
    CHECK(one.handle != two.handle && one.append != two.append);
    auditrail_writer *a = open_trail(&one, "a", AUDITRAIL_DURABILITY_BUFFERED, 0, &status);
    auditrail_writer *b = open_trail(&two, "b", AUDITRAIL_DURABILITY_SYNCED, 0, &status);
    for (uint64_t id = 1; id <= 10; id++)
        CHECK(append(&one, a, AUDITRAIL_OK) == id && append(&two, b, AUDITRAIL_OK) == id);
    CHECK(!open_trail(&two, "a", AUDITRAIL_DURABILITY_WRITTEN, 0, &status) && status == AUDITRAIL_ERR_BUSY);
    CHECK(one.close(a, NULL) == AUDITRAIL_OK);
    CHECK(two.close(b, NULL) == AUDITRAIL_OK);
    a = open_trail(&one, "both", AUDITRAIL_DURABILITY_WRITTEN, 1, &status);
    b = open_trail(&two, "both", AUDITRAIL_DURABILITY_WRITTEN, 1, &status);
    for (uint64_t id = 1; id <= 10; id += 2)
        CHECK(append(&one, a, AUDITRAIL_OK) == id && append(&two, b, AUDITRAIL_OK) == id + 1);
    one.close(a, NULL);
    two.close(b, NULL);
}

static int forked(void) {
    auditrail_status status;
    append(&one, inherited, AUDITRAIL_ERR_FORKED);
    append(&two, inherited_by_two, AUDITRAIL_ERR_FORKED);
    CHECK(one.close(inherited, NULL) == AUDITRAIL_ERR_FORKED);
    auditrail_writer *own = open_trail(&one, "forked", AUDITRAIL_DURABILITY_WRITTEN, 1, &status);
    CHECK(append(&one, own, AUDITRAIL_OK) == 2);
    CHECK(one.close(own, NULL) == AUDITRAIL_OK);
    return failures != 0;
}

static void a_fork(void) {
    auditrail_status status;
    inherited = open_trail(&one, "forked", AUDITRAIL_DURABILITY_WRITTEN, 1, &status);
    inherited_by_two = open_trail(&two, "forked-two", AUDITRAIL_DURABILITY_BUFFERED, 0, &status);
    append(&one, inherited, AUDITRAIL_OK);
    append(&two, inherited_by_two, AUDITRAIL_OK);
    CHECK(in_child(forked) == 0);
    CHECK(append(&one, inherited, AUDITRAIL_OK) == 3);
    CHECK(append(&two, inherited_by_two, AUDITRAIL_OK) == 2);
    CHECK(one.close(inherited, NULL) == AUDITRAIL_OK);
    CHECK(two.close(inherited_by_two, NULL) == AUDITRAIL_OK);
}

static volatile int stop;

static void *fire(void *writer) {
    while (!stop)
        if (one.append(writer, event, sizeof event - 1, NULL, NULL) != AUDITRAIL_OK)
            return "failed";
    return NULL;
}

static int forked_under_fire(void) {
    auditrail_status status;
    auditrail_writer *own = open_trail(&one, "children", AUDITRAIL_DURABILITY_WRITTEN, 0, &status);
    CHECK(own && append(&one, own, AUDITRAIL_OK) > 0);
    CHECK(one.close(own, NULL) == AUDITRAIL_OK);
    append(&one, inherited, AUDITRAIL_ERR_FORKED);
    return failures != 0;
}

static void forks_under_fire(void) {
    auditrail_status status;
    pthread_t firing[4];
    inherited = open_trail(&one, "fire", AUDITRAIL_DURABILITY_WRITTEN, 0, &status);
    stop = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&firing[i], NULL, fire, inherited);
    for (int i = 0; i < 20; i++)
        CHECK(in_child(forked_under_fire) == 0);
    stop = 1;
    for (int i = 0; i < 4; i++) {
        void *said = NULL;
        pthread_join(firing[i], &said);
        CHECK(said == NULL);
    }
    CHECK(one.close(inherited, NULL) == AUDITRAIL_OK);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    folder = argv[3];
    struct sigaction before[65], after;
    sigset_t mask_before, mask_after;
    for (int number = 1; number < 65; number++)
        sigaction(number, NULL, &before[number]);
    sigprocmask(SIG_SETMASK, NULL, &mask_before);

    loaded_and_unloaded(argv[1]);
    one = load(argv[1]);
    two = load(argv[2]);
    no_threads_unless_asked_for();
    two_copies();
    a_fork();
    forks_under_fire();

    for (int number = 1; number < 65; number++) {
        if (sigaction(number, NULL, &after) == 0)
            CHECK(after.sa_handler == before[number].sa_handler);
    }
    sigprocmask(SIG_SETMASK, NULL, &mask_after);
    CHECK(memcmp(&mask_before, &mask_after, sizeof mask_before) == 0);
    CHECK(environment_reads == 0);
    CHECK(getenv("PATH") == NULL && environment_reads == 1); /* it is ours that was counted */
    CHECK(dlclose(two.handle) == 0);
    CHECK(dlclose(one.handle) == 0);
    CHECK(settled_threads() == 1);
    dprintf(3, "guest: %d checks passed, %d failed\n", checks - failures, failures);
    return failures != 0; /* and leaving is no surprise */
}
