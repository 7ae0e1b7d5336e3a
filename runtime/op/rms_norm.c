/* Root mean square normalisation (Zhang, Sennrich: Root mean square layer normalization, 2019): each
 * row, the last axes, over the root of the mean of its squares, times a scale per element. */
#include "op/norm.h"

tutti_tensor tutti_rms_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma, int32_t n_axes,
                            float eps) {
    return tutti_norm_rows(g, &tutti_op_rms_norm, x, gamma, (tutti_tensor){0}, n_axes, eps, true);
}

static const tutti_norm_attr one = {1, 2, 1, 1e-5F, 1}, two = {1, 3, 1, 0.25F, 1};
static const tutti_op_example examples[] = {
    {.label = "rows",
     .n = 3,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 37}}, {.rank = 1, .dim = {37}}},
     .attr = &one},
    {.label = "two axes",
     .n = 2,
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 7}}},
     .attr = &two},
    {.label = "gamma",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}, {.rank = 2, .dim = {1, 5}}},
     .attr = &one,
     .refused = "rms_norm: gamma is 1x5, expected 5"},
    {.label = "axes",
     .n_in = 1,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}},
     .attr = &two,
     .refused = "rms_norm: x is Nx5: axes 1 to 2 cannot be its channels"},
};

const tutti_op tutti_op_rms_norm = {
    .name = "rms_norm",
    .summary = "each row over the root mean square of its elements, then scaled",
    .shapes = "x, gamma (the last axes of x, optional) -> x's",
    .options = "how many last axes; eps above 0",
    .source = "Zhang, Sennrich: Root mean square layer normalization, 2019",
    .n_in_min = 1,
    .n_in_max = 2,
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
