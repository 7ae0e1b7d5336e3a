#include "op/copy.h"

void tutti_copy_launch(const tutti_device_info *device, tutti_lowering *out,
                       tutti_candidate *candidate, tutti_tensor from, tutti_tensor to,
                       const tutti_copy *copy) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const tutti_extent rows = tutti_extent_times(copy->outer, copy->k);
    const int64_t block = copy->length < TUTTI_CPU_CHUNK ? TUTTI_CPU_CHUNK / copy->length : 1;
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "copy.cl",
                                                  is_cpu ? "copy_rows" : "copy_items", "%s", "");
    tutti_launch_tensor(out, launch, from);
    tutti_launch_tensor(out, launch, to);
    tutti_launch_i32(out, launch, rows);
    const int64_t values[] = {copy->length,    copy->k,        copy->from_outer, copy->from_k,
                              copy->from_base, copy->to_outer, copy->to_k,       copy->to_base};
    for (int32_t i = 0; i < TUTTI_COUNT(values); i++)
        tutti_launch_i32(out, launch, tutti_extent_const(values[i]));
    if (!is_cpu) {
        tutti_launch_range(launch, tutti_extent_times(rows, copy->length), 1, 64);
        return;
    }
    tutti_launch_i32(out, launch, tutti_extent_const(block));
    tutti_launch_range(launch, tutti_extent_const(copy->length), TUTTI_CPU_CHUNK, 1);
    tutti_launch_range(launch, rows, block, 1);
}
