/* A step replays: behind the first nothing is built, made or allocated on the device, arguments are
 * set only when their value changes, and the host waits once. Counted by a layer below the library. */
#include "exec/session.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"
#include "seed.h"
#include "tutti/nn.h"

enum { ENQUEUED, ARGUMENTS, MADE, BUILT, FLUSHES, WAITS, EVENTS, N_COUNTS };
enum { BATCH = 32, FEATURES = 20, CLASSES = 5, STEPS = 25, DEPTH = 12 };

static char directory[] = "/tmp/tutti-replay-XXXXXX";
static volatile int *counts;
static float features[BATCH * FEATURES];
static int32_t labels[BATCH];

/* Deep enough that a queue must be told to begin before the last kernel is in it. */
static void open_session(session *s, float dropout) {
    OK(tutti_graph_make(&s->graph));
    tutti_graph *g = s->graph;
    s->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    s->y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor h = s->x;
    for (int i = 0; i < DEPTH; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", i);
        h = tutti_relu(g, tutti_nn_linear(g, h, FEATURES, name, NULL));
    }
    if (dropout > 0)
        h = tutti_dropout(g, h, dropout);
    s->loss = tutti_softmax_cross_entropy(g, tutti_nn_linear(g, h, CLASSES, "head", NULL), s->y);
    OK(tutti_graph_set_loss(g, s->loss));
    OK(tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 0.01F}));
    OK(tutti_graph_freeze(g));
    /* Nothing is measured: candidates are not what this is about, and cost most of its time. */
    static const char json[] = "{\"devices\": [{\"match\": {\"type\": \"cpu\", \"index\": 0}}], "
                               "\"determinism\": \"reproducible\"}";
    OK(tutti_profile_parse("test", json, sizeof json - 1, &s->profile));
    session_open(s, BATCH, 1);
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    for (int i = 0; i < BATCH * FEATURES; i++)
        features[i] = tutti_rng_uniform(&rng) - 0.5F;
    for (int i = 0; i < BATCH; i++)
        labels[i] = (int32_t)tutti_rng_below(&rng, CLASSES);
}

static void step(session *s) {
    const tutti_feed feeds[] = {{s->x, features}, {s->y, labels}};
    float loss = NAN;
    OK(tutti_run_step(s->run, TUTTI_TRAIN, BATCH, feeds, 2, &(tutti_fetch){s->loss, &loss}, 1));
    assert_true(isfinite(loss));
}

/* Counts of STEPS steps behind the first. */
static void count_steps(session *s, int result[N_COUNTS]) {
    step(s);
    int before[N_COUNTS];
    for (int i = 0; i < N_COUNTS; i++)
        before[i] = counts[i];
    for (int i = 0; i < STEPS; i++)
        step(s);
    for (int i = 0; i < N_COUNTS; i++)
        result[i] = counts[i] - before[i];
}

static void nothing_is_made_behind_the_first_step(void **state) {
    (void)state;
    session s;
    int n[N_COUNTS];
    open_session(&s, 0);
    assert_true(counts[BUILT] > 0 && counts[MADE] > 0 && counts[ARGUMENTS] > 0); /* it counts */
    count_steps(&s, n);
    assert_int_equal(n[BUILT], 0);
    assert_int_equal(n[MADE], 0);
    assert_int_equal(n[ARGUMENTS], 0);
    assert_int_equal(n[EVENTS], STEPS); /* of the loss */
    assert_int_equal(n[WAITS], STEPS);
    assert_int_equal(n[ENQUEUED] % STEPS, 0);
    assert_true(n[ENQUEUED] / STEPS > 2 * DEPTH);
    /* The device begins before the last kernel is enqueued. */
    assert_true(n[FLUSHES] >= 2 * STEPS);
    session_close(&s);
}

static void only_what_changes_is_set(void **state) {
    (void)state;
    session s;
    int n[N_COUNTS];
    open_session(&s, 0.1F);
    count_steps(&s, n);
    /* The number of the step, for the random numbers of dropout and of its gradient. */
    assert_in_range(n[ARGUMENTS], STEPS, 2 * STEPS);
    assert_int_equal(n[BUILT] + n[MADE], 0);
    OK(tutti_run_set_scalar(s.run, "lr", 0.5F));
    const int before = counts[ARGUMENTS];
    step(&s);
    const int first = counts[ARGUMENTS] - before;
    step(&s);
    /* Once for each update, then no more. */
    assert_true(first > counts[ARGUMENTS] - before - first);
    session_close(&s);
}

static int set_up(void **state) {
    (void)state;
    const char *build = getenv("TUTTI_BUILD_DIR");
    char path[512];
    if (build == NULL || mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/counts", directory);
    const int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (file < 0 || ftruncate(file, N_COUNTS * sizeof *counts) != 0)
        return -1;
    counts = mmap(NULL, N_COUNTS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    setenv("LAYER_COUNTS", path, 1);
    snprintf(path, sizeof path, "%s/tests/layer_count.so", build);
    setenv("OPENCL_LAYERS", path, 1);
    return counts == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_made_behind_the_first_step),
        cmocka_unit_test(only_what_changes_is_set),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
