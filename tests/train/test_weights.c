/* Weights in files: what is saved comes back, and bad files change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { FEATURES = 3, CLASSES = 2, N = 12 };

static tutti_profile *profile;
static tutti_runtime *runtime;
static tutti_graph *graph;
static tutti_trainer *trainer;
static tutti_dataset *data;
static char path[64];
static uint64_t seed;

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s: %s", tutti_status_name(status), tutti_error_message());
}

/* Two layers around batch normalisation, whose running statistics are learned too. */
static tutti_graph *make_graph(void) {
    tutti_graph *g;
    ok(tutti_graph_make(&g));
    const int64_t n = FEATURES;
    const tutti_init one = {.kind = TUTTI_INIT_CONSTANT, .a = 1}, zero = {0};
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor h = tutti_batch_norm(g, x, tutti_graph_param(g, "norm \"1\"", 1, &n, one),
                                      tutti_graph_param(g, "beta", 1, &n, zero),
                                      tutti_graph_state(g, "mean", 1, &n, zero),
                                      tutti_graph_state(g, "var", 1, &n, one), 0.1F, 1e-5F);
    tutti_tensor logits = tutti_nn_linear(g, h, CLASSES, "head", NULL);
    tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    tutti_graph_set_output(g, "logits", logits);
    tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 0.1F});
    ok(tutti_graph_freeze(g));
    return g;
}

static int open_all(void **state) {
    (void)state;
    seed = test_seed();
    float x[N * FEATURES];
    int32_t y[N];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    for (int i = 0; i < N * FEATURES; i++)
        x[i] = tutti_rng_normal(&rng);
    for (int i = 0; i < N; i++)
        y[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
    const tutti_shape x_shape = {2, true, {1, FEATURES}}, y_shape = {1, true, {1}};
    ok(tutti_dataset_make(N, &x_shape, x, TUTTI_I32, &y_shape, y, &data));
    static const char json[] = "{\"determinism\": \"reproducible\"}";
    ok(tutti_profile_parse("test", json, sizeof json - 1, &profile));
    ok(tutti_runtime_open(profile, &runtime));
    graph = make_graph();
    ok(tutti_trainer_open(graph, runtime, &(tutti_trainer_options){.batch = N, .seed = seed},
                          &trainer));
    snprintf(path, sizeof path, "/tmp/tutti-weights-%d.safetensors", (int)getpid());
    return 0;
}

static int close_all(void **state) {
    (void)state;
    unlink(path);
    tutti_trainer_close(trainer);
    tutti_graph_free(graph);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    tutti_dataset_free(data);
    return 0;
}

static void digest_now(char out[65]) {
    ok(tutti_trainer_digest(trainer, out));
}

static void train_a_little(void) {
    char before[65], after[65];
    digest_now(before);
    ok(tutti_trainer_fit(trainer, data, NULL, NULL));
    digest_now(after);
    assert_string_not_equal(before, after);
}

static void what_is_saved_comes_back(void **state) {
    (void)state;
    char saved[65], loaded[65];
    train_a_little();
    ok(tutti_weights_save(trainer, path));
    digest_now(saved);
    train_a_little();
    ok(tutti_weights_load(trainer, path));
    digest_now(loaded);
    assert_string_equal(saved, loaded);
}

/* The file as the format's description reads it, not as the library does. */
static void the_file_is_safetensors(void **state) {
    (void)state;
    char *bytes;
    size_t size;
    ok(tutti_weights_save(trainer, path));
    ok(tutti_file_read(path, 1 << 20, &bytes, &size));
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | (unsigned char)bytes[i];
    assert_true(length % 8 == 0 && length + 8 < size);
    const char *entry =
        memmem(bytes + 8, length, "\"head.weight\":{\"dtype\":\"F32\",\"shape\":[2,3]",
               strlen("\"head.weight\":{\"dtype\":\"F32\",\"shape\":[2,3]"));
    assert_non_null(entry);
    long begin, end;
    assert_int_equal(
        sscanf(strstr(entry, "data_offsets"), "data_offsets\":[%ld,%ld]", &begin, &end), 2);
    assert_int_equal(end - begin, 24);
    float expected[6];
    ok(tutti_run_read(tutti_trainer_run(trainer), tutti_graph_find(graph, "head.weight"), expected,
                      sizeof expected));
    assert_memory_equal(bytes + 8 + length + begin, expected, sizeof expected);
    /* Four vectors of three, head.weight, head.bias. */
    assert_int_equal(size - 8 - length, 4 * (4 * 3 + 6 + 2));
    free(bytes);
}

/* Writes a file with that header and `floats` floats that count 1, 2, 3, … behind it. */
static void write_file(const char *header, int floats) {
    char bytes[4096];
    const uint64_t length = strlen(header);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    for (int i = 0; i < floats; i++) {
        const float value = (float)(i + 1);
        memcpy(bytes + 8 + length + 4 * (size_t)i, &value, 4);
    }
    ok(tutti_file_write(path, 0600, bytes, 8 + length + 4 * (size_t)floats));
}

static void refused(const char *message) {
    char before[65], after[65];
    digest_now(before);
    assert_int_equal(tutti_weights_load(trainer, path), TUTTI_BAD_INPUT);
    if (strstr(tutti_error_message(), message) == NULL ||
        strstr(tutti_error_message(), path) == NULL)
        fail_msg("\"%s\" does not contain \"%s\" and the path", tutti_error_message(), message);
    digest_now(after);
    assert_string_equal(before, after);
}

#define VECTORS                                                                                    \
    "\"norm \\\"1\\\"\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"                \
    "\"beta\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]},"                         \
    "\"mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"                         \
    "\"var\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]},"                          \
    "\"head.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[48,56]}"
#define WEIGHT ",\"head.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[56,80]}"

/* Another program's file: other order, no digest, PyTorch's counter. */
static void files_of_others(void **state) {
    (void)state;
    write_file("{" VECTORS WEIGHT ",\"num_batches_tracked\":"
               "{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[80,88]}}",
               22);
    ok(tutti_weights_load(trainer, path));
    float weight[6], mean[3];
    tutti_run *run = tutti_trainer_run(trainer);
    ok(tutti_run_read(run, tutti_graph_find(graph, "head.weight"), weight, sizeof weight));
    ok(tutti_run_read(run, tutti_graph_find(graph, "mean"), mean, sizeof mean));
    for (int i = 0; i < 6; i++)
        assert_true(weight[i] == (float)(15 + i));
    for (int i = 0; i < 3; i++)
        assert_true(mean[i] == (float)(7 + i));
}

/* The weight's six values are the halves of the 15th to 17th float, read as what the file calls them. */
static void narrow_types_are_read(void **state) {
    (void)state;
    static const char *const names[] = {"F16", "BF16"};
    for (int t = 0; t < 2; t++) {
        char header[1024];
        snprintf(header, sizeof header,
                 "{" VECTORS ",\"head.weight\":{\"dtype\":\"%s\",\"shape\":[2,3],"
                 "\"data_offsets\":[56,68]}}",
                 names[t]);
        write_file(header, 17);
        ok(tutti_weights_load(trainer, path));
        float weight[6];
        ok(tutti_run_read(tutti_trainer_run(trainer), tutti_graph_find(graph, "head.weight"),
                          weight, sizeof weight));
        /* 15 is 0x41700000, 16 0x41800000, 17 0x41880000. */
        const float f16[] = {2.71875F, 2.75F, 2.765625F}, bf16[] = {15, 16, 17};
        for (int i = 0; i < 6; i++)
            assert_true(weight[i] == (i % 2 == 0 ? 0.0F : t == 0 ? f16[i / 2] : bf16[i / 2]));
    }
    char header[1024];
    snprintf(header, sizeof header,
             "{" VECTORS ",\"head.weight\":{\"dtype\":\"F16\",\"shape\":"
             "[2,3],\"data_offsets\":[56,80]}}");
    write_file(header, 20);
    refused("tensor \"head.weight\": data_offsets are not two numbers that 12 bytes lie between");
}

static void what_does_not_fit_is_named(void **state) {
    (void)state;
    write_file("{" VECTORS "}", 14);
    refused("there is no tensor \"head.weight\", expected F32 2x3");
    write_file("{" VECTORS WEIGHT ",\"more\":{\"dtype\":\"F32\"}}", 20);
    refused("the graph has nothing that is named \"more\"");
    write_file("{" VECTORS ",\"head.weight\":{\"dtype\":\"F64\",\"shape\":[2,3]}}", 20);
    refused("tensor \"head.weight\" is not F32, F16 or BF16, expected F32 2x3");
    write_file("{" VECTORS ",\"head.weight\":{\"dtype\":\"F32\",\"shape\":[3,2]}}", 20);
    refused("tensor \"head.weight\" is 3x2, expected 2x3");
    write_file("{" VECTORS ",\"head.weight\":{\"dtype\":\"F32\",\"shape\":[2,-3]}}", 20);
    refused("tensor \"head.weight\" is no shape that Tutti knows, expected 2x3");
    write_file("{" VECTORS ",\"head.weight\":7}", 20);
    refused("tensor \"head.weight\" is not F32");
    static const char *const offsets[] = {"[56,76]",     "[60,84]",  "[80,56]", "[-24,0]",
                                          "[56.5,80.5]", "[56]",     "56",      "[1e300,1]",
                                          "{}",          "[null,80]"};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        char header[1024];
        snprintf(header, sizeof header,
                 "{" VECTORS ",\"head.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],"
                 "\"data_offsets\":%s}}",
                 offsets[i]);
        write_file(header, 20);
        refused(
            "tensor \"head.weight\": data_offsets are not two numbers that 24 bytes lie between");
    }
    write_file("[1,2]", 0);
    refused("expected an object");
    write_file("{\"a\":", 0);
    refused("the safetensors header: ");
}

static void a_damaged_file_is_noticed(void **state) {
    (void)state;
    char *bytes;
    size_t size;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    ok(tutti_weights_save(trainer, path));
    ok(tutti_file_read(path, 1 << 20, &bytes, &size));
    for (size_t cut = 0; cut < size; cut += 1 + tutti_rng_below(&rng, 7)) {
        ok(tutti_file_write(path, 0600, bytes, cut));
        refused("");
    }
    const size_t tensors = 4 * (4 * 3 + 6 + 2);
    for (int i = 0; i < 20; i++) {
        const size_t at = size - 1 - tutti_rng_below(&rng, (uint32_t)tensors);
        const char good = bytes[at];
        bytes[at] ^= (char)(1 << tutti_rng_below(&rng, 8));
        ok(tutti_file_write(path, 0600, bytes, size));
        refused("the file is damaged: the digest of its weights is ");
        bytes[at] = good;
    }
    free(bytes);
}

static void paths_that_are_not_there(void **state) {
    (void)state;
    assert_int_equal(tutti_weights_load(trainer, "/nowhere/w.safetensors"), TUTTI_IO);
    assert_non_null(strstr(tutti_error_message(), "/nowhere/w.safetensors"));
    assert_int_equal(tutti_weights_save(trainer, "/nowhere/w.safetensors"), TUTTI_IO);
    assert_non_null(strstr(tutti_error_message(), "/nowhere/w.safetensors"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_saved_comes_back),
        cmocka_unit_test(the_file_is_safetensors),
        cmocka_unit_test(files_of_others),
        cmocka_unit_test(narrow_types_are_read),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(a_damaged_file_is_noticed),
        cmocka_unit_test(paths_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
