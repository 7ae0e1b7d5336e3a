/* Gradient of a convolution by its weights: x (N, C, H, W) and dy (N, K, OH, OW) to (K, C / groups,
 * R, S). Also that of conv_transpose2d, with the roles of its tensors exchanged. */
#include <inttypes.h>

#include "base/status.h"
#include "op/winograd.h"

/* What one work-item packs at a time should stay in a core's second-level cache. */
#define STRIP_BYTES   (384 * 1024)
#define PARTIAL_BYTES (64 * 1024 * 1024)

tutti_tensor tutti_conv2d_weight_grad(tutti_graph *graph, tutti_tensor x, tutti_tensor dy,
                                      int64_t r, int64_t s, const tutti_conv_attr *attr) {
    const tutti_conv_attr own = tutti_conv_attr_with(attr, r, s);
    return tutti_op_apply1(graph, &tutti_op_conv2d_weight_grad, (tutti_tensor[]){x, dy}, 2, &own,
                           sizeof own);
}

static tutti_conv view(const tutti_node_info *node) {
    const tutti_conv_attr *attr = node->attr;
    const tutti_shape *x = &node->in_type[0].shape, *dy = &node->in_type[1].shape;
    return (tutti_conv){.attr = attr,
                        .images = tutti_extent_dim(x, 0),
                        .groups = attr->groups,
                        .c = x->dim[1] / attr->groups,
                        .k = dy->dim[1] / attr->groups,
                        .h = x->dim[2],
                        .w = x->dim[3],
                        .oh = dy->dim[2],
                        .ow = dy->dim[3],
                        .r = attr->extra[0],
                        .s = attr->extra[1]};
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    static const char *const names[] = {"x", "dy"};
    const tutti_conv_attr *attr = node->attr;
    TUTTI_TRY(tutti_conv_check(node, names));
    const tutti_shape *x = &node->in_type[0].shape, *dy = &node->in_type[1].shape;
    char text_x[TUTTI_SHAPE_TEXT], text_dy[TUTTI_SHAPE_TEXT];
    tutti_shape_text(x, text_x);
    tutti_shape_text(dy, text_dy);
    if (attr->extra[0] < 1 || attr->extra[1] < 1)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "weight is %" PRId64 "x%" PRId64 " taps, expected 1 or more",
                             attr->extra[0], attr->extra[1]);
    if (x->batched != dy->batched || x->dim[0] != dy->dim[0])
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, dy is %s: they hold different images",
                             text_x, text_dy);
    if (x->dim[1] % attr->groups != 0 || dy->dim[1] % attr->groups != 0)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, dy is %s: their channels do not divide into %" PRId64
                             " groups",
                             text_x, text_dy, attr->groups);
    const tutti_conv p = view(node);
    const int64_t oh = tutti_conv_extent(attr, 0, p.h, p.r),
                  ow = tutti_conv_extent(attr, 1, p.w, p.s);
    if (oh != p.oh || ow != p.ow)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s, dy is %s: %" PRId64 "x%" PRId64
                             " taps make images of %" PRId64 "x%" PRId64,
                             text_x, text_dy, p.r, p.s, oh, ow);
    out->type = (tutti_type){TUTTI_F32, {.rank = 4, .dim = {dy->dim[1], p.c, p.r, p.s}}};
    out->batch_sum = x->batched;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const tutti_conv p = view(node);
    return tutti_conv_cost(node, &p, n);
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t at_least_1(int64_t a) {
    return a < 1 ? 1 : a;
}

/* Whether vectors of 16 along rows waste less than through the plane: in operations on vectors; runs
 * through the plane are stored in pieces. */
static bool is_rowwise(const tutti_conv *p, int64_t rows, int64_t pitch) {
    const int64_t inner = p->c * p->r * p->s;
    return rows * ceil_div(p->ow, 16) * (inner + 2) <= ceil_div(rows * pitch, 16) * (inner + 8);
}

/* Bytes of local memory for that many images by that many rows of y, with k channels of dy. */
static int64_t strip_bytes(const tutti_conv *p, int64_t k, int64_t batch, int64_t rows) {
    const tutti_conv_strip s = tutti_conv_strip_of(p, false, rows);
    const int64_t dy_pitch = is_rowwise(p, rows, s.pitch) ? 16 * ceil_div(p->ow, 16) : s.pitch;
    return 4 * batch *
           (p->c * s.phases * s.plane + 32 + s.reach_w + k * 16 * ceil_div(rows * dy_pitch, 16));
}

/* False when not even one row fits local memory. */
static bool lower_cpu(const tutti_node_info *node, const tutti_device_info *device,
                      tutti_lowering *out, const tutti_conv *p) {
    const int64_t room = (int64_t)device->local_memory_bytes - 256;
    const int64_t limit = room < STRIP_BYTES ? room : STRIP_BYTES;
    const int64_t images = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH);
    const int64_t columns = p->c * p->r * p->s, kt = p->k == 1 ? 1 : 4;
    const int64_t ct = kt == 4 ? 4 : columns % 9 == 0 ? 9 : 16;
    const int64_t blocks = ceil_div(p->k, kt);
    const int64_t slice_bytes = 64 * p->groups * blocks * ceil_div(columns, ct);
    /* Slices of the images first, since each part of the channels packs x again. */
    const int64_t wanted = at_least_1(ceil_div(4 * (int64_t)device->compute_units, p->groups));
    int64_t slices = wanted < images ? wanted : images;
    if (slices * slice_bytes > PARTIAL_BYTES)
        slices = at_least_1(PARTIAL_BYTES / slice_bytes);
    int64_t parts = ceil_div(wanted, slices);
    parts = parts < blocks ? parts : blocks;
    int64_t k = kt * ceil_div(blocks, parts), rows = p->oh, batch = 1;
    while (rows > 1 && strip_bytes(p, k, 1, rows) > limit)
        rows = (rows + 1) / 2;
    while (k > kt && strip_bytes(p, k, 1, rows) > limit) {
        parts = blocks < 2 * parts ? blocks : 2 * parts;
        k = kt * ceil_div(blocks, parts);
    }
    if (strip_bytes(p, k, 1, rows) > room)
        return false;
    while (rows == p->oh && batch < 64 && batch * slices < images &&
           strip_bytes(p, k, 2 * batch, rows) <= limit)
        batch *= 2;

    const char *const tile = "-DKT=%" PRId64 " -DCT=%" PRId64;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "cpu");
    const uint32_t partial =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(slices * slice_bytes));
    tutti_launch *launch = tutti_candidate_launch(out, candidate, "conv2d_weight_grad_cpu.cl",
                                                  "weight_cpu", tile, kt, ct);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_local(out, launch, (size_t)strip_bytes(p, k, batch, rows));
    tutti_conv_sizes(out, launch, p);
    const int64_t sizes[] = {slices, parts, batch, rows,
                             is_rowwise(p, rows, tutti_conv_strip_of(p, false, rows).pitch)};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
    tutti_launch_range(launch, tutti_extent_const(slices), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(p->groups * parts), 1, 1);

    const int64_t count = p->groups * p->k * columns;
    launch = tutti_candidate_launch(out, candidate, "conv2d_weight_grad_cpu.cl", "weight_join",
                                    tile, kt, ct);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_tensor(out, launch, node->out[0]);
    const int64_t join[] = {count, columns, p->k, slices};
    for (size_t i = 0; i < sizeof join / sizeof *join; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(join[i]));
    tutti_launch_range(launch, tutti_extent_const(count), 1, 64);
    return true;
}

/* Below so many channels of dy, vectors of channels are mostly empty. */
#define CHANNELS_MIN 8

/* Vectors along the channels of dy. False where they are few, or local memory is. */
static bool lower_taps(const tutti_node_info *node, const tutti_device_info *device,
                       tutti_lowering *out, const tutti_conv *p) {
    if (p->k < CHANNELS_MIN)
        return false;
    const tutti_conv_attr *a = p->attr;
    const bool wide = device->simd_floats >= 16;
    const int64_t columns = p->c * p->r * p->s, blocks = ceil_div(p->k, 16);
    const int64_t tile = !wide ? 4 : ceil_div(columns, 8) * 8 < ceil_div(columns, 9) * 9 ? 8 : 9;
    const int64_t vectors = wide && blocks > 1 ? 2 : 1, runs = ceil_div(blocks, vectors);
    const int64_t places = ceil_div(columns, tile) * tile;
    const int64_t slice_bytes = 64 * p->groups * blocks * places;
    const int64_t images = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH);
    /* Slices of the images first, since each part of the channels packs x again. */
    const int64_t wanted = at_least_1(ceil_div(4 * (int64_t)device->compute_units, p->groups));
    int64_t slices = wanted < images ? wanted : images;
    if (slices * slice_bytes > PARTIAL_BYTES)
        slices = at_least_1(PARTIAL_BYTES / slice_bytes);
    int64_t parts = ceil_div(wanted, slices), rows = p->oh, batch = 1;
    parts = parts < runs ? parts : runs;
    const int64_t room = (int64_t)device->local_memory_bytes - 256;
    const int64_t limit = room < STRIP_BYTES ? room : STRIP_BYTES;
    const int64_t pitch = (p->ow - 1) * a->stride[1] + (p->s - 1) * a->dilation[1] + 1;
    int64_t bytes;
    for (;;) {
        const int64_t rows_x = (rows - 1) * a->stride[0] + (p->r - 1) * a->dilation[0] + 1;
        bytes = 4 * (p->c * rows_x * pitch + 16 * vectors * ceil_div(runs, parts) * rows * p->ow);
        if (bytes <= limit || (rows == 1 && parts == runs))
            break;
        if (rows > 1)
            rows = (rows + 1) / 2;
        else
            parts = runs < 2 * parts ? runs : 2 * parts;
    }
    if (bytes > room)
        return false;
    while (rows == p->oh && batch < 8 && batch * slices < images && 2 * batch * bytes <= limit)
        batch *= 2;

    tutti_candidate *candidate = tutti_lowering_candidate(out, "taps");
    const char *file = "conv2d_weight_grad_taps.cl";
    const uint32_t partial =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(slices * slice_bytes));
    tutti_launch *launch = tutti_candidate_launch(out, candidate, file, "weight_taps",
                                                  "-DCT=%" PRId64 " -DKV=%" PRId64, tile, vectors);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_local(out, launch, (size_t)(batch * bytes));
    tutti_conv_sizes(out, launch, p);
    const int64_t sizes[] = {slices, parts, batch, rows};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
    tutti_launch_range(launch, tutti_extent_const(slices), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(p->groups * parts), 1, 1);

    launch = tutti_candidate_launch(out, candidate, file, "taps_join",
                                    "-DCT=%" PRId64 " -DKV=%" PRId64, tile, vectors);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_tensor(out, launch, node->out[0]);
    const int64_t join[] = {columns, p->groups, p->k, slices};
    for (size_t i = 0; i < sizeof join / sizeof *join; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(join[i]));
    tutti_launch_range(launch, tutti_extent_const(columns), 1, 16);
    tutti_launch_range(launch, tutti_extent_const(p->groups * blocks), 1, 1);
    return true;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_conv p = view(node);
    const tutti_extent pixels = {p.images.base * p.oh * p.ow, p.images.per_sample * p.oh * p.ow};
    const bool done = (device->type & TUTTI_DEVICE_CPU) != 0
                          ? tutti_winograd_weight_lower(node, device, out, &p) ||
                                lower_taps(node, device, out, &p) ||
                                lower_cpu(node, device, out, &p)
                          : tutti_depthwise_weight_lower(node, device, out, &p);
    if (!done)
        tutti_conv_lower_gpu(node, device, out, &p, "conv2d_weight_grad.cl",
                             tutti_extent_const(p.c * p.r * p.s), pixels);
    return tutti_lowering_status(out);
}

/* Linear in both inputs: the other two ops are its gradients. */
static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_conv p = view(node);
    if (want[0])
        din[0] = tutti_conv2d_data_grad(graph, &p, node->in[1], dout[0]);
    if (want[1]) {
        const tutti_conv_attr attr = tutti_conv_attr_with(p.attr, 0, 0);
        din[1] = tutti_conv2d_node(graph, node->in[0], dout[0], (tutti_tensor){0}, &attr);
    }
    return tutti_graph_status(graph);
}

static double element(const tutti_conv *p, int64_t images, const float *x, const float *dy,
                      int64_t k, int64_t c, int64_t r, int64_t s) {
    const tutti_conv_attr *a = p->attr;
    double sum = 0;
    for (int64_t i = 0; i < images; i++)
        for (int64_t oh = 0; oh < p->oh; oh++)
            for (int64_t ow = 0; ow < p->ow; ow++) {
                const int64_t h = oh * a->stride[0] - a->padding[0] + r * a->dilation[0];
                const int64_t v = ow * a->stride[1] - a->padding[1] + s * a->dilation[1];
                const int64_t channel = i * p->groups * p->c + k / p->k * p->c + c;
                if (h >= 0 && h < p->h && v >= 0 && v < p->w)
                    sum += (double)x[(channel * p->h + h) * p->w + v] *
                           (double)dy[((i * p->groups * p->k + k) * p->oh + oh) * p->ow + ow];
            }
    return sum;
}

static void ref(const tutti_ref_call *call) {
    const tutti_conv p = view(call->node);
    const int64_t images = tutti_extent_value(p.images, call->run->n);
    float *dw = call->out[0];
    for (int64_t k = 0; k < p.groups * p.k; k++)
        for (int64_t c = 0; c < p.c; c++)
            for (int64_t r = 0; r < p.r; r++)
                for (int64_t s = 0; s < p.s; s++)
                    *dw++ = (float)element(&p, images, call->in[0], call->in[1], k, c, r, s);
}

#define IN(...)                                                                                    \
    { .rank = 4, .dim = {__VA_ARGS__}, .lo = -0.25F, .hi = 1 }
static const tutti_conv_attr one = {{1, 1}, {0, 0}, {1, 1}, 1, {1, 1}},
                             same = {{1, 1}, {1, 1}, {1, 1}, 1, {3, 3}},
                             valid = {{1, 1}, {0, 0}, {1, 1}, 1, {3, 3}},
                             two = {{1, 1}, {0, 0}, {1, 1}, 1, {2, 2}},
                             five = {{1, 1}, {0, 0}, {1, 1}, 1, {5, 5}},
                             strided = {{2, 2}, {1, 1}, {1, 1}, 1, {3, 3}},
                             mixed = {{2, 3}, {3, 1}, {2, 1}, 1, {3, 2}},
                             grouped = {{1, 2}, {1, 0}, {1, 1}, 2, {2, 3}},
                             depthwise = {{1, 1}, {1, 1}, {1, 1}, 3, {3, 3}},
                             no_taps = {{1, 1}, {0, 0}, {1, 1}, 1, {0, 1}};
static const tutti_op_example examples[] = {
    {.label = "3x3, same size",
     .n = 3,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 6, 5), IN(TUTTI_BATCH, 9, 6, 5)},
     .attr = &same},
    {.label = "one by one", .n_in = 2, .in = {IN(1, 1, 1, 1), IN(1, 1, 1, 1)}, .attr = &one},
    {.label = "1x1",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 5, 3, 33), IN(TUTTI_BATCH, 3, 3, 33)},
     .attr = &one},
    {.label = "5x5, long rows", .n_in = 2, .in = {IN(1, 1, 7, 70), IN(1, 2, 3, 66)}, .attr = &five},
    {.label = "stride 2",
     .n = 3,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 7), IN(TUTTI_BATCH, 8, 4, 4)},
     .attr = &strided},
    {.label = "stride, dilation, no square",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 2, 9, 11), IN(TUTTI_BATCH, 3, 6, 4)},
     .attr = &mixed},
    {.label = "groups",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 4, 5, 6), IN(TUTTI_BATCH, 10, 6, 2)},
     .attr = &grouped},
    {.label = "depthwise",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 5, 17), IN(TUTTI_BATCH, 3, 5, 17)},
     .attr = &depthwise},
    {.label = "small",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 1, 3, 3), IN(TUTTI_BATCH, 8, 2, 2)},
     .attr = &two},
    {.label = "small, stride 2",
     .n = 2,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 1, 4, 3), IN(TUTTI_BATCH, 2, 2, 2)},
     .attr = &strided},
    {.label = "a row", .n_in = 2, .in = {IN(1, 1, 1, 18), IN(1, 1, 1, 18)}, .attr = &same},
    {.label = "tiles of 4x4",
     .n = 9,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 13, 7, 10), IN(TUTTI_BATCH, 30, 7, 10)},
     .attr = &same},
    {.label = "tiles of 2x2",
     .n = 7,
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 13, 5, 6), IN(TUTTI_BATCH, 28, 5, 6)},
     .attr = &same},
    {.label = "rows of many tiles",
     .n_in = 2,
     .in = {IN(1, 15, 6, 102), IN(1, 14, 4, 100)},
     .attr = &valid},
    {.label = "many channels",
     .n = 7,
     .n_in = 2,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 11, 8, 8}, .no_grad = true},
            {.rank = 4, .dim = {TUTTI_BATCH, 70, 8, 8}, .no_grad = true}},
     .attr = &same},
    {.label = "batches",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(4, 3, 8, 8)},
     .attr = &same,
     .refused = "conv2d_weight_grad: x is Nx3x8x8, dy is 4x3x8x8: they hold different images"},
    {.label = "groups do not divide",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(TUTTI_BATCH, 2, 9, 3)},
     .attr = &grouped,
     .refused =
         "conv2d_weight_grad: x is Nx3x8x8, dy is Nx2x9x3: their channels do not divide into 2"},
    {.label = "sizes",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(TUTTI_BATCH, 2, 8, 7)},
     .attr = &same,
     .refused = "conv2d_weight_grad: x is Nx3x8x8, dy is Nx2x8x7: 3x3 taps make images of 8x8"},
    {.label = "no taps",
     .n_in = 2,
     .in = {IN(TUTTI_BATCH, 3, 8, 8), IN(TUTTI_BATCH, 2, 8, 8)},
     .attr = &no_taps,
     .refused = "conv2d_weight_grad: weight is 0x1 taps, expected 1 or more"},
};

const tutti_op tutti_op_conv2d_weight_grad = {
    .name = "conv2d_weight_grad",
    .summary = "gradient of conv2d by its weight",
    .shapes = "x (N, C, H, W), dy (N, K, OH, OW) -> (K, C / groups, R, S)",
    .options = "as conv2d; R, S",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .loads = 1U << 0,
    .attr_size = sizeof(tutti_conv_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
