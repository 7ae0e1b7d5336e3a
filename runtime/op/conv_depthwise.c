/* Convolutions of one channel per group on GPUs (cl/conv_depthwise.cl). */
#include <inttypes.h>
#include <stdio.h>

#include "op/conv.h"

#define FILE_NAME "conv_depthwise.cl"
/* Sums of a work-item of a weight gradient stay in registers. */
#define TAPS_MAX 64
#define LOCAL    256
/* A work-group of a weight gradient sums so many elements at least, one per work-item and pass. */
#define SUMMED_MIN (16 * LOCAL)

static bool fits(const tutti_conv *p) {
    return p->groups > 1 && p->c == 1 && p->k == 1 && p->r * p->s <= TAPS_MAX;
}

typedef struct options {
    char text[320];
} options;

static options options_of(const tutti_conv *p, bool transposed) {
    const tutti_conv_attr *a = p->attr;
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {{"GROUPS", p->groups},
                 {"H", p->h},
                 {"W", p->w},
                 {"OH", p->oh},
                 {"OW", p->ow},
                 {"R", p->r},
                 {"S", p->s},
                 {"SH", a->stride[0]},
                 {"SW", a->stride[1]},
                 {"PH", a->padding[0]},
                 {"PW", a->padding[1]},
                 {"DH", a->dilation[0]},
                 {"DW", a->dilation[1]},
                 {"TRANSPOSED", transposed}};
    options out = {""};
    size_t length = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        length += (size_t)snprintf(out.text + length, sizeof out.text - length, "%s-D%s=%" PRId64,
                                   i == 0 ? "" : " ", sizes[i].name, sizes[i].value);
    return out;
}

bool tutti_depthwise_lower(const tutti_node_info *node, tutti_lowering *out, const tutti_conv *p,
                           bool transposed) {
    if (!fits(p))
        return false;
    const options o = options_of(p, transposed);
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_conv_candidate(out, "depthwise", "by rule: depthwise"),
                               FILE_NAME, "depthwise", "%s", o.text);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    /* Without a bias, a pointer that is not read. */
    tutti_launch_tensor(out, launch, node->in[node->n_in == 3 ? 2 : 1]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_i32(out, launch, tutti_extent_const(node->n_in == 3));
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, count, 1, 64);
    return true;
}

bool tutti_depthwise_weight_lower(const tutti_node_info *node, const tutti_device_info *device,
                                  tutti_lowering *out, const tutti_conv *p) {
    if (!fits(p) || device->max_work_group < LOCAL)
        return false;
    const options o = options_of(p, false);
    const int64_t images = tutti_extent_value(p->images, TUTTI_CONV_TYPICAL_BATCH);
    int64_t slices = 1;
    while (2 * slices <= images && slices * p->groups < 4 * (int64_t)device->compute_units &&
           images * p->oh * p->ow >= 2 * slices * SUMMED_MIN)
        slices *= 2;
    const int64_t count = p->groups * p->r * p->s;

    tutti_candidate *candidate = tutti_conv_candidate(out, "depthwise", "by rule: depthwise");
    const uint32_t partial =
        tutti_candidate_scratch(out, candidate, tutti_extent_const(4 * count * slices));
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, FILE_NAME, "depthwise_weight", "%s", o.text);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->in[1]);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_i32(out, launch, p->images);
    tutti_launch_i32(out, launch, tutti_extent_const(slices));
    tutti_launch_range(launch, tutti_extent_const(p->groups * LOCAL), 1, LOCAL);
    tutti_launch_range(launch, tutti_extent_const(slices), 1, 1);

    launch = tutti_candidate_launch(out, candidate, FILE_NAME, "depthwise_join", "%s", o.text);
    tutti_launch_scratch(out, launch, partial);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, tutti_extent_const(count));
    tutti_launch_i32(out, launch, tutti_extent_const(slices));
    tutti_launch_range(launch, tutti_extent_const(count), 1, 64);
    return true;
}
