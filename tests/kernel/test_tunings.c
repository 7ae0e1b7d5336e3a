/* The files of measurements, and packs of them. */
#include <math.h>
#include <sys/wait.h>

#include "base/file.h"
#include "fixture.h"
#include "kernel/tuner.h"

static char directory[512], path[600];
static const tutti_profile *const defaults = NULL;

static tutti_device_info device = {.id = "gpu.0",
                                   .name = "A \"quoted\" card",
                                   .driver_version = "1.2",
                                   .platform_name = "Platform",
                                   .platform_version = "OpenCL 3.0"};

static tutti_tuning make_record(char digit, int32_t winner) {
    tutti_tuning r = {.op = "matmul+relu",
                      .shapes = "Nx784, 784x512 -> Nx512",
                      .n = 128,
                      .winner = winner,
                      .verified = true,
                      .candidate = {{"cpu", "", 1.25e-5},
                                    {"tile16",
                                     "wrong\n\xc2\x9b"
                                     "31m \xc3\xa4",
                                     (double)NAN}},
                      .n_candidates = 2};
    memset(r.key, digit, TUTTI_DIGEST_HEX - 1);
    return r;
}

static void check_record(const tutti_tuning *got, const tutti_tuning *expected, bool verified) {
    assert_non_null(got);
    assert_string_equal(got->op, expected->op);
    assert_string_equal(got->shapes, expected->shapes);
    assert_int_equal(got->n, expected->n);
    assert_int_equal(got->winner, expected->winner);
    assert_int_equal(got->verified, verified);
    assert_int_equal(got->n_candidates, 2);
    for (int c = 0; c < 2; c++) {
        assert_string_equal(got->candidate[c].name, expected->candidate[c].name);
        assert_string_equal(got->candidate[c].note, expected->candidate[c].note);
    }
    assert_true(got->candidate[0].time_s == 1.25e-5);
    assert_true(isnan(got->candidate[1].time_s));
}

static void a_file_per_device_keeps_records(void **state) {
    (void)state;
    tutti_cache *cache;
    tutti_tunings t;
    tutti_tuning a = make_record('a', 0), b = make_record('b', -1);
    OK(tutti_cache_open(defaults, &cache));
    OK(tutti_tunings_load(cache, &device, &t));
    assert_int_equal(t.n, 0);
    OK(tutti_tunings_put(&t, &a));
    OK(tutti_tunings_put(&t, &b));
    b.winner = 1;
    OK(tutti_tunings_put(&t, &b)); /* replaces */
    assert_int_equal(t.n, 2);
    tutti_tunings_store(cache, &device, &t);
    tutti_tunings_free(&t);
    OK(tutti_tunings_load(cache, &device, &t));
    assert_int_equal(t.n, 2);
    check_record(tutti_tunings_find(&t, a.key), &a, true);
    check_record(tutti_tunings_find(&t, b.key), &b, true);
    assert_null(tutti_tunings_find(&t, "c"));
    tutti_tunings_free(&t);
    tutti_device_info other = device;
    other.driver_version = "1.3";
    OK(tutti_tunings_load(cache, &other, &t)); /* another driver: nothing is known */
    assert_int_equal(t.n, 0);
    tutti_cache_close(cache);
}

/* Of sources that changed in the meantime, records stay until they are in the way. */
static void the_oldest_make_room(void **state) {
    (void)state;
    enum { RECORDS = 3000 };
    tutti_cache *cache;
    tutti_tunings t = {0};
    tutti_tuning r = make_record('f', 0);
    char note[600];
    memset(note, '\x80', sizeof note); /* no UTF-8, such as a message that was cut */
    note[sizeof note - 1] = '\0';
    r.candidate[1].note = note;
    for (int i = 0; i < RECORDS; i++) {
        memcpy(r.key,
               (char[]){(char)('0' + i / 1000), (char)('0' + i / 100 % 10),
                        (char)('0' + i / 10 % 10), (char)('0' + i % 10)},
               4);
        OK(tutti_tunings_put(&t, &r));
    }
    r.key[0] = r.key[1] = r.key[2] = r.key[3] = '0';
    OK(tutti_tunings_put(&t, &r)); /* measured again: the newest now */
    assert_int_equal(t.n, RECORDS);
    OK(tutti_cache_open(defaults, &cache));
    assert_true(tutti_tunings_store(cache, &device, &t));
    tutti_tunings_free(&t);
    OK(tutti_tunings_load(cache, &device, &t));
    assert_in_range(t.n, 200, RECORDS - 1);
    assert_non_null(tutti_tunings_find(&t, r.key));
    r.key[3] = '1';
    assert_null(tutti_tunings_find(&t, r.key));
    memcpy(r.key, "2999", 4);
    assert_non_null(tutti_tunings_find(&t, r.key));
    tutti_tunings_free(&t);
    tutti_cache_close(cache);
}

static char *pack_text(void) {
    tutti_tuning_pack pack = {0};
    tutti_tunings t = {0};
    const tutti_tuning a = make_record('a', 0), b = make_record('b', 1);
    char *text;
    OK(tutti_tunings_put(&t, &a));
    OK(tutti_tunings_put(&t, &b));
    OK(tutti_tuning_pack_add(&pack, &device, &t));
    OK(tutti_tuning_pack_text(&pack, &text));
    tutti_tuning_pack_free(&pack);
    tutti_tunings_free(&t);
    return text;
}

/* As it comes out of a pack. */
static tutti_tuning make_plain_record(char digit, int32_t winner) {
    tutti_tuning r = make_record(digit, winner);
    r.candidate[1].note = "wrong???31m \xc3\xa4";
    return r;
}

static void packs_come_back_unverified(void **state) {
    (void)state;
    char *text = pack_text();
    tutti_tuning_pack pack;
    const tutti_tuning a = make_plain_record('a', 0);
    OK(tutti_file_write(path, 0600, text, strlen(text)));
    free(text);
    OK(tutti_tuning_pack_read(path, &pack));
    assert_int_equal(pack.n_devices, 1);
    assert_string_equal(pack.devices[0].name, device.name);
    assert_string_equal(pack.devices[0].driver, "1.2");
    assert_string_equal(pack.devices[0].platform, "Platform");
    assert_int_equal(pack.devices[0].tunings.n, 2);
    check_record(tutti_tunings_find(&pack.devices[0].tunings, a.key), &a, false);
    tutti_tuning_pack_free(&pack);
}

static void refuse(const char *text, const char *message) {
    tutti_tuning_pack pack;
    OK(tutti_file_write(path, 0600, text, strlen(text)));
    FAILS(TUTTI_BAD_INPUT, message, tutti_tuning_pack_read(path, &pack));
    assert_int_equal(pack.n_devices, 0);
}

static void damaged_packs_are_refused(void **state) {
    (void)state;
    tutti_tuning_pack pack;
    const tutti_tuning a = make_plain_record('a', 0);
    refuse("{}", "no pack of tutti-tune");
    refuse("[1]", "no pack of tutti-tune");
    refuse("{\"tutti_tunings\": 7}", "version 7, expected 1");
    refuse("{\"tutti_tunings\": 1, \"devices\": []}", "\"digest\" a text");
    FAILS(TUTTI_IO, "no-such-file", tutti_tuning_pack_read("no-such-file", &pack));
    char *text = pack_text();
    const size_t size = strlen(text);
    /* Any byte that matters: the digest covers what was understood. */
    unsigned seed = (unsigned)test_seed();
    for (int i = 0; i < 300; i++) {
        char *changed = strdup(text);
        const size_t at = (size_t)rand_r(&seed) % size;
        changed[at] = (char)(changed[at] ^ 1 << rand_r(&seed) % 7);
        OK(tutti_file_write(path, 0600, changed, size));
        const tutti_status status = tutti_tuning_pack_read(path, &pack);
        if (status == TUTTI_OK) { /* a blank */
            assert_int_equal(pack.devices[0].tunings.n, 2);
            check_record(&pack.devices[0].tunings.items[0], &a, false);
            tutti_tuning_pack_free(&pack);
        } else {
            assert_int_equal(status, TUTTI_BAD_INPUT);
        }
        free(changed);
    }
    free(text);
}

/* Remembers records of its own, as a process that measures does. */
static void remember_many(char first, int32_t count) {
    tutti_device opened = {.info = device};
    tutti_kernels kernels = {.device = &opened};
    tutti_type type = {TUTTI_F32, {.rank = 2, .batched = true, .dim = {1, 8}}};
    const tutti_op op = {.name = "double"};
    const tutti_node_info node = {
        .op = &op, .n_in = 1, .n_out = 1, .in_type = &type, .out_type = &type};
    const tutti_candidate candidates[] = {{.name = "cpu"}, {.name = "tile"}};
    const tutti_tune_request request = {
        .node = &node, .candidates = candidates, .n_candidates = 2, .n = 4};
    tutti_tune_result result = {.winner = 1, .time_s = {2e-6, 1e-6}, .note = {"", ""}};
    tutti_tuner t = {
        .kernels = &kernels, .device = &opened, .request = &request, .result = &result};
    char key[TUTTI_DIGEST_HEX] = "";
    if (tutti_cache_open(defaults, &kernels.cache) != TUTTI_OK)
        _exit(1);
    memset(key, first, TUTTI_DIGEST_HEX - 1);
    for (int32_t i = 0; i < count; i++) {
        key[0] = (char)('0' + i / 10);
        key[1] = (char)('0' + i % 10);
        if (tutti_tuner_remember(&t, key) != TUTTI_OK)
            _exit(1);
    }
    _exit(0);
}

static void processes_lose_no_record(void **state) {
    (void)state;
    enum { PROCESSES = 3, RECORDS = 60 };
    tutti_cache *cache;
    tutti_tunings t = {0};
    OK(tutti_cache_open(defaults, &cache));
    tutti_tunings_store(cache, &device, &t);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            remember_many((char)('a' + i), RECORDS);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int how;
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    OK(tutti_tunings_load(cache, &device, &t));
    assert_int_equal(t.n, PROCESSES * RECORDS);
    tutti_tunings_free(&t);
    tutti_cache_close(cache);
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    snprintf(path, sizeof path, "%s/pack.json", directory);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_per_device_keeps_records),
        cmocka_unit_test(processes_lose_no_record),
        cmocka_unit_test(the_oldest_make_room),
        cmocka_unit_test(packs_come_back_unverified),
        cmocka_unit_test(damaged_packs_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
