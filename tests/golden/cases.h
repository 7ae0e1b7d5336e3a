/* How each case of make_goldens.py is built. */
#ifndef TUTTI_TESTS_GOLDEN_CASES_H
#define TUTTI_TESTS_GOLDEN_CASES_H

#include "golden.h"

typedef tutti_tensor (*build_fn)(tutti_graph *g, const tutti_tensor *x);

#define BUILD(name, expr)                                                                          \
    static tutti_tensor build_##name(tutti_graph *g, const tutti_tensor *x) {                      \
        return expr;                                                                               \
    }
#define AXES(...)                                                                                  \
    (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / 4), (int32_t[]) {                                 \
        __VA_ARGS__                                                                                \
    }

BUILD(add, tutti_add(g, x[0], x[1]))
BUILD(sub, tutti_sub(g, x[0], x[1]))
BUILD(mul, tutti_mul(g, x[0], x[1]))
BUILD(div, tutti_div(g, x[0], x[1]))
BUILD(add_scalar, tutti_add_scalar(g, x[0], 0.75F))
BUILD(scale, tutti_scale(g, x[0], -1.25F))
BUILD(pow_square, tutti_pow_scalar(g, x[0], 2))
BUILD(pow_cube, tutti_pow_scalar(g, x[0], 3))
BUILD(pow_inverse, tutti_pow_scalar(g, x[0], -1))
BUILD(pow_real, tutti_pow_scalar(g, x[0], 1.75F))
BUILD(neg, tutti_neg(g, x[0]))
BUILD(exp, tutti_exp(g, x[0]))
BUILD(log, tutti_log(g, x[0]))
BUILD(sqrt, tutti_sqrt(g, x[0]))
BUILD(relu, tutti_relu(g, x[0]))
BUILD(sigmoid, tutti_sigmoid(g, x[0]))
BUILD(tanh, tutti_tanh(g, x[0]))
BUILD(gelu, tutti_gelu(g, x[0]))
BUILD(sum_last, tutti_sum(g, x[0], AXES(2), false))
BUILD(sum_middle, tutti_sum(g, x[0], AXES(1), true))
BUILD(sum_batch, tutti_sum(g, x[0], AXES(0), false))
BUILD(sum_all, tutti_sum(g, x[0], 0, NULL, false))
BUILD(mean_last, tutti_mean(g, x[0], AXES(-1), false))
BUILD(mean_middle, tutti_mean(g, x[0], AXES(1), true))
BUILD(mean_batch, tutti_mean(g, x[0], AXES(0), false))
BUILD(mean_all, tutti_mean(g, x[0], 0, NULL, false))
BUILD(max_last, tutti_max(g, x[0], AXES(2), false))
BUILD(max_middle, tutti_max(g, x[0], AXES(1), true))
BUILD(max_ties, tutti_max(g, x[0], AXES(1, 2), false))
BUILD(reshape,
      tutti_reshape(g, tutti_softmax(g, tutti_reshape(g, x[0], 2, (int64_t[]){TUTTI_BATCH, 6})), 3,
                    (int64_t[]){TUTTI_BATCH, 2, 0}))
BUILD(transpose, tutti_transpose(g, x[0], AXES(0, 2, 1, 3)))
BUILD(broadcast_like, tutti_mul(g, tutti_broadcast_like(g, x[0], x[1]), x[1]))
BUILD(matmul_nn, tutti_matmul(g, x[0], x[1], false, false))
BUILD(matmul_nt, tutti_matmul(g, x[0], x[1], false, true))
BUILD(matmul_tn, tutti_matmul(g, x[0], x[1], true, false))
BUILD(matmul_tt, tutti_matmul(g, x[0], x[1], true, true))
BUILD(softmax, tutti_softmax(g, x[0]))
BUILD(softmax_cross_entropy, tutti_softmax_cross_entropy(g, x[0], x[1]))
BUILD(bce_with_logits, tutti_bce_with_logits(g, x[0], x[1]))
BUILD(mse, tutti_mse(g, x[0], x[1]))
BUILD(accuracy, tutti_accuracy(g, x[0], x[1]))
BUILD(binary_accuracy, tutti_binary_accuracy(g, x[0], x[1]))

/* `batched` has a bit for each input whose first extent is the batch; every case is also tried with
 * inputs that are not batched. */
typedef struct golden_case {
    const char *name;
    build_fn build;
    uint32_t batched;
} golden_case;

#define FIRST 1U
#define BOTH  3U
static const golden_case cases[] = {
    {"add", build_add, BOTH},
    {"add_row", build_add, FIRST},
    {"add_column", build_add, BOTH},
    {"add_both", build_add, 0},
    {"sub", build_sub, BOTH},
    {"sub_row", build_sub, FIRST},
    {"sub_column", build_sub, BOTH},
    {"sub_both", build_sub, 0},
    {"mul", build_mul, BOTH},
    {"mul_row", build_mul, FIRST},
    {"mul_column", build_mul, BOTH},
    {"mul_both", build_mul, 0},
    {"div", build_div, BOTH},
    {"div_row", build_div, FIRST},
    {"div_column", build_div, BOTH},
    {"div_both", build_div, 0},
    {"add_scalar", build_add_scalar, FIRST},
    {"scale", build_scale, FIRST},
    {"pow_square", build_pow_square, FIRST},
    {"pow_cube", build_pow_cube, FIRST},
    {"pow_inverse", build_pow_inverse, FIRST},
    {"pow_real", build_pow_real, FIRST},
    {"neg", build_neg, FIRST},
    {"exp", build_exp, FIRST},
    {"log", build_log, FIRST},
    {"sqrt", build_sqrt, FIRST},
    {"relu", build_relu, FIRST},
    {"relu_far", build_relu, FIRST},
    {"sigmoid", build_sigmoid, FIRST},
    {"sigmoid_far", build_sigmoid, FIRST},
    {"tanh", build_tanh, FIRST},
    {"tanh_far", build_tanh, FIRST},
    {"gelu", build_gelu, FIRST},
    {"gelu_far", build_gelu, FIRST},
    {"sum_last", build_sum_last, FIRST},
    {"sum_middle", build_sum_middle, FIRST},
    {"sum_batch", build_sum_batch, FIRST},
    {"sum_all", build_sum_all, FIRST},
    {"mean_last", build_mean_last, FIRST},
    {"mean_middle", build_mean_middle, FIRST},
    {"mean_batch", build_mean_batch, FIRST},
    {"mean_all", build_mean_all, FIRST},
    {"max_last", build_max_last, FIRST},
    {"max_middle", build_max_middle, FIRST},
    {"max_ties", build_max_ties, FIRST},
    {"reshape", build_reshape, FIRST},
    {"transpose", build_transpose, FIRST},
    {"broadcast_like", build_broadcast_like, 2U},
    {"matmul_nn", build_matmul_nn, 0},
    {"matmul_nt", build_matmul_nt, 0},
    {"matmul_tn", build_matmul_tn, 0},
    {"matmul_tt", build_matmul_tt, 0},
    {"matmul_batch", build_matmul_nn, FIRST},
    {"matmul_over_batch", build_matmul_tn, BOTH},
    {"softmax", build_softmax, FIRST},
    {"softmax_far", build_softmax, FIRST},
    {"softmax_cross_entropy", build_softmax_cross_entropy, BOTH},
    {"softmax_cross_entropy_far", build_softmax_cross_entropy, BOTH},
    {"bce_with_logits", build_bce_with_logits, BOTH},
    {"bce_with_logits_far", build_bce_with_logits, BOTH},
    {"bce_with_logits_soft", build_bce_with_logits, BOTH},
    {"mse", build_mse, BOTH},
    {"accuracy", build_accuracy, BOTH},
    {"binary_accuracy", build_binary_accuracy, BOTH},
};

#define CASES (sizeof cases / sizeof *cases)

static inline tutti_tensor make_input(tutti_graph *g, const char *name, const golden *value,
                                      bool batched) {
    int64_t dim[TUTTI_MAX_RANK];
    memcpy(dim, value->dim, sizeof dim);
    if (batched)
        dim[0] = TUTTI_BATCH;
    return tutti_graph_input(g, name, value->dtype, value->rank, dim);
}

#endif
