/* The gradient of layer, group and RMS norm by x, and each row's mean and 1 / sqrt(variance + eps),
 * computed again from x: the row is in the cache then. */
#include "base/status.h"
#include "op/norm.h"

static tutti_norm_view view_of(const tutti_node_info *node) {
    const tutti_norm_attr *attr = node->attr;
    return tutti_norm_view_of(&node->in_type[1].shape, attr->first, attr->last);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_norm_attr *attr = node->attr;
    const tutti_shape *x = &node->in_type[1].shape;
    char text[TUTTI_SHAPE_TEXT], text_x[TUTTI_SHAPE_TEXT];
    TUTTI_TRY(tutti_norm_check(node, x, 2));
    if (!tutti_shape_equal(&node->in_type[0].shape, x))
        return tutti_op_fail(node, TUTTI_SHAPE, "dy is %s, x is %s: expected equal shapes",
                             tutti_shape_text(&node->in_type[0].shape, text),
                             tutti_shape_text(x, text_x));
    out[0].type = node->in_type[1];
    out[1].type = (tutti_type){.dtype = TUTTI_F32, .shape = {.batched = x->batched}};
    for (int32_t i = 0; i < attr->first; i++)
        out[1].type.shape.dim[out[1].type.shape.rank++] = x->dim[i];
    if (attr->groups > 1)
        out[1].type.shape.dim[out[1].type.shape.rank++] = attr->groups;
    out[2].type = out[1].type;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){16 * count, 12 * count};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_norm_rows_lower(node, device, "norm_grad", 2, out);
}

/* dx[i] = sum over j of dy[j] gamma[j] d n[j] / d x[i], n = (x - mean) rstd:
 * d n[j] / d x[i] = rstd (i == j) - rstd / L - n[i] n[j] rstd / L, without the middle term for RMS. */
static void ref(const tutti_ref_call *call) {
    const tutti_norm_attr *attr = call->node->attr;
    const tutti_norm_view v = view_of(call->node);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n) * attr->groups;
    const int64_t length = v.channels / attr->groups * v.inner;
    const float *dy = call->in[0], *x = call->in[1];
    const float *gamma = call->node->n_in > 2 ? call->in[2] : NULL;
    for (int64_t r = 0; r < rows; r++) {
        double mean, rstd, sum = 0, sum_n = 0;
        tutti_norm_statistics(x + r * length, length, attr, &mean, &rstd);
        for (int32_t pass = 0; pass < 2; pass++)
            for (int64_t i = r * length; i < (r + 1) * length; i++) {
                const double n = ((double)x[i] - mean) * rstd;
                const double g =
                    (double)dy[i] * (gamma != NULL ? (double)gamma[i / v.inner % v.channels] : 1);
                if (pass == 0) {
                    sum += attr->rms != 0 ? 0 : g;
                    sum_n += g * n;
                } else {
                    ((float *)call->out[0])[i] =
                        (float)(rstd * (g - sum / (double)length - n * sum_n / (double)length));
                }
            }
        ((float *)call->out[1])[r] = (float)mean;
        ((float *)call->out[2])[r] = (float)rstd;
    }
}

#define TWICE(...)                                                                                 \
    {__VA_ARGS__}, {                                                                               \
        __VA_ARGS__                                                                                \
    }
static const tutti_norm_attr features = {1, 2, 1, 1e-5F, 0}, planes = {1, 2, 3, 1e-3F, 0},
                             rms = {1, 3, 1, 0.1F, 1}, none = {1, 2, 1, 0, 0};
static const tutti_op_example examples[] = {
    {.label = "features",
     .n = 2,
     .n_in = 3,
     .in = {TWICE(.rank = 2, .dim = {TUTTI_BATCH, 19}), {.rank = 1, .dim = {19}}},
     .attr = &features},
    {.label = "planes",
     .n = 1,
     .n_in = 3,
     .in = {TWICE(.rank = 4, .dim = {TUTTI_BATCH, 6, 3, 3}), {.rank = 1, .dim = {6}}},
     .attr = &planes},
    {.label = "RMS",
     .n = 2,
     .n_in = 2,
     .in = {TWICE(.rank = 3, .dim = {TUTTI_BATCH, 3, 7})},
     .attr = &rms},
    {.label = "long rows",
     .n = 2,
     .n_in = 2,
     .in = {TWICE(.rank = 2, .dim = {TUTTI_BATCH, 1100})},
     .attr = &features},
    {.label = "other x",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}}, {.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &features,
     .refused = "norm_grad: dy is Nx3, x is Nx4: expected equal shapes"},
    {.label = "no eps",
     .n_in = 2,
     .in = {TWICE(.rank = 2, .dim = {TUTTI_BATCH, 3})},
     .attr = &none,
     .refused = "norm_grad: eps is 0, must be above 0"},
};

const tutti_op tutti_op_norm_grad = {
    .name = "norm_grad",
    .summary = "the gradient of layer, group and RMS norm, and each row's statistics",
    .shapes =
        "dy, x, gamma (the channels of x, optional) -> x's, mean and rstd (one per row and group)",
    .options = "the channels' axes; groups; eps above 0; RMS",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 3,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_norm_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
