/* Attention, embedding gradients and recurrent layers of random shapes and options on every OpenCL
 * device present. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/devices.h"
#include "op/attention.h"
#include "op/embedding.h"
#include "op/recurrent.h"

#define EACH 6

typedef struct random_example {
    tutti_op_example example;
    char label[64];
    tutti_attention_attr attention;
    tutti_embedding_grad_attr embedding;
    tutti_recurrent_attr recurrent;
} random_example;

static int64_t below(tutti_rng *rng, uint64_t limit) {
    return (int64_t)tutti_rng_below(rng, limit);
}

/* 1 to 6 often, up to `limit` else. */
static int64_t random_extent(tutti_rng *rng, uint64_t limit) {
    return 1 + below(rng, below(rng, 3) == 0 ? 6 : limit);
}

static tutti_example_in *add_input(random_example *r, int32_t rank, int64_t a, int64_t b, int64_t c,
                                   int64_t d) {
    tutti_example_in *in = &r->example.in[r->example.n_in++];
    *in = (tutti_example_in){.rank = rank, .dim = {a, b, c, d}};
    return in;
}

static void random_attention(random_example *r, tutti_rng *rng, int64_t width, bool grad) {
    const int64_t b = below(rng, 2) != 0 ? TUTTI_BATCH : 2;
    const int64_t heads = 1 + below(rng, 3), tq = random_extent(rng, 100);
    const int64_t tk = random_extent(rng, 100);
    r->example.n = 1 + below(rng, 3);
    r->attention = (tutti_attention_attr){.scale = 0.3F,
                                          .causal = (uint32_t)below(rng, 2),
                                          .mask = (uint32_t)below(rng, 2),
                                          .dlse = grad ? (uint32_t)below(rng, 2) : 0};
    add_input(r, 4, b, tq, heads, width);
    add_input(r, 4, b, tk, heads, width);
    add_input(r, 4, b, tk, heads, width);
    /* y, lse, dy, dlse */
    for (uint32_t i = 0; grad && i < 3 + r->attention.dlse; i++) {
        if (i % 2 == 0) {
            add_input(r, 4, b, tq, heads, width);
        } else {
            tutti_example_in *lse = add_input(r, 3, b, heads, tq, 0);
            lse->lo = 4;
            lse->hi = 5;
        }
    }
    if (r->attention.mask != 0) {
        tutti_example_in *mask = add_input(r, 4, b, heads, tq, tk);
        const int64_t kept = below(rng, 16), rank = below(rng, 5);
        mask->lo = -3;
        mask->hi = 1;
        for (int d = 0; d < 4; d++)
            if ((kept >> d & 1) == 0)
                mask->dim[d] = 1;
        mask->rank = (int32_t)rank;
        memmove(mask->dim, mask->dim + 4 - rank, (size_t)rank * sizeof *mask->dim);
    }
    r->example.attr = &r->attention;
    r->example.tolerance = 5e-5F;
}

static void random_embedding(random_example *r, tutti_rng *rng) {
    const int64_t rows = random_extent(rng, 900), width = random_extent(rng, 150);
    r->embedding.rows = random_extent(rng, 200);
    tutti_example_in *index = add_input(r, 1, rows, 0, 0, 0);
    index->dtype = TUTTI_I32;
    index->lo = (float)-below(rng, 3);
    index->hi = (float)(r->embedding.rows + below(rng, 3));
    add_input(r, 2, rows, width, 0, 0);
    r->example.attr = &r->embedding;
}

static void random_recurrent(random_example *r, tutti_rng *rng, bool lstm) {
    const int64_t n = random_extent(rng, 12), steps = random_extent(rng, 9);
    const int64_t h = random_extent(rng, 64), parts = lstm ? 4 : 3;
    r->recurrent.has = below(rng, 2) != 0 ? TUTTI_RECURRENT_H0 : 0;
    add_input(r, 3, n, steps, parts * h, 0);
    add_input(r, 2, h, parts * h, 0, 0)->lo = -0.5F;
    r->example.in[1].hi = 0.5F;
    if (!lstm)
        add_input(r, 1, parts * h, 0, 0, 0);
    for (int i = 0; r->recurrent.has != 0 && i < (lstm ? 2 : 1); i++)
        add_input(r, 2, n, h, 0, 0);
    r->example.attr = &r->recurrent;
}

static void random_recurrent_grad(random_example *r, tutti_rng *rng, bool lstm) {
    const int64_t n = random_extent(rng, 12), steps = random_extent(rng, 9);
    const int64_t h = random_extent(rng, 64), parts = lstm ? 4 : 3;
    add_input(r, 2, parts * h, h, 0, 0)->lo = -0.5F;
    r->example.in[0].hi = 0.5F;
    tutti_example_in *gates = add_input(r, 3, n, steps, 4 * h, 0);
    gates->lo = 0.1F;
    gates->hi = 0.9F;
    add_input(r, 3, n, steps, h, 0);
    r->recurrent.has = (uint32_t)below(rng, 16);
    if (!lstm)
        r->recurrent.has &= ~(uint32_t)TUTTI_RECURRENT_DC;
    if ((r->recurrent.has & TUTTI_RECURRENT_H0) != 0)
        add_input(r, 2, n, h, 0, 0);
    for (uint32_t flag = TUTTI_RECURRENT_DY; flag <= TUTTI_RECURRENT_DGATES; flag <<= 1)
        if ((r->recurrent.has & flag) != 0)
            add_input(r, 3, n, steps, flag == TUTTI_RECURRENT_DGATES ? 4 * h : h, 0);
    r->example.attr = &r->recurrent;
    r->example.tolerance = 2e-5F;
}

static void candidates_are_right_for_random_shapes(void **state) {
    (void)state;
    static const tutti_op *const ops[] = {&tutti_op_attention,      &tutti_op_attention_grad,
                                          &tutti_op_embedding_grad, &tutti_op_lstm,
                                          &tutti_op_lstm_grad,      &tutti_op_gru,
                                          &tutti_op_gru_grad};
    enum { OPS = sizeof ops / sizeof *ops, COUNT = OPS * EACH };
    random_example *examples = calloc(COUNT, sizeof *examples);
    conf_pair *pairs = calloc(COUNT, sizeof *pairs);
    assert_true(examples != NULL && pairs != NULL);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 0);
    for (int32_t i = 0; i < COUNT; i++) {
        random_example *r = &examples[i];
        const int32_t op = i / EACH;
        if (op < 2)
            /* One width: each is a kernel of its own on GPUs. */
            random_attention(r, &rng, 33, op == 1);
        else if (op == 2)
            random_embedding(r, &rng);
        else if (op % 2 == 1)
            random_recurrent(r, &rng, op == 3);
        else
            random_recurrent_grad(r, &rng, op == 4);
        snprintf(r->label, sizeof r->label, "random %d", (int)(i % EACH));
        r->example.label = r->label;
        pairs[i] = (conf_pair){.op = ops[op], .example = &r->example};
    }
    /* Everything that was drawn is accepted: a refused example would not be run. */
    for (int32_t i = 0; i < COUNT; i++) {
        conf_case c;
        if (case_make(&c, pairs[i].op, pairs[i].example) != TUTTI_OK)
            fail_msg("%s: %s", pairs[i].op->name, tutti_graph_message(c.graph));
        case_free(&c);
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
