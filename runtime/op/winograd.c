/* Which convolutions go by tiles (cl/winograd.clh) on CPU devices, and in what portions. */
#include "op/winograd.h"

/* What a work-item transforms at a time should stay in a core's second-level cache. */
#define WORK_BYTES (768 * 1024)
#define TILES_BEST 16
#define TILES_MAX  32
/* Partial sums of a weight gradient: at most, and what stays near the cores. */
#define PARTIAL_BYTES (64 * 1024 * 1024)
#define PARTIAL_NEAR  (2 * 1024 * 1024)

/* The portions of a convolution: `spans` rows of tiles each, and of those one of `parts`, of
 * `tiles_w` tiles. */
typedef struct portion {
    int tile;           /* outputs along an axis: 4 or 2 */
    int64_t image_rows; /* of tiles, in an image */
    int64_t spans, tiles_w, parts;
    int64_t tile_block, tiles; /* of a portion, rounded up to tile_block */
    /* Local memory: the tiles of x as points, those of y half transformed or (of a weight gradient)
     * as points, what lies between two axes of a transform of x, and the rows of an image. */
    int64_t x_bytes, y_bytes, mid_bytes, buffer_bytes;
} portion;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Operations on vectors for an image, or without tiles (0), for 16 channels of x and y each, about:
 * products, and for tiles transforms. */
static int64_t image_cost(const tutti_conv *p, int tile) {
    if (tile == 0)
        return p->oh * p->ow * 9 * 16;
    const int64_t transforms = tile == 4 ? 350 : 110;
    return ceil_div(p->oh, tile) * ceil_div(p->ow, tile) *
           (16 * (tile + 2) * (tile + 2) + transforms);
}

static tutti_candidate *candidate_for(tutti_lowering *out, int tile) {
    tutti_candidate *candidate =
        tutti_conv_candidate(out, "winograd", "by rule: 3x3 taps, stride 1");
    if (candidate != NULL)
        candidate->work = tile == 2 ? 0.64 : 0.4; /* by image_cost */
    return candidate;
}

/* The tile for 3 x 3 taps of stride 1; 0 where the direct algorithm does as well, or where more than
 * half of the work would be lost to whole blocks of 16 channels. */
static int tile_of(const tutti_conv *p) {
    const tutti_conv_attr *a = p->attr;
    for (int d = 0; d < 2; d++)
        if (a->stride[d] != 1 || a->dilation[d] != 1)
            return 0;
    if (p->r != 3 || p->s != 3 || p->groups != 1 ||
        2 * 256 * ceil_div(p->c, 16) * ceil_div(p->k, 16) > 3 * p->c * p->k)
        return 0;
    const int tile = image_cost(p, 2) < image_cost(p, 4) ? 2 : 4;
    return image_cost(p, tile) < image_cost(p, 0) ? tile : 0;
}

static int64_t point_bytes(const portion *w, int64_t channels) {
    const int64_t points = w->tile + 2;
    return 4 * points * 16 * (points * ceil_div(channels, 16) * w->tiles + 1);
}

/* Local memory for a portion of that many spans. */
static void size_up(const tutti_conv *p, bool weight, portion *w) {
    const int64_t pitch = w->tile * w->tiles_w + 2, points = w->tile + 2;
    w->tiles = ceil_div(w->spans * w->tiles_w, w->tile_block) * w->tile_block;
    w->x_bytes = point_bytes(w, p->c);
    w->y_bytes = weight ? point_bytes(w, p->k) : 4 * w->tile * points * 16 * w->tiles;
    w->mid_bytes = 4 * points * 16 * pitch;
    w->buffer_bytes = 4 * (w->tile * smaller(w->spans, w->image_rows) + 2) * 16 * pitch;
}

/* A weight gradient has rows of dy, too, in a buffer. */
static int64_t bytes(const portion *w) {
    return w->x_bytes + w->y_bytes + w->mid_bytes + 2 * w->buffer_bytes;
}

/* False where the tiles do not pay or do not fit. */
static bool portions_of(const tutti_conv *p, const tutti_device_info *device, bool weight,
                        portion *out) {
    const int tile = tile_of(p);
    if (tile == 0)
        return false;
    const int64_t room = smaller(WORK_BYTES, (int64_t)device->local_memory_bytes - 256);
    const int64_t columns = ceil_div(p->ow, tile), parts = ceil_div(columns, TILES_BEST + 8);
    /* 24 accumulators where there are 32 registers of 16 lanes. */
    const int64_t tile_block = weight || device->simd_floats < 16 ? 1 : 24 / (tile + 2);
    portion w = {.tile = tile,
                 .image_rows = ceil_div(p->oh, tile),
                 .tiles_w = ceil_div(columns, parts),
                 .tile_block = tile_block,
                 .spans = 1};
    w.parts = ceil_div(columns, w.tiles_w);
    /* The portion that fills its blocks of tiles best, neither small nor large. */
    portion best = w;
    size_up(p, weight, &best);
    if (bytes(&best) > room)
        return false;
    for (w.spans = 2; w.spans * w.tiles_w <= TILES_MAX; w.spans++) {
        size_up(p, weight, &w);
        const bool fuller = w.spans * w.tiles_w * best.tiles > best.spans * w.tiles_w * w.tiles;
        if (bytes(&w) <= room && (best.spans * w.tiles_w < TILES_BEST || fuller))
            best = w;
    }
    *out = best;
    return true;
}

bool tutti_winograd_lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, bool transposed) {
    const int64_t k_blocks = ceil_div(p->k, 16);
    portion w;
    if (!portions_of(p, device, false, &w))
        return false;
    const int64_t points_bytes = 4 * (w.tile + 2) * (w.tile + 2) * 16 * k_blocks * p->c;

    tutti_candidate *candidate = candidate_for(out, w.tile);
    const uint32_t points =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(points_bytes));
    const char *const file = "conv_winograd.cl", *const options = "-DTT=%d -DTILE=%d";
    tutti_launch *launch = tutti_candidate_launch(out, candidate, file, "winograd_weights", options,
                                                  (int)w.tile_block, w.tile);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, points);
    const int64_t sizes[] = {p->c, p->k, transposed ? 9 : 9 * p->c, transposed ? 9 * p->k : 9,
                             transposed};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
    tutti_launch_range(launch, tutti_extent_const(p->c), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(k_blocks), 1, 1);

    launch = tutti_candidate_launch(out, candidate, file, "winograd", options, (int)w.tile_block,
                                    w.tile);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_scratch(out, launch, points);
    /* Without a bias, a pointer that is not read. */
    tutti_launch_tensor(out, launch, node->in[node->n_in == 3 ? 2 : 1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_local(out, launch, (size_t)w.x_bytes);
    tutti_launch_local(out, launch, (size_t)w.y_bytes);
    tutti_launch_local(out, launch, (size_t)w.buffer_bytes);
    tutti_launch_local(out, launch, (size_t)w.mid_bytes);
    tutti_launch_i32(out, launch, p->images);
    const int64_t *pad = p->attr->padding;
    const int64_t numbers[] = {p->c,
                               p->k,
                               p->h,
                               p->w,
                               p->oh,
                               p->ow,
                               transposed ? 2 - pad[0] : pad[0],
                               transposed ? 2 - pad[1] : pad[1],
                               node->n_in == 3,
                               w.spans,
                               w.tiles_w};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(numbers[i]));
    tutti_launch_epilogue(out, launch);
    const tutti_extent rows = {p->images.base * w.image_rows, p->images.per_sample * w.image_rows};
    tutti_launch_range(launch, rows, w.spans, 1);
    tutti_launch_range(launch, tutti_extent_const(w.parts), 1, 1);
    return true;
}

bool tutti_winograd_weight_lower(const tutti_node_info *node, const tutti_device_info *device,
                                 tutti_lowering *out, const tutti_conv *p) {
    portion w;
    if (!portions_of(p, device, true, &w))
        return false;
    const int64_t images = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH);
    const int64_t c_blocks = ceil_div(p->c, 16), k_blocks = ceil_div(p->k, 16);
    const int64_t slice_bytes =
        4 * (w.tile + 2) * (w.tile + 2) * 256 * c_blocks * k_blocks * w.parts;
    if (slice_bytes > PARTIAL_BYTES)
        return false;
    int64_t slices = smaller(4 * (int64_t)device->compute_units, PARTIAL_NEAR / slice_bytes);
    slices =
        slices < 2 * (int64_t)device->compute_units ? 2 * (int64_t)device->compute_units : slices;
    slices = smaller(slices, PARTIAL_BYTES / slice_bytes);
    slices = smaller(slices, ceil_div(images * w.image_rows, w.spans));
    slices = slices < 1 ? 1 : slices;

    tutti_candidate *candidate = candidate_for(out, w.tile);
    const uint32_t partial =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(slices * slice_bytes));
    const char *const file = "conv2d_weight_grad_winograd.cl", *const options = "-DCT=%d -DTILE=%d";
    const int rows = device->simd_floats >= 16 ? 16 : 4;
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, file, "weight_winograd", options, rows, w.tile);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_local(out, launch, (size_t)w.x_bytes);
    tutti_launch_local(out, launch, (size_t)w.y_bytes);
    tutti_launch_local(out, launch, (size_t)w.buffer_bytes);
    tutti_launch_local(out, launch, (size_t)w.buffer_bytes);
    tutti_launch_local(out, launch, (size_t)w.mid_bytes);
    tutti_launch_i32(out, launch, p->images);
    const int64_t *pad = p->attr->padding;
    const int64_t numbers[] = {p->c,   p->k,   p->h,   p->w,    p->oh,    p->ow,
                               pad[0], pad[1], slices, w.spans, w.tiles_w};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(numbers[i]));
    tutti_launch_range(launch, tutti_extent_const(slices), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(w.parts), 1, 1);

    launch = tutti_candidate_launch(out, candidate, file, "winograd_join", options, rows, w.tile);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_tensor(out, launch, node->out[0]);
    const int64_t join[] = {p->c, p->k, slices * w.parts};
    for (size_t i = 0; i < sizeof join / sizeof *join; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(join[i]));
    tutti_launch_range(launch, tutti_extent_const(p->c), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(k_blocks), 1, 1);
    return true;
}
