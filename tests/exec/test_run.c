/* The run's contract on one device: what it refuses, scalars, reading and writing parameters,
 * memory as planned, seeds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "comm/local.h"
#include "exec/run.h"
#include "plan/plan.h"
#include "tutti/tutti.h"

enum { BATCH = 6 };

static struct {
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_graph *graph;
    tutti_plan *plan;
    tutti_tensor x, y, loss, out;
} env;

static int set_up(void **state) {
    (void)state;
    if (tutti_profile_open("cpu", &env.profile) != TUTTI_OK ||
        tutti_runtime_open(env.profile, &env.runtime) != TUTTI_OK ||
        tutti_graph_make(&env.graph) != TUTTI_OK) {
        print_error("%s\n", tutti_error_message());
        return -1;
    }
    tutti_graph *g = env.graph;
    env.x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 5});
    env.y = tutti_graph_input(g, "y", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 2});
    env.out =
        tutti_nn_linear(g, tutti_tanh(g, tutti_nn_linear(g, env.x, 7, "a", NULL)), 2, "b", NULL);
    env.loss = tutti_mse(g, env.out, env.y);
    (void)tutti_graph_set_loss(g, env.loss);
    (void)tutti_graph_set_output(g, "out", env.out);
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.5F});
    if (tutti_graph_freeze(g) != TUTTI_OK ||
        tutti_plan_make(g, env.runtime, &(tutti_plan_options){.batch = BATCH}, &env.plan) !=
            TUTTI_OK) {
        print_error("%s\n", tutti_error_message());
        return -1;
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tutti_plan_free(env.plan);
    tutti_graph_free(env.graph);
    tutti_runtime_close(env.runtime);
    tutti_profile_free(env.profile);
    return 0;
}

static tutti_run *open_run(uint64_t seed) {
    tutti_run *run;
    if (tutti_run_open(env.plan, &(tutti_run_options){.seed = seed}, &run) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    return run;
}

static void expect(tutti_status got, tutti_status wanted, const char *text) {
    if (got != wanted || strstr(tutti_error_message(), text) == NULL)
        fail_msg("%s: \"%s\", expected %s with \"%s\"", tutti_status_name(got),
                 tutti_error_message(), tutti_status_name(wanted), text);
}

static void test_refusals(void **state) {
    (void)state;
    tutti_run *run = open_run(1);
    float x[BATCH * 5] = {0}, y[BATCH * 2] = {0}, loss;
    const tutti_feed both[] = {{env.x, x}, {env.y, y}}, twice[] = {{env.x, x}, {env.x, x}};
    const tutti_feed none[] = {{env.x, NULL}, {env.y, y}}, wrong[] = {{env.x, x}, {env.loss, y}};
    const tutti_fetch fetch = {env.loss, &loss}, bad = {env.x, &loss};
    const tutti_status refused = TUTTI_INVALID_ARGUMENT;
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH, both, 1, &fetch, 1), refused,
           "\"y\" is not fed");
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH, twice, 2, &fetch, 1), refused,
           "\"x\" is fed twice");
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH, none, 2, &fetch, 1), refused, "no data");
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH, wrong, 2, &fetch, 1), refused, "not an input");
    expect(tutti_run_step(run, TUTTI_TRAIN, 0, both, 2, &fetch, 1), refused, "expected 1 to 6");
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH + 1, both, 2, &fetch, 1), refused, "7 samples");
    expect(tutti_run_step(run, TUTTI_TRAIN, BATCH, both, 2, &bad, 1), refused, "fetch 0");
    expect(tutti_run_step(run, (tutti_mode)9, BATCH, both, 2, &fetch, 1), refused, "mode is 9");
    /* Labels need not be fed to predict, and the loss cannot be fetched then. */
    expect(tutti_run_step(run, TUTTI_PREDICT, BATCH, both, 1, &fetch, 1), refused, "fetch 0");
    float out[BATCH * 2];
    const tutti_fetch prediction = {env.out, out};
    assert_int_equal(tutti_run_step(run, TUTTI_PREDICT, BATCH, both, 1, &prediction, 1), TUTTI_OK);

    float value;
    expect(tutti_run_set_scalar(run, "rate", 1), refused, "\"rate\"");
    assert_int_equal(tutti_run_get_scalar(run, "lr", &value), TUTTI_OK);
    assert_true(value == 0.5F);
    tutti_tensor weight = tutti_graph_find(env.graph, "a.weight");
    expect(tutti_run_read(run, weight, x, 8), refused, "\"a.weight\": 8 bytes, expected 140");
    expect(tutti_run_read(run, env.x, x, 8), refused, "no parameter");
    expect(tutti_run_set_shares(run, (double[]){0.5}), refused, "sum to 0.5");
    expect(tutti_run_set_shares(run, (double[]){-1}), refused, "-1");
    assert_int_equal(tutti_run_steps(run), 0);
    tutti_run_close(run);
    tutti_run_close(NULL);
}

static void random_batch(float *x, float *y, uint64_t seed) {
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int i = 0; i < BATCH * 5; i++)
        x[i] = tutti_rng_normal(&rng);
    for (int i = 0; i < BATCH * 2; i++)
        y[i] = tutti_rng_normal(&rng);
}

static void test_training(void **state) {
    (void)state;
    float x[BATCH * 5], y[BATCH * 2], first = NAN, last = NAN, same = NAN, before[35], after[35];
    random_batch(x, y, 5);
    const tutti_feed feeds[] = {{env.x, x}, {env.y, y}};
    tutti_tensor weight = tutti_graph_find(env.graph, "a.weight");
    tutti_run *run = open_run(1), *again = open_run(1), *other = open_run(2);
    assert_int_equal(tutti_run_read(run, weight, before, sizeof before), TUTTI_OK);
    assert_int_equal(tutti_run_read(again, weight, after, sizeof after), TUTTI_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(tutti_run_read(other, weight, after, sizeof after), TUTTI_OK);
    assert_memory_not_equal(before, after, sizeof before);

    /* A learning rate of 0 changes nothing. */
    assert_int_equal(tutti_run_set_scalar(run, "lr", 0), TUTTI_OK);
    const tutti_fetch fetch = {env.loss, &first}, fetch_same = {env.loss, &same};
    assert_int_equal(tutti_run_step(run, TUTTI_TRAIN, BATCH, feeds, 2, &fetch, 1), TUTTI_OK);
    assert_int_equal(tutti_run_read(run, weight, after, sizeof after), TUTTI_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(tutti_run_set_scalar(run, "lr", 0.2F), TUTTI_OK);
    const tutti_fetch fetch_last = {env.loss, &last};
    for (int i = 0; i < 50; i++)
        assert_int_equal(tutti_run_step(run, TUTTI_TRAIN, BATCH, feeds, 2, &fetch_last, 1),
                         TUTTI_OK);
    assert_true(last < 0.7F * first);
    assert_int_equal(tutti_run_steps(run), 51);
    tutti_run_device_stats stats = tutti_run_device(run, 0);
    assert_int_equal(stats.samples, 51 * BATCH);
    assert_true(stats.share == 1.0 && stats.busy_s > 0 && !stats.lost);
    assert_true(tutti_run_first_step_s(run) > 0);

    /* Written weights count from the next step on. */
    assert_int_equal(tutti_run_write(run, weight, before, sizeof before), TUTTI_OK);
    tutti_tensor rest[] = {tutti_graph_find(env.graph, "a.bias"),
                           tutti_graph_find(env.graph, "b.weight"),
                           tutti_graph_find(env.graph, "b.bias")};
    for (int i = 0; i < 3; i++) {
        float values[16];
        tutti_shape shape = tutti_graph_tensor_shape(env.graph, rest[i]);
        size_t size = (size_t)tutti_shape_count(&shape, 1) * sizeof(float);
        assert_int_equal(tutti_run_read(again, rest[i], values, size), TUTTI_OK);
        assert_int_equal(tutti_run_write(run, rest[i], values, size), TUTTI_OK);
    }
    assert_int_equal(tutti_run_step(run, TUTTI_EVAL, BATCH, feeds, 2, &fetch_same, 1), TUTTI_OK);
    assert_true(same == first);
    tutti_run_close(run);
    tutti_run_close(again);
    tutti_run_close(other);
}

static void test_memory(void **state) {
    (void)state;
    tutti_run *run = open_run(1);
    uint64_t planned = 0;
    for (int32_t i = 0; i < env.plan->devices[0].n_chunks; i++)
        planned += env.plan->devices[0].chunk_bytes[i];
    assert_true(planned > 0);
    assert_int_equal(tutti_plan_memory_bytes(env.plan, 0), planned);
    assert_int_equal(tutti_run_device(run, 0).memory_bytes, planned);
    tutti_run_close(run);
}

static void test_sums(void **state) {
    (void)state;
    enum { COUNT = 5000, PARTS = 3 };
    static float values[PARTS][COUNT], out[COUNT];
    const float *parts[PARTS];
    for (int p = 0; p < PARTS; p++) {
        for (int i = 0; i < COUNT; i++)
            values[p][i] = (float)(i * (p + 1) % 97) * 0.1F;
        parts[p] = values[p];
    }
    tutti_sum_parts(out, parts, PARTS, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(out[i] == values[0][i] + values[1][i] + values[2][i]);
    /* In place, into any of the parts. */
    tutti_sum_parts(values[1], parts, PARTS, COUNT);
    assert_memory_equal(values[1], out, sizeof out);
}

/* Two halves of the CPU, shares left open, nothing measured: the same split and bits each time. */
static void test_reproducible(void **state) {
    (void)state;
    static const char json[] =
        "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}, \"partition\": 2}], "
        "\"schedule\": \"data\", \"determinism\": \"reproducible\"}";
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_plan *plan;
    if (tutti_profile_parse("test", json, strlen(json), &profile) != TUTTI_OK ||
        tutti_runtime_open(profile, &runtime) != TUTTI_OK ||
        tutti_plan_make(env.graph, runtime, &(tutti_plan_options){.batch = BATCH}, &plan) !=
            TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    float x[BATCH * 5], y[BATCH * 2], losses[2][4];
    double models[2][4];
    int64_t counts[2][4];
    tutti_rng rng;
    tutti_rng_begin(&rng, 5, 0);
    for (int i = 0; i < BATCH * 5; i++)
        x[i] = tutti_rng_normal(&rng);
    for (int i = 0; i < BATCH * 2; i++)
        y[i] = tutti_rng_normal(&rng);
    for (int k = 0; k < 2; k++) {
        tutti_run *run;
        if (tutti_run_open(plan, &(tutti_run_options){.seed = 2}, &run) != TUTTI_OK)
            fail_msg("%s", tutti_error_message());
        assert_int_equal(run->n_members, 2);
        for (int i = 0; i < 2; i++) {
            models[k][2 * i] = run->models[i].fixed_s;
            models[k][2 * i + 1] = run->models[i].per_sample_s;
            assert_true(run->models[i].per_sample_s > 0);
        }
        const tutti_feed feeds[] = {{env.x, x}, {env.y, y}};
        for (int i = 0; i < 4; i++) {
            const tutti_fetch fetch = {env.loss, &losses[k][i]};
            assert_int_equal(tutti_run_step(run, TUTTI_TRAIN, BATCH, feeds, 2, &fetch, 1),
                             TUTTI_OK);
            assert_int_equal(run->counts[0] + run->counts[1], BATCH);
            counts[k][i] = run->counts[0];
        }
        tutti_run_close(run);
    }
    assert_memory_equal(models[0], models[1], sizeof models[0]);
    assert_memory_equal(counts[0], counts[1], sizeof counts[0]);
    assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
    tutti_plan_free(plan);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_training),
        cmocka_unit_test(test_memory),       cmocka_unit_test(test_sums),
        cmocka_unit_test(test_reproducible),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
