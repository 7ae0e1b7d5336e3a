/* A device that fails inside a step, by a layer that makes oclgrind's launches fail, beside PoCL:
 *   on_failure "error": the step returns TUTTI_DEVICE_LOST naming the device, and no parameter has
 * changed; on_failure "continue": the step is done again without the device, and training ends in
 * the same loss. */
#include "exec/session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"

enum { BATCH = 8, STEPS = 6, WEIGHTS = 3 * 4 };
static char directory[] = "/tmp/tutti-fail-XXXXXX";
static char armed[64];

static void make_graph(tutti_graph **out, tutti_tensor *x, tutti_tensor *y, tutti_tensor *loss) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    *x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 4});
    *y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    *loss = tutti_softmax_cross_entropy(g, tutti_nn_linear(g, *x, 3, "head", NULL), *y);
    assert_int_equal(tutti_graph_set_loss(g, *loss), TUTTI_OK);
    assert_int_equal(tutti_graph_optimize(
                         g, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.1F, .momentum = 0.9F}),
                     TUTTI_OK);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    *out = g;
}

static void open_session(session *s, const char *devices, const char *on_failure) {
    char json[512];
    snprintf(json, sizeof json,
             "{\"devices\": [%s], \"schedule\": \"data\", \"determinism\": \"reproducible\", "
             "\"on_failure\": \"%s\"}",
             devices, on_failure);
    OK(tutti_profile_parse("test", json, strlen(json), &s->profile));
    make_graph(&s->graph, &s->x, &s->y, &s->loss);
    session_open(s, BATCH, 3);
}

static tutti_status step(session *s, int index, float *loss) {
    float x[BATCH * 4];
    int32_t y[BATCH];
    tutti_rng rng;
    tutti_rng_begin(&rng, 11, (uint64_t)index);
    for (int i = 0; i < BATCH * 4; i++)
        x[i] = tutti_rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        y[i] = (x[4 * i] > 0) + (x[4 * i + 1] > 0);
    const tutti_feed feeds[] = {{s->x, x}, {s->y, y}};
    const tutti_fetch fetch = {s->loss, loss};
    *loss = NAN;
    return tutti_run_step(s->run, TUTTI_TRAIN, BATCH, feeds, 2, &fetch, 1);
}

static void read_weights(session *s, float *out) {
    assert_int_equal(tutti_run_read(s->run, tutti_graph_find(s->graph, "head.weight"), out,
                                    WEIGHTS * sizeof(float)),
                     TUTTI_OK);
}

#define POCL     "{\"match\": {\"platform\": \"Portable*\"}, \"share\": 0.5}"
#define OCLGRIND "{\"match\": {\"platform\": \"Oclgrind*\"}, \"share\": 0.5}"

static void arm(bool on) {
    if (!on) {
        unlink(armed);
        return;
    }
    FILE *file = fopen(armed, "w");
    assert_non_null(file);
    fclose(file);
}

static void test_continue(void **state) {
    (void)state;
    float expected, got, weights[WEIGHTS], expected_weights[WEIGHTS];
    session one, two;
    open_session(&one, "{\"match\": {\"platform\": \"Portable*\"}}", "error");
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(step(&one, i, &expected), TUTTI_OK);
    read_weights(&one, expected_weights);
    session_close(&one);

    open_session(&two, POCL ", " OCLGRIND, "continue");
    for (int i = 0; i < STEPS; i++) {
        arm(i == 2);
        if (step(&two, i, &got) != TUTTI_OK)
            fail_msg("step %d: %s", i, tutti_error_message());
    }
    arm(false);
    assert_true(tutti_run_device(two.run, 1).lost);
    assert_false(tutti_run_device(two.run, 0).lost);
    /* Two steps of half a batch; nothing of the third counts. */
    assert_int_equal(tutti_run_device(two.run, 1).samples, 2 * BATCH / 2);
    assert_int_equal(tutti_run_device(two.run, 0).samples, STEPS * BATCH - 2 * BATCH / 2);
    assert_true(fabsf(got - expected) <= 1e-5F * fabsf(expected));
    read_weights(&two, weights);
    for (int i = 0; i < WEIGHTS; i++)
        assert_true(fabsf(weights[i] - expected_weights[i]) <= 1e-5F);
    session_close(&two);
}

static void test_error(void **state) {
    (void)state;
    float loss, before[WEIGHTS], after[WEIGHTS];
    session s;
    open_session(&s, POCL ", " OCLGRIND, "error");
    assert_int_equal(step(&s, 0, &loss), TUTTI_OK);
    read_weights(&s, before);
    arm(true);
    assert_int_equal(step(&s, 1, &loss), TUTTI_DEVICE_LOST);
    const char *message = tutti_error_message();
    if (strstr(message, "step 2") == NULL || strstr(message, "clEnqueueNDRangeKernel") == NULL ||
        strstr(message, "CL_OUT_OF_RESOURCES") == NULL)
        fail_msg("unexpected message: %s", message);
    arm(false);
    read_weights(&s, after);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(tutti_run_steps(s.run), 1);
    session_close(&s);
}

static void test_owner(void **state) {
    (void)state;
    /* The owner holds the optimizer's state: its loss ends the run whatever the profile says. */
    float loss;
    session s;
    open_session(&s, OCLGRIND, "continue");
    assert_int_equal(step(&s, 0, &loss), TUTTI_OK);
    arm(true);
    assert_int_equal(step(&s, 1, &loss), TUTTI_DEVICE_LOST);
    arm(false);
    session_close(&s);
}

static void write_icd(const char *name, const char *library) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s.icd", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", library);
    fclose(file);
}

static int set_up(void **state) {
    (void)state;
    const char *build = getenv("TUTTI_BUILD_DIR");
    char layer[512];
    if (build == NULL || mkdtemp(directory) == NULL)
        return -1;
    snprintf(armed, sizeof armed, "%s/armed", directory);
    write_icd("pocl", "libpocl.so.2");
    write_icd("oclgrind", "/usr/lib/oclgrind/liboclgrind-rt-icd.so");
    snprintf(layer, sizeof layer, "%s/tests/layer_fault.so", build);
    setenv("OCL_ICD_VENDORS", directory, 1);
    setenv("OPENCL_LAYERS", layer, 1);
    setenv("LAYER_ARMED", armed, 1);
    setenv("LAYER_FAULT", "kernel=-5@1+:Oclgrind", 1);
    setenv("TUTTI_LOG", "off", 1);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_owner),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
