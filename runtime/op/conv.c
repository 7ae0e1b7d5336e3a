#include "op/conv.h"

#include <inttypes.h>

#include "base/status.h"
#include "op/winograd.h"

/* Packed rows should stay in a core's second-level cache. */
#define STRIP_BYTES (256 * 1024)
#define OPTION_MAX  65535
/* Products that a work-item should have, beside what it does once. */
#define ITEM_WORK 200000.0

tutti_conv_attr tutti_conv_attr_of(const tutti_conv2d_options *options) {
    tutti_conv_attr attr = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    if (options == NULL)
        return attr;
    for (int d = 0; d < 2; d++) {
        attr.stride[d] = options->stride[d] == 0 ? 1 : options->stride[d];
        attr.dilation[d] = options->dilation[d] == 0 ? 1 : options->dilation[d];
        attr.padding[d] = options->padding[d];
        attr.extra[d] = options->output_padding[d];
    }
    attr.groups = options->groups == 0 ? 1 : options->groups;
    return attr;
}

static tutti_status check_option(const tutti_node_info *node, const char *name,
                                 const int64_t value[2], int64_t lowest) {
    for (int d = 0; d < 2; d++)
        if (value[d] < lowest || value[d] > OPTION_MAX)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "%s is %" PRId64 "x%" PRId64 ", expected %" PRId64 " to %d", name,
                                 value[0], value[1], lowest, OPTION_MAX);
    return TUTTI_OK;
}

tutti_status tutti_conv_check(const tutti_node_info *node, const char *const *names) {
    const tutti_conv_attr *attr = node->attr;
    char text[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *type = &node->in_type[i];
        const int32_t rank = i == 2 ? 1 : 4;
        if (type->dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s, expected f32", names[i],
                                 tutti_dtype_name(type->dtype));
        if (type->shape.rank != rank)
            return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s, expected %" PRId32 " axes", names[i],
                                 tutti_shape_text(&type->shape, text), rank);
    }
    TUTTI_TRY(check_option(node, "stride", attr->stride, 1));
    TUTTI_TRY(check_option(node, "padding", attr->padding, 0));
    TUTTI_TRY(check_option(node, "dilation", attr->dilation, 1));
    const tutti_shape *x = &node->in_type[0].shape;
    if (attr->groups < 1 || attr->groups > x->dim[1])
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "%s is %s, groups is %" PRId64 ": expected 1 to its %" PRId64
                             " channels",
                             names[0], tutti_shape_text(x, text), attr->groups, x->dim[1]);
    return TUTTI_OK;
}

tutti_status tutti_conv_check_bias(const tutti_node_info *node, int64_t channels) {
    char text[TUTTI_SHAPE_TEXT];
    if (node->n_in == 3 &&
        (node->in_type[2].shape.batched || node->in_type[2].shape.dim[0] != channels))
        return tutti_op_fail(node, TUTTI_SHAPE, "bias is %s, expected %" PRId64,
                             tutti_shape_text(&node->in_type[2].shape, text), channels);
    return TUTTI_OK;
}

int64_t tutti_conv_extent(const tutti_conv_attr *attr, int d, int64_t size, int64_t taps) {
    const int64_t room = size + 2 * attr->padding[d] - attr->dilation[d] * (taps - 1) - 1;
    return room < 0 ? 0 : room / attr->stride[d] + 1;
}

tutti_tensor tutti_conv2d_data_grad(tutti_graph *graph, const tutti_conv *p, tutti_tensor dy,
                                    tutti_tensor weight) {
    const tutti_conv_attr *a = p->attr;
    const int64_t h = p->h + 2 * a->padding[0] - a->dilation[0] * (p->r - 1) - 1;
    const int64_t w = p->w + 2 * a->padding[1] - a->dilation[1] * (p->s - 1) - 1;
    const tutti_conv_attr attr = tutti_conv_attr_with(a, h % a->stride[0], w % a->stride[1]);
    return tutti_conv_transpose2d_node(graph, dy, weight, (tutti_tensor){0}, &attr);
}

tutti_cost tutti_conv_cost(const tutti_node_info *node, const tutti_conv *p, int64_t n) {
    const double images = (double)tutti_extent_value(p->images, n);
    /* The grid of the convolution whose y is the smaller tensor, for all three ops. */
    const double small =
        p->oh * p->ow < p->h * p->w ? (double)(p->oh * p->ow) : (double)(p->h * p->w);
    tutti_cost cost = {.flops = 2 * images * small * (double)(p->groups * p->k) *
                                (double)(p->c * p->r * p->s)};
    for (int32_t i = 0; i < node->n_in; i++)
        cost.bytes += 4 * (double)tutti_shape_count(&node->in_type[i].shape, n);
    cost.bytes += 4 * (double)tutti_shape_count(&node->out_type[0].shape, n);
    return cost;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -ceil_div(-a, b);
}

tutti_conv_strip tutti_conv_strip_of(const tutti_conv *p, bool transposed, int64_t rows) {
    const tutti_conv_attr *a = p->attr;
    const int64_t taps[2] = {p->r, p->s};
    int64_t reach[2];
    for (int d = 0; d < 2; d++)
        reach[d] = transposed
                       ? (a->stride[d] - 1 + a->padding[d]) / a->stride[d] -
                             floor_div(a->padding[d] - (taps[d] - 1) * a->dilation[d], a->stride[d])
                       : (taps[d] - 1) * a->dilation[d] / a->stride[d];
    const int64_t columns = transposed ? ceil_div(p->ow, a->stride[1]) : p->ow;
    tutti_conv_strip strip = {
        .phases = 1, .rows = rows + reach[0], .pitch = columns + reach[1], .reach_w = reach[1]};
    for (int d = 0; d < 2; d++)
        if (!transposed && taps[d] > 1)
            strip.phases *= a->stride[d];
    strip.plane = 16 * (ceil_div(strip.rows * strip.pitch, 16) | 1);
    return strip;
}

void tutti_conv_sizes(tutti_lowering *out, tutti_launch *launch, const tutti_conv *p) {
    const tutti_conv_attr *a = p->attr;
    const int64_t sizes[] = {p->groups,     p->c,           p->k,          p->h,
                             p->w,          p->oh,          p->ow,         p->r,
                             p->s,          a->stride[0],   a->stride[1],  a->padding[0],
                             a->padding[1], a->dilation[0], a->dilation[1]};
    tutti_launch_i32(out, launch, p->images);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
}

static void add_bias(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch) {
    /* Without one, the kernels get a pointer that they do not read. */
    tutti_launch_tensor(out, launch, node->in[node->n_in == 3 ? 2 : 1]);
}

static tutti_extent times(tutti_extent a, int64_t factor) {
    return (tutti_extent){a.base * factor, a.per_sample * factor};
}

static double typical(tutti_extent e) {
    return (double)tutti_extent_value(e, TUTTI_CONV_TYPICAL_BATCH);
}

static void lower_plain(const tutti_node_info *node, tutti_lowering *out, const tutti_conv *p,
                        const char *file) {
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, "plain"), file,
                                                  "conv_plain", "%s", "");
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    add_bias(node, out, launch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_conv_sizes(out, launch, p);
    tutti_launch_i32(out, launch, tutti_extent_const(node->n_in == 3));
    tutti_launch_i32(out, launch, count);
    tutti_launch_epilogue(out, launch);
    tutti_launch_loads(out, launch);
    tutti_launch_range(launch, count, 1, 64);
}

void tutti_conv_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, const char *file,
                          tutti_extent columns, tutti_extent inner) {
    /* A tile pays unless most of it lies outside; a long sum needs its parts computed side by side
     * in any case. */
    const bool is_long = typical(inner) >= 4096;
    const bool fills = p->k >= 8 && typical(columns) * (double)p->k * typical(inner) >= 8192;
    if (device->max_work_group < 128 || device->local_memory_bytes < 24 * 1024 ||
        !(is_long || fills)) {
        lower_plain(node, out, p, file);
        return;
    }
    /* Tiles of 128 work-items (cl/conv_gemm.clh), as high as there are channels. */
    static const struct { int bm, bn, tm; } tilings[] = {{16, 128, 4}, {32, 128, 8}, {64, 64, 8}};
    int tiling = 0;
    while (tiling < 2 && tilings[tiling].bm < p->k)
        tiling++;
    const int bm = tilings[tiling].bm, bn = tilings[tiling].bn, tm = tilings[tiling].tm;
    const double tiles = (double)(ceil_div(p->k, bm) * p->groups) * (typical(columns) / bn + 1);
    int64_t splits = 1;
    if (inner.per_sample != 0 || is_long)
        while (splits < 64 && tiles * (double)splits < 4 * (double)device->compute_units &&
               typical(inner) / (double)splits >= 512)
            splits *= 2;
    if (columns.per_sample != 0)
        splits = 1; /* enough tiles, and the parts would need memory of the batch's size */

    tutti_candidate *candidate = tutti_lowering_candidate(out, tiling == 0   ? "gemm16"
                                                               : tiling == 1 ? "gemm32"
                                                                             : "gemm64");
    tutti_launch *launch = tutti_candidate_launch(out, candidate, file, "conv_gemm",
                                                  "-DBM=%d -DBN=%d -DTM=%d", bm, bn, tm);
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    uint32_t scratch = 0;
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    add_bias(node, out, launch);
    if (splits > 1) {
        scratch = tutti_candidate_scratch(out, candidate, times(count, 4 * splits));
        tutti_launch_scratch(out, launch, scratch);
    } else {
        tutti_launch_tensor(out, launch, node->out[0]);
    }
    tutti_conv_sizes(out, launch, p);
    tutti_launch_i32(out, launch, tutti_extent_const(node->n_in == 3));
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_range(launch, columns, 4, bn / 4);
    tutti_launch_range(launch, tutti_extent_const(p->k), tm, bm / tm);
    tutti_launch_range(launch, tutti_extent_const(p->groups * splits), 1, 1);
    if (splits == 1)
        tutti_launch_epilogue(out, launch);
    tutti_launch_loads(out, launch);
    if (splits == 1)
        return;
    launch = tutti_candidate_launch(out, candidate, file, "conv_join", "%s", "");
    tutti_launch_scratch(out, launch, scratch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_i32(out, launch, tutti_extent_const(splits));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, count, 1, 64);
}

/* Channels, vectors, and interleaved columns of a register tile. */
static void choose_tile(const tutti_device_info *device, const tutti_conv *p, bool transposed,
                        int *kt, int *pv, int *pair) {
    const bool wide = device->simd_floats >= 16;
    *pair = transposed && p->attr->stride[1] == 2 ? 2 : 1;
    *kt = p->k == 1 ? 1 : (!wide || p->k <= 4 ? 4 : 8) / *pair;
    *pv = (*kt == 1 ? 4 : wide ? 16 / *kt : 1) / *pair;
    *pv = *pv < 1 ? 1 : *pv;
}

/* How positions come in vectors (cl/conv_cpu.clh). */
typedef struct runs {
    int length;
    bool rowwise;
} runs;

/* The cheapest, by tenths of an operation on vectors: runs through the plane are stored in pieces,
 * halves of vectors loaded one by one. */
static runs choose_runs(const tutti_conv *p, bool transposed, int64_t rows, int pv) {
    const tutti_conv_strip s = tutti_conv_strip_of(p, transposed, rows);
    if (p->r * p->s == 1 && (!transposed || p->attr->stride[0] * p->attr->stride[1] == 1))
        return (runs){16, true}; /* all rows are one run */
    const int64_t columns = s.pitch - s.reach_w, inner = p->c * p->r * p->s;
    const int64_t whole = ceil_div(rows * ceil_div(columns, 16), pv) * (10 * inner + 20);
    const int64_t half = ceil_div(rows * ceil_div(columns, 8), 2 * pv) * (11 * inner + 30);
    const int64_t plane = ceil_div(ceil_div(rows * s.pitch, 16), pv) * (10 * inner + 80);
    if (half < whole && half < plane)
        return (runs){8, true};
    return (runs){16, whole <= plane};
}

uint32_t tutti_conv_pack_weights(const tutti_node_info *node, tutti_lowering *out,
                                 tutti_candidate *candidate, const tutti_conv *p, bool transposed,
                                 int64_t block) {
    const int64_t taps = p->r * p->s, blocks = p->groups * ceil_div(p->k, block);
    const uint32_t packed = tutti_candidate_scratch(
        out, candidate, tutti_extent_const(4 * blocks * block * p->c * taps));
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "conv_weights.cl", "conv_weights", "%s", "");
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, packed);
    const int64_t sizes[] = {p->groups,
                             block,
                             p->c,
                             p->k,
                             taps,
                             p->k * p->c * taps,
                             transposed ? taps : p->c * taps,
                             transposed ? p->k * taps : taps};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
    tutti_launch_range(launch, tutti_extent_const(p->c), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(blocks), 1, 1);
    return packed;
}

/* False when not even one row fits local memory. */
static bool lower_cpu(const tutti_node_info *node, const tutti_device_info *device,
                      tutti_lowering *out, const tutti_conv *p, bool transposed) {
    int kt, pv, pair;
    choose_tile(device, p, transposed, &kt, &pv, &pair);
    const tutti_conv_attr *a = p->attr;
    const int64_t out_rows = transposed ? ceil_div(p->oh, a->stride[0]) : p->oh;
    const int64_t phases = transposed ? a->stride[0] * a->stride[1] : 1;
    const int64_t taps_bytes = 8 * (p->r * p->s == 1 ? p->c : p->r * p->s) + 4 * phases;
    const int64_t room = (int64_t)device->local_memory_bytes - taps_bytes - 256;
    int64_t rows = out_rows, bytes;
    for (;; rows = (rows + 1) / 2) {
        const tutti_conv_strip s = tutti_conv_strip_of(p, transposed, rows);
        bytes = 4 * (p->c * s.phases * s.plane + 16 * pv + 16 + s.reach_w);
        const double items = typical(p->images) * (double)(p->groups * ceil_div(out_rows, rows));
        if (rows == 1 || (bytes <= STRIP_BYTES && bytes <= room &&
                          (rows <= 4 || items >= 4 * (double)device->compute_units)))
            break;
    }
    if (bytes > room)
        return false;

    const runs run = choose_runs(p, transposed, rows, pv);
    tutti_candidate *candidate = tutti_lowering_candidate(out, "cpu");
    const int64_t taps = p->r * p->s;
    const uint32_t packed = tutti_conv_pack_weights(node, out, candidate, p, transposed, kt);
    const char *file = transposed ? "conv_transpose2d_cpu.cl" : "conv2d_cpu.cl";
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, file, "conv_cpu", "-DKT=%d -DPV=%d%s%s", kt, pv,
                               pair == 2 ? " -DPAIR=2" : "", run.length == 8 ? " -DRUN=8" : "");
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_scratch(out, launch, packed);
    add_bias(node, out, launch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_local(out, launch, (size_t)bytes);
    tutti_launch_local(out, launch, (size_t)taps_bytes);
    tutti_conv_sizes(out, launch, p);
    tutti_launch_i32(out, launch, tutti_extent_const(node->n_in == 3));
    tutti_launch_i32(out, launch, tutti_extent_const(rows));
    tutti_launch_i32(out, launch, tutti_extent_const(run.rowwise));
    /* Small work, of depthwise convolutions above all, by several at a time. */
    const int64_t items = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH) * p->groups;
    const double work = (double)(p->c * p->k * taps) * (double)(rows * p->ow);
    int64_t each = 1;
    while ((double)each * work < ITEM_WORK && 16 * each * (int64_t)device->compute_units <= items)
        each *= 2;
    tutti_launch_i32(out, launch, tutti_extent_const(each));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, tutti_extent_const(out_rows), rows, 1);
    tutti_launch_range(launch, times(p->images, p->groups), each, 1);
    return true;
}

tutti_candidate *tutti_conv_candidate(tutti_lowering *out, const char *name, const char *rule) {
    tutti_candidate *candidate = tutti_lowering_candidate(out, name);
    if (candidate != NULL)
        candidate->rule = rule;
    return candidate;
}

tutti_status tutti_conv_lower(const tutti_node_info *node, const tutti_device_info *device,
                              tutti_lowering *out, const tutti_conv *p, bool transposed) {
    /* One candidate each: measuring would run the double-precision reference of a whole batch. */
    const bool done = (device->type & TUTTI_DEVICE_CPU) != 0
                          ? tutti_winograd_lower(node, device, out, p, transposed) ||
                                tutti_conv_1x1_lower(node, device, out, p, transposed) ||
                                tutti_conv_channels_lower(node, device, out, p, transposed) ||
                                lower_cpu(node, device, out, p, transposed)
                          : tutti_depthwise_lower(node, out, p, transposed);
    if (!done)
        tutti_conv_lower_gpu(node, device, out, p, transposed ? "conv_transpose2d.cl" : "conv2d.cl",
                             times(p->images, p->oh * p->ow),
                             tutti_extent_const(p->c * p->r * p->s));
    return tutti_lowering_status(out);
}
