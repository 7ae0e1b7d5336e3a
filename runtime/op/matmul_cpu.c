/* How CPUs multiply matrices: cl/matmul_cpu.cl, whose register tiles read B from copies, and for
 * products with few columns, few rows or a short K two kernels that read both where they are. */
#include <stdio.h>

#include "op/matmul.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* A vector of 16 floats in one register, of which there are 32. Else (16 registers of 8 floats, or 32
 * of 4) half as many rows of one float16 do. */
bool tutti_matmul_is_wide(const tutti_device_info *device) {
    return device->simd_floats >= 16;
}

/* Panels per work-group, up to `most`: as many as leave the groups most alike. Drivers hand out groups
 * by number, and whoever has the last, smaller one waits for the others (512x784x128: 25 groups of one
 * panel are an eighth faster than 9 of three). */
static int64_t even_panels(int64_t vectors, int64_t nv, int64_t most) {
    int64_t best = 1, least = INT64_MAX;
    for (int64_t panels = most; panels >= 1 && least > vectors / 64; panels--) {
        const int64_t width = panels * nv < vectors ? panels * nv : vectors;
        const int64_t missing = ceil_div(vectors, width) * width - vectors;
        if (missing < least) {
            least = missing;
            best = panels;
        }
    }
    return best;
}

bool tutti_matmul_cpu_fit(const tutti_device_info *device, int64_t count, int64_t rows,
                          int64_t columns, const tutti_matmul_attr *attr, tutti_matmul_cpu *out) {
    /* 16 accumulators, two of B and some of A. */
    const bool wide = tutti_matmul_is_wide(device);
    const int64_t room = (int64_t)device->local_memory_bytes / 4;
    tutti_matmul_cpu fit = {.mr = wide ? 8 : 4, .nv = wide ? 2 : 1, .np = 4, .kc = 512};
    const int64_t width = 16 * fit.nv;
    while (fit.np > 1 && fit.np * fit.kc * width > room)
        fit.np /= 2;
    while (fit.kc >= 32 && fit.kc * width > room)
        fit.kc /= 2;
    /* Many rows per work-group, since each copies its panels of B, and then as many panels as leave
     * every compute unit several work-groups. */
    const int64_t units = device->compute_units, total = ceil_div(columns, width);
    int64_t group = 256;
    while (group > 32 && count * ceil_div(rows, group) * total < 2 * units)
        group /= 2;
    fit.tiles = group / fit.mr;
    if (rows > group)
        fit.tiles = ceil_div(ceil_div(rows, fit.mr), ceil_div(rows, group));
    const int64_t limit = count * ceil_div(rows, group) * total / (4 * units);
    fit.panels = even_panels(ceil_div(columns, 16), fit.nv,
                             limit < 1        ? 1
                             : limit > fit.np ? fit.np
                                              : limit);
    snprintf(fit.options, sizeof fit.options,
             "-DMR=%d -DNV=%d -DNP=%d -DKC=%d -DTRANS_A=%d -DTRANS_B=%d", (int)fit.mr, (int)fit.nv,
             (int)fit.np, (int)fit.kc, (int)attr->trans_a, (int)attr->trans_b);
    *out = fit;
    return fit.kc >= 32;
}

static void add_tensors(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch) {
    tutti_matmul_operands(node, out, launch);
    tutti_launch_tensor(out, launch, node->out[0]);
}

/* Multiply-adds of a work-group: some 5 microseconds. Less does not repay waking a second thread. */
#define LEAST_WORK (1 << 18)
/* Parts of K shorter than this do not repay the sums. */
#define PART_MIN   512
#define SPLITS_MAX 16

/* How many of `tiles` tiles a work-group gets, each of `work` multiply-adds: groups that are alike, and
 * as many for each compute unit. */
static int64_t tiles_per_group(const tutti_device_info *device, int64_t tiles, int64_t work) {
    const int64_t units = device->compute_units > 0 ? device->compute_units : 1;
    int64_t groups = (int64_t)((double)tiles * (double)work / LEAST_WORK);
    if (groups > units)
        groups -= groups % units;
    return ceil_div(tiles, groups < 1 ? 1 : groups);
}

bool tutti_matmul_direct_fit(const tutti_device_info *device, int64_t count, int64_t m, int64_t n,
                             int64_t k, const tutti_matmul_attr *attr, tutti_matmul_direct *out) {
    const int64_t w = n % 16 == 0 ? 16 : 8, nv = n / w;
    if (n < 8 || n % w != 0 || n > 32 || m > 64 || k > 64)
        return false;
    if (attr->trans_b && (w != 16 || k % 16 != 0))
        return false;
    const int64_t work = m * n * k;
    out->each = tiles_per_group(device, count, work < 1 ? 1 : work);
    snprintf(out->options, sizeof out->options, "-DW=%d -DNV=%d -DR=%d -DTRANS_A=%d -DTRANS_B=%d",
             (int)w, (int)nv,
             tutti_matmul_is_wide(device) ? 8
             : nv > 1                     ? 2
                                          : 4,
             (int)attr->trans_a, (int)attr->trans_b);
    return true;
}

/* C = A B^T with few columns: dot products. */
static bool lower_dots(const tutti_node_info *node, const tutti_device_info *device,
                       tutti_lowering *out, const tutti_extent size[3]) {
    const tutti_matmul_attr *attr = node->attr;
    const int64_t n = size[1].base, k = size[2].base;
    /* The sums over a vector's lanes at the end need a long K; B is to stay in the caches. */
    if (attr->trans_a || !attr->trans_b || n > 12 || k < 64 || n * k > 1 << 16)
        return false;
    int64_t r = (tutti_matmul_is_wide(device) ? 24 : 6) / n;
    r = r < 1 ? 1 : r > 4 ? 4 : r;
    const int64_t rows = tutti_extent_value(size[0], TUTTI_TYPICAL_BATCH);
    const int64_t tiles = tiles_per_group(device, ceil_div(rows, r), r * n * k);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "dots"), "matmul_dots.cl",
                               "matmul_dots", "-DN=%d -DR=%d", (int)n, (int)r);
    add_tensors(node, out, launch);
    tutti_launch_i32(out, launch, size[0]);
    tutti_launch_i32(out, launch, size[2]);
    tutti_launch_i32(out, launch, tutti_extent_const(r * tiles));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, size[0], r * tiles, 1);
    return true;
}

/* C = op(A) B with few rows, or a short K. */
static bool lower_direct(const tutti_node_info *node, const tutti_device_info *device,
                         tutti_lowering *out, const tutti_extent size[3]) {
    const tutti_matmul_attr *attr = node->attr;
    const bool wide = tutti_matmul_is_wide(device);
    const int64_t n = size[1].base, most = wide ? 12 : 6;
    const bool few_rows = size[0].per_sample == 0 && size[0].base <= most;
    const bool short_k = size[2].per_sample == 0 && size[2].base <= 32;
    if (attr->trans_b || n % 16 != 0 || !(few_rows || short_k))
        return false;
    const int64_t r = few_rows ? size[0].base : wide ? 8 : 4;
    const int64_t nv = wide && n % 32 == 0 ? 2 : 1, total = n / (16 * nv);
    /* All columns of some rows, or some of few rows. */
    const int64_t k = tutti_extent_value(size[2], TUTTI_TYPICAL_BATCH);
    const int64_t work = 16 * nv * r * (k < 1 ? 1 : k);
    int64_t tiles = 1, panels = total;
    if (few_rows)
        panels = tiles_per_group(device, total, work);
    else
        tiles = tiles_per_group(
            device, ceil_div(tutti_extent_value(size[0], TUTTI_TYPICAL_BATCH), r), total * work);
    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, "direct"), "matmul_direct.cl", "matmul_direct",
        "-DR=%d -DNV=%d -DTRANS_A=%d", (int)r, (int)nv, (int)attr->trans_a);
    add_tensors(node, out, launch);
    for (int32_t i = 0; i < 3; i++)
        tutti_launch_i32(out, launch, size[i]);
    tutti_launch_i32(out, launch, tutti_extent_const(tiles));
    tutti_launch_i32(out, launch, tutti_extent_const(panels));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, size[0], r * tiles, 1);
    tutti_launch_range(launch, size[1], 16 * nv * panels, 1);
    return true;
}

/* C = op(A) op(B) by register tiles; partial products of parts of K are summed up in order. */
static void lower_fit(const tutti_node_info *node, tutti_lowering *out, const tutti_extent size[3],
                      const tutti_matmul_cpu *fit, int64_t splits) {
    char name[32];
    snprintf(name, sizeof name, splits == 1 ? "cpu" : "cpu_split%d", (int)splits);
    tutti_candidate *candidate = tutti_lowering_candidate(out, name);
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    uint32_t scratch = 0;
    if (splits > 1)
        scratch = tutti_candidate_scratch(
            out, candidate, (tutti_extent){4 * splits * count.base, 4 * splits * count.per_sample});
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "matmul_cpu.cl", "matmul_cpu", "%s", fit->options);
    tutti_matmul_operands(node, out, launch);
    if (splits > 1)
        tutti_launch_scratch(out, launch, scratch);
    else
        tutti_launch_tensor(out, launch, node->out[0]);
    for (int32_t i = 0; i < 3; i++)
        tutti_launch_i32(out, launch, size[i]);
    tutti_launch_i32(out, launch, tutti_extent_const(fit->tiles));
    tutti_launch_i32(out, launch, tutti_extent_const(fit->panels));
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_range(launch, size[0], fit->mr * fit->tiles, 1);
    tutti_launch_range(launch, size[1], 16 * fit->nv * fit->panels, 1);
    if (splits == 1)
        return;
    tutti_launch_range(launch, tutti_extent_const(splits), 1, 1);
    launch = tutti_candidate_launch(out, candidate, "matmul_join.cl", "matmul_join", "%s", "");
    tutti_launch_scratch(out, launch, scratch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, count, 1, 64);
}

/* Also with K in parts where rows and columns are too few for all compute units, as those of weight
 * gradients: first where the parts are long enough that it cannot but win. */
static bool lower_tiles(const tutti_node_info *node, const tutti_device_info *device,
                        tutti_lowering *out, const tutti_extent size[3]) {
    const int64_t rows = tutti_extent_value(size[0], TUTTI_TYPICAL_BATCH), columns = size[1].base;
    const int64_t k = tutti_extent_value(size[2], TUTTI_TYPICAL_BATCH),
                  units = device->compute_units;
    tutti_matmul_cpu fit;
    if (!tutti_matmul_cpu_fit(device, 1, rows, columns, node->attr, &fit))
        return false;
    const int64_t groups =
        ceil_div(rows, fit.mr * fit.tiles) * ceil_div(columns, 16 * fit.nv * fit.panels);
    int64_t splits = ceil_div(units, groups > 0 ? groups : 1);
    splits = splits < k / PART_MIN ? splits : k / PART_MIN;
    splits = splits < SPLITS_MAX ? splits : SPLITS_MAX;
    /* Rows that the batch brings may be many more than usual. */
    if (size[0].per_sample != 0)
        splits = 1;
    const double work =
        splits > 1 ? (double)rows * (double)columns * (double)k / (double)splits : 0;
    if (work >= 8.0 * LEAST_WORK)
        lower_fit(node, out, size, &fit, splits);
    lower_fit(node, out, size, &fit, 1);
    if (work >= LEAST_WORK && work < 8.0 * LEAST_WORK)
        lower_fit(node, out, size, &fit, splits);
    return true;
}

/* The same with operands rounded to bf16: two products where f32 has one. */
static void lower_bf16(const tutti_node_info *node, const tutti_device_info *device,
                       tutti_lowering *out, const tutti_extent size[3]) {
    const tutti_matmul_rounding rounding = tutti_matmul_rounding_of(node, out);
    const tutti_matmul_attr *attr = node->attr;
    tutti_matmul_cpu fit;
    if (!device->bf16_dot || !tutti_matmul_is_wide(device) || !rounding.bf16 ||
        !tutti_matmul_cpu_fit(device, 1, tutti_extent_value(size[0], TUTTI_TYPICAL_BATCH),
                              size[1].base, attr, &fit))
        return;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "cpu_bf16");
    if (candidate != NULL)
        candidate->tolerance = rounding.bf16_tolerance;
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "matmul_cpu_bf16.cl", "matmul_cpu_bf16",
                               "-DNP=%d -DKC=%d -DTRANS_A=%d -DTRANS_B=%d", (int)fit.np,
                               (int)fit.kc, (int)attr->trans_a, (int)attr->trans_b);
    add_tensors(node, out, launch);
    for (int32_t i = 0; i < 3; i++)
        tutti_launch_i32(out, launch, size[i]);
    tutti_launch_i32(out, launch, tutti_extent_const(fit.tiles));
    tutti_launch_i32(out, launch, tutti_extent_const(fit.panels));
    tutti_launch_range(launch, size[0], fit.mr * fit.tiles, 1);
    tutti_launch_range(launch, size[1], 16 * fit.nv * fit.panels, 1);
}

bool tutti_matmul_lower_cpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner) {
    const tutti_extent size[3] = {rows, columns, inner};
    /* Where dots and direct apply they win: 128x10x512 13.6 against 19 microseconds on two cores,
     * 10x512x128 12.5 against 19.5. With narrow vectors that was not measured: they come second. */
    const bool wide = tutti_matmul_is_wide(device);
    if (wide && (lower_dots(node, device, out, size) || lower_direct(node, device, out, size)))
        return true;
    const bool has_tiles = lower_tiles(node, device, out, size);
    if (!wide && !lower_dots(node, device, out, size))
        (void)lower_direct(node, device, out, size);
    /* Behind the others: the first is taken unseen where nothing is measured. */
    if (has_tiles)
        lower_bf16(node, device, out, size);
    return has_tiles;
}
