/* Group normalisation (Wu, He: Group normalization, 2018): the channels of a sample in groups, each
 * group gets mean 0 and variance 1, then each channel a scale and a shift. */
#include "op/norm.h"

tutti_tensor tutti_group_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma, tutti_tensor beta,
                              int32_t groups, float eps) {
    const tutti_norm_attr attr = {.first = 1, .last = 2, .groups = groups, .eps = eps};
    return tutti_norm_apply(g, &tutti_op_group_norm, x, gamma, beta, &attr);
}

static const tutti_norm_attr three = {1, 2, 3, 1e-5F, 0}, single = {1, 2, 1, 1e-3F, 0},
                             each = {1, 2, 4, 0.1F, 0};
static const tutti_op_example examples[] = {
    {.label = "planes",
     .n = 1,
     .n_in = 3,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 6, 3, 6}},
            {.rank = 1, .dim = {6}},
            {.rank = 1, .dim = {6}}},
     .attr = &three},
    {.label = "features",
     .n = 2,
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 36}}, {.rank = 1, .dim = {36}}},
     .attr = &three},
    {.label = "one group",
     .n = 2,
     .n_in = 3,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 2, 19}},
            {.rank = 1, .dim = {2}},
            {.rank = 1, .dim = {2}}},
     .attr = &single},
    {.label = "a group per channel",
     .n = 1,
     .n_in = 1,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 4, 5, 5}}},
     .attr = &each},
    {.label = "uneven",
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 5, 4}}},
     .attr = &three,
     .refused = "group_norm: x is Nx5x4: 3 groups do not divide it"},
    {.label = "beta",
     .n_in = 3,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 6, 4}},
            {.rank = 1, .dim = {6}},
            {.rank = 1, .dim = {4}}},
     .attr = &three,
     .refused = "group_norm: beta is 4, expected 6"},
};

const tutti_op tutti_op_group_norm = {
    .name = "group_norm",
    .summary = "normalises groups of each sample's channels, then scales and shifts",
    .shapes = "x (N,C) or (N,C,...), gamma, beta (C, optional) -> x's",
    .options = "groups, a divisor of C; eps above 0",
    .source = "Wu, He: Group normalization, 2018",
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
