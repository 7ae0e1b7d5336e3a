/* Real numbers as i32, the fraction cut off. What no i32 holds, and NaN, becomes the least i32,
 * which is an index of nothing: whoever uses it gets NaN and not a wrong number. */
#include <math.h>

#include "op/elementwise.h"

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *x = &node->in_type[0];
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    out->type = (tutti_type){TUTTI_I32, x->shape};
    return TUTTI_OK;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, "plain"),
                                                  "to_i32.cl", "to_i32", "%s", "");
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, count, 1, 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const int64_t count = tutti_shape_count(&call->node->out_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++) {
        const double x = (double)((const float *)call->in[0])[i];
        ((int32_t *)call->out[0])[i] =
            x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
    }
}

#define CASE(text, low, high, dims, ...)                                                           \
    {                                                                                              \
        .label = text, .n_in = 1, .in = {                                                          \
            {.rank = dims, .dim = {__VA_ARGS__}, .lo = low, .hi = high}                            \
        }                                                                                          \
    }
static const tutti_op_example examples[] = {
    CASE("vector", -9, 10, 1, 37),
    CASE("batched", 0, 1000, 3, TUTTI_BATCH, 3, 5),
    CASE("large", -4e9F, 4e9F, 1, 40),
    CASE("NaN", NAN, NAN, 1, 4),
    CASE("scalar", 0, 2, 0, 0),
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "to_i32: x is i32, expected f32"},
};

const tutti_op tutti_op_to_i32 = {
    .name = "to_i32",
    .summary = "real numbers as i32, the fraction cut off",
    .shapes = "x (any) -> i32, the same",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .infer = infer,
    .cost = tutti_elementwise_cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
