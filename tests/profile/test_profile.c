/* The parser: what it reads, what it refuses and how it says so.
 *
 *     test_profile_profile --check FILE...     prints "FILE ok" or "FILE refused: message" for each
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/suggest.h"
#include "seed.h"
#include "tutti/profile.h"

static uint64_t seed;

static const char *source_path(char path[512], const char *relative) {
    const char *source = getenv("TUTTI_SOURCE_DIR");
    snprintf(path, 512, "%s/%s", source != NULL ? source : ".", relative);
    return path;
}

static tutti_profile *parse(const char *name, const char *text) {
    tutti_profile *profile = NULL;
    if (tutti_profile_parse(name, text, strlen(text), &profile) != TUTTI_OK)
        fail_msg("%s: %s", text, tutti_error_message());
    return profile;
}

static void test_defaults(void **state) {
    (void)state;
    tutti_profile *p = parse("t.json", "{}");
    assert_string_equal(p->source, "t.json");
    assert_string_equal(p->name, "");
    assert_int_equal(p->n_devices, 1);
    assert_int_equal(p->devices[0].match.types,
                     TUTTI_DEVICE_CPU | TUTTI_DEVICE_GPU | TUTTI_DEVICE_ACCELERATOR);
    assert_int_equal(p->devices[0].match.index, -1);
    assert_true(p->devices[0].share == TUTTI_SHARE_AUTO);
    assert_string_equal(p->devices[0].build_options, "");
    assert_int_equal(p->schedule, TUTTI_SCHEDULE_AUTO);
    assert_int_equal(p->determinism, TUTTI_DETERMINISM_FAST);
    assert_int_equal(p->on_missing, TUTTI_ON_FAILURE_ERROR);
    assert_int_equal(p->on_failure, TUTTI_ON_FAILURE_ERROR);
    assert_int_equal(p->n_kernel_path, 0);
    assert_int_equal(p->cache_mode, TUTTI_CACHE_AUTO);
    assert_string_equal(p->cache_dir, "");
    assert_int_equal(p->cache_limit_bytes, 0);
    tutti_profile_free(p);
    tutti_profile_free(NULL);
}

static void test_every_key(void **state) {
    (void)state;
    tutti_profile *p = parse(
        "dir/t.json",
        "{\"$schema\": \"x\", \"version\": 1, \"name\": \"n\", \"description\": \"d\",\n"
        " \"schedule\": \"data\", \"precision\": \"f32\", \"determinism\": \"reproducible\",\n"
        " \"matmul_precision\": \"medium\","
        " \"on_missing\": \"continue\", \"on_failure\": \"continue\",\n"
        " \"kernel_path\": [\"cl\", \"/abs\"],\n"
        " \"cache\": {\"mode\": \"disk\", \"dir\": \"../c\", \"limit\": \"3MiB\"},\n"
        " \"devices\": [\n"
        "  {\"match\": {\"type\": [\"gpu\", \"custom\"], \"vendor\": \"amd\", \"name\": "
        "\"*\u00e9*\",\n"
        "     \"platform\": \"P?\", \"uuid\": \"00112233-4455-6677-8899-AABBCCDDEEFF\",\n"
        "     \"pci\": \"0A:1F.3\", \"min_memory\": 123456789012, \"index\": 2,\n"
        "     \"extensions\": [\"cl_a\", \"cl_b\"]},\n"
        "   \"exclude\": [{\"type\": \"cpu\"}, {\"name\": \"x\", \"index\": 0}],\n"
        "   \"share\": 0.25, \"memory_limit\": \"2 GB\", \"partition\": [1, 3],\n"
        "   \"build_options\": [\"-cl-mad-enable\", \"-w\"], \"queue\": {\"profiling\": true},\n"
        "   \"optional\": true},\n"
        "  {\"match\": {}, \"partition\": 2},\n"
        "  {\"match\": {\"type\": \"any\"}, \"compute_units\": 7, \"share\": \"auto\"}]}");
    assert_string_equal(p->name, "n");
    assert_int_equal(p->schedule, TUTTI_SCHEDULE_DATA);
    assert_int_equal(p->determinism, TUTTI_DETERMINISM_REPRODUCIBLE);
    assert_int_equal(p->matmul_precision, TUTTI_MATMUL_MEDIUM);
    assert_int_equal(p->on_missing, TUTTI_ON_FAILURE_CONTINUE);
    assert_int_equal(p->on_failure, TUTTI_ON_FAILURE_CONTINUE);
    assert_int_equal(p->n_kernel_path, 2);
    assert_string_equal(p->kernel_path[0], "dir/cl");
    assert_string_equal(p->kernel_path[1], "/abs");
    assert_int_equal(p->cache_mode, TUTTI_CACHE_DISK);
    assert_string_equal(p->cache_dir, "dir/../c");
    assert_int_equal(p->cache_limit_bytes, 3 << 20);
    assert_int_equal(p->n_devices, 3);
    const tutti_profile_device *d = &p->devices[0];
    assert_int_equal(d->match.types, TUTTI_DEVICE_GPU | TUTTI_DEVICE_CUSTOM);
    assert_string_equal(d->match.vendor, "amd");
    assert_string_equal(d->match.name, "*\u00e9*");
    assert_string_equal(d->match.platform, "P?");
    assert_string_equal(d->match.uuid, "00112233445566778899aabbccddeeff");
    assert_string_equal(d->match.pci, "0000:0a:1f.3");
    assert_true(d->match.min_memory_bytes == UINT64_C(123456789012));
    assert_int_equal(d->match.index, 2);
    assert_int_equal(d->match.n_extensions, 2);
    assert_string_equal(d->match.extensions[1], "cl_b");
    assert_int_equal(d->n_excludes, 2);
    assert_int_equal(d->excludes[0].types, TUTTI_DEVICE_CPU);
    assert_int_equal(d->excludes[0].index, -1);
    assert_string_equal(d->excludes[1].name, "x");
    assert_int_equal(d->excludes[1].index, 0);
    assert_true(d->share == 0.25);
    assert_true(d->memory_limit_bytes == UINT64_C(2000000000));
    assert_int_equal(d->n_partitions, 2);
    assert_int_equal(d->partitions[0], 1);
    assert_int_equal(d->partitions[1], 3);
    assert_string_equal(d->build_options, "-cl-mad-enable -w");
    assert_true(d->queue_profiling);
    assert_true(d->optional);
    assert_int_equal(d->line, 7);
    assert_int_equal(p->devices[1].match.types, 0);
    assert_int_equal(p->devices[1].equal_parts, 2);
    assert_int_equal(p->devices[1].n_partitions, 0);
    assert_int_equal(p->devices[1].line, 15);
    assert_false(p->devices[1].optional);
    assert_int_equal(p->devices[2].match.types, TUTTI_DEVICE_ANY);
    assert_int_equal(p->devices[2].use_compute_units, 7);
    assert_true(p->devices[2].share == TUTTI_SHARE_AUTO);
    tutti_profile_free(p);

    p = parse("/t.json", "{\"kernel_path\": [\"cl\"]}");
    assert_string_equal(p->kernel_path[0], "//cl");
    tutti_profile_free(p);
    p = parse("t.json", "{\"kernel_path\": [\"cl\"]}");
    assert_string_equal(p->kernel_path[0], "cl");
    tutti_profile_free(p);
}

/* Calls `each` for every .json file of a directory, in no order; returns how many. */
static int for_each_file(const char *relative, void (*each)(const char *path, const char *name)) {
    char directory[512], path[1024];
    source_path(directory, relative);
    DIR *dir = opendir(directory);
    if (dir == NULL)
        fail_msg("cannot open %s", directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 5, ".json") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        each(path, entry->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static void expect_good(const char *path, const char *name) {
    (void)name;
    tutti_profile *profile = NULL;
    if (tutti_profile_load(path, &profile) != TUTTI_OK)
        fail_msg("refused: %s", tutti_error_message());
    assert_string_equal(profile->source, path);
    assert_true(profile->n_devices > 0);
    tutti_profile_free(profile);
}

static char *messages; /* corpus/messages.txt: "name.json:line:col: …" for each bad file */

static void expect_bad(const char *path, const char *name) {
    tutti_profile *profile = NULL;
    (void)tutti_fail(TUTTI_INTERNAL, "stale");
    tutti_status status = tutti_profile_load(path, &profile);
    if (status != TUTTI_BAD_INPUT)
        fail_msg("%s: %s", name, tutti_status_name(status));
    assert_null(profile);
    const char *message = tutti_error_message();
    assert_null(strchr(message, '\n'));
    size_t prefix = strlen(path) - strlen(name);
    assert_true(strncmp(message, path, prefix) == 0);
    char key[300];
    snprintf(key, sizeof key, "\n%s:", name);
    const char *wanted = strstr(messages, key);
    if (wanted == NULL)
        fail_msg("messages.txt has no line for %s: %s", name, message + prefix);
    size_t length = strcspn(++wanted, "\n");
    if (strlen(message + prefix) != length || strncmp(message + prefix, wanted, length) != 0)
        fail_msg("\"%s\" instead of \"%.*s\"", message + prefix, (int)length, wanted);
}

static void test_corpus(void **state) {
    (void)state;
    char path[512];
    size_t size = 0;
    assert_true(for_each_file("tests/profile/corpus/good", expect_good) >= 50);
    assert_int_equal(tutti_file_read(source_path(path, "tests/profile/corpus/messages.txt"),
                                     1 << 20, &messages, &size),
                     TUTTI_OK);
    int bad = for_each_file("tests/profile/corpus/bad", expect_bad);
    int lines = 0;
    for (const char *at = messages; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, bad + 1); /* a heading */
    free(messages);
}

static void test_samples(void **state) {
    (void)state;
    assert_int_equal(for_each_file("samples/profiles", expect_good), 8);
}

static void test_files(void **state) {
    (void)state;
    tutti_profile *profile = NULL;
    assert_int_equal(tutti_profile_load("/nonexistent/p.json", &profile), TUTTI_IO);
    assert_non_null(strstr(tutti_error_message(), "/nonexistent/p.json"));
    assert_int_equal(tutti_profile_load("/", &profile), TUTTI_IO);
    assert_int_equal(tutti_profile_open("nonexistent.json", &profile), TUTTI_IO);
    assert_int_equal(tutti_profile_open("./gpu", &profile), TUTTI_IO);
    char directory[] = "/tmp/tutti-profile-XXXXXX", path[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/p.json", directory);
    static const char text[] = "{\"cache\": {\"dir\": \"c\"}}";
    assert_int_equal(tutti_file_write(path, 0600, text, sizeof text - 1), TUTTI_OK);
    assert_int_equal(tutti_profile_open(path, &profile), TUTTI_OK);
    char wanted[80];
    snprintf(wanted, sizeof wanted, "%s/c", directory);
    assert_string_equal(profile->cache_dir, wanted);
    tutti_profile_free(profile);
    /* A file of any name beats an expression; a directory does not. */
    char *back = getcwd(NULL, 0);
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(tutti_file_write("cpu", 0600, text, sizeof text - 1), TUTTI_OK);
    assert_int_equal(mkdir("gpu", 0700), 0);
    assert_int_equal(tutti_profile_open("cpu", &profile), TUTTI_OK);
    assert_string_equal(profile->cache_dir, "c");
    tutti_profile_free(profile);
    assert_int_equal(tutti_profile_open("gpu", &profile), TUTTI_OK);
    assert_int_equal(profile->devices[0].match.types, TUTTI_DEVICE_GPU);
    tutti_profile_free(profile);
    /* Too long: refused before it is parsed. */
    char *large = malloc(TUTTI_JSON_MAX_BYTES + 1);
    assert_non_null(large);
    memset(large, ' ', TUTTI_JSON_MAX_BYTES + 1);
    large[0] = '{';
    large[1] = '}';
    assert_int_equal(tutti_file_write("large.json", 0600, large, TUTTI_JSON_MAX_BYTES), TUTTI_OK);
    assert_int_equal(tutti_profile_open("large.json", &profile), TUTTI_OK);
    tutti_profile_free(profile);
    assert_int_equal(tutti_file_write("large.json", 0600, large, TUTTI_JSON_MAX_BYTES + 1),
                     TUTTI_OK);
    assert_int_equal(tutti_profile_open("large.json", &profile), TUTTI_BAD_INPUT);
    free(large);
    assert_int_equal(unlink("large.json") | unlink("cpu") | unlink("p.json") | rmdir("gpu"), 0);
    assert_int_equal(chdir(back), 0);
    free(back);
    assert_int_equal(rmdir(directory), 0);
}

static void test_suggest(void **state) {
    (void)state;
    static const char *const words[] = {"share", "schedule", "gpu", "memory_limit"};
    const struct {
        const char *word, *near;
    } cases[] = {{"shar", "share"},  {"sahre", "share"},
                 {"SHARE", "share"}, {"schedlue", "schedule"},
                 {"gup", "gpu"},     {"memorylimit", "memory_limit"},
                 {"cpu", "gpu"},     {"xyz", NULL},
                 {"", NULL},         {"g", NULL},
                 {"shxxxe", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = tutti_suggest(cases[i].word, words, 4);
        if (cases[i].near == NULL)
            assert_null(near);
        else
            assert_string_equal(near, cases[i].near);
    }
    char longest[200];
    memset(longest, 's', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(tutti_suggest(longest, words, 4));
}

static char *texts[256];
static size_t sizes[256];
static int n_texts;

static void keep_text(const char *path, const char *name) {
    (void)name;
    assert_true(n_texts < 256);
    assert_int_equal(tutti_file_read(path, TUTTI_JSON_MAX_BYTES, &texts[n_texts], &sizes[n_texts]),
                     TUTTI_OK);
    n_texts++;
}

/* Good files with bytes flipped, cut, doubled and crossed: never a crash, always a verdict with a
 * position, and soon. */
static void test_mutations(void **state) {
    (void)state;
    for_each_file("tests/profile/corpus/good", keep_text);
    for_each_file("samples/profiles", keep_text);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 3);
    int good = 0;
    double begin = tutti_clock_s(), slowest = 0;
    for (int i = 0; i < 20000; i++) {
        int which = (int)tutti_rng_below(&rng, (uint64_t)n_texts);
        size_t size = sizes[which];
        int other = (int)tutti_rng_below(&rng, (uint64_t)n_texts);
        char *text = malloc(size + sizes[other] + 1);
        assert_non_null(text);
        memcpy(text, texts[which], size);
        for (uint64_t k = tutti_rng_below(&rng, 4); k > 0 && size > 0; k--) {
            size_t at = (size_t)tutti_rng_below(&rng, size);
            static const char likely[] = "{}[]\",:\\u0e-.19 \n";
            switch (tutti_rng_below(&rng, 8)) {
            case 0:
                size = at;
                break;
            case 1:
                memmove(text + at, text + at + 1, size - at - 1);
                size--;
                break;
            case 2: {
                size_t more = sizes[other] < at ? 0 : sizes[other] - at;
                memcpy(text + at, texts[other] + sizes[other] - more, more);
                size = at + more;
                break;
            }
            case 3:
                text[at] ^= (char)(1 << tutti_rng_below(&rng, 8));
                break;
            default:
                text[at] = likely[tutti_rng_below(&rng, sizeof likely - 1)];
            }
        }
        /* A block of exactly this size, so that AddressSanitizer sees what is read beyond it. */
        char *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, text, size);
        tutti_profile *profile = NULL;
        double before = tutti_clock_s();
        tutti_status status = tutti_profile_parse("m.json", exact, size, &profile);
        double took = tutti_clock_s() - before;
        slowest = took > slowest ? took : slowest;
        if (status == TUTTI_OK) {
            good++;
            assert_true(profile->n_devices >= 1 && profile->n_devices <= 64);
            for (int32_t d = 0; d < profile->n_devices; d++)
                assert_true(profile->devices[d].share == TUTTI_SHARE_AUTO ||
                            (profile->devices[d].share >= 0 && profile->devices[d].share <= 1));
        } else {
            int line = 0, column = 0, used = 0;
            if (status != TUTTI_BAD_INPUT ||
                sscanf(tutti_error_message(), "m.json:%d:%d: %n", &line, &column, &used) != 2 ||
                used == 0 || strstr(tutti_error_message(), "expected") == NULL)
                fail_msg("seed %llu, %.*s: %s", (unsigned long long)seed, (int)size, exact,
                         tutti_error_message());
        }
        tutti_profile_free(profile);
        free(exact);
        free(text);
    }
    printf("accepted %d of 20000, slowest %.6f s\n", good, slowest);
    assert_true(good > 1000 && good < 19000);
    assert_true(tutti_clock_s() - begin < 60);
    for (int i = 0; i < n_texts; i++)
        free(texts[i]);
}

static int check_files(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        tutti_profile *profile = NULL;
        if (tutti_profile_load(paths[i], &profile) == TUTTI_OK)
            printf("%s ok\n", paths[i]);
        else
            printf("%s refused: %s\n", paths[i], tutti_error_message());
        tutti_profile_free(profile);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--check") == 0)
        return check_files(argc - 2, argv + 2);
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_corpus),    cmocka_unit_test(test_samples),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_suggest),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
