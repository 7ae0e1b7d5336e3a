/* GRU (Cho et al. 2014) with PyTorch's equations and weights: the reset gate multiplies the hidden part
 * of the new state after its bias. The op is what must go step by step: the inputs' part of all steps
 * is one matrix product before it. Outputs: all h, and the gates, which the gradient needs. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "op/recurrent.h"

enum { X, W, BIAS, H0 };

tutti_tensor tutti_gru(tutti_graph *g, tutti_tensor x, const tutti_recurrent_weights *weights,
                       tutti_tensor h0, tutti_tensor *out_h) {
    tutti_tensor out[2] = {{0}}, bias = weights->bias_hh;
    if (out_h != NULL)
        *out_h = out[0];
    if (!tutti_recurrent_weights_fit(g, "gru", x, weights, 3))
        return out[0];
    if (bias.id == 0) {
        const tutti_shape shape = {.rank = 1,
                                   .dim = {tutti_tensor_type(g, weights->weight_hh).shape.dim[0]}};
        bias = tutti_constant(g, &shape, 0);
    }
    const tutti_recurrent_attr attr = {h0.id != 0 ? TUTTI_RECURRENT_H0 : 0};
    const tutti_tensor in[4] = {tutti_recurrent_project(g, x, weights->weight_ih, weights->bias_ih),
                                tutti_permute(g, weights->weight_hh, 2, (int32_t[]){1, 0}), bias,
                                h0};
    (void)tutti_op_apply(g, &tutti_op_gru, in, h0.id != 0 ? 4 : 3, &attr, sizeof attr, out);
    if (out_h != NULL)
        *out_h = tutti_recurrent_last(g, out[0]);
    return out[0];
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_recurrent_attr *attr = node->attr;
    const bool has_initial = attr->has == TUTTI_RECURRENT_H0;
    int64_t h;
    if (node->n_in != (has_initial ? 4 : 3))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "%" PRId32 " inputs %s an initial state",
                             node->n_in, has_initial ? "with" : "without");
    TUTTI_TRY(tutti_recurrent_steps(node, X, "x", 3, &h));
    const tutti_shape *x = &node->in_type[X].shape, weight = {.rank = 2, .dim = {h, 3 * h}};
    const tutti_shape bias = {.rank = 1, .dim = {3 * h}};
    const tutti_shape state = tutti_recurrent_shape(x, false, h);
    TUTTI_TRY(tutti_recurrent_check(node, W, "w", &weight));
    TUTTI_TRY(tutti_recurrent_check(node, BIAS, "bias", &bias));
    if (has_initial)
        TUTTI_TRY(tutti_recurrent_check(node, H0, "h0", &state));
    out[0].type = (tutti_type){TUTTI_F32, tutti_recurrent_shape(x, true, h)};
    out[1].type = (tutti_type){TUTTI_F32, tutti_recurrent_shape(x, true, 4 * h)};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_recurrent_cost(node, n, &node->out_type[0].shape, 3);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_recurrent_lower(node, device, out, &node->out_type[0].shape, 2, H0,
                                 TUTTI_RECURRENT_H0, false);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const bool has_initial = node->n_in == 4;
    const tutti_tensor none = {0};
    tutti_recurrent_attr attr = {0};
    tutti_tensor in[6] = {tutti_permute(graph, node->in[W], 2, (int32_t[]){1, 0}), node->out[1],
                          node->out[0]};
    tutti_tensor out[3] = {{0}};
    int32_t n_in = 3;
    if (has_initial) {
        attr.has |= TUTTI_RECURRENT_H0;
        in[n_in++] = node->in[H0];
    }
    if (dout[0].id != 0) {
        attr.has |= TUTTI_RECURRENT_DY;
        in[n_in++] = dout[0];
    }
    if (dout[1].id != 0) {
        attr.has |= TUTTI_RECURRENT_DGATES;
        in[n_in++] = dout[1];
    }
    (void)tutti_op_apply(graph, &tutti_op_gru_grad, in, n_in, &attr, sizeof attr, out);
    const tutti_tensor dq = tutti_recurrent_rows(graph, out[1]);
    din[X] = out[0];
    if (want[W]) {
        const tutti_tensor before =
            tutti_recurrent_before(graph, node->out[0], has_initial ? node->in[H0] : none);
        din[W] = tutti_matmul(graph, tutti_recurrent_rows(graph, before), dq, true, false);
    }
    if (want[BIAS])
        din[BIAS] = tutti_sum(graph, dq, 1, (int32_t[]){0}, false);
    if (has_initial)
        din[H0] = out[2];
    return tutti_graph_status(graph);
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

static void ref(const tutti_ref_call *call) {
    const tutti_shape *shape = &call->node->out_type[0].shape;
    const int64_t steps = shape->dim[1], h = shape->dim[2];
    const int64_t samples = tutti_shape_count(shape, call->run->n) / (steps * h);
    const float *w = call->in[W], *bias = call->in[BIAS];
    const float *h0 = call->node->n_in == 4 ? call->in[H0] : NULL;
    double *state = calloc((size_t)h * 2, sizeof *state), *next = state + h;
    for (int64_t b = 0; b < samples && state != NULL; b++) {
        for (int64_t j = 0; j < h; j++)
            state[j] = h0 != NULL ? (double)h0[b * h + j] : 0;
        for (int64_t t = 0; t < steps; t++) {
            const int64_t row = b * steps + t;
            const float *x = (const float *)call->in[X] + row * 3 * h;
            float *gates = (float *)call->out[1] + row * 4 * h;
            for (int64_t j = 0; j < h; j++) {
                double q[3];
                for (int64_t g = 0; g < 3; g++) {
                    q[g] = (double)bias[g * h + j];
                    for (int64_t k = 0; k < h; k++)
                        q[g] += state[k] * (double)w[(k * 3 + g) * h + j];
                }
                const double r = logistic((double)x[j] + q[0]);
                const double z = logistic((double)x[h + j] + q[1]);
                const double n = tanh((double)x[2 * h + j] + r * q[2]);
                next[j] = (1 - z) * n + z * state[j];
                gates[j] = (float)r;
                gates[h + j] = (float)z;
                gates[2 * h + j] = (float)n;
                gates[3 * h + j] = (float)q[2];
                ((float *)call->out[0])[row * h + j] = (float)next[j];
            }
            memcpy(state, next, (size_t)h * sizeof *state);
        }
    }
    free(state);
}

static const tutti_recurrent_attr zero = {0}, given = {TUTTI_RECURRENT_H0};
#define FIXED(b, t, h)                                                                             \
    {.rank = 3, .dim = {b, t, 3 * (h)}}, {.rank = 2, .dim = {h, 3 * (h)}}, {                       \
        .rank = 1, .dim = { 3 * (h) }                                                              \
    }
#define CASE(text, count, b, t, h)                                                                 \
    { .label = text, .n = count, .n_in = 3, .in = {FIXED(b, t, h)}, .attr = &zero }
#define GIVEN(text, count, b, t, h)                                                                \
    {                                                                                              \
        .label = text, .n = count, .n_in = 4, .in = {FIXED(b, t, h), {.rank = 2, .dim = {b, h}}},  \
        .attr = &given                                                                             \
    }
static const tutti_op_example examples[] = {
    CASE("smallest", 1, TUTTI_BATCH, 2, 3),
    GIVEN("smallest with a state", 1, TUTTI_BATCH, 3, 2),
    GIVEN("one step", 0, 3, 1, 5),
    CASE("units over a vector", 6, TUTTI_BATCH, 4, 19),
    GIVEN("whole vectors", 5, TUTTI_BATCH, 7, 32),
    CASE("many units", 2, TUTTI_BATCH, 2, 150),
    {.label = "parts",
     .n_in = 3,
     .in = {{.rank = 3, .dim = {2, 3, 10}}, {.rank = 2, .dim = {3, 9}}, {.rank = 1, .dim = {9}}},
     .attr = &zero,
     .refused = "gru: x is f32 2x3x10, expected f32 (N, T, 3 H)"},
    {.label = "bias",
     .n_in = 3,
     .in = {{.rank = 3, .dim = {2, 3, 9}}, {.rank = 2, .dim = {3, 9}}, {.rank = 1, .dim = {3}}},
     .attr = &zero,
     .refused = "gru: bias is f32 3, expected f32 9"},
    {.label = "unexpected",
     .n_in = 4,
     .in = {FIXED(2, 2, 5), {.rank = 2, .dim = {2, 5}}},
     .attr = &zero,
     .refused = "gru: 4 inputs without an initial state"},
};

const tutti_op tutti_op_gru = {
    .name = "gru",
    .summary = "all h of a GRU, and its gates, from the projected inputs",
    .shapes =
        "x (N, T, 3H), w (H, 3H), bias (3H), h0 (N, H) or none -> h (N, T, H), gates (N, T, 4H); x "
        "in the order r, z, n, gates r, z, n, and the hidden part of n",
    .options = "h0 is given",
    .source = "Cho et al. 2014; PyTorch's equations",
    .n_in_min = 3,
    .n_in_max = 4,
    .n_out = 2,
    .attr_size = sizeof(tutti_recurrent_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
