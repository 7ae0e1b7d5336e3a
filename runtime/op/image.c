#include "op/image.h"

#include <inttypes.h>

#include "base/status.h"

#define TYPICAL_BATCH 64

tutti_status tutti_image_check(const tutti_node_info *node) {
    char text[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *type = &node->in_type[i];
        if (type->dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %" PRId32 " is %s, expected f32", i,
                                 tutti_dtype_name(type->dtype));
        tutti_shape_text(&type->shape, text);
        if (type->shape.rank != 4)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %" PRId32 " is %s, expected 4 axes", i,
                                 text);
        if (type->shape.dim[2] > TUTTI_IMAGE_MAX || type->shape.dim[3] > TUTTI_IMAGE_MAX)
            return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                                 "input %" PRId32 " is %s, height and width are at most %d", i,
                                 text, TUTTI_IMAGE_MAX);
    }
    return TUTTI_OK;
}

tutti_status tutti_image_check_option(const tutti_node_info *node, const char *name,
                                      const int64_t value[2], int64_t lowest) {
    for (int d = 0; d < 2; d++)
        if (value[d] < lowest || value[d] > TUTTI_IMAGE_MAX)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "%s is %" PRId64 "x%" PRId64 ", expected %" PRId64 " to %d", name,
                                 value[0], value[1], lowest, TUTTI_IMAGE_MAX);
    return TUTTI_OK;
}

tutti_type tutti_image_type(const tutti_shape *x, int64_t height, int64_t width) {
    return (tutti_type){
        TUTTI_F32,
        {.rank = 4, .batched = x->batched, .dim = {x->dim[0], x->dim[1], height, width}}};
}

tutti_extent tutti_image_planes(const tutti_shape *shape) {
    const tutti_extent images = tutti_extent_dim(shape, 0);
    return (tutti_extent){images.base * shape->dim[1], images.per_sample * shape->dim[1]};
}

tutti_cost tutti_image_cost(const tutti_node_info *node, int64_t n, int32_t counted, double flops) {
    double elements = (double)tutti_shape_count(&node->out_type[0].shape, n);
    tutti_cost cost = {.flops = flops * elements, .bytes = 4 * elements};
    for (int32_t i = 0; i < node->n_in; i++) {
        elements = (double)tutti_shape_count(&node->in_type[i].shape, n);
        cost.bytes += 4 * elements;
        if (i == counted)
            cost.flops = flops * elements;
    }
    return cost;
}

tutti_status tutti_image_lower(const tutti_node_info *node, const tutti_device_info *device,
                               tutti_lowering *out, const char *file, const char *entry,
                               const int64_t *values, int32_t n_values, bool whole) {
    const tutti_shape *from = &node->in_type[0].shape, *to = &node->out_type[0].shape;
    const tutti_extent planes = tutti_image_planes(to);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t oh = to->dim[2], ow = to->dim[3];
    int64_t rows = is_cpu ? oh : 1;
    while (!whole && rows > 1 &&
           tutti_extent_value(planes, TYPICAL_BATCH) * ((oh + rows - 1) / rows) <
               4 * (int64_t)device->compute_units)
        rows = (rows + 1) / 2;
    const int64_t columns = is_cpu ? ow : 1;
    const int64_t blocks = (oh + rows - 1) / rows * ((ow + columns - 1) / columns);
    const tutti_extent items = {planes.base * blocks, planes.per_sample * blocks};

    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, is_cpu ? "rows" : "elements"), file, entry, "%s", "");
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, items);
    const int64_t sizes[] = {rows, columns, from->dim[2], from->dim[3], oh, ow};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(sizes[i]));
    for (int32_t i = 0; i < n_values; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(values[i]));
    tutti_launch_range(launch, items, 1, is_cpu ? 1 : 64);
    return tutti_lowering_status(out);
}
