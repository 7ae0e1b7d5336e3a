/* exp, GELU, erf and softmax with the build options that change arithmetic most stay near the exact values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "exec/session.h"
#include "seed.h"

enum { BATCH = 9, COLUMNS = 70, COUNT = BATCH * COLUMNS };
#define NEAR 1e-4

static uint64_t seed;

static void check(const char *op, const float *x, const float *got, const double *expected) {
    for (int i = 0; i < COUNT; i++)
        if (!(fabs((double)got[i] - expected[i]) <= NEAR * fabs(expected[i]) + 1e-12))
            fail_msg("%s: %g at %g, expected %g", op, (double)got[i], (double)x[i], expected[i]);
}

static void results_are_near(void **state) {
    (void)state;
    static const char json[] =
        "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}, \"build_options\": "
        "[\"-cl-fast-relaxed-math\", \"-cl-denorms-are-zero\"]}]}";
    session s = {0};
    OK(tutti_profile_parse("test", json, strlen(json), &s.profile));
    OK(tutti_graph_make(&s.graph));
    tutti_graph *g = s.graph;
    s.x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, COLUMNS});
    const tutti_tensor out[] = {tutti_exp(g, s.x), tutti_gelu(g, s.x), tutti_erf(g, s.x),
                                tutti_softmax(g, s.x)};
    static const char *const names[] = {"exp", "gelu", "erf", "softmax"};
    for (int k = 0; k < 4; k++)
        OK(tutti_graph_set_output(g, names[k], out[k]));
    OK(tutti_graph_freeze(g));
    session_open(&s, BATCH, seed);

    float x[COUNT], got[4][COUNT];
    double expected[4][COUNT];
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int i = 0; i < COUNT; i++)
        x[i] = 16 * tutti_rng_uniform(&rng) - 8;
    memset(got, 0xFF, sizeof got);
    OK(tutti_run_step(
        s.run, TUTTI_PREDICT, BATCH, &(tutti_feed){s.x, x}, 1,
        (tutti_fetch[]){{out[0], got[0]}, {out[1], got[1]}, {out[2], got[2]}, {out[3], got[3]}},
        4));
    for (int row = 0; row < BATCH; row++) {
        double sum = 0;
        for (int i = row * COLUMNS; i < (row + 1) * COLUMNS; i++) {
            expected[0][i] = exp((double)x[i]);
            expected[1][i] = x[i] * 0.5 * erfc(-x[i] * M_SQRT1_2);
            expected[2][i] = erf((double)x[i]);
            sum += expected[0][i];
        }
        for (int i = row * COLUMNS; i < (row + 1) * COLUMNS; i++)
            expected[3][i] = expected[0][i] / sum;
    }
    for (int k = 0; k < 4; k++)
        check(names[k], x, got[k], expected[k]);
    session_close(&s);
}

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {cmocka_unit_test(results_are_near)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
