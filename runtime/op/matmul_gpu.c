/* How GPUs multiply matrices: cl/matmul.cl with tiles of several sizes, K in one piece or split. */
#include <stdio.h>

#include "op/matmul.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* square x square outputs per work-group of 16 x 16. */
static void lower_tile(const tutti_node_info *node, const tutti_device_info *device,
                       tutti_lowering *out, const tutti_extent size[3], int square,
                       int64_t splits) {
    const tutti_matmul_attr *attr = node->attr;
    const int per_item = square / 16, bk = 16;
    if (device->max_work_group < 256 ||
        device->local_memory_bytes < (uint64_t)(4 * bk * (2 * square + 2)))
        return;
    char name[32];
    snprintf(name, sizeof name, splits == 1 ? "tile%d" : "tile%d_split%d", square, (int)splits);
    tutti_candidate *candidate = tutti_lowering_candidate(out, name);
    uint32_t scratch = 0;
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    if (splits > 1)
        scratch = tutti_candidate_scratch(
            out, candidate, (tutti_extent){4 * splits * count.base, 4 * splits * count.per_sample});
    char options[128];
    snprintf(options, sizeof options,
             "-DBM=%d -DBN=%d -DBK=%d -DTM=%d -DTN=%d -DTRANS_A=%d -DTRANS_B=%d", square, square,
             bk, per_item, per_item, (int)attr->trans_a, (int)attr->trans_b);
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "matmul.cl", "matmul_tile", "%s", options);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    if (splits > 1)
        tutti_launch_scratch(out, launch, scratch);
    else
        tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, size[0]);
    tutti_launch_i32(out, launch, size[1]);
    tutti_launch_i32(out, launch, size[2]);
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_range(launch, size[1], per_item, 16);
    tutti_launch_range(launch, size[0], per_item, 16);
    tutti_launch_range(launch, tutti_extent_const(splits), 1, 1);
    if (splits == 1) {
        tutti_launch_epilogue(out, launch);
        return;
    }
    launch = tutti_candidate_launch(out, candidate, "matmul.cl", "matmul_join", "%s", options);
    tutti_launch_scratch(out, launch, scratch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, count, 1, 64);
}

void tutti_matmul_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner) {
    const tutti_extent size[3] = {rows, columns, inner};
    const int64_t m = tutti_extent_value(size[0], TUTTI_TYPICAL_BATCH), n = columns.base;
    const int64_t k = tutti_extent_value(size[2], TUTTI_TYPICAL_BATCH);
    const int64_t units = device->compute_units;
    const bool large = m >= 128 && n >= 128;
    const bool large_fills = large && ceil_div(m, 128) * ceil_div(n, 128) >= units;
    if (large_fills)
        lower_tile(node, device, out, size, 128, 1);
    /* Few outputs and a long K: parts of K keep the other compute units busy. */
    const int64_t groups = ceil_div(m, 64) * ceil_div(n, 64);
    int64_t splits = groups < units ? ceil_div(units, groups) : 1;
    splits = splits > 8 ? 8 : splits;
    if (splits > 1 && k >= 512)
        lower_tile(node, device, out, size, 64, splits);
    lower_tile(node, device, out, size, 64, 1);
    if (large && !large_fills)
        lower_tile(node, device, out, size, 128, 1);
}
