/* Windows of the pooling ops. */
#include <inttypes.h>

#include "base/status.h"
#include "op/axis.h"
#include "op/image.h"

tutti_pool_attr tutti_pool_attr_of(const tutti_pool2d_options *options) {
    tutti_pool_attr attr = {.dilation = {1, 1}};
    if (options == NULL)
        return attr;
    for (int d = 0; d < 2; d++) {
        attr.kernel[d] = options->kernel[d];
        attr.stride[d] = options->stride[d] == 0 ? options->kernel[d] : options->stride[d];
        attr.padding[d] = options->padding[d];
        attr.dilation[d] = options->dilation[d] == 0 ? 1 : options->dilation[d];
    }
    attr.exclude = options->exclude_padding;
    return attr;
}

tutti_status tutti_pool_check(const tutti_node_info *node, const tutti_pool_attr *attr) {
    if (attr->adaptive != 0)
        return TUTTI_OK;
    TUTTI_TRY(tutti_image_check_option(node, "kernel", attr->kernel, 1));
    TUTTI_TRY(tutti_image_check_option(node, "stride", attr->stride, 1));
    TUTTI_TRY(tutti_image_check_option(node, "padding", attr->padding, 0));
    TUTTI_TRY(tutti_image_check_option(node, "dilation", attr->dilation, 1));
    for (int d = 0; d < 2; d++)
        if (2 * attr->padding[d] > attr->kernel[d])
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "padding is %" PRId64 "x%" PRId64
                                 ", expected at most half of the kernel, %" PRId64 "x%" PRId64,
                                 attr->padding[0], attr->padding[1], attr->kernel[0],
                                 attr->kernel[1]);
    return TUTTI_OK;
}

int64_t tutti_pool_extent(const tutti_pool_attr *attr, int d, int64_t size) {
    const int64_t room =
        size + 2 * attr->padding[d] - attr->dilation[d] * (attr->kernel[d] - 1) - 1;
    return room < 0 ? 0 : room / attr->stride[d] + 1;
}

tutti_span tutti_pool_span(const tutti_pool_attr *attr, int d, int64_t index, int64_t size,
                           int64_t out) {
    if (attr->adaptive != 0)
        return (tutti_span){index * size / out, ((index + 1) * size + out - 1) / out};
    const int64_t begin = index * attr->stride[d] - attr->padding[d];
    return (tutti_span){begin, begin + attr->dilation[d] * (attr->kernel[d] - 1) + 1};
}

bool tutti_pool_is_pairs(const tutti_pool_attr *attr, const tutti_device_info *device) {
    bool pairs = attr->adaptive == 0 && (device->type & TUTTI_DEVICE_CPU) != 0;
    for (int d = 0; d < 2; d++)
        pairs = pairs && attr->kernel[d] == 2 && attr->stride[d] == 2 && attr->padding[d] == 0 &&
                attr->dilation[d] == 1;
    return pairs;
}

int64_t tutti_pool_line(const tutti_pool_attr *attr, const tutti_device_info *device) {
    enum { LINE = 1024 }; /* as in pool_lines.clh */
    if ((device->type & TUTTI_DEVICE_CPU) == 0 || attr->adaptive != 0)
        return 0;
    const int64_t behind = (attr->kernel[1] - 1) * attr->dilation[1] / attr->stride[1];
    const int64_t windows = LINE / attr->stride[1] - behind;
    return windows < 1 ? 0 : windows;
}

bool tutti_pool_lower_whole(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, const char *file, const char *entry) {
    enum { LOCAL = 64 }; /* WHOLE_LOCAL of the kernels */
    const tutti_pool_attr *a = node->attr;
    const tutti_shape *x = &node->in_type[0].shape;
    if ((device->type & TUTTI_DEVICE_CPU) != 0 || device->max_work_group < LOCAL)
        return false;
    for (int d = 0; d < 2; d++)
        if (a->kernel[d] != x->dim[2 + d] || a->padding[d] != 0 || a->dilation[d] != 1)
            return false;
    const tutti_extent planes = tutti_image_planes(x);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "whole"), file, entry, "%s", "");
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, tutti_extent_const(x->dim[2] * x->dim[3]));
    tutti_launch_range(launch, tutti_extent_times(planes, LOCAL), 1, LOCAL);
    return true;
}
