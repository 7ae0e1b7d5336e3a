/* Layer normalisation (Ba, Kiros, Hinton: Layer normalization, 2016): each row, the last axes, gets
 * mean 0 and variance 1, then a scale and a shift per element of the row. */
#include "op/norm.h"

tutti_tensor tutti_layer_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma, tutti_tensor beta,
                              int32_t n_axes, float eps) {
    return tutti_norm_rows(g, &tutti_op_layer_norm, x, gamma, beta, n_axes, eps, false);
}

static const tutti_norm_attr one = {1, 2, 1, 1e-5F, 0}, two = {1, 3, 1, 1e-3F, 0},
                             whole = {0, 1, 1, 0.5F, 0}, batch = {0, 2, 1, 1e-5F, 0},
                             no_eps = {1, 2, 1, 0, 0};
static const tutti_op_example examples[] = {
    {.label = "rows",
     .n = 3,
     .n_in = 3,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 37}},
            {.rank = 1, .dim = {37}},
            {.rank = 1, .dim = {37}}},
     .attr = &one},
    {.label = "two axes",
     .n = 2,
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 7}}, {.rank = 2, .dim = {3, 7}}},
     .attr = &two},
    {.label = "far from zero",
     .n = 2,
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 48}, .lo = 31, .hi = 33, .no_grad = true}},
     .attr = &one,
     .tolerance = 3e-5F},
    {.label = "vector", .n_in = 1, .in = {{.rank = 1, .dim = {19}}}, .attr = &whole},
    {.label = "the batch",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &batch,
     .refused = "layer_norm: x is Nx5: axes 0 to 1 cannot be its channels, the batch is none"},
    {.label = "gamma",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}, {.rank = 1, .dim = {4}}},
     .attr = &one,
     .refused = "layer_norm: gamma is 4, expected 5"},
    {.label = "eps",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &no_eps,
     .refused = "layer_norm: eps is 0, must be above 0"},
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 5}, .hi = 3}},
     .attr = &one,
     .refused = "layer_norm: input 0 is i32, expected f32"},
};

const tutti_op tutti_op_layer_norm = {
    .name = "layer_norm",
    .summary = "normalises each row to mean 0 and variance 1, then scales and shifts",
    .shapes = "x, gamma, beta (the last axes of x, optional) -> x's",
    .options = "how many last axes; eps above 0",
    .source = "Ba, Kiros, Hinton: Layer normalization, 2016",
    .n_in_min = 1,
    .n_in_max = 3,
    .n_out = 1,
    .attr_size = sizeof(tutti_norm_attr),
    .infer = tutti_norm_infer,
    .cost = tutti_norm_cost,
    .lower = tutti_norm_lower,
    .grad = tutti_norm_gradient,
    .ref = tutti_norm_ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
