/* Convolutions of random shapes and options on every OpenCL device present. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/devices.h"
#include "op/conv.h"

#define EACH 30

typedef struct random_example {
    tutti_op_example example;
    char label[256];
    tutti_conv_attr attr;
} random_example;

static int64_t below(tutti_rng *rng, uint64_t limit) {
    return (int64_t)tutti_rng_below(rng, limit);
}

/* Small channel counts often, some beyond a register tile. */
static int64_t random_channels(tutti_rng *rng) {
    return 1 + below(rng, below(rng, 3) == 0 ? 12 : 4);
}

static tutti_example_in make_input(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (tutti_example_in){.rank = 4, .dim = {a, b, c, d}, .lo = -0.25F, .hi = 1};
}

static void set_label(random_example *r, const char *op) {
    const tutti_conv_attr *a = &r->attr;
    const int64_t *x = r->example.in[0].dim, *w = r->example.in[1].dim;
    snprintf(r->label, sizeof r->label,
             "%s %ldx%ldx%ldx%ld with %ldx%ldx%ldx%ld, stride %ldx%ld, padding %ldx%ld, dilation "
             "%ldx%ld, groups %ld, extra %ldx%ld",
             op, (long)x[0], (long)x[1], (long)x[2], (long)x[3], (long)w[0], (long)w[1], (long)w[2],
             (long)w[3], (long)a->stride[0], (long)a->stride[1], (long)a->padding[0],
             (long)a->padding[1], (long)a->dilation[0], (long)a->dilation[1], (long)a->groups,
             (long)a->extra[0], (long)a->extra[1]);
    r->example.label = r->label;
}

static void random_conv(random_example *r, tutti_rng *rng, const tutti_op *op) {
    tutti_conv_attr *a = &r->attr;
    int64_t size[2], taps[2], out[2];
    a->groups = below(rng, 3) == 0 ? 1 + below(rng, 4) : 1;
    const int64_t c = random_channels(rng), k = random_channels(rng);
    const int64_t images = 1 + below(rng, 4);
    for (int d = 0; d < 2; d++) {
        taps[d] = 1 + below(rng, below(rng, 4) == 0 ? 6 : 3);
        a->stride[d] = 1 + below(rng, below(rng, 2) == 0 ? 4 : 1);
        a->dilation[d] = 1 + below(rng, below(rng, 3) == 0 ? 3 : 1);
        a->padding[d] = below(rng, 4);
        size[d] = 1 + below(rng, d == 1 && below(rng, 3) == 0 ? 40 : 10);
        const int64_t needed = a->dilation[d] * (taps[d] - 1) + 1 - 2 * a->padding[d];
        size[d] = size[d] < needed ? needed : size[d];
        out[d] = tutti_conv_extent(a, d, size[d], taps[d]);
    }
    const bool batched = below(rng, 2) == 0;
    const int64_t n = batched ? TUTTI_BATCH : images;
    const tutti_example_in x = make_input(n, a->groups * c, size[0], size[1]);
    const tutti_example_in y = make_input(n, a->groups * k, out[0], out[1]);
    const tutti_example_in weight = make_input(a->groups * k, c, taps[0], taps[1]);
    r->example.n = images;
    r->example.n_in = 2;
    r->example.attr = a;
    r->example.in[0] = op == &tutti_op_conv_transpose2d ? y : x;
    r->example.in[1] = op == &tutti_op_conv2d_weight_grad ? y : weight;
    for (int d = 0; d < 2; d++)
        if (op == &tutti_op_conv_transpose2d)
            a->extra[d] =
                (size[d] + 2 * a->padding[d] - a->dilation[d] * (taps[d] - 1) - 1) % a->stride[d];
        else if (op == &tutti_op_conv2d_weight_grad)
            a->extra[d] = taps[d];
    if (op != &tutti_op_conv2d_weight_grad && below(rng, 2) == 0)
        r->example.in[r->example.n_in++] =
            (tutti_example_in){.rank = 1, .dim = {a->groups * (op == &tutti_op_conv2d ? k : c)}};
    set_label(r, op->name);
}

static void candidates_are_right_for_random_shapes(void **state) {
    (void)state;
    static const tutti_op *const ops[] = {&tutti_op_conv2d, &tutti_op_conv_transpose2d,
                                          &tutti_op_conv2d_weight_grad};
    enum { OPS = sizeof ops / sizeof *ops, COUNT = OPS * EACH };
    random_example *examples = calloc(COUNT, sizeof *examples);
    conf_pair *pairs = calloc(COUNT, sizeof *pairs);
    assert_true(examples != NULL && pairs != NULL);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int32_t i = 0; i < COUNT; i++) {
        random_conv(&examples[i], &rng, ops[i / EACH]);
        pairs[i] = (conf_pair){.op = ops[i / EACH], .example = &examples[i].example};
        conf_case c;
        if (case_make(&c, pairs[i].op, pairs[i].example) != TUTTI_OK)
            fail_msg("%s: %s", examples[i].label, tutti_error_message());
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
