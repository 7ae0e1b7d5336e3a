/* States that nodes of the step read: what an update makes of them on the owner reaches every
 * device, also one that sat out steps; they can be read and set. Two sub-devices of PoCL. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "op/ops.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { BATCH = 9, WIDTH = 5 };

static const char devices[] =
    "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}, \"partition\": [1, 1]}]}";

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

typedef struct model {
    tutti_graph *graph;
    tutti_tensor x, running, y, loss;
} model;

/* y = w (x - centre), the centre being the batch's mean when training, else the running mean. */
static void make(model *m) {
    ok(tutti_graph_make(&m->graph));
    tutti_graph *g = m->graph;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, WIDTH});
    m->running = tutti_graph_state(g, "running", 1, (int64_t[]){WIDTH},
                                   (tutti_init){.kind = TUTTI_INIT_CONSTANT, .a = 0.5F});
    const tutti_tensor w = tutti_graph_param(g, "w", 1, (int64_t[]){WIDTH},
                                             (tutti_init){.kind = TUTTI_INIT_CONSTANT, .a = 1});
    const tutti_tensor mean = tutti_mean(g, m->x, 1, (int32_t[]){0}, false);
    ok(tutti_running_average(g, m->running, mean, &(tutti_running_average_attr){.momentum = 0.25}));
    m->y = tutti_mul(g, w, tutti_sub(g, m->x, tutti_by_mode(g, mean, m->running)));
    m->loss = tutti_mean(g, tutti_mul(g, m->y, m->y), 0, NULL, false);
    ok(tutti_graph_set_loss(g, m->loss));
    ok(tutti_graph_set_output(g, "y", m->y));
    ok(tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 1e-30F}));
    ok(tutti_graph_freeze(g));
}

static void draw(tutti_rng *rng, float *x, double mean[WIDTH]) {
    for (int k = 0; k < WIDTH; k++)
        mean[k] = 0;
    for (int i = 0; i < BATCH * WIDTH; i++) {
        x[i] = tutti_rng_uniform(rng) * 2 + (float)(i % WIDTH);
        mean[i % WIDTH] += (double)x[i] / BATCH;
    }
}

/* Evaluates with these shares; y must be x - centre. */
static void check(const model *m, tutti_run *run, const double *shares, const float *x,
                  const double *centre, const char *when) {
    float y[BATCH * WIDTH], running[WIDTH];
    memset(y, 0xff, sizeof y);
    memset(running, 0xff, sizeof running);
    ok(tutti_run_set_shares(run, shares));
    ok(tutti_run_step(run, TUTTI_PREDICT, BATCH, &(tutti_feed){m->x, x}, 1, &(tutti_fetch){m->y, y},
                      1));
    for (int i = 0; i < BATCH * WIDTH; i++)
        if (!(fabs((double)y[i] - ((double)x[i] - centre[i % WIDTH])) < 1e-5))
            fail_msg("%s, shares %g/%g: y[%d] is %g, expected %g", when, shares[0], shares[1], i,
                     (double)y[i], (double)x[i] - centre[i % WIDTH]);
    ok(tutti_run_read(run, m->running, running, sizeof running));
    for (int k = 0; k < WIDTH; k++)
        assert_true(fabs((double)running[k] - centre[k]) < 1e-5);
}

static void test_states(void **state) {
    (void)state;
    static const double shares[][2] = {{1, 0}, {0, 1}, {0.5, 0.5}, {0.9, 0.1}, {0, 1}, {1, 0}};
    const uint64_t seed = test_seed();
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_plan *plan;
    tutti_run *run;
    model m;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    ok(tutti_profile_parse("test", devices, strlen(devices), &profile));
    ok(tutti_runtime_open(profile, &runtime));
    assert_int_equal(tutti_runtime_device_count(runtime), 2);
    make(&m);
    ok(tutti_plan_make(m.graph, runtime, &(tutti_plan_options){.batch = BATCH}, &plan));
    ok(tutti_run_open(plan, NULL, &run));
    float x[BATCH * WIDTH];
    double mean[WIDTH], centre[WIDTH];
    for (int k = 0; k < WIDTH; k++)
        centre[k] = 0.5;
    draw(&rng, x, mean);
    check(&m, run, shares[1], x, centre, "at start");
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        for (int step = 0; step < 3; step++) {
            draw(&rng, x, mean);
            float loss = NAN;
            ok(tutti_run_set_shares(run, shares[s]));
            ok(tutti_run_step(run, TUTTI_TRAIN, BATCH, &(tutti_feed){m.x, x}, 1,
                              &(tutti_fetch){m.loss, &loss}, 1));
            double expected = 0;
            for (int i = 0; i < BATCH * WIDTH; i++)
                expected += pow((double)x[i] - mean[i % WIDTH], 2) / (BATCH * WIDTH);
            assert_true(fabs((double)loss - expected) < 1e-5 * expected);
            for (int k = 0; k < WIDTH; k++)
                centre[k] = 0.75 * centre[k] + 0.25 * mean[k];
        }
        for (size_t e = 0; e < sizeof shares / sizeof *shares; e++)
            check(&m, run, shares[(s + e) % 6], x, centre, "after training");
    }
    float set[WIDTH];
    for (int k = 0; k < WIDTH; k++)
        centre[k] = (double)(set[k] = tutti_rng_uniform(&rng));
    ok(tutti_run_write(run, m.running, set, sizeof set));
    for (size_t e = 0; e < sizeof shares / sizeof *shares; e++)
        check(&m, run, shares[e], x, centre, "after setting");
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_graph_free(m.graph);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
