/* Pooling, upsampling and padding of images of random sizes on every OpenCL device present. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/devices.h"
#include "op/image.h"

#define EACH 30

typedef struct random_example {
    tutti_op_example example;
    char label[200];
    tutti_pool_attr pool;
    tutti_upsample_attr upsample;
    tutti_pad_attr pad;
} random_example;

/* A size of x and of y, the two of the op; which of them comes in depends on the op. */
typedef struct sizes {
    int64_t x[2], y[2];
} sizes;

static int64_t between(tutti_rng *rng, int64_t low, int64_t high) {
    return low + (int64_t)tutti_rng_below(rng, (uint64_t)(high - low + 1));
}

static sizes random_pool(random_example *r, tutti_rng *rng, bool average) {
    tutti_pool_attr *a = &r->pool;
    sizes s;
    a->adaptive = average && between(rng, 0, 2) == 0;
    a->exclude = average && a->adaptive == 0 && between(rng, 0, 1) == 0;
    for (int d = 0; d < 2; d++) {
        s.x[d] = between(rng, 1, 13);
        a->dilation[d] = average ? 1 : between(rng, 1, 3);
        if (a->adaptive != 0) {
            s.y[d] = between(rng, 1, 15);
            continue;
        }
        a->kernel[d] = between(rng, 1, 5);
        a->stride[d] = between(rng, 1, 6);
        a->padding[d] = between(rng, 0, a->kernel[d] / 2);
        while (tutti_pool_extent(a, d, s.x[d]) < 1)
            s.x[d]++;
        s.y[d] = tutti_pool_extent(a, d, s.x[d]);
    }
    r->example.attr = a;
    return s;
}

static sizes random_upsample(random_example *r, tutti_rng *rng) {
    const sizes s = {{between(rng, 1, 12), between(rng, 1, 12)},
                     {between(rng, 1, 30), between(rng, 1, 30)}};
    r->upsample.bilinear = between(rng, 0, 1);
    r->example.attr = &r->upsample;
    return s;
}

static sizes random_pad(random_example *r, tutti_rng *rng, bool reflect) {
    sizes s;
    r->pad.reflect = reflect;
    for (int d = 0; d < 2; d++) {
        s.x[d] = between(rng, 1, 9);
        const int64_t low = reflect ? 0 : -(s.x[d] - 1) / 2, high = reflect ? s.x[d] - 1 : 7;
        r->pad.before[d] = between(rng, low, high);
        r->pad.after[d] = between(rng, low, high);
        s.y[d] = s.x[d] + r->pad.before[d] + r->pad.after[d];
    }
    r->example.attr = &r->pad;
    return s;
}

static tutti_example_in make_input(int64_t images, int64_t channels, const int64_t *size) {
    return (tutti_example_in){.rank = 4, .dim = {images, channels, size[0], size[1]}};
}

static void random_example_make(random_example *r, const tutti_op *op, tutti_rng *rng) {
    const bool is_grad = strstr(op->name, "_grad") != NULL;
    sizes s;
    if (op == &tutti_op_max_pool2d || op == &tutti_op_max_pool2d_grad)
        s = random_pool(r, rng, false);
    else if (op == &tutti_op_avg_pool2d || op == &tutti_op_avg_pool2d_grad)
        s = random_pool(r, rng, true);
    else if (op == &tutti_op_upsample2d || op == &tutti_op_upsample2d_grad)
        s = random_upsample(r, rng);
    else
        s = random_pad(r, rng, is_grad || between(rng, 0, 1) == 0);
    memcpy(r->upsample.size, is_grad ? s.x : s.y, sizeof s.x);
    if (is_grad || r->pool.adaptive != 0)
        memcpy(r->pool.size, is_grad ? s.x : s.y, sizeof s.x);
    const int64_t n = between(rng, 1, 5), channels = between(rng, 1, 4);
    const int64_t images = between(rng, 0, 1) == 0 ? TUTTI_BATCH : n;
    const bool has_x = !is_grad || op == &tutti_op_max_pool2d_grad;
    r->example.n = n;
    if (has_x)
        r->example.in[r->example.n_in++] = make_input(images, channels, s.x);
    if (is_grad)
        r->example.in[r->example.n_in++] = make_input(images, channels, s.y);
    const tutti_pool_attr *a = &r->pool;
    snprintf(
        r->label, sizeof r->label,
        "%ldx%ld to %ldx%ld, kernel %ldx%ld, stride %ldx%ld, padding %ldx%ld, dilation %ldx%ld, "
        "adaptive %ld, bilinear %ld, before %ldx%ld",
        (long)s.x[0], (long)s.x[1], (long)s.y[0], (long)s.y[1], (long)a->kernel[0],
        (long)a->kernel[1], (long)a->stride[0], (long)a->stride[1], (long)a->padding[0],
        (long)a->padding[1], (long)a->dilation[0], (long)a->dilation[1], (long)a->adaptive,
        (long)r->upsample.bilinear, (long)r->pad.before[0], (long)r->pad.before[1]);
    r->example.label = r->label;
}

static void candidates_are_right_for_random_sizes(void **state) {
    (void)state;
    static const tutti_op *const ops[] = {&tutti_op_max_pool2d, &tutti_op_max_pool2d_grad,
                                          &tutti_op_avg_pool2d, &tutti_op_avg_pool2d_grad,
                                          &tutti_op_upsample2d, &tutti_op_upsample2d_grad,
                                          &tutti_op_pad2d,      &tutti_op_pad2d_grad};
    enum { OPS = sizeof ops / sizeof *ops, COUNT = OPS * EACH };
    random_example *examples = calloc(COUNT, sizeof *examples);
    conf_pair *pairs = calloc(COUNT, sizeof *pairs);
    assert_true(examples != NULL && pairs != NULL);
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 2);
    for (int32_t i = 0; i < COUNT; i++) {
        random_example_make(&examples[i], ops[i / EACH], &rng);
        pairs[i] = (conf_pair){.op = ops[i / EACH], .example = &examples[i].example};
        conf_case c;
        if (case_make(&c, pairs[i].op, pairs[i].example) != TUTTI_OK)
            fail_msg("%s: %s: %s", ops[i / EACH]->name, examples[i].label, tutti_error_message());
        case_free(&c);
    }
    const int32_t bad = check_devices(pairs, COUNT);
    free(pairs);
    free(examples);
    assert_int_equal(bad, 0);
}

int main(void) {
    settings_read();
    const struct CMUnitTest tests[] = {cmocka_unit_test(candidates_are_right_for_random_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
