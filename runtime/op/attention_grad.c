/* Gradient of attention by q, k and v, from its result and log-sum-exp: the scores are computed
 * again (Dao et al. 2022). One launch adds up dq by rows, another dk and dv by columns; on CPUs one
 * does all of a head where there are many. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "op/attention.h"

enum { Q, K, V, Y, LSE, DY, DLSE };

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_attention_attr *attr = node->attr;
    const int32_t expected = 6 + (attr->dlse != 0) + (attr->mask != 0);
    if (node->n_in != expected)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "%" PRId32 " inputs, expected %" PRId32 " %s a mask", node->n_in,
                             expected, attr->mask != 0 ? "with" : "without");
    const tutti_status status = tutti_attention_check(node);
    if (status != TUTTI_OK)
        return status;
    const tutti_shape rows = tutti_attention_rows_shape(node);
    for (int32_t i = Y; i <= (attr->dlse != 0 ? DLSE : DY); i++) {
        const tutti_type *type = &node->in_type[i];
        const tutti_shape *shape = i == Y || i == DY ? &node->in_type[Q].shape : &rows;
        char text[TUTTI_SHAPE_TEXT], text_expected[TUTTI_SHAPE_TEXT];
        if (type->dtype != TUTTI_F32 || !tutti_shape_equal(&type->shape, shape))
            return tutti_op_fail(node, TUTTI_SHAPE, "input %" PRId32 " is %s %s, expected f32 %s",
                                 i, tutti_dtype_name(type->dtype),
                                 tutti_shape_text(&type->shape, text),
                                 tutti_shape_text(shape, text_expected));
    }
    for (int32_t i = 0; i < 3; i++)
        out[i].type = node->in_type[i];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_attention_cost(node, n, 7);
}

/* Both launches; one of cpu, tile is NULL. */
static void add_launches(const tutti_node_info *node, tutti_lowering *out,
                         const tutti_attention_cpu *cpu, const tutti_attention_tile *tile) {
    const tutti_attention_view view = tutti_attention_look(node);
    const tutti_attention_attr *attr = node->attr;
    const char *file = cpu != NULL ? "attention_grad_cpu.cl" : "attention_grad.cl";
    tutti_candidate *candidate = tutti_lowering_candidate(out, cpu != NULL ? "cpu" : "tile");
    const int64_t rows = 4 * view.heads * view.queries;
    const uint32_t delta = tutti_candidate_scratch(
        out, candidate, (tutti_extent){view.batch.base * rows, view.batch.per_sample * rows});
    for (int32_t pass = 0; pass < 2; pass++) {
        tutti_launch *launch = tutti_candidate_launch(
            out, candidate, file,
            pass == 0 ? (cpu != NULL ? "attention_dq_cpu" : "attention_dq_tile")
                      : (cpu != NULL ? "attention_dkv_cpu" : "attention_dkv_tile"),
            "%s", cpu != NULL ? cpu[pass].options : tile->options);
        tutti_launch_tensor(out, launch, node->in[Q]);
        tutti_launch_tensor(out, launch, node->in[K]);
        tutti_launch_tensor(out, launch, node->in[V]);
        tutti_launch_tensor(out, launch, node->in[view.mask >= 0 ? view.mask : Q]);
        if (pass == 0)
            tutti_launch_tensor(out, launch, node->in[Y]);
        tutti_launch_tensor(out, launch, node->in[LSE]);
        tutti_launch_tensor(out, launch, node->in[DY]);
        if (pass == 0) {
            tutti_launch_tensor(out, launch, node->in[attr->dlse != 0 ? DLSE : LSE]);
            tutti_launch_i32(out, launch, tutti_extent_const(attr->dlse != 0));
        }
        tutti_launch_scratch(out, launch, delta);
        tutti_launch_tensor(out, launch, node->out[pass]);
        if (pass == 1)
            tutti_launch_tensor(out, launch, node->out[2]);
        if (cpu != NULL) {
            tutti_launch_local(out, launch, (size_t)cpu[pass].local_bytes);
            tutti_launch_i32(out, launch, tutti_extent_const(cpu[pass].block));
        }
        tutti_attention_arguments(node, out, launch);
        tutti_attention_range(node, launch, pass == 0 ? view.queries : view.keys,
                              cpu != NULL ? &cpu[pass] : NULL, tile);
    }
}

/* One launch, a work-group per head: where there are many, and a head's rows fit local memory. */
static bool lower_heads(const tutti_node_info *node, const tutti_device_info *device,
                        tutti_lowering *out) {
    const tutti_attention_view view = tutti_attention_look(node);
    const tutti_attention_attr *attr = node->attr;
    const tutti_attention_cpu fit = tutti_attention_fit_heads(node, device);
    if (fit.local_bytes == 0)
        return false;
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "cpu_head"),
                               "attention_grad_cpu.cl", "attention_grad_cpu", "%s", fit.options);
    for (int32_t i = Q; i <= V; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->in[view.mask >= 0 ? view.mask : Q]);
    for (int32_t i = Y; i <= DY; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->in[attr->dlse != 0 ? DLSE : LSE]);
    tutti_launch_i32(out, launch, tutti_extent_const(attr->dlse != 0));
    for (int32_t i = 0; i < 3; i++)
        tutti_launch_tensor(out, launch, node->out[i]);
    tutti_launch_local(out, launch, (size_t)fit.local_bytes);
    tutti_attention_arguments(node, out, launch);
    tutti_launch_range(
        launch, (tutti_extent){view.batch.base * view.heads, view.batch.per_sample * view.heads}, 1,
        1);
    return true;
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const tutti_attention_view view = tutti_attention_look(node);
    const tutti_attention_cpu cpu[2] = {
        tutti_attention_fit(node, device, view.queries, 3, 3, 2),
        tutti_attention_fit(node, device, view.keys, 4, 4, 2),
    };
    const tutti_attention_tile tile = tutti_attention_group(node);
    const bool has_groups = (uint64_t)(tile.block * tile.parts) <= device->max_work_group;
    const bool fits = cpu[0].local_bytes > 0 && cpu[1].local_bytes > 0;
    if ((device->type & TUTTI_DEVICE_CPU) != 0 && lower_heads(node, device, out))
        return tutti_lowering_status(out);
    if (fits && ((device->type & TUTTI_DEVICE_CPU) != 0 || !has_groups))
        add_launches(node, out, cpu, NULL);
    else
        add_launches(node, out, NULL, &tile);
    return tutti_lowering_status(out);
}

static double dot(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t d = 0; d < count; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

/* Adds up all of dk and dv of a head in double, query by query. */
static void ref_head(const tutti_ref_call *call, const tutti_attention_view *a, int64_t b,
                     int64_t h, double *dk, double *dv) {
    const tutti_attention_attr *attr = call->node->attr;
    const float *mask = a->mask >= 0 ? call->in[a->mask] : NULL;
    for (int64_t i = 0; i < a->queries; i++) {
        const int64_t row = ((b * a->queries + i) * a->heads + h) * a->width;
        const int64_t at = (b * a->heads + h) * a->queries + i;
        const float *q = (const float *)call->in[Q] + row, *dy = (const float *)call->in[DY] + row;
        const double lse = (double)((const float *)call->in[LSE])[at];
        double delta = dot(dy, (const float *)call->in[Y] + row, a->width), dq[256] = {0};
        if (attr->dlse != 0)
            delta -= (double)((const float *)call->in[DLSE])[at];
        for (int64_t j = 0; j < a->keys && tutti_attention_sees(a, i, j); j++) {
            const int64_t column = ((b * a->keys + j) * a->heads + h) * a->width;
            const float *k = (const float *)call->in[K] + column;
            const float *v = (const float *)call->in[V] + column;
            double score = dot(q, k, a->width) * (double)a->scale;
            if (mask != NULL)
                score += (double)mask[tutti_attention_mask_at(a, b, h, i, j)];
            const double p = lse == -INFINITY ? 0 : exp(score - lse);
            const double ds = p * (dot(dy, v, a->width) - delta) * (double)a->scale;
            for (int64_t d = 0; d < a->width; d++) {
                dq[d] += ds * (double)k[d];
                dk[j * a->width + d] += ds * (double)q[d];
                dv[j * a->width + d] += p * (double)dy[d];
            }
        }
        for (int64_t d = 0; d < a->width; d++)
            ((float *)call->out[0])[row + d] = (float)dq[d];
    }
}

static void ref(const tutti_ref_call *call) {
    const tutti_attention_view a = tutti_attention_look(call->node);
    const int64_t batch = tutti_extent_value(a.batch, call->run->n), size = a.keys * a.width;
    double *sums = calloc((size_t)size * 2, sizeof *sums);
    for (int64_t bh = 0; bh < batch * a.heads; bh++) {
        const int64_t b = bh / a.heads, h = bh % a.heads;
        if (sums != NULL) {
            memset(sums, 0, (size_t)size * 2 * sizeof *sums);
            ref_head(call, &a, b, h, sums, sums + size);
        }
        for (int64_t j = 0; j < a.keys; j++)
            for (int64_t d = 0; d < a.width; d++) {
                const int64_t at = ((b * a.keys + j) * a.heads + h) * a.width + d;
                const int64_t from = j * a.width + d;
                ((float *)call->out[1])[at] = sums != NULL ? (float)sums[from] : NAN;
                ((float *)call->out[2])[at] = sums != NULL ? (float)sums[size + from] : NAN;
            }
    }
    free(sums);
}

static const tutti_attention_attr plain = {.scale = 0.5F}, causal = {.scale = 0.4F, .causal = 1},
                                  masked = {.scale = 0.3F, .mask = 1},
                                  all = {.scale = 0.7F, .causal = 1, .mask = 1, .dlse = 1};
#define LSE_IN(b, tq, heads)                                                                       \
    { .rank = 3, .dim = {b, heads, tq}, .lo = 2, .hi = 3 }
#define ROWS_IN(b, t, heads, width)                                                                \
    {                                                                                              \
        .rank = 4, .dim = { b, t, heads, width }                                                   \
    }
#define FIRST_SIX(b, tq, tk, heads, width)                                                         \
    ROWS_IN(b, tq, heads, width), ROWS_IN(b, tk, heads, width), ROWS_IN(b, tk, heads, width),      \
        ROWS_IN(b, tq, heads, width), LSE_IN(b, tq, heads), ROWS_IN(b, tq, heads, width)
#define CASE(text, tag, count, b, tq, tk, heads, width)                                            \
    {                                                                                              \
        .label = text, .n = count, .n_in = 6, .in = {FIRST_SIX(b, tq, tk, heads, width)},          \
        .attr = &(tag), .tolerance = 2e-5F                                                         \
    }
static const tutti_op_example examples[] = {
    CASE("smallest", plain, 1, TUTTI_BATCH, 1, 3, 2, 5),
    CASE("smallest, causal", causal, 1, TUTTI_BATCH, 3, 3, 2, 5),
    CASE("several blocks", plain, 2, TUTTI_BATCH, 70, 133, 2, 5),
    CASE("several blocks, causal", causal, 2, TUTTI_BATCH, 133, 133, 2, 5),
    CASE("causal, fewer keys", causal, 0, 2, 9, 3, 1, 5),
    CASE("causal, more keys", causal, 0, 2, 3, 20, 1, 5),
    CASE("a row in parts", causal, 0, 1, 21, 21, 2, 67),
    {.label = "mask of keys",
     .n_in = 7,
     .in = {FIRST_SIX(1, 2, 4, 1, 5), {.rank = 1, .dim = {4}, .lo = -4, .hi = 1}},
     .attr = &masked,
     .tolerance = 2e-5F},
    {.label = "mask of everything",
     .n_in = 8,
     .in = {FIRST_SIX(TUTTI_BATCH, 19, 70, 2, 5),
            LSE_IN(TUTTI_BATCH, 19, 2),
            {.rank = 4, .dim = {TUTTI_BATCH, 2, 19, 70}, .lo = -4, .hi = 1}},
     .attr = &all,
     .tolerance = 2e-5F},
    {.label = "mask of heads",
     .n_in = 7,
     .in = {FIRST_SIX(TUTTI_BATCH, 19, 7, 2, 5), {.rank = 3, .dim = {2, 19, 1}, .lo = -4, .hi = 1}},
     .attr = &masked,
     .tolerance = 2e-5F},
    {.label = "nothing seen",
     .n_in = 7,
     .in = {ROWS_IN(1, 3, 1, 5),
            ROWS_IN(1, 4, 1, 5),
            ROWS_IN(1, 4, 1, 5),
            ROWS_IN(1, 3, 1, 5),
            {.rank = 3, .dim = {1, 1, 3}, .lo = -INFINITY, .hi = -INFINITY},
            ROWS_IN(1, 3, 1, 5),
            {.lo = -INFINITY, .hi = -INFINITY}},
     .attr = &masked},
    {.label = "log-sum-exp",
     .n_in = 6,
     .in = {ROWS_IN(2, 3, 2, 5),
            ROWS_IN(2, 3, 2, 5),
            ROWS_IN(2, 3, 2, 5),
            ROWS_IN(2, 3, 2, 5),
            {.rank = 3, .dim = {2, 3, 2}},
            ROWS_IN(2, 3, 2, 5)},
     .attr = &plain,
     .refused = "attention_grad: input 4 is f32 2x3x2, expected f32 2x2x3"},
    {.label = "too few",
     .n_in = 6,
     .in = {FIRST_SIX(2, 3, 3, 2, 5)},
     .attr = &masked,
     .refused = "attention_grad: 6 inputs, expected 7 with a mask"},
};

const tutti_op tutti_op_attention_grad = {
    .name = "attention_grad",
    .summary = "gradient of attention by q, k and v",
    .shapes = "q, k, v, y, lse, dy, dlse, mask, the last two or one of them or none -> dq, dk, dv; "
              "as attention",
    .options = "as attention; dlse (there is one)",
    .source = "Dao et al. 2022",
    .n_in_min = 6,
    .n_in_max = 8,
    .n_out = 3,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_attention_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
