/* LSTM (Hochreiter, Schmidhuber 1997; with forget gates as Gers et al. 2000), PyTorch's equations and
 * weights. The op is what must go step by step: the inputs' part of all steps is one matrix product
 * before it. Outputs: all h, all c, and the gates, which the gradient needs. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "op/recurrent.h"

enum { X, W, H0, C0 };

tutti_tensor tutti_lstm(tutti_graph *g, tutti_tensor x, const tutti_recurrent_weights *weights,
                        tutti_tensor h0, tutti_tensor c0, tutti_tensor *out_h,
                        tutti_tensor *out_c) {
    tutti_tensor out[3] = {{0}};
    tutti_tensor bias = weights->bias_ih.id != 0 ? weights->bias_ih : weights->bias_hh;
    if (out_h != NULL)
        *out_h = out[0];
    if (out_c != NULL)
        *out_c = out[0];
    if (!tutti_recurrent_weights_fit(g, "lstm", x, weights, 4))
        return out[0];
    if ((h0.id != 0) != (c0.id != 0))
        return tutti_graph_reject(g,
                                  tutti_fail(TUTTI_INVALID_ARGUMENT, "lstm: %s is given without %s",
                                             h0.id != 0 ? "h0" : "c0", h0.id != 0 ? "c0" : "h0"));
    if (weights->bias_ih.id != 0 && weights->bias_hh.id != 0)
        bias = tutti_add(g, weights->bias_ih, weights->bias_hh);
    const tutti_recurrent_attr attr = {h0.id != 0 ? TUTTI_RECURRENT_H0 : 0};
    const tutti_tensor in[4] = {tutti_recurrent_project(g, x, weights->weight_ih, bias),
                                tutti_permute(g, weights->weight_hh, 2, (int32_t[]){1, 0}), h0, c0};
    (void)tutti_op_apply(g, &tutti_op_lstm, in, h0.id != 0 ? 4 : 2, &attr, sizeof attr, out);
    if (out_h != NULL)
        *out_h = tutti_recurrent_last(g, out[0]);
    if (out_c != NULL)
        *out_c = tutti_recurrent_last(g, out[1]);
    return out[0];
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_recurrent_attr *attr = node->attr;
    const bool has_initial = attr->has == TUTTI_RECURRENT_H0;
    int64_t h;
    if (node->n_in != (has_initial ? 4 : 2))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "%" PRId32 " inputs %s an initial state",
                             node->n_in, has_initial ? "with" : "without");
    TUTTI_TRY(tutti_recurrent_steps(node, X, "x", 4, &h));
    const tutti_shape *x = &node->in_type[X].shape, weight = {.rank = 2, .dim = {h, 4 * h}};
    const tutti_shape state = tutti_recurrent_shape(x, false, h);
    TUTTI_TRY(tutti_recurrent_check(node, W, "w", &weight));
    if (has_initial) {
        TUTTI_TRY(tutti_recurrent_check(node, H0, "h0", &state));
        TUTTI_TRY(tutti_recurrent_check(node, C0, "c0", &state));
    }
    out[0].type = out[1].type = (tutti_type){TUTTI_F32, tutti_recurrent_shape(x, true, h)};
    out[2].type = node->in_type[X];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_recurrent_cost(node, n, &node->out_type[0].shape, 4);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_recurrent_lower(node, device, out, &node->out_type[0].shape, 2, H0,
                                 TUTTI_RECURRENT_H0, true);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const bool has_initial = node->n_in == 4;
    const tutti_tensor none = {0};
    tutti_recurrent_attr attr = {0};
    tutti_tensor in[7] = {tutti_permute(graph, node->in[W], 2, (int32_t[]){1, 0}), node->out[2],
                          node->out[1]};
    tutti_tensor out[3] = {{0}};
    int32_t n_in = 3;
    if (has_initial) {
        attr.has |= TUTTI_RECURRENT_H0;
        in[n_in++] = node->in[C0];
    }
    for (uint32_t i = 0; i < 3; i++)
        if (dout[i].id != 0) {
            attr.has |= (uint32_t)TUTTI_RECURRENT_DY << i;
            in[n_in++] = dout[i];
        }
    (void)tutti_op_apply(graph, &tutti_op_lstm_grad, in, n_in, &attr, sizeof attr, out);
    din[X] = out[0];
    if (want[W]) {
        const tutti_tensor before =
            tutti_recurrent_before(graph, node->out[0], has_initial ? node->in[H0] : none);
        din[W] = tutti_matmul(graph, tutti_recurrent_rows(graph, before),
                              tutti_recurrent_rows(graph, out[0]), true, false);
    }
    if (has_initial) {
        din[H0] = out[1];
        din[C0] = out[2];
    }
    return tutti_graph_status(graph);
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

static void ref(const tutti_ref_call *call) {
    const tutti_shape *shape = &call->node->out_type[0].shape;
    const int64_t steps = shape->dim[1], h = shape->dim[2];
    const int64_t samples = tutti_shape_count(shape, call->run->n) / (steps * h);
    const bool has_initial = call->node->n_in == 4;
    const float *w = call->in[W];
    double *state = calloc((size_t)h * 3, sizeof *state), *next = state + h, *cell = next + h;
    for (int64_t b = 0; b < samples; b++) {
        for (int64_t j = 0; j < h && state != NULL; j++) {
            state[j] = has_initial ? (double)((const float *)call->in[H0])[b * h + j] : 0;
            cell[j] = has_initial ? (double)((const float *)call->in[C0])[b * h + j] : 0;
        }
        for (int64_t t = 0; t < steps; t++) {
            const int64_t row = b * steps + t;
            for (int64_t j = 0; j < h; j++) {
                float *gates = (float *)call->out[2] + row * 4 * h;
                double p[4] = {NAN, NAN, NAN, NAN};
                for (int64_t g = 0; g < 4 && state != NULL; g++) {
                    p[g] = (double)((const float *)call->in[X])[(row * 4 + g) * h + j];
                    for (int64_t k = 0; k < h; k++)
                        p[g] += state[k] * (double)w[(k * 4 + g) * h + j];
                    p[g] = g == 2 ? tanh(p[g]) : logistic(p[g]);
                }
                for (int64_t g = 0; g < 4; g++)
                    gates[g * h + j] = (float)p[g];
                const double c = state != NULL ? p[1] * cell[j] + p[0] * p[2] : (double)NAN;
                ((float *)call->out[1])[row * h + j] = (float)c;
                ((float *)call->out[0])[row * h + j] = (float)(p[3] * tanh(c));
                if (state != NULL) {
                    cell[j] = c;
                    next[j] = p[3] * tanh(c);
                }
            }
            if (state != NULL)
                memcpy(state, next, (size_t)h * sizeof *state);
        }
    }
    free(state);
}

static const tutti_recurrent_attr zero = {0}, given = {TUTTI_RECURRENT_H0};
#define CASE(text, count, b, t, h)                                                                 \
    {                                                                                              \
        .label = text, .n = count, .n_in = 2,                                                      \
        .in = {{.rank = 3, .dim = {b, t, 4 * (h)}}, {.rank = 2, .dim = {h, 4 * (h)}}},             \
        .attr = &zero                                                                              \
    }
#define GIVEN(text, count, b, t, h)                                                                \
    {                                                                                              \
        .label = text, .n = count, .n_in = 4,                                                      \
        .in = {{.rank = 3, .dim = {b, t, 4 * (h)}},                                                \
               {.rank = 2, .dim = {h, 4 * (h)}},                                                   \
               {.rank = 2, .dim = {b, h}},                                                         \
               {.rank = 2, .dim = {b, h}}},                                                        \
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
     .n_in = 2,
     .in = {{.rank = 3, .dim = {2, 3, 10}}, {.rank = 2, .dim = {3, 12}}},
     .attr = &zero,
     .refused = "lstm: x is f32 2x3x10, expected f32 (N, T, 4 H)"},
    {.label = "weight",
     .n_in = 2,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 12}}, {.rank = 2, .dim = {12, 3}}},
     .attr = &zero,
     .refused = "lstm: w is f32 12x3, expected f32 3x12"},
    {.label = "no cell",
     .n_in = 3,
     .in = {{.rank = 3, .dim = {2, 3, 12}},
            {.rank = 2, .dim = {3, 12}},
            {.rank = 2, .dim = {2, 3}}},
     .attr = &given,
     .refused = "lstm: 3 inputs with an initial state"},
    {.label = "other batch",
     .n_in = 4,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 3, 12}},
            {.rank = 2, .dim = {3, 12}},
            {.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.rank = 2, .dim = {1, 3}}},
     .attr = &given,
     .refused = "lstm: c0 is f32 1x3, expected f32 Nx3"},
};

const tutti_op tutti_op_lstm = {
    .name = "lstm",
    .summary = "all h and c of an LSTM, and its gates, from the projected inputs",
    .shapes =
        "x (N, T, 4H), w (H, 4H), both or none of h0, c0 (N, H) -> h (N, T, H), c (N, T, H), gates "
        "(N, T, 4H); gates in the order i, f, g, o",
    .options = "h0 and c0 are given",
    .source = "Hochreiter, Schmidhuber 1997; Gers et al. 2000; PyTorch's equations",
    .n_in_min = 2,
    .n_in_max = 4,
    .n_out = 3,
    .attr_size = sizeof(tutti_recurrent_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
