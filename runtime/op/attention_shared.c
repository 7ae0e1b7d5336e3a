/* What attention and its gradient share: shapes, the mask, launches. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "op/attention.h"

#define WIDTH_MAX     256 /* of attention_tile.clh: eight work-items of 32 per row */
#define TYPICAL_BATCH 16

tutti_attention_view tutti_attention_look(const tutti_node_info *node) {
    const tutti_attention_attr *attr = node->attr;
    const tutti_shape *q = &node->in_type[0].shape;
    tutti_attention_view view = {.batch = tutti_extent_dim(q, 0),
                                 .queries = q->dim[1],
                                 .heads = q->dim[2],
                                 .width = q->dim[3],
                                 .keys = node->in_type[1].shape.dim[1],
                                 .scale = attr->scale,
                                 .causal = attr->causal != 0,
                                 .mask = attr->mask != 0 ? node->n_in - 1 : -1};
    if (view.mask < 0)
        return view;
    const tutti_shape *mask = &node->in_type[view.mask].shape;
    int64_t step = 1;
    for (int32_t d = mask->rank - 1; d >= 0; d--) {
        const bool whole = mask->dim[d] == 1 && !(d == 0 && mask->batched);
        view.mask_step[4 - mask->rank + d] = whole ? 0 : step;
        step *= mask->dim[d];
    }
    return view;
}

tutti_shape tutti_attention_rows_shape(const tutti_node_info *node) {
    tutti_shape shape = node->in_type[0].shape;
    shape.rank = 3;
    shape.dim[1] = node->in_type[0].shape.dim[2];
    shape.dim[2] = node->in_type[0].shape.dim[1];
    shape.dim[3] = 0;
    return shape;
}

static tutti_status check_mask(const tutti_node_info *node) {
    const tutti_type *mask = &node->in_type[node->n_in - 1];
    const tutti_shape *q = &node->in_type[0].shape, *shape = &mask->shape;
    const int64_t expected[4] = {q->dim[0], q->dim[2], q->dim[1], node->in_type[1].shape.dim[1]};
    tutti_shape scores = *q;
    memcpy(scores.dim, expected, sizeof expected);
    bool fits = mask->dtype == TUTTI_F32 && shape->rank <= 4;
    for (int32_t d = 0; fits && d < shape->rank; d++) {
        const int32_t axis = 4 - shape->rank + d;
        const bool is_batch = axis == 0 && q->batched;
        if (d == 0 && shape->batched)
            fits = is_batch && shape->dim[0] == q->dim[0];
        else
            fits = shape->dim[d] == 1 || (!is_batch && shape->dim[d] == expected[axis]);
    }
    char text_mask[TUTTI_SHAPE_TEXT], text_scores[TUTTI_SHAPE_TEXT];
    if (!fits)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "mask is %s %s: expected f32 that broadcasts to the scores %s",
                             tutti_dtype_name(mask->dtype), tutti_shape_text(shape, text_mask),
                             tutti_shape_text(&scores, text_scores));
    return TUTTI_OK;
}

tutti_status tutti_attention_check(const tutti_node_info *node) {
    const tutti_attention_attr *attr = node->attr;
    const tutti_type *q = &node->in_type[0], *k = &node->in_type[1], *v = &node->in_type[2];
    char text_q[TUTTI_SHAPE_TEXT], text_k[TUTTI_SHAPE_TEXT], text_v[TUTTI_SHAPE_TEXT];
    tutti_shape expected = q->shape;
    expected.dim[1] = k->shape.dim[1];
    if (q->dtype != TUTTI_F32 || k->dtype != TUTTI_F32 || v->dtype != TUTTI_F32)
        return tutti_op_fail(node, TUTTI_SHAPE, "q, k, v are %s, %s, %s: expected f32",
                             tutti_dtype_name(q->dtype), tutti_dtype_name(k->dtype),
                             tutti_dtype_name(v->dtype));
    if (q->shape.rank != 4 || k->shape.rank != 4 || !tutti_shape_equal(&k->shape, &expected) ||
        !tutti_shape_equal(&k->shape, &v->shape))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "q is %s, k is %s, v is %s: expected (N, T, heads, width), k and v "
                             "equal and like q but for T",
                             tutti_shape_text(&q->shape, text_q),
                             tutti_shape_text(&k->shape, text_k),
                             tutti_shape_text(&v->shape, text_v));
    if (q->shape.dim[3] > WIDTH_MAX)
        return tutti_op_fail(node, TUTTI_UNSUPPORTED, "q is %s: heads wider than %d",
                             tutti_shape_text(&q->shape, text_q), WIDTH_MAX);
    return attr->mask != 0 ? check_mask(node) : TUTTI_OK;
}

tutti_cost tutti_attention_cost(const tutti_node_info *node, int64_t n, double products) {
    const tutti_attention_view view = tutti_attention_look(node);
    double scores = (double)(tutti_extent_value(view.batch, n) * view.heads) *
                    (double)view.queries * (double)view.keys;
    if (view.causal)
        scores /= 2;
    double elements = 0;
    for (int32_t i = 0; i < node->n_in; i++)
        elements += (double)tutti_shape_count(&node->in_type[i].shape, n);
    for (int32_t i = 0; i < node->n_out; i++)
        elements += (double)tutti_shape_count(&node->out_type[i].shape, n);
    return (tutti_cost){.flops = scores * (2 * products * (double)view.width + 16),
                        .bytes = 4 * elements};
}

tutti_attention_cpu tutti_attention_fit(const tutti_node_info *node,
                                        const tutti_device_info *device, int64_t rows,
                                        int64_t row_copies, int64_t column_copies, int64_t tiles) {
    const tutti_attention_view view = tutti_attention_look(node);
    /* Sixteen accumulators of 16 floats fit 32 registers; with narrower vectors four do. */
    const bool wide = device->simd_floats >= 16;
    const int mr = wide ? 8 : 4, nv = wide ? 2 : 1;
    const int64_t padded = (view.width + 16 * nv - 1) / (16 * nv) * (16 * nv);
    const int64_t heads = tutti_extent_value(view.batch, TYPICAL_BATCH) * view.heads;
    tutti_attention_cpu fit = {.block = 64};
    int64_t columns = 64;
    /* Large blocks share the copies of the other side; but every compute unit shall find work. */
    while (fit.block > mr &&
           (fit.block / 2 >= rows ||
            heads * ((rows + fit.block - 1) / fit.block) < 4 * (int64_t)device->compute_units))
        fit.block /= 2;
    for (;;) {
        fit.local_bytes = 4 * (padded * (row_copies * fit.block + column_copies * columns) +
                               tiles * mr * columns + 2 * (fit.block + columns));
        if ((uint64_t)fit.local_bytes <= device->local_memory_bytes)
            break;
        if (fit.block > mr)
            fit.block /= 2;
        else if (columns > 16 * nv)
            columns /= 2;
        else {
            fit.local_bytes = 0;
            break;
        }
    }
    snprintf(fit.options, sizeof fit.options, "-DMR=%d -DNV=%d -DCOLUMNS=%d", mr, nv, (int)columns);
    return fit;
}

tutti_attention_cpu tutti_attention_fit_heads(const tutti_node_info *node,
                                              const tutti_device_info *device) {
    const tutti_attention_view view = tutti_attention_look(node);
    const bool wide = device->simd_floats >= 16;
    const int mr = wide ? 8 : 4, nv = wide ? 2 : 1;
    const int64_t padded = (view.width + 16 * nv - 1) / (16 * nv) * (16 * nv);
    const int64_t heads = tutti_extent_value(view.batch, TYPICAL_BATCH) * view.heads;
    tutti_attention_cpu fit = {0};
    if (heads < 4 * (int64_t)device->compute_units)
        return fit;
    for (int64_t columns = 64; columns >= 16 * nv; columns /= 2) {
        const int64_t rows = (view.queries + columns - 1) / columns * columns;
        const int64_t bytes =
            4 * (padded * (8 * columns + rows) + 2 * columns * columns + 2 * rows);
        if ((uint64_t)bytes > device->local_memory_bytes)
            continue;
        fit.local_bytes = bytes;
        snprintf(fit.options, sizeof fit.options, "-DMR=%d -DNV=%d -DCOLUMNS=%d", mr, nv,
                 (int)columns);
        break;
    }
    return fit;
}

tutti_attention_tile tutti_attention_group(const tutti_node_info *node) {
    const int64_t width = node->in_type[0].shape.dim[3];
    tutti_attention_tile tile = {.block = width <= 64    ? 64
                                          : width <= 128 ? 32
                                                         : 16,
                                 .parts = (width + 31) / 32};
    snprintf(tile.options, sizeof tile.options, "-DWIDTH=%" PRId64, width);
    return tile;
}

void tutti_attention_arguments(const tutti_node_info *node, tutti_lowering *out,
                               tutti_launch *launch) {
    const tutti_attention_view view = tutti_attention_look(node);
    tutti_launch_i32(out, launch, tutti_extent_const(view.heads));
    tutti_launch_i32(out, launch, tutti_extent_const(view.queries));
    tutti_launch_i32(out, launch, tutti_extent_const(view.keys));
    tutti_launch_i32(out, launch, tutti_extent_const(view.width));
    tutti_launch_f32(out, launch, view.scale);
    tutti_launch_i32(out, launch, tutti_extent_const(view.causal));
    tutti_launch_i32(out, launch, tutti_extent_const(view.mask >= 0));
    for (int32_t d = 0; d < 4; d++)
        tutti_launch_i32(out, launch, tutti_extent_const(view.mask_step[d]));
}

void tutti_attention_range(const tutti_node_info *node, tutti_launch *launch, int64_t rows,
                           const tutti_attention_cpu *cpu, const tutti_attention_tile *tile) {
    const tutti_attention_view view = tutti_attention_look(node);
    const tutti_extent heads = {view.batch.base * view.heads, view.batch.per_sample * view.heads};
    if (cpu != NULL) {
        tutti_launch_range(launch, tutti_extent_const(rows), cpu->block, 1);
    } else {
        tutti_launch_range(launch, tutti_extent_const(rows), 1, tile->block);
        tutti_launch_range(launch, tutti_extent_const(tile->parts), 1, tile->parts);
    }
    tutti_launch_range(launch, heads, 1, 1);
}

bool tutti_attention_sees(const tutti_attention_view *view, int64_t i, int64_t j) {
    return !view->causal || j <= i;
}

int64_t tutti_attention_mask_at(const tutti_attention_view *view, int64_t b, int64_t h, int64_t i,
                                int64_t j) {
    return b * view->mask_step[0] + h * view->mask_step[1] + i * view->mask_step[2] +
           j * view->mask_step[3];
}
