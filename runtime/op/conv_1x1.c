/* Convolutions with one tap on CPU devices (cl/conv_1x1.cl). */
#include "op/conv.h"

/* A panel of pixels should stay in a core's second-level cache. */
#define PANEL_BYTES (256 * 1024)
/* Products that a work-item should have. */
#define ITEM_WORK 400000.0

bool tutti_conv_1x1_lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, bool transposed) {
    const tutti_conv_attr *a = p->attr;
    const bool strided = a->stride[0] * a->stride[1] != 1;
    const bool wide = device->simd_floats >= 16;
    const int kt = wide ? 8 : 4, pv = wide ? 2 : 1, panel = 16 * pv;
    const int64_t room = (int64_t)device->local_memory_bytes - 256, bytes = 4 * panel * p->c;
    if (p->r * p->s != 1 || a->padding[0] + a->padding[1] != 0 || (transposed && strided) ||
        p->k < kt || bytes > PANEL_BYTES || bytes > room)
        return false;
    const tutti_extent pixels = {p->images.base * p->oh * p->ow,
                                 p->images.per_sample * p->oh * p->ow};
    const double panels =
        (double)tutti_extent_value(pixels, TUTTI_CONV_TYPICAL_BATCH) * (double)p->groups / panel;
    int64_t each = 1;
    while ((double)(each * panel * p->c * p->k) < ITEM_WORK &&
           16 * (double)each * (double)device->compute_units <= panels)
        each *= 2;

    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_conv_candidate(out, "1x1", "by rule: 1x1 taps"), "conv_1x1.cl", "conv_1x1",
        "-DKT=%d -DPV=%d -DTRANSPOSED=%d", kt, pv, transposed);
    tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_tensor(out, launch, node->in[1]);
    /* Without a bias, a pointer that is not read. */
    tutti_launch_tensor(out, launch, node->in[node->n_in == 3 ? 2 : 1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_local(out, launch, (size_t)bytes);
    tutti_launch_i32(out, launch, p->images);
    const int64_t numbers[] = {p->groups, p->c,  p->k,         p->h,         p->w,
                               p->oh,     p->ow, a->stride[0], a->stride[1], node->n_in == 3,
                               each};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(numbers[i]));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, pixels, panel * each, 1);
    tutti_launch_range(launch, tutti_extent_const(p->groups), 1, 1);
    return true;
}
