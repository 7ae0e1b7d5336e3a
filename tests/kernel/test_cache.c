#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "kernel/cache.h"

static char directory[512];
static int warnings;

static void count_warnings(void *user, tutti_log_level level, const char *message) {
    (void)user;
    (void)message;
    warnings += level >= TUTTI_LOG_WARNING;
}

static void key_of(uint32_t number, unsigned char key[TUTTI_DIGEST_BYTES]) {
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add(&hash, &number, sizeof number);
    tutti_hash_end(&hash, key);
}

/* A fresh directory, since only the first trouble with one is warned about. */
static tutti_cache *open_fresh(char path[600], uint64_t limit) {
    static int number;
    snprintf(path, 600, "%s/cache%d", directory, number++);
    setenv("TUTTI_CACHE_DIR", path, 1);
    const tutti_profile profile = {.cache_limit_bytes = limit};
    tutti_cache *cache;
    OK(tutti_cache_open(&profile, &cache));
    warnings = 0;
    return cache;
}

static void entry_path(const char *cache_path, uint32_t number, const char *kind, char path[800]) {
    unsigned char key[TUTTI_DIGEST_BYTES];
    char hex[TUTTI_DIGEST_HEX];
    key_of(number, key);
    tutti_hash_hex(key, hex);
    snprintf(path, 800, "%s/%s.%s", cache_path, hex, kind);
}

static bool loads(tutti_cache *cache, uint32_t number, const char *expected) {
    unsigned char key[TUTTI_DIGEST_BYTES];
    char *data;
    size_t size;
    key_of(number, key);
    if (!tutti_cache_load(cache, key, TUTTI_CACHE_BINARY, &data, &size))
        return false;
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    free(data);
    return true;
}

static void store(tutti_cache *cache, uint32_t number, const char *text) {
    unsigned char key[TUTTI_DIGEST_BYTES];
    key_of(number, key);
    tutti_cache_store(cache, key, TUTTI_CACHE_BINARY, text, strlen(text));
}

static void entries_come_back(void **state) {
    (void)state;
    char path[600], file[800];
    tutti_cache *cache = open_fresh(path, 0);
    assert_true(tutti_cache_usable(cache));
    assert_false(loads(cache, 1, ""));
    store(cache, 1, "first");
    store(cache, 2, "");
    assert_true(loads(cache, 1, "first"));
    assert_true(loads(cache, 2, ""));
    store(cache, 1, "replaced");
    assert_true(loads(cache, 1, "replaced"));
    unsigned char key[TUTTI_DIGEST_BYTES];
    char *data;
    size_t size;
    key_of(1, key);
    assert_false(tutti_cache_load(cache, key, TUTTI_CACHE_TUNED, &data, &size));
    struct stat info;
    entry_path(path, 1, "bin", file);
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(warnings, 0);
    tutti_cache_close(cache);
    tutti_cache_close(NULL);
}

static void damaged_entries_are_dropped(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    char path[600], file[800], other[800];
    for (int round = 0; round < 40; round++) {
        tutti_cache *cache = open_fresh(path, 0);
        store(cache, 1, "some payload that matters");
        entry_path(path, 1, "bin", file);
        char *data;
        size_t size;
        OK(tutti_file_read(file, 1 << 20, &data, &size));
        if (round % 2 == 0) { /* a flipped bit */
            data[tutti_rng_below(&rng, size)] ^= (char)(1 << tutti_rng_below(&rng, 8));
            OK(tutti_file_write(file, 0600, data, size));
        } else { /* a torn file */
            assert_int_equal(truncate(file, (off_t)tutti_rng_below(&rng, size)), 0);
        }
        free(data);
        assert_false(loads(cache, 1, ""));
        assert_int_equal(warnings, 1);
        assert_int_equal(access(file, F_OK), -1); /* gone */
        store(cache, 1, "again");
        assert_true(loads(cache, 1, "again"));
        tutti_cache_close(cache);
    }
    tutti_cache *cache = open_fresh(path, 0);
    store(cache, 1, "of key 1");
    entry_path(path, 1, "bin", file);
    entry_path(path, 2, "bin", other);
    assert_int_equal(rename(file, other), 0);
    assert_false(loads(cache, 2, "")); /* whole, but of another key */
    assert_int_equal(warnings, 1);
    entry_path(path, 3, "bin", other);
    store(cache, 1, "of key 1");
    assert_int_equal(symlink(file, other), 0);
    assert_false(loads(cache, 3, ""));
    entry_path(path, 4, "bin", other);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_false(loads(cache, 4, "")); /* and does not wait for a writer */
    assert_int_equal(chmod(file, 0666), 0);
    assert_false(loads(cache, 1, "")); /* anybody may have written it */
    assert_int_equal(warnings, 1);     /* one is enough */
    tutti_cache_close(cache);
}

static void expect_unusable(const char *path) {
    setenv("TUTTI_CACHE_DIR", path, 1);
    warnings = 0;
    for (int i = 0; i < 2; i++) {
        tutti_cache *cache;
        OK(tutti_cache_open(NULL, &cache));
        assert_false(tutti_cache_usable(cache));
        store(cache, 1, "lost");
        assert_false(loads(cache, 1, ""));
        tutti_cache_close(cache);
    }
    assert_int_equal(warnings, 1);
}

static void hostile_directories_are_not_used(void **state) {
    (void)state;
    char real[600], path[600];
    snprintf(real, sizeof real, "%s/real", directory);
    assert_int_equal(mkdir(real, 0700), 0);
    snprintf(path, sizeof path, "%s/link", directory);
    assert_int_equal(symlink(real, path), 0);
    expect_unusable(path);
    snprintf(path, sizeof path, "%s/open", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, 0777), 0);
    expect_unusable(path);
    snprintf(path, sizeof path, "%s/file", directory);
    fixture_put(directory, "file", "");
    expect_unusable(path);
    snprintf(path, sizeof path, "%s/file/below", directory);
    expect_unusable(path);
    expect_unusable("/proc/no-such-directory");
    if (geteuid() == 0) {
        snprintf(path, sizeof path, "%s/foreign", directory);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chown(path, 12345, 12345), 0);
        expect_unusable(path);
    }
}

static void failing_writes_cost_a_warning(void **state) {
    (void)state;
    char path[600];
    tutti_cache *cache = open_fresh(path, 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 64; /* as if the disk were full */
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    store(cache, 1, "does not fit");
    store(cache, 2, "does not fit");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(warnings, 1);
    assert_false(loads(cache, 1, ""));
    DIR *d = opendir(path);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        assert_true(e->d_name[0] == '.' && strlen(e->d_name) < 3); /* nothing left behind */
    closedir(d);
    tutti_cache_close(cache);
}

static void least_recently_used_is_evicted(void **state) {
    (void)state;
    char path[600], text[2001], file[800];
    memset(text, 'x', 2000);
    text[2000] = '\0';
    tutti_cache *cache = open_fresh(path, 64 << 10);
    char stale[800];
    snprintf(stale, sizeof stale, "%s/.tmp-1-1", path);
    fixture_put(path, ".tmp-1-1", "left by a process that died");
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(AT_FDCWD, stale, old, 0), 0);
    fixture_put(path, "README", "not ours");
    for (uint32_t i = 0; i < 100; i++) {
        store(cache, i, text);
        assert_true(loads(cache, 0, text)); /* used all the time: stays */
        /* File times are coarse: make the order plain. */
        entry_path(path, i, "bin", file);
        const struct timespec then[2] = {{2000 + i, 0}, {2000 + i, 0}};
        if (i != 0)
            assert_int_equal(utimensat(AT_FDCWD, file, then, 0), 0);
    }
    assert_int_equal(access(stale, F_OK), -1);
    assert_true(loads(cache, 0, text));
    assert_true(loads(cache, 99, text));
    assert_false(loads(cache, 1, text));
    uint64_t bytes = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat info;
        snprintf(file, sizeof file, "%.500s/%.200s", path, e->d_name);
        if (stat(file, &info) == 0 && S_ISREG(info.st_mode))
            bytes += (uint64_t)info.st_size;
    }
    closedir(d);
    assert_true(bytes > 32 << 10 && bytes <= 64 << 10);
    snprintf(file, sizeof file, "%.500s/README", path);
    assert_int_equal(access(file, F_OK), 0);
    char *large = malloc((64 << 10) + 1);
    memset(large, 'y', 64 << 10);
    large[64 << 10] = '\0';
    store(cache, 200, large); /* larger than all the cache may be */
    assert_false(loads(cache, 200, large));
    assert_true(loads(cache, 99, text));
    assert_int_equal(warnings, 1);
    /* What the tuner has found outlives programs, however old it is. */
    unsigned char key[TUTTI_DIGEST_BYTES];
    char *data;
    size_t size;
    key_of(300, key);
    tutti_cache_store(cache, key, TUTTI_CACHE_TUNED, "plain", 5);
    entry_path(path, 300, "tune", file);
    assert_int_equal(utimensat(AT_FDCWD, file, old, 0), 0);
    large[40 << 10] = '\0'; /* fits, and leaves no room for the rest */
    store(cache, 201, large);
    store(cache, 202, text);
    store(cache, 203, text);
    assert_true(loads(cache, 201, large));
    assert_true(loads(cache, 203, text));
    assert_true(tutti_cache_load(cache, key, TUTTI_CACHE_TUNED, &data, &size));
    free(data);
    assert_int_equal(warnings, 1);
    free(large);
    tutti_cache_close(cache);
}

/* Payloads that tell whether they are whole: the key's number, many times over. */
static void fill(uint32_t number, uint32_t *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        words[i] = number * 2654435761U + (uint32_t)i;
}

static void writer(uint32_t seed) {
    enum { WORDS = 20000 };
    static uint32_t words[WORDS];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    tutti_cache *cache;
    if (tutti_cache_open(NULL, &cache) != TUTTI_OK)
        _exit(1);
    for (int i = 0; i < 100000; i++) {
        uint32_t number = (uint32_t)tutti_rng_below(&rng, 8);
        size_t count = 1 + tutti_rng_below(&rng, WORDS);
        unsigned char key[TUTTI_DIGEST_BYTES];
        key_of(number, key);
        fill(number, words, count);
        tutti_cache_store(cache, key, TUTTI_CACHE_BINARY, words, count * sizeof *words);
    }
    _exit(0);
}

static void many_writers_and_kills_leave_whole_entries(void **state) {
    (void)state;
    char path[600];
    tutti_cache *cache = open_fresh(path, 0);
    uint64_t seed = test_seed();
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    enum { WRITERS = 4, ROUNDS = 30 };
    pid_t children[WRITERS];
    for (uint32_t i = 0; i < WRITERS; i++)
        if ((children[i] = fork()) == 0)
            writer((uint32_t)seed + i);
    int hits = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        usleep(5000 + (useconds_t)tutti_rng_below(&rng, 20000));
        uint32_t victim = (uint32_t)tutti_rng_below(&rng, WRITERS);
        kill(children[victim], SIGKILL);
        waitpid(children[victim], NULL, 0);
        for (uint32_t number = 0; number < 8; number++) {
            unsigned char key[TUTTI_DIGEST_BYTES];
            char *data;
            size_t size;
            key_of(number, key);
            if (!tutti_cache_load(cache, key, TUTTI_CACHE_BINARY, &data, &size))
                continue;
            hits++;
            uint32_t *expected = malloc(size);
            fill(number, expected, size / sizeof *expected);
            assert_memory_equal(data, expected, size);
            free(expected);
            free(data);
        }
        if ((children[victim] = fork()) == 0)
            writer((uint32_t)seed + 100 + round);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    assert_true(hits > 4 * ROUNDS);
    assert_int_equal(warnings, 0); /* not one was seen damaged */
    tutti_cache_close(cache);
}

static void profile_decides(void **state) {
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s/deep/down/own", directory);
    const tutti_profile own = {.cache_dir = path}, off = {.cache_mode = TUTTI_CACHE_OFF};
    tutti_cache *cache;
    OK(tutti_cache_open(&own, &cache));
    store(cache, 1, "x");
    char file[800];
    entry_path(path, 1, "bin", file);
    assert_int_equal(access(file, F_OK), 0);
    tutti_cache_close(cache);
    warnings = 0;
    OK(tutti_cache_open(&off, &cache));
    assert_false(tutti_cache_usable(cache));
    tutti_cache_close(cache);
    assert_int_equal(warnings, 0);
}

static void no_place_costs_a_warning(void **state) {
    (void)state;
    static const char *const names[] = {"TUTTI_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
    char *saved[3];
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        saved[i] = value != NULL ? strdup(value) : NULL;
        unsetenv(names[i]);
    }
    tutti_cache *cache;
    warnings = 0;
    OK(tutti_cache_open(NULL, &cache));
    assert_int_equal(warnings, 1);
    assert_false(tutti_cache_usable(cache));
    store(cache, 1, "x");
    assert_false(loads(cache, 1, "x"));
    tutti_cache_close(cache);
    OK(tutti_cache_open(NULL, &cache));
    assert_int_equal(warnings, 1);
    tutti_cache_close(cache);
    for (int i = 0; i < 3; i++) {
        if (saved[i] != NULL)
            setenv(names[i], saved[i], 1);
        free(saved[i]);
    }
}

static int setup(void **state) {
    (void)state;
    fixture_dir(directory);
    tutti_log_set(count_warnings, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_back),
        cmocka_unit_test(damaged_entries_are_dropped),
        cmocka_unit_test(hostile_directories_are_not_used),
        cmocka_unit_test(failing_writes_cost_a_warning),
        cmocka_unit_test(least_recently_used_is_evicted),
        cmocka_unit_test(many_writers_and_kills_leave_whole_entries),
        cmocka_unit_test(profile_decides),
        cmocka_unit_test(no_place_costs_a_warning),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
