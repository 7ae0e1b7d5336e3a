#include "op/elementwise.h"

#include <math.h>
#include <stdio.h>

#include "base/status.h"

tutti_status tutti_elementwise_infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_shape shape = {0};
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *type = &node->in_type[i];
        if (type->dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s, expected f32", (int)i,
                                 tutti_dtype_name(type->dtype));
        const tutti_shape before = shape;
        if (!tutti_shape_broadcast(&before, &type->shape, &shape)) {
            char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
            return tutti_op_fail(node, TUTTI_SHAPE, "%s and %s do not broadcast",
                                 tutti_shape_text(&before, a), tutti_shape_text(&type->shape, b));
        }
    }
    out[0].type.dtype = TUTTI_F32;
    out[0].type.shape = shape;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n, double per_element) {
    const double count = (double)tutti_shape_count(&node->out_type[0].shape, n);
    double bytes = 4.0 * count;
    for (int32_t i = 0; i < node->n_in; i++)
        bytes += 4.0 * (double)tutti_shape_count(&node->in_type[i].shape, n);
    return (tutti_cost){.flops = per_element * count, .bytes = bytes};
}

tutti_cost tutti_elementwise_cost(const tutti_node_info *node, int64_t n) {
    return cost(node, n, 1.0);
}

tutti_cost tutti_elementwise_cost_special(const tutti_node_info *node, int64_t n) {
    return cost(node, n, 16.0);
}

/* Extents for n samples. */
static void extents(const tutti_shape *shape, int64_t n, int64_t *dim) {
    for (int32_t d = 0; d < shape->rank; d++)
        dim[d] = shape->dim[d] * (d == 0 && shape->batched ? n : 1);
}

/* Steps of an input, in elements, along the axes of the output; 0 where it is broadcast. */
static void strides(const tutti_shape *in, const tutti_shape *out, int64_t n, int64_t *stride) {
    int64_t dim[TUTTI_MAX_RANK], step = 1;
    extents(in, n, dim);
    for (int32_t d = 0; d < out->rank; d++)
        stride[d] = 0;
    for (int32_t d = in->rank - 1; d >= 0; d--) {
        /* A batch of one sample is still a batch; its stride does not matter. */
        stride[out->rank - in->rank + d] = dim[d] == 1 ? 0 : step;
        step *= dim[d];
    }
}

void tutti_elementwise_ref(const tutti_ref_call *call, tutti_ref_fn fn) {
    const tutti_node_info *node = call->node;
    const tutti_shape *shape = &node->out_type[0].shape;
    const int64_t n = call->run->n;
    int64_t dim[TUTTI_MAX_RANK], stride[TUTTI_EXAMPLE_IN][TUTTI_MAX_RANK];
    extents(shape, n, dim);
    for (int32_t i = 0; i < node->n_in; i++)
        strides(&node->in_type[i].shape, shape, n, stride[i]);
    const int64_t count = tutti_shape_count(shape, n);
    float *out = call->out[0];
    for (int64_t e = 0; e < count; e++) {
        int64_t offset[TUTTI_EXAMPLE_IN] = {0}, rest = e;
        for (int32_t d = shape->rank - 1; d >= 0; d--) {
            for (int32_t i = 0; i < node->n_in; i++)
                offset[i] += rest % dim[d] * stride[i][d];
            rest /= dim[d];
        }
        double x[TUTTI_EXAMPLE_IN];
        for (int32_t i = 0; i < node->n_in; i++)
            x[i] = node->in_type[i].dtype == TUTTI_I32
                       ? (double)((const int32_t *)call->in[i])[offset[i]]
                       : (double)((const float *)call->in[i])[offset[i]];
        out[e] = (float)fn(call, x, e);
    }
}

tutti_status tutti_expr(char *text, size_t text_size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, text_size, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= text_size)
        return tutti_fail(TUTTI_INTERNAL, "an expression of %d characters does not fit in %zu",
                          length, text_size);
    return TUTTI_OK;
}

const char *tutti_f32_text(float value, char text[TUTTI_F32_TEXT]) {
    if (isnan(value))
        snprintf(text, TUTTI_F32_TEXT, "NAN");
    else if (isinf(value))
        snprintf(text, TUTTI_F32_TEXT, value < 0 ? "(-INFINITY)" : "INFINITY");
    else
        snprintf(text, TUTTI_F32_TEXT, signbit(value) ? "(%.8ef)" : "%.8ef", (double)value);
    return text;
}
