/* Convolutions with vectors along the channels of y on CPU devices (cl/conv_channels.clh). */
#include "op/conv.h"

/* Rows of x should stay in a core's second-level cache, results near the first. */
#define STRIP_BYTES (256 * 1024)
#define MADE_BYTES  (32 * 1024)
/* Columns of a phase from which on vectors along rows are as good. */
#define COLUMNS_MANY 16
/* Products that a work-item should have, beside what it does once. */
#define ITEM_WORK 200000.0

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Short rows, and blocks of 16 channels that are mostly full. */
static bool fits(const tutti_conv *p, bool transposed) {
    const int64_t columns = transposed ? ceil_div(p->ow, p->attr->stride[1]) : p->ow;
    return columns < COLUMNS_MANY && 2 * 16 * ceil_div(p->k, 16) <= 3 * p->k;
}

/* Local memory: rows of x, results. */
typedef struct portion {
    int64_t strip_bytes, made_bytes;
} portion;

static portion portion_of(const tutti_conv *p, bool transposed, int64_t rows, int64_t channels) {
    const tutti_conv_attr *a = p->attr;
    const tutti_conv_strip s = tutti_conv_strip_of(p, true, rows);
    const int64_t pitch =
        transposed ? s.pitch : (p->ow - 1) * a->stride[1] + (p->s - 1) * a->dilation[1] + 1;
    const int64_t rows_x =
        transposed ? s.rows : (rows - 1) * a->stride[0] + (p->r - 1) * a->dilation[0] + 1;
    return (portion){4 * p->c * rows_x * pitch,
                     4 * channels * rows * (transposed ? a->stride[0] : 1) * p->ow};
}

bool tutti_conv_channels_lower(const tutti_node_info *node, const tutti_device_info *device,
                               tutti_lowering *out, const tutti_conv *p, bool transposed) {
    if (!fits(p, transposed))
        return false;
    const tutti_conv_attr *a = p->attr;
    const bool wide = device->simd_floats >= 16;
    const int kv = wide && p->k > 16 ? 2 : 1, pixels = wide ? 16 / kv : 4;
    const int64_t phases = transposed ? a->stride[0] * a->stride[1] : 1;
    const int64_t taps = p->r * p->s, taps_bytes = 4 * (2 * taps + phases);
    const int64_t room = (int64_t)device->local_memory_bytes - taps_bytes - 256;
    const int64_t out_rows = transposed ? ceil_div(p->oh, a->stride[0]) : p->oh;
    const int64_t images = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH);
    int64_t rows = out_rows;
    portion w;
    for (;; rows = (rows + 1) / 2) {
        w = portion_of(p, transposed, rows, 16 * kv);
        const int64_t items = images * p->groups * ceil_div(out_rows, rows);
        if (rows == 1 || (w.strip_bytes <= STRIP_BYTES && w.made_bytes <= MADE_BYTES &&
                          w.strip_bytes + w.made_bytes <= room &&
                          (rows <= 4 || items >= 4 * (int64_t)device->compute_units)))
            break;
    }
    if (w.strip_bytes + w.made_bytes > room)
        return false;

    tutti_candidate *candidate = tutti_conv_candidate(out, "channels", "by rule: short rows");
    const uint32_t packed = tutti_conv_pack_weights(node, out, candidate, p, transposed, 16 * kv);
    tutti_launch *launch = tutti_candidate_launch(
        out, candidate, transposed ? "conv_transpose2d_channels.cl" : "conv2d_channels.cl",
        "conv_channels", "-DKV=%d -DPIXELS=%d", kv, pixels);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_scratch(out, launch, packed);
    /* Without a bias, a pointer that is not read. */
    tutti_launch_tensor(out, launch, node->in[node->n_in == 3 ? 2 : 1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_local(out, launch, (size_t)w.strip_bytes);
    tutti_launch_local(out, launch, (size_t)w.made_bytes);
    tutti_launch_local(out, launch, (size_t)taps_bytes);
    tutti_conv_sizes(out, launch, p);
    tutti_launch_i32(out, launch, tutti_extent_const(node->n_in == 3));
    tutti_launch_i32(out, launch, tutti_extent_const(rows));
    const double work = (double)(p->c * p->k * taps) * (double)(rows * p->ow);
    int64_t each = 1;
    while ((double)each * work < ITEM_WORK &&
           16 * each * (int64_t)device->compute_units <= images * p->groups)
        each *= 2;
    tutti_launch_i32(out, launch, tutti_extent_const(each));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, tutti_extent_const(out_rows), rows, 1);
    const tutti_extent planes = {p->images.base * p->groups, p->images.per_sample * p->groups};
    tutti_launch_range(launch, planes, each, 1);
    return true;
}
