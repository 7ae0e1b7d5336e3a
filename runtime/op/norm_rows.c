/* What layer, group and RMS norm share. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/status.h"
#include "op/norm.h"

#define SHORT_ROW 32

tutti_tensor tutti_norm_apply(tutti_graph *graph, const tutti_op *op, tutti_tensor x,
                              tutti_tensor gamma, tutti_tensor beta, const tutti_norm_attr *attr) {
    if (gamma.id == 0 && beta.id != 0)
        return tutti_graph_reject(
            graph, tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: beta without gamma", op->name));
    const int32_t n_in = gamma.id == 0 ? 1 : beta.id == 0 ? 2 : 3;
    return tutti_op_apply1(graph, op, (tutti_tensor[]){x, gamma, beta}, n_in, attr, sizeof *attr);
}

tutti_tensor tutti_norm_rows(tutti_graph *graph, const tutti_op *op, tutti_tensor x,
                             tutti_tensor gamma, tutti_tensor beta, int32_t n_axes, float eps,
                             bool rms) {
    const tutti_shape shape = tutti_tensor_type(graph, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    if (tutti_graph_owns(graph, x) && (n_axes < 1 || n_axes > shape.rank - (shape.batched ? 1 : 0)))
        return tutti_graph_reject(
            graph, tutti_fail(TUTTI_SHAPE, "%s: x is %s: its last %" PRId32 " axes make no row",
                              op->name, tutti_shape_text(&shape, text), n_axes));
    const tutti_norm_attr attr = {
        .first = shape.rank - n_axes, .last = shape.rank, .groups = 1, .eps = eps, .rms = rms};
    return tutti_norm_apply(graph, op, x, gamma, beta, &attr);
}

tutti_status tutti_norm_check(const tutti_node_info *node, const tutti_shape *x,
                              int32_t scale_input) {
    static const char *const names[] = {"gamma", "beta"};
    const tutti_norm_attr *attr = node->attr;
    char text[TUTTI_SHAPE_TEXT], wanted[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in_type[i].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s, expected f32", (int)i,
                                 tutti_dtype_name(node->in_type[i].dtype));
    if (!(attr->eps > 0) || !isfinite(attr->eps))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "eps is %g, must be above 0",
                             (double)attr->eps);
    if (attr->first < (x->batched ? 1 : 0) || attr->first >= attr->last || attr->last > x->rank)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s: axes %d to %d cannot be its channels, the batch is none",
                             tutti_shape_text(x, text), (int)attr->first, (int)attr->last - 1);
    const tutti_norm_view view = tutti_norm_view_of(x, attr->first, attr->last);
    if (attr->groups < 1 || view.channels % attr->groups != 0)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "x is %s: %d groups do not divide it",
                             tutti_shape_text(x, text), (int)attr->groups);
    tutti_shape channels = {.rank = attr->last - attr->first};
    for (int32_t i = attr->first; i < attr->last; i++)
        channels.dim[i - attr->first] = x->dim[i];
    for (int32_t i = scale_input; i < node->n_in; i++)
        if (!tutti_shape_equal(&channels, &node->in_type[i].shape))
            return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s, expected %s", names[i - scale_input],
                                 tutti_shape_text(&node->in_type[i].shape, text),
                                 tutti_shape_text(&channels, wanted));
    return TUTTI_OK;
}

tutti_status tutti_norm_infer(const tutti_node_info *node, tutti_infer *out) {
    TUTTI_TRY(tutti_norm_check(node, &node->in_type[0].shape, 1));
    out->type = node->in_type[0];
    return TUTTI_OK;
}

tutti_cost tutti_norm_cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){8 * count, 8 * count};
}

tutti_status tutti_norm_rows_lower(const tutti_node_info *node, const tutti_device_info *device,
                                   const char *name, int32_t scale_input, tutti_lowering *out) {
    const tutti_norm_attr *attr = node->attr;
    const tutti_norm_view v = tutti_norm_view_of(&node->in_type[0].shape, attr->first, attr->last);
    const tutti_extent rows = {v.rows.base * attr->groups, v.rows.per_sample * attr->groups};
    const int64_t channels = v.channels / attr->groups, length = channels * v.inner;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int local = length >= 1024 ? 256 : 64;
    const bool group = !is_cpu && length > SHORT_ROW && device->max_work_group >= (uint32_t)local;
    const char *kind = group ? "group" : v.inner == 1 ? "features" : "planes";
    const char *scale = node->n_in == scale_input       ? ""
                        : node->n_in == scale_input + 1 ? " -DGAMMA"
                                                        : " -DGAMMA -DBETA";
    char file[32], entry[48];
    snprintf(file, sizeof file, "%s.cl", name);
    snprintf(entry, sizeof entry, "%s_%s", name, kind);
    tutti_candidate *candidate = tutti_lowering_candidate(out, kind);
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, file, entry, "-DLOCAL=%d%s%s", group ? local : 64,
                               scale, attr->rms != 0 ? " -DRMS" : "");
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    for (int32_t i = 0; i < node->n_out; i++)
        tutti_launch_tensor(out, launch, node->out[i]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, tutti_extent_const(channels));
    tutti_launch_i32(out, launch, tutti_extent_const(v.inner));
    tutti_launch_i32(out, launch, tutti_extent_const(attr->groups));
    tutti_launch_f32(out, launch, attr->eps);
    if (group)
        tutti_launch_range(launch, (tutti_extent){rows.base * local, rows.per_sample * local}, 1,
                           local);
    else
        tutti_launch_range(launch, rows, 1, is_cpu ? 1 : 64);
    return tutti_lowering_status(out);
}

tutti_status tutti_norm_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out) {
    return tutti_norm_rows_lower(node, device, "norm", 1, out);
}

void tutti_norm_statistics(const float *x, int64_t length, const tutti_norm_attr *attr,
                           double *out_mean, double *out_rstd) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < length && attr->rms == 0; i++)
        mean += (double)x[i] / (double)length;
    for (int64_t i = 0; i < length; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)length;
    *out_mean = mean;
    *out_rstd = 1 / sqrt(variance + (double)attr->eps);
}

void tutti_norm_ref(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const tutti_norm_attr *attr = node->attr;
    const tutti_norm_view v = tutti_norm_view_of(&node->in_type[0].shape, attr->first, attr->last);
    const int64_t rows = tutti_extent_value(v.rows, call->run->n) * attr->groups;
    const int64_t length = v.channels / attr->groups * v.inner;
    const float *x = call->in[0], *gamma = node->n_in > 1 ? call->in[1] : NULL;
    const float *beta = node->n_in > 2 ? call->in[2] : NULL;
    float *y = call->out[0];
    for (int64_t r = 0; r < rows; r++) {
        double mean, rstd;
        tutti_norm_statistics(x + r * length, length, attr, &mean, &rstd);
        for (int64_t i = r * length; i < (r + 1) * length; i++) {
            const int64_t c = i / v.inner % v.channels;
            y[i] = (float)(((double)x[i] - mean) * rstd * (gamma != NULL ? (double)gamma[c] : 1) +
                           (beta != NULL ? (double)beta[c] : 0));
        }
    }
}

tutti_status tutti_norm_gradient(tutti_graph *graph, const tutti_node_info *node,
                                 const tutti_tensor *dout, const bool *want, tutti_tensor *din) {
    const tutti_norm_attr *attr = node->attr;
    const tutti_tensor in[] = {dout[0], node->in[0], node->n_in > 1 ? node->in[1] : dout[0]};
    tutti_tensor out[3], scale, shift;
    TUTTI_TRY(tutti_op_apply(graph, &tutti_op_norm_grad, in, node->n_in > 1 ? 3 : 2, attr,
                             sizeof *attr, out));
    if (want[0])
        din[0] = out[0];
    if (!(node->n_in > 1 && want[1]) && !(node->n_in > 2 && want[2]))
        return TUTTI_OK;
    const tutti_norm_sums_attr sums = {attr->first, attr->last, attr->groups, 0};
    TUTTI_TRY(tutti_norm_sums(graph, dout[0], node->in[0], out[1], out[2], &sums, &scale, &shift));
    if (want[1])
        din[1] = scale;
    if (node->n_in > 2 && want[2])
        din[2] = shift;
    return TUTTI_OK;
}
