/* Matrix products, reductions and row ops of random shapes on every OpenCL device present. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/devices.h"
#include "op/reduce.h"

#define EACH 40

typedef struct random_example {
    tutti_op_example example;
    char label[64];
    uint32_t matmul[2];
    tutti_reduce_attr reduce;
} random_example;

/* 1 to 6 often, up to `limit` else. */
static int64_t random_extent(tutti_rng *rng, uint64_t limit) {
    return 1 + (int64_t)tutti_rng_below(rng, tutti_rng_below(rng, 3) == 0 ? 6 : limit);
}

static void name_example(random_example *r, int32_t number) {
    snprintf(r->label, sizeof r->label, "random %d", (int)number);
    r->example.label = r->label;
    for (int32_t i = 0; i < r->example.n_in; i++)
        if (r->example.in[i].dtype == TUTTI_F32) {
            r->example.in[i].lo = -0.25F; /* a single sum does not cancel to nothing */
            r->example.in[i].hi = 1;
        }
}

static void random_matmul(random_example *r, tutti_rng *rng) {
    const int64_t m = random_extent(rng, 150), n = random_extent(rng, 150);
    const int64_t k = random_extent(rng, tutti_rng_below(rng, 4) == 0 ? 700 : 90);
    const bool ta = tutti_rng_below(rng, 2) != 0, tb = tutti_rng_below(rng, 2) != 0;
    tutti_example_in a = {.rank = 2, .dim = {ta ? k : m, ta ? m : k}};
    tutti_example_in b = {.rank = 2, .dim = {tb ? n : k, tb ? k : n}};
    if (tutti_rng_below(rng, 2) != 0 && !(ta && tb)) { /* the batch is M, or K */
        r->example.n = a.dim[0];
        a.dim[0] = TUTTI_BATCH;
        if (ta)
            b.dim[0] = TUTTI_BATCH;
    }
    r->matmul[0] = ta;
    r->matmul[1] = tb;
    r->example.n_in = 2;
    r->example.in[0] = a;
    r->example.in[1] = b;
    r->example.attr = r->matmul;
}

/* A weight gradient of sequences: K is cut by the usual batch, and a small one leaves parts empty. */
static void random_parts(random_example *r, tutti_rng *rng) {
    const int64_t rows = 12 * TUTTI_BATCH; /* and results of one work-group on CPUs */
    const int64_t m = 28 + (int64_t)tutti_rng_below(rng, 5);
    const int64_t n = 20 + (int64_t)tutti_rng_below(rng, 13);
    r->example.n = 1 + (int64_t)tutti_rng_below(rng, 90);
    r->example.n_in = 2;
    r->example.in[0] = (tutti_example_in){.rank = 2, .dim = {rows, m}};
    r->example.in[1] = (tutti_example_in){.rank = 2, .dim = {rows, n}};
    r->matmul[0] = 1;
    r->example.attr = r->matmul;
}

static void random_reduction(random_example *r, tutti_rng *rng, bool batch) {
    tutti_example_in *in = &r->example.in[0];
    in->rank = 1 + (int32_t)tutti_rng_below(rng, TUTTI_MAX_RANK);
    const uint64_t limits[] = {9000, 120, 30, 12, 8, 6};
    for (int32_t d = 0; d < in->rank; d++)
        in->dim[d] = random_extent(rng, limits[in->rank - 1]);
    r->reduce.axes = (uint32_t)tutti_rng_below(rng, UINT64_C(1) << in->rank);
    r->reduce.keep_dims = (uint32_t)tutti_rng_below(rng, 2);
    if (tutti_rng_below(rng, 2) != 0 && (batch || (r->reduce.axes & 1) == 0)) {
        r->example.n = in->dim[0];
        in->dim[0] = TUTTI_BATCH;
    }
    r->example.n_in = 1;
    r->example.attr = &r->reduce;
}

static void random_rows(random_example *r, tutti_rng *rng, bool labels) {
    const int64_t rows = random_extent(rng, 60), columns = random_extent(rng, 300);
    r->example.n_in = labels ? 2 : 1;
    r->example.in[0] = (tutti_example_in){.rank = 2, .dim = {rows, columns}};
    r->example.in[1] =
        (tutti_example_in){.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .hi = (float)columns};
}

static void candidates_are_right_for_random_shapes(void **state) {
    (void)state;
    static const tutti_op *const ops[] = {&tutti_op_matmul,   &tutti_op_sum,
                                          &tutti_op_max,      &tutti_op_softmax,
                                          &tutti_op_top1_hit, &tutti_op_softmax_cross_entropy};
    enum { OPS = sizeof ops / sizeof *ops, COUNT = OPS * EACH };
    random_example *examples = calloc(COUNT, sizeof *examples);
    conf_pair *pairs = calloc(COUNT, sizeof *pairs);
    assert_true(examples != NULL && pairs != NULL);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    for (int32_t i = 0; i < COUNT; i++) {
        random_example *r = &examples[i];
        const int32_t op = i / EACH;
        if (i == 0)
            random_parts(r, &rng);
        else if (op == 0)
            random_matmul(r, &rng);
        else if (op <= 2)
            random_reduction(r, &rng, op == 1);
        else
            random_rows(r, &rng, op >= 4);
        name_example(r, i % EACH);
        pairs[i] = (conf_pair){.op = ops[op], .example = &r->example};
    }
    const int32_t bad = check_devices(pairs, COUNT);
    free(pairs);
    free(examples);
    assert_int_equal(bad, 0);
}

int main(void) {
    settings_read();
    const struct CMUnitTest tests[] = {cmocka_unit_test(candidates_are_right_for_random_shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
