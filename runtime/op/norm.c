#include "op/norm.h"

#define TYPICAL_BATCH 128

tutti_norm_view tutti_norm_view_of(const tutti_shape *shape, int32_t first, int32_t last) {
    tutti_norm_view view = {tutti_extent_const(1), 1, 1};
    for (int32_t i = 0; i < shape->rank; i++) {
        if (i >= last)
            view.inner *= shape->dim[i];
        else if (i >= first)
            view.channels *= shape->dim[i];
        else if (i == 0)
            view.rows = tutti_extent_dim(shape, 0);
        else
            view.rows = (tutti_extent){view.rows.base * shape->dim[i],
                                       view.rows.per_sample * shape->dim[i]};
    }
    return view;
}

/* Ranges to cut the rows in, so that `busy` work-items or groups per range keep the device busy, but
 * none gets less work than a launch more is worth. row_work: elements per row of one of them. */
int64_t tutti_norm_parts(const tutti_device_info *device, tutti_extent rows, int64_t busy,
                         int64_t row_work) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t units = (is_cpu ? 4 : 16) * (int64_t)device->compute_units;
    const int64_t shortest = is_cpu ? 16384 : 1024;
    const int64_t r = tutti_extent_value(rows, TYPICAL_BATCH);
    int64_t parts = (units + busy - 1) / busy;
    if (parts > r * row_work / shortest)
        parts = r * row_work / shortest;
    return parts < 1 ? 1 : parts > r ? r : parts;
}

void tutti_norm_add_parts(tutti_lowering *out, tutti_candidate *candidate,
                          const tutti_device_info *device, uint32_t from, tutti_tensor to,
                          int64_t parts, int64_t columns) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    tutti_launch *launch = tutti_candidate_launch(
        out, candidate, "sum.cl", is_cpu ? "reduce_columns" : "reduce_items", "%s", "");
    tutti_launch_scratch(out, launch, from);
    tutti_launch_tensor(out, launch, to);
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_i32(out, launch, tutti_extent_const(columns));
    tutti_launch_i32(out, launch, tutti_extent_const(1));
    tutti_launch_i32(out, launch, tutti_extent_const(1));
    tutti_launch_range(launch, tutti_extent_const(columns), is_cpu ? 64 : 1, is_cpu ? 1 : 64);
    tutti_launch_range(launch, tutti_extent_const(1), 1, 1);
}

tutti_norm_view tutti_pool_view(const tutti_shape *m) {
    return tutti_norm_view_of(m, 1, m->rank);
}

tutti_status tutti_pool_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out, tutti_host_f32 factor) {
    const tutti_pool_rows_attr *attr = node->attr;
    const tutti_norm_view v = tutti_pool_view(&node->in_type[0].shape);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t width = is_cpu ? 16 : 64;
    const int64_t parts =
        tutti_norm_parts(device, v.rows, (v.channels + width - 1) / width, is_cpu ? 16 : 64);
    tutti_candidate *candidate = tutti_lowering_candidate(out, is_cpu ? "columns" : "items");
    uint32_t scratch = 0;
    if (parts > 1)
        scratch =
            tutti_candidate_scratch(out, candidate, tutti_extent_const(4 * parts * v.channels));
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "pool_rows.cl",
                                                  is_cpu ? "pool_columns" : "pool_items", "%s",
                                                  node->n_in == 1   ? "-DMEAN"
                                                  : node->n_in == 3 ? "-DM2"
                                                                    : "");
    tutti_launch_tensor(out, launch, node->in[0]);
    if (node->n_in == 3)
        tutti_launch_tensor(out, launch, node->in[2]);
    if (node->n_in > 1) {
        tutti_launch_tensor(out, launch, node->in[1]);
        tutti_launch_f32(out, launch, (float)attr->weight);
    }
    if (parts > 1)
        tutti_launch_scratch(out, launch, scratch);
    else
        tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_host_f32(out, launch, factor);
    tutti_launch_i32(out, launch, v.rows);
    tutti_launch_i32(out, launch, tutti_extent_const(v.channels));
    tutti_launch_i32(out, launch, tutti_extent_const(parts));
    tutti_launch_range(launch, tutti_extent_const(v.channels), is_cpu ? 16 : 1, is_cpu ? 1 : 64);
    tutti_launch_range(launch, tutti_extent_const(parts), 1, 1);
    if (parts > 1)
        tutti_norm_add_parts(out, candidate, device, scratch, node->out[0], parts, v.channels);
    return tutti_lowering_status(out);
}
