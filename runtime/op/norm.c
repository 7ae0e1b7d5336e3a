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
    tutti_launch_range(launch, tutti_extent_const(columns), is_cpu ? 16 : 1, is_cpu ? 1 : 64);
    tutti_launch_range(launch, tutti_extent_const(1), 1, 1);
}
