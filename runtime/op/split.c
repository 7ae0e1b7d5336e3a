/* A tensor cut along an axis. One op, so that its gradient is one concat and not a sum of as many
 * tensors, each zero but for its part. */
#include <inttypes.h>

#include "base/status.h"
#include "op/copy.h"

#define PARTS_MAX 8

typedef struct split_attr {
    int64_t axis; /* negative counts from the end */
    int64_t n;    /* parts, 1 to PARTS_MAX */
    int64_t size[PARTS_MAX];
} split_attr;

/* More parts than one node makes: a node of groups, then the groups. */
static void split(tutti_graph *g, tutti_tensor x, int32_t axis, int32_t n, const int64_t *sizes,
                  int64_t size, tutti_tensor *out) {
    split_attr attr = {.axis = axis};
    tutti_tensor group[PARTS_MAX];
    const int32_t per_group = (n + PARTS_MAX - 1) / PARTS_MAX;
    for (int32_t i = 0; i < n; i++) {
        attr.size[i / per_group] += sizes != NULL ? sizes[i] : size;
        attr.n = i / per_group + 1;
    }
    /* The graph keeps the error. */
    if (tutti_op_apply(g, &tutti_op_split, &x, 1, &attr, sizeof attr, group) != TUTTI_OK)
        return;
    for (int32_t i = 0; i < n; i += per_group) {
        const int32_t count = n - i < per_group ? n - i : per_group;
        if (per_group == 1)
            out[i] = group[i];
        else
            split(g, group[i / per_group], axis, count, sizes == NULL ? NULL : sizes + i, size,
                  out + i);
    }
}

void tutti_split(tutti_graph *g, tutti_tensor x, int32_t axis, int32_t n, const int64_t *sizes,
                 tutti_tensor *out) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int32_t at = axis < 0 ? axis + shape.rank : axis;
    char text[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < n; i++)
        out[i] = (tutti_tensor){0};
    if (x.id == 0)
        return;
    /* The op refuses an axis that is not there. */
    const int64_t extent = at >= 0 && at < shape.rank ? shape.dim[at] : 0;
    if (n < 1 || (sizes == NULL && extent % n != 0)) {
        (void)tutti_graph_reject(g,
                                 tutti_fail(TUTTI_SHAPE,
                                            "split: x is %s: %" PRId32
                                            " equal parts do not make axis %" PRId32 " of %" PRId64,
                                            tutti_shape_text(&shape, text), n, at, extent));
        return;
    }
    /* The op sees sums of sizes. */
    for (int32_t i = 0; i < n && sizes != NULL && extent > 0; i++)
        if (sizes[i] < 1 || sizes[i] > extent) {
            (void)tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                                   "split: x is %s: part %" PRId32 " has %" PRId64
                                                   " of the %" PRId64 " elements of axis %" PRId32,
                                                   tutti_shape_text(&shape, text), i, sizes[i],
                                                   extent, at));
            return;
        }
    split(g, x, axis, n, sizes, extent / n, out);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const split_attr *attr = node->attr;
    const tutti_type *x = &node->in_type[0];
    const int32_t axis = (int32_t)attr->axis;
    char text[TUTTI_SHAPE_TEXT];
    TUTTI_TRY(tutti_axis_check(node, "x", &x->shape, axis));
    const tutti_axis_view view = tutti_axis_view_of(&x->shape, axis);
    if (attr->n < 1 || attr->n > PARTS_MAX)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "%" PRId64 " parts, expected 1 to %d",
                             attr->n, PARTS_MAX);
    int64_t sum = 0;
    for (int64_t i = 0; i < attr->n; i++) {
        if (attr->size[i] < 1 || attr->size[i] > view.extent.base)
            return tutti_op_fail(node, TUTTI_SHAPE,
                                 "x is %s: part %" PRId64 " has %" PRId64 " of the %" PRId64
                                 " elements of axis %" PRId32,
                                 tutti_shape_text(&x->shape, text), i, attr->size[i],
                                 view.extent.base, view.axis);
        sum += attr->size[i];
    }
    if (sum != view.extent.base)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "x is %s: parts of %" PRId64 " in all do not make axis %" PRId32
                             " of %" PRId64,
                             tutti_shape_text(&x->shape, text), sum, view.axis, view.extent.base);
    for (int64_t i = 0; i < PARTS_MAX; i++) {
        out[i].absent = i >= attr->n;
        if (!out[i].absent)
            out[i].type = (tutti_type){x->dtype, tutti_axis_with(&x->shape, axis, attr->size[i])};
    }
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return (tutti_cost){.bytes = 8.0 * (double)tutti_shape_count(&node->in_type[0].shape, n)};
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const split_attr *attr = node->attr;
    const tutti_axis_view view = tutti_axis_view_of(&node->in_type[0].shape, (int32_t)attr->axis);
    tutti_candidate *candidate = tutti_lowering_candidate(out, "copy");
    int64_t begin = 0;
    for (int32_t i = 0; i < node->n_out; i++) {
        const tutti_copy copy = {.outer = view.outer,
                                 .k = 1,
                                 .length = attr->size[i] * view.inner,
                                 .from_outer = view.extent.base * view.inner,
                                 .from_base = begin * view.inner,
                                 .to_outer = attr->size[i] * view.inner};
        tutti_copy_launch(device, out, candidate, node->in[0], node->out[i], &copy);
        begin += attr->size[i];
    }
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const split_attr *attr = call->node->attr;
    const tutti_axis_view view =
        tutti_axis_view_of(&call->node->in_type[0].shape, (int32_t)attr->axis);
    const int64_t outer = tutti_extent_value(view.outer, call->run->n);
    const uint32_t *x = call->in[0];
    for (int64_t o = 0; o < outer; o++)
        for (int32_t i = 0; i < call->node->n_out; i++) {
            const int64_t count = attr->size[i] * view.inner;
            for (int64_t k = 0; k < count; k++)
                ((uint32_t *)call->out[i])[o * count + k] = *x++;
        }
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    tutti_tensor part[PARTS_MAX];
    if (!want[0])
        return TUTTI_OK;
    for (int32_t i = 0; i < node->n_out; i++)
        part[i] = dout[i].id != 0 ? dout[i] : tutti_constant(graph, &node->out_type[i].shape, 0);
    din[0] =
        tutti_concat(graph, node->n_out, part, (int32_t)((const split_attr *)node->attr)->axis);
    return tutti_graph_status(graph);
}

static const split_attr one = {0, 1, {7}}, three = {-1, 3, {1, 4, 2}}, channels = {1, 2, {2, 3}},
                        eight = {1, 8, {1, 1, 1, 1, 1, 1, 1, 1}}, batch = {0, 1, {1}},
                        nothing = {1, 2, {0, 5}}, none = {1, 0, {0}}, no_axis = {2, 1, {1}};
#define CASE(text, tag, dims, ...)                                                                 \
    { .label = text, .n_in = 1, .in = {{.rank = dims, .dim = {__VA_ARGS__}}}, .attr = &(tag) }
#define REFUSED(text, tag, message)                                                                \
    {                                                                                              \
        .label = text, .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 5}}}, .attr = &(tag),    \
        .refused = message                                                                         \
    }
static const tutti_op_example examples[] = {
    CASE("one", one, 1, 7),
    CASE("three", three, 2, TUTTI_BATCH, 7),
    CASE("channels", channels, 3, TUTTI_BATCH, 5, 3),
    CASE("eight", eight, 3, 2, 8, 3),
    {.label = "labels",
     .n_in = 1,
     .in = {{.dtype = TUTTI_I32, .rank = 2, .dim = {TUTTI_BATCH, 7}, .hi = 99}},
     .attr = &three},
    REFUSED("other sizes", three, "split: x is Nx5: parts of 7 in all do not make axis 1 of 5"),
    REFUSED("nothing", nothing, "split: x is Nx5: part 0 has 0 of the 5 elements of axis 1"),
    REFUSED("no parts", none, "split: 0 parts, expected 1 to 8"),
    REFUSED("the batch", batch, "split: x is Nx5: axis 0 is the batch"),
    REFUSED("no axis", no_axis, "split: x is Nx5: there is no axis 2"),
};

const tutti_op tutti_op_split = {
    .name = "split",
    .summary = "a tensor cut in parts along an axis",
    .shapes = "x (… sum of A_i …) -> 1 to 8 tensors (… A_i …)",
    .options = "axis, not the batch; sizes A_i >= 1",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = PARTS_MAX,
    .flags = TUTTI_OP_LINEAR,
    .attr_size = sizeof(split_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
