#include "fixture.h"
#include "kernel/tune.h"
#include "kernel/tunings.h"

static char directory[512];
static tutti_device device;

/* y = 2 x, with candidates that are right, wrong, slow or broken. */
static void double_ref(const tutti_ref_call *call) {
    int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        ((float *)call->out[0])[i] = (float)(2.0 * (double)((const float *)call->in[0])[i]);
}

static tutti_cost double_cost(const tutti_node_info *node, int64_t n) {
    double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){.flops = count, .bytes = 8 * count};
}

static const tutti_op double_op = {.name = "double",
                                   .n_in_min = 1,
                                   .n_in_max = 1,
                                   .n_out = 1,
                                   .cost = double_cost,
                                   .ref = double_ref};

/* x += 1 in place. */
static void bump_ref(const tutti_ref_call *call) {
    int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        ((float *)call->in[0])[i] += 1.0F;
}

static const tutti_op bump_op = {.name = "bump",
                                 .n_in_min = 1,
                                 .n_in_max = 1,
                                 .n_out = 1,
                                 .flags = TUTTI_OP_UPDATE,
                                 .mutates = 1,
                                 .ref = bump_ref};

#define KERNEL(name, body)                                                                         \
    "__kernel void " name "(int n, __global const float *x, __global float *y) {\n"                \
    "    int i = get_global_id(0);\n"                                                              \
    "    if (i >= n) return;\n" body "}\n"

static const char right_source[] = KERNEL("right", "y[i] = x[i] + x[i];\n");
static const char slow_source[] =
    KERNEL("slow", "float s = 0; for (int k = 0; k < 4000; k++) s = s * 0.5f + x[(i + k) % n];\n"
                   "y[i] = s == 12345.0f ? 0.0f : 2 * x[i];\n");
static const char wrong_source[] =
    KERNEL("wrong", "y[i] = i == n - 1 ? 2.01f * x[i] : 2 * x[i];\n");
static const char lazy_source[] = KERNEL("lazy", "if (i != n / 2) y[i] = 2 * x[i];\n");
static const char nan_source[] = KERNEL("makes_nan", "y[i] = i == 3 ? NAN : 2 * x[i];\n");
static const char broken_source[] = KERNEL("broken", "y[i] = 2 * x[i] +;\n");
static const char wide_source[] = "__kernel __attribute__((reqd_work_group_size(8, 1, 1)))\n"
                                  "void wide(int n, __global const float *x, __global float *y) {\n"
                                  "    int i = get_global_id(0);\n"
                                  "    if (i < n) y[i] = 2 * x[i];\n"
                                  "}\n";
static const char half_percent_source[] =
    "__kernel void half_percent(int n, __global const float *x, __global float *y) {\n"
    "    int i = get_global_id(0);\n"
    "    if (i < n) y[i] = 2.01f * x[i];\n"
    "}\n";
static const char bump_source[] = "__kernel void bump(int n, __global float *x) {\n"
                                  "    int i = get_global_id(0);\n"
                                  "    if (i < n) x[i] += 1;\n"
                                  "}\n";

typedef struct world {
    tutti_type type;
    tutti_tensor in, out;
    tutti_node_info node;
    tutti_arg args[8][3];
    tutti_launch launches[8];
    tutti_candidate candidates[8];
    tutti_tune_request request;
} world;

static void make_world(world *w, const tutti_op *op, int64_t per_sample) {
    *w = (world){.type = {TUTTI_F32, {.rank = 2, .batched = true, .dim = {1, per_sample}}},
                 .in = {1},
                 .out = {2}};
    w->node = (tutti_node_info){.op = op,
                                .n_in = 1,
                                .n_out = 1,
                                .in = &w->in,
                                .out = &w->out,
                                .in_type = &w->type,
                                .out_type = &w->type};
    w->request = (tutti_tune_request){.node = &w->node,
                                      .candidates = w->candidates,
                                      .n = 16,
                                      .tolerance = 1e-4F,
                                      .budget_s = 0.2};
}

static void add_candidate(world *w, const char *name, const char *source, int64_t local) {
    int32_t c = w->request.n_candidates++;
    tutti_launch *launch = &w->launches[c];
    w->args[c][0] = (tutti_arg){.kind = TUTTI_ARG_I32, .u.i32 = {0, w->type.shape.dim[1]}};
    w->args[c][1] = (tutti_arg){.kind = TUTTI_ARG_TENSOR, .u.tensor = w->in};
    w->args[c][2] = (tutti_arg){.kind = TUTTI_ARG_TENSOR, .u.tensor = w->out};
    *launch = (tutti_launch){.source = source,
                             .entry = name,
                             .options = "",
                             .args = w->args[c],
                             .n_args = w->node.op->mutates != 0 ? 2 : 3,
                             .rank = 1};
    launch->range[0] =
        (tutti_range){.items = {0, w->type.shape.dim[1]}, .per_item = 1, .local = local};
    w->candidates[c] = (tutti_candidate){.name = name, .launches = launch, .n_launches = 1};
}

static tutti_kernels *make_kernels(const tutti_profile *profile) {
    tutti_kernels *kernels;
    OK(tutti_kernels_make(profile, &device, &kernels));
    return kernels;
}

static void what_rounds_has_a_tolerance_of_its_own(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 64);
    add_candidate(&w, "half_percent", half_percent_source, 16);
    add_candidate(&w, "half_percent", half_percent_source, 16);
    add_candidate(&w, "half_percent", half_percent_source, 16);
    w.candidates[0].tolerance = 4e-3F;
    w.candidates[1].tolerance = 6e-3F;
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 1);
    assert_non_null(strstr(result.note[0], "too far from f32 (error 5."));
    assert_string_equal(result.note[1], "");
    assert_non_null(strstr(result.note[2], "wrong result (error 5."));
    tutti_kernels_free(kernels);
}

static void wrong_and_broken_candidates_are_rejected(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 64);
    add_candidate(&w, "wrong", wrong_source, 16);
    add_candidate(&w, "lazy", lazy_source, 16);
    add_candidate(&w, "makes_nan", nan_source, 16);
    add_candidate(&w, "broken", broken_source, 16);
    add_candidate(&w, "wide", wide_source, 16);
    add_candidate(&w, "slow", slow_source, 16);
    add_candidate(&w, "right", right_source, 16);
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_false(result.from_disk);
    assert_int_equal(result.winner, 6);
    static const char *const notes[] = {
        "wrong result", "wrong result", "wrong result", "does not compile", "does not run", "", ""};
    for (int c = 0; c < 7; c++) {
        assert_int_equal(isnan(result.time_s[c]) != 0, c < 5);
        assert_true(strncmp(result.note[c], notes[c], strlen(notes[c])) == 0);
        assert_true((result.note[c][0] == '\0') == (notes[c][0] == '\0'));
    }
    assert_non_null(strstr(result.note[3], "broken:4: "));
    assert_true(result.time_s[5] > 3 * result.time_s[6]);
    /* What was wrong for a plan's other programs: those of trials are not built for them. */
    tutti_kernels_free(kernels);

    kernels = make_kernels(NULL);
    tutti_tune_result again;
    OK(tutti_tune(kernels, &w.request, &again));
    assert_true(again.from_disk);
    assert_int_equal(tutti_kernels_stats(kernels).programs, 0);
    assert_int_equal(again.winner, result.winner);
    for (int c = 0; c < 7; c++) {
        assert_true(again.time_s[c] == result.time_s[c] || isnan(result.time_s[c]));
        assert_true(strncmp(again.note[c], notes[c], strlen(notes[c])) == 0);
    }
    w.request.n = 31; /* of the same class of batches */
    OK(tutti_tune(kernels, &w.request, &again));
    assert_true(again.from_disk);
    w.request.n = 32;
    OK(tutti_tune(kernels, &w.request, &again));
    assert_false(again.from_disk);
    w.request.n = 16;
    w.launches[6].options = "-DOTHER"; /* another program: measured again */
    OK(tutti_tune(kernels, &w.request, &again));
    assert_false(again.from_disk);
    tutti_kernels_free(kernels);
}

static void all_wrong_gives_no_winner(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 7);
    add_candidate(&w, "lazy", lazy_source, 16);
    add_candidate(&w, "wrong", wrong_source, 16);
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, -1);
    w.launches[0].file = "no_such_file.cl";
    w.launches[0].source = NULL;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, -1);
    assert_non_null(strstr(result.note[0], "no_such_file.cl"));
    tutti_kernels_free(kernels);
}

static void inputs_that_change_are_fresh(void **state) {
    (void)state;
    world w;
    make_world(&w, &bump_op, 100);
    add_candidate(&w, "bump", bump_source, 16);
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 0);
    assert_true(result.time_s[0] > 0);
    tutti_kernels_free(kernels);
}

static void no_cache_remembers_nothing(void **state) {
    (void)state;
    const tutti_profile profile = {.cache_mode = TUTTI_CACHE_OFF};
    world w;
    make_world(&w, &double_op, 12);
    add_candidate(&w, "right", right_source, 16);
    tutti_kernels *kernels = make_kernels(&profile);
    tutti_tune_result result;
    for (int i = 0; i < 2; i++) {
        OK(tutti_tune(kernels, &w.request, &result));
        assert_false(result.from_disk);
        assert_int_equal(result.winner, 0);
    }
    tutti_kernels_free(kernels);
}

static void interpreters_measure_little(void **state) {
    (void)state;
    tutti_device plain = device;
    device.quirks |= TUTTI_QUIRK_INTERPRETER;
    world w;
    make_world(&w, &double_op, 64);
    add_candidate(&w, "slow", slow_source, 16);
    add_candidate(&w, "right", right_source, 16);
    w.request.budget_s = 1e-7;
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 0); /* the first was run */
    assert_string_equal(result.note[1], "not measured");
    assert_true(isnan(result.time_s[1]));
    make_world(&w, &double_op, 1 << 23);
    add_candidate(&w, "slow", slow_source, 16); /* would take hours */
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 0);
    assert_string_equal(result.note[0], "not measured");
    tutti_kernels_free(kernels);
    device = plain;
}

static void lack_of_memory_is_not_remembered(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 72);
    add_candidate(&w, "right", right_source, 16);
    add_candidate(&w, "slow", slow_source, 16);
    const uint64_t plenty = device.info.max_alloc_bytes;
    device.info.max_alloc_bytes = 16;
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 0);
    assert_string_equal(result.note[0], "not measured");
    assert_int_equal(tutti_kernels_stats(kernels).programs, 0);
    device.info.max_alloc_bytes = plenty;
    for (int i = 0; i < 2; i++) {
        OK(tutti_tune(kernels, &w.request, &result));
        assert_true(result.from_disk == (i == 1));
        assert_int_equal(result.winner, 0);
        assert_true(result.time_s[1] > result.time_s[0]);
    }
    tutti_kernels_free(kernels);
}

/* On PoCL a routine takes seconds to build: not for microseconds. */
static void routines_must_be_worth_their_build(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 64);
    add_candidate(&w, "right", right_source, 16);
    add_candidate(&w, "routine", right_source, 16);
    w.launches[1].source = NULL;
    w.launches[1].routine = "clblast_sgemm";
    tutti_kernels *kernels = make_kernels(NULL);
    tutti_tune_result result;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 0);
    assert_string_equal(result.note[1], "not measured, slow to build");
    tutti_kernels_free(kernels);
    tutti_device plain = device;
    device.quirks = 0;
    setenv("POCL_KERNEL_CACHE", "0", 1);
    kernels = make_kernels(NULL);
    w.request.n = 100;
    OK(tutti_tune(kernels, &w.request, &result)); /* tried, with arguments that do not fit */
    assert_non_null(strstr(result.note[1], "does not run: routine clblast_sgemm takes 8"));
    tutti_kernels_free(kernels);
    unsetenv("POCL_KERNEL_CACHE");
    device = plain;
}

/* Marks what is remembered as brought by a pack, with another winner when winner >= 0. */
static void pretend_pack(int32_t winner) {
    tutti_cache *cache;
    tutti_tunings t;
    OK(tutti_cache_open(NULL, &cache));
    OK(tutti_tunings_load(cache, &device.info, &t));
    assert_true(t.n > 0);
    for (int32_t i = 0; i < t.n; i++) {
        t.items[i].verified = false;
        if (winner >= 0 && winner < t.items[i].n_candidates)
            t.items[i].winner = winner;
    }
    tutti_tunings_store(cache, &device.info, &t);
    tutti_tunings_free(&t);
    tutti_cache_close(cache);
}

static void packs_are_checked_before_they_are_trusted(void **state) {
    (void)state;
    world w;
    make_world(&w, &double_op, 48);
    add_candidate(&w, "slow", slow_source, 16);
    add_candidate(&w, "right", right_source, 16);
    add_candidate(&w, "wrong", wrong_source, 16);
    tutti_tune_result result;
    tutti_kernels *kernels = make_kernels(NULL);
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 1);
    const double time_s = result.time_s[1];
    tutti_kernels_free(kernels);

    pretend_pack(-1);
    kernels = make_kernels(NULL);
    w.request.budget_s = 0; /* recalling trusts nothing */
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, -1);
    assert_int_equal(result.hint, 1);
    w.request.budget_s = 0.2;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 1);
    assert_true(result.from_disk);
    assert_true(result.time_s[1] == time_s);
    assert_int_equal(tutti_kernels_stats(kernels).programs, 1); /* of the winner only */
    tutti_kernels_free(kernels);

    pretend_pack(2); /* computes wrong on this device */
    kernels = make_kernels(NULL);
    OK(tutti_tune(kernels, &w.request, &result));
    assert_int_equal(result.winner, 1);
    assert_false(result.from_disk);
    assert_non_null(strstr(result.note[2], "wrong result"));
    tutti_kernels_free(kernels);

    kernels = make_kernels(NULL); /* and is known from now on */
    OK(tutti_tune(kernels, &w.request, &result));
    assert_true(result.from_disk);
    assert_int_equal(result.winner, 1);
    w.request.again = true;
    OK(tutti_tune(kernels, &w.request, &result));
    assert_false(result.from_disk);
    tutti_kernels_free(kernels);
}

static int setup(void **state) {
    (void)state;
    fixture_environment(directory);
    return fixture_open("Portable Computing", &device) ? 0 : 1;
}

static int teardown(void **state) {
    (void)state;
    fixture_close(&device);
    fixture_remove(directory);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_and_broken_candidates_are_rejected),
        cmocka_unit_test(what_rounds_has_a_tolerance_of_its_own),
        cmocka_unit_test(all_wrong_gives_no_winner),
        cmocka_unit_test(inputs_that_change_are_fresh),
        cmocka_unit_test(no_cache_remembers_nothing),
        cmocka_unit_test(interpreters_measure_little),
        cmocka_unit_test(lack_of_memory_is_not_remembered),
        cmocka_unit_test(routines_must_be_worth_their_build),
        cmocka_unit_test(packs_are_checked_before_they_are_trusted),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
