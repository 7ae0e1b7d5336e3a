/* Scaled dot-product attention (Vaswani et al. 2017) that never stores the scores: online softmax
 * (Milakov, Gimelshein 2018), forward and backward in blocks (Dao et al. 2022). Outputs: y, and the
 * log-sum-exp of each row's scores, which the gradient needs. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "op/attention.h"

tutti_tensor tutti_attention(tutti_graph *g, tutti_tensor q, tutti_tensor k, tutti_tensor v,
                             const tutti_attention_options *options) {
    const tutti_attention_options none = {0};
    const tutti_shape shape = tutti_tensor_type(g, q).shape;
    tutti_tensor out[2] = {{0}};
    if (options == NULL)
        options = &none;
    if (!(options->scale >= 0) || isinf(options->scale))
        return tutti_graph_reject(g, tutti_fail(TUTTI_INVALID_ARGUMENT,
                                                "attention: scale is %g, expected a positive "
                                                "number, or 0 for 1/sqrt(width)",
                                                (double)options->scale));
    const int64_t width = shape.rank == 4 ? shape.dim[3] : 1;
    const bool masked = options->mask.id != 0;
    const tutti_attention_attr attr = {
        .scale = options->scale > 0 ? options->scale : (float)(1 / sqrt((double)width)),
        .causal = options->causal,
        .mask = masked};
    (void)tutti_op_apply(g, &tutti_op_attention, (tutti_tensor[]){q, k, v, options->mask},
                         masked ? 4 : 3, &attr, sizeof attr, out);
    return out[0];
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_attention_attr *attr = node->attr;
    if (node->n_in != (attr->mask != 0 ? 4 : 3))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "%" PRId32 " inputs %s a mask",
                             node->n_in, attr->mask != 0 ? "with" : "without");
    const tutti_status status = tutti_attention_check(node);
    if (status != TUTTI_OK)
        return status;
    out[0].type = node->in_type[0];
    out[1].type = (tutti_type){TUTTI_F32, tutti_attention_rows_shape(node)};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_attention_cost(node, n, 2);
}

static void add_tensors(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch) {
    for (int32_t i = 0; i < 3; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->in[node->n_in == 4 ? 3 : 0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_tensor(out, launch, node->out[1]);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const int64_t queries = node->in_type[0].shape.dim[1];
    const tutti_attention_cpu cpu = tutti_attention_fit(node, device, queries, 2, 2, 1);
    const tutti_attention_tile tile = tutti_attention_group(node);
    const bool has_groups = (uint64_t)(tile.block * tile.parts) <= device->max_work_group;
    if (cpu.local_bytes > 0 && ((device->type & TUTTI_DEVICE_CPU) != 0 || !has_groups)) {
        tutti_launch *launch =
            tutti_candidate_launch(out, tutti_lowering_candidate(out, "cpu"), "attention_cpu.cl",
                                   "attention_cpu", "%s", cpu.options);
        add_tensors(node, out, launch);
        tutti_launch_local(out, launch, (size_t)cpu.local_bytes);
        tutti_launch_i32(out, launch, tutti_extent_const(cpu.block));
        tutti_attention_arguments(node, out, launch);
        tutti_attention_range(node, launch, queries, &cpu, NULL);
    } else {
        tutti_launch *launch =
            tutti_candidate_launch(out, tutti_lowering_candidate(out, "tile"), "attention.cl",
                                   "attention_tile", "%s", tile.options);
        add_tensors(node, out, launch);
        tutti_attention_arguments(node, out, launch);
        tutti_attention_range(node, launch, queries, NULL, &tile);
    }
    return tutti_lowering_status(out);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    tutti_attention_attr attr = *(const tutti_attention_attr *)node->attr;
    if (attr.mask != 0 && want[3])
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "the loss depends on the mask's values, but the mask has no gradient");
    const tutti_tensor dy =
        dout[0].id != 0 ? dout[0] : tutti_constant(graph, &node->in_type[0].shape, 0);
    tutti_tensor in[8] = {node->in[0], node->in[1], node->in[2], node->out[0], node->out[1], dy};
    tutti_tensor out[3] = {{0}};
    int32_t n_in = 6;
    attr.dlse = dout[1].id != 0;
    if (attr.dlse != 0)
        in[n_in++] = dout[1];
    if (attr.mask != 0)
        in[n_in++] = node->in[3];
    (void)tutti_op_apply(graph, &tutti_op_attention_grad, in, n_in, &attr, sizeof attr, out);
    for (int32_t i = 0; i < 3; i++)
        if (want[i])
            din[i] = out[i];
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const tutti_attention_view a = tutti_attention_look(call->node);
    const int64_t batch = tutti_extent_value(a.batch, call->run->n);
    const float *q = call->in[0], *k = call->in[1], *v = call->in[2];
    const float *mask = a.mask >= 0 ? call->in[a.mask] : NULL;
    for (int64_t row = 0; row < batch * a.heads * a.queries; row++) {
        const int64_t i = row % a.queries, h = row / a.queries % a.heads;
        const int64_t b = row / a.queries / a.heads;
        const float *query = q + ((b * a.queries + i) * a.heads + h) * a.width;
        float *y = (float *)call->out[0] + ((b * a.queries + i) * a.heads + h) * a.width;
        double sums[256] = {0}, high = -INFINITY, total = 0;
        /* Twice: for the maximum, for the sums. */
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < a.keys && tutti_attention_sees(&a, i, j); j++) {
                const int64_t at = ((b * a.keys + j) * a.heads + h) * a.width;
                double score = 0;
                for (int64_t d = 0; d < a.width; d++)
                    score += (double)query[d] * (double)k[at + d];
                score *= (double)a.scale;
                if (mask != NULL)
                    score += (double)mask[tutti_attention_mask_at(&a, b, h, i, j)];
                if (pass == 0) {
                    high = fmax(high, score);
                    continue;
                }
                const double p = high == -INFINITY ? 0 : exp(score - high);
                total += p;
                for (int64_t d = 0; d < a.width; d++)
                    sums[d] += p * (double)v[at + d];
            }
        for (int64_t d = 0; d < a.width; d++)
            y[d] = total == 0 ? 0 : (float)(sums[d] / total);
        ((float *)call->out[1])[row] = total == 0 ? -INFINITY : (float)(high + log(total));
    }
}

static const tutti_attention_attr plain = {.scale = 0.5F}, causal = {.scale = 0.4F, .causal = 1},
                                  masked = {.scale = 0.3F, .mask = 1},
                                  both = {.scale = 0.7F, .causal = 1, .mask = 1};
#define CASE(text, tag, count, b, tq, tk, heads, width)                                            \
    {                                                                                              \
        .label = text, .n = count, .n_in = 3,                                                      \
        .in = {{.rank = 4, .dim = {b, tq, heads, width}},                                          \
               {.rank = 4, .dim = {b, tk, heads, width}},                                          \
               {.rank = 4, .dim = {b, tk, heads, width}}},                                         \
        .attr = &(tag)                                                                             \
    }
#define MASKED(text, tag, b, t, axes, ...)                                                         \
    {                                                                                              \
        .label = text, .n = 3, .n_in = 4,                                                          \
        .in = {{.rank = 4, .dim = {b, t, 2, 5}},                                                   \
               {.rank = 4, .dim = {b, t, 2, 5}},                                                   \
               {.rank = 4, .dim = {b, t, 2, 5}},                                                   \
               {.rank = axes, .dim = {__VA_ARGS__}, .lo = -4, .hi = 1, .no_grad = true}},          \
        .attr = &(tag)                                                                             \
    }
static const tutti_op_example examples[] = {
    CASE("smallest", plain, 1, TUTTI_BATCH, 3, 4, 2, 5),
    CASE("smallest, causal", causal, 1, TUTTI_BATCH, 4, 4, 2, 5),
    CASE("several blocks", plain, 2, TUTTI_BATCH, 70, 133, 3, 5),
    CASE("several blocks, causal", causal, 2, TUTTI_BATCH, 133, 133, 2, 5),
    CASE("causal, fewer keys", causal, 0, 2, 9, 3, 1, 5),
    CASE("a row in parts", causal, 0, 1, 21, 21, 2, 67),
    CASE("wide heads", plain, 0, 1, 3, 9, 1, 256),
    MASKED("mask of keys", masked, TUTTI_BATCH, 5, 1, 5),
    MASKED("mask of samples", both, TUTTI_BATCH, 19, 4, TUTTI_BATCH, 1, 1, 19),
    MASKED("mask of heads", masked, 3, 67, 4, 1, 2, 67, 67),
    MASKED("mask of queries", both, TUTTI_BATCH, 5, 4, TUTTI_BATCH, 2, 5, 1),
    /* All scores are -infinity. */
    {.label = "nothing to see",
     .n_in = 4,
     .in = {{.rank = 4, .dim = {1, 3, 1, 5}, .no_grad = true},
            {.rank = 4, .dim = {1, 4, 1, 5}, .no_grad = true},
            {.rank = 4, .dim = {1, 4, 1, 5}, .no_grad = true},
            {.rank = 2, .dim = {1, 1}, .lo = -INFINITY, .hi = -INFINITY, .no_grad = true}},
     .attr = &masked},
    {.label = "large scores",
     .n_in = 3,
     .in = {{.rank = 4, .dim = {2, 33, 1, 5}, .lo = -40, .hi = 40, .no_grad = true},
            {.rank = 4, .dim = {2, 33, 1, 5}, .lo = -40, .hi = 40, .no_grad = true},
            {.rank = 4, .dim = {2, 33, 1, 5}}},
     .tolerance = 2e-4F, /* scores of a few thousand, rounded */
     .attr = &plain},
    {.label = "heads",
     .n_in = 3,
     .in = {{.rank = 4, .dim = {2, 3, 2, 4}},
            {.rank = 4, .dim = {2, 3, 4, 2}},
            {.rank = 4, .dim = {2, 3, 4, 2}}},
     .attr = &plain,
     .refused = "attention: q is 2x3x2x4, k is 2x3x4x2, v is 2x3x4x2: expected (N, T, heads, "
                "width), k and v equal and like q but for T"},
    {.label = "wider heads",
     .n_in = 3,
     .in = {{.rank = 4, .dim = {2, 3, 1, 257}},
            {.rank = 4, .dim = {2, 3, 1, 257}},
            {.rank = 4, .dim = {2, 3, 1, 257}}},
     .attr = &plain,
     .refused = "attention: q is 2x3x1x257: heads wider than 256"},
    {.label = "labels",
     .n_in = 3,
     .in = {{.rank = 4, .dim = {2, 3, 2, 4}},
            {.dtype = TUTTI_I32, .rank = 4, .dim = {2, 3, 2, 4}, .hi = 2},
            {.rank = 4, .dim = {2, 3, 2, 4}}},
     .attr = &plain,
     .refused = "attention: q, k, v are f32, i32, f32: expected f32"},
    {.label = "mask without",
     .n_in = 4,
     .in = {{.rank = 4, .dim = {2, 3, 2, 4}},
            {.rank = 4, .dim = {2, 3, 2, 4}},
            {.rank = 4, .dim = {2, 3, 2, 4}},
            {.rank = 1, .dim = {3}}},
     .attr = &plain,
     .refused = "attention: 4 inputs without a mask"},
    {.label = "mask too long",
     .n_in = 4,
     .in = {{.rank = 4, .dim = {TUTTI_BATCH, 3, 2, 4}},
            {.rank = 4, .dim = {TUTTI_BATCH, 3, 2, 4}},
            {.rank = 4, .dim = {TUTTI_BATCH, 3, 2, 4}},
            {.rank = 2, .dim = {2, 3}}},
     .attr = &masked,
     .refused = "attention: mask is f32 2x3: expected f32 that broadcasts to the scores Nx2x3x3"},
};

const tutti_op tutti_op_attention = {
    .name = "attention",
    .summary = "softmax(scale q k^T + mask) v per head, and the log-sum-exp of the scores",
    .shapes = "q (N, Tq, heads, d), k and v (N, Tk, heads, d), mask (broadcasts to (N, heads, Tq, "
              "Tk)) -> "
              "y (N, Tq, heads, d), lse (N, heads, Tq); d up to 256",
    .options = "scale (of the scores), causal (query i sees keys 0 to i), mask (there is one; it "
               "is added)",
    .source = "Vaswani et al. 2017; Milakov, Gimelshein 2018; Dao et al. 2022",
    .n_in_min = 3,
    .n_in_max = 4,
    .n_out = 2,
    .attr_size = sizeof(tutti_attention_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
