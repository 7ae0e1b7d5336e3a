#include "op/rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Rows up to this length are a work-item's work on every device. */
#define SHORT_ROW 32

int64_t tutti_rows_columns(const tutti_node_info *node) {
    const tutti_shape *shape = &node->in_type[0].shape;
    return shape->dim[shape->rank - 1];
}

tutti_extent tutti_rows_count(const tutti_node_info *node) {
    const tutti_extent all = tutti_extent_count(&node->in_type[0].shape);
    const int64_t columns = tutti_rows_columns(node);
    return (tutti_extent){all.base / columns, all.per_sample / columns};
}

tutti_shape tutti_rows_shape(const tutti_shape *shape) {
    tutti_shape rows = *shape;
    rows.dim[--rows.rank] = 0;
    return rows;
}

tutti_launch *tutti_rows_launch(const tutti_node_info *node, const tutti_device_info *device,
                                tutti_lowering *out, const char *options) {
    const int64_t columns = tutti_rows_columns(node);
    const tutti_extent rows = tutti_rows_count(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int local = columns >= 1024 ? 256 : 64;
    const bool group = !is_cpu && columns > SHORT_ROW && device->max_work_group >= (uint32_t)local;
    char file[64], entry[64];
    snprintf(file, sizeof file, "%s.cl", node->op->name);
    snprintf(entry, sizeof entry, "%s_%s", node->op->name, group ? "group" : "row");
    tutti_candidate *candidate = tutti_lowering_candidate(out, group ? "group" : "row");
    tutti_launch *launch =
        group ? tutti_candidate_launch(out, candidate, file, entry, "-DLOCAL=%d%s%s", local,
                                       options[0] != '\0' ? " " : "", options)
              : tutti_candidate_launch(out, candidate, file, entry, "%s", options);
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, tutti_extent_const(columns));
    if (group)
        tutti_launch_range(launch, (tutti_extent){rows.base * local, rows.per_sample * local}, 1,
                           local);
    else
        tutti_launch_range(launch, rows, 1, is_cpu ? 1 : 64);
    return launch;
}

tutti_status tutti_rows_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out) {
    (void)tutti_rows_launch(node, device, out, "");
    return tutti_lowering_status(out);
}

tutti_cost tutti_rows_cost(const tutti_node_info *node, int64_t n, double flops_per_element) {
    double bytes = 0;
    for (int32_t i = 0; i < node->n_in; i++)
        bytes += 4 * (double)tutti_shape_count(&node->in_type[i].shape, n);
    bytes += 4 * (double)tutti_shape_count(&node->out_type[0].shape, n);
    return (tutti_cost){flops_per_element * (double)tutti_shape_count(&node->in_type[0].shape, n),
                        bytes};
}

tutti_status tutti_rows_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_type *x = &node->in_type[0];
    char text[TUTTI_SHAPE_TEXT];
    if (x->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, expected f32",
                             tutti_dtype_name(x->dtype));
    if (x->shape.rank == 0 || (x->shape.rank == 1 && x->shape.batched))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s: expected a last axis that is not the batch",
                             tutti_shape_text(&x->shape, text));
    out->type = *x;
    return TUTTI_OK;
}

double tutti_rows_log_sum(const float *x, int64_t columns) {
    double high = (double)x[0], sum = 0;
    for (int64_t c = 1; c < columns; c++)
        high = fmax(high, (double)x[c]);
    for (int64_t c = 0; c < columns; c++)
        sum += exp((double)x[c] - high);
    return log(sum) + high;
}

tutti_status tutti_rows_check_labels(const tutti_node_info *node) {
    const tutti_type *x = &node->in_type[0], *labels = &node->in_type[1];
    char text_x[TUTTI_SHAPE_TEXT], text_labels[TUTTI_SHAPE_TEXT];
    tutti_shape_text(&x->shape, text_x);
    tutti_shape_text(&labels->shape, text_labels);
    if (x->dtype != TUTTI_F32 || labels->dtype != TUTTI_I32)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "logits are %s, labels are %s: expected f32 and i32",
                             tutti_dtype_name(x->dtype), tutti_dtype_name(labels->dtype));
    if (x->shape.rank != 2)
        return tutti_op_fail(node, TUTTI_SHAPE, "logits are %s: expected a matrix", text_x);
    const tutti_shape rows = tutti_rows_shape(&x->shape);
    if (!tutti_shape_equal(&rows, &labels->shape))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "logits are %s, labels are %s: expected one label per row", text_x,
                             text_labels);
    return TUTTI_OK;
}
