/* Gradient of lstm by the projected inputs and the initial state; that of the weight is a matrix
 * product of it with h, one step earlier. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "op/recurrent.h"

enum { W, GATES, C, FIRST };
#define ALL (TUTTI_RECURRENT_H0 | TUTTI_RECURRENT_DY | TUTTI_RECURRENT_DC | TUTTI_RECURRENT_DGATES)

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    int64_t h;
    TUTTI_TRY(tutti_recurrent_steps(node, GATES, "gates", 4, &h));
    const tutti_shape *gates = &node->in_type[GATES].shape, w = {.rank = 2, .dim = {4 * h, h}};
    const tutti_shape states = tutti_recurrent_shape(gates, true, h);
    const tutti_shape state = tutti_recurrent_shape(gates, false, h);
    TUTTI_TRY(tutti_recurrent_check(node, W, "w", &w));
    TUTTI_TRY(tutti_recurrent_check(node, C, "c", &states));
    TUTTI_TRY(tutti_recurrent_optional(node, FIRST, ALL,
                                       (const tutti_shape *[]){&state, &states, &states, gates},
                                       (const char *[]){"c0", "dy", "dc", "dgates"}));
    out[0].type = node->in_type[GATES];
    out[1].type = out[2].type = (tutti_type){TUTTI_F32, state};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_recurrent_cost(node, n, &node->in_type[C].shape, 4);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_recurrent_lower(node, device, out, &node->in_type[C].shape, 6, FIRST, ALL, false);
}

/* One sample; memory: 6 h doubles. */
static void ref_sample(const tutti_ref_call *call, int64_t b, double *memory) {
    const tutti_shape *shape = &call->node->in_type[C].shape;
    const int64_t steps = shape->dim[1], h = shape->dim[2];
    const float *w = call->in[W];
    double *dh = memory, *dcell = dh + h, *dp = dcell + h;
    const float *optional[4];
    for (uint32_t i = 0; i < 4; i++) {
        const int32_t index = tutti_recurrent_index(call->node, FIRST, 1U << i);
        optional[i] = index >= 0 ? call->in[index] : NULL;
    }
    memset(memory, 0, (size_t)h * 6 * sizeof *memory);
    for (int64_t t = steps - 1; t >= 0; t--) {
        const int64_t row = b * steps + t;
        for (int64_t j = 0; j < h; j++) {
            const float *gates = (const float *)call->in[GATES] + row * 4 * h + j;
            const float *c = (const float *)call->in[C] + row * h + j;
            const double gate[4] = {(double)gates[0], (double)gates[h], (double)gates[2 * h],
                                    (double)gates[3 * h]};
            double before = 0;
            if (t > 0)
                before = (double)c[-h];
            else if (optional[0] != NULL)
                before = (double)optional[0][b * h + j];
            const double d = dh[j] + (optional[1] != NULL ? (double)optional[1][row * h + j] : 0);
            const double squashed = tanh((double)c[0]);
            const double dc = dcell[j] + d * gate[3] * (1 - squashed * squashed) +
                              (optional[2] != NULL ? (double)optional[2][row * h + j] : 0);
            double dgate[4] = {dc * gate[2], dc * before, dc * gate[0], d * squashed};
            for (int64_t g = 0; g < 4; g++) {
                if (optional[3] != NULL)
                    dgate[g] += (double)optional[3][(row * 4 + g) * h + j];
                dgate[g] *= g == 2 ? 1 - gate[g] * gate[g] : gate[g] * (1 - gate[g]);
                dp[g * h + j] = dgate[g];
                ((float *)call->out[0])[(row * 4 + g) * h + j] = (float)dgate[g];
            }
            dcell[j] = dc * gate[1];
        }
        for (int64_t j = 0; j < h; j++) {
            dh[j] = 0;
            for (int64_t k = 0; k < 4 * h; k++)
                dh[j] += dp[k] * (double)w[k * h + j];
        }
    }
    for (int64_t j = 0; j < h; j++) {
        ((float *)call->out[1])[b * h + j] = (float)dh[j];
        ((float *)call->out[2])[b * h + j] = (float)dcell[j];
    }
}

static void ref(const tutti_ref_call *call) {
    const tutti_shape *shape = &call->node->in_type[C].shape;
    const int64_t samples =
        tutti_shape_count(shape, call->run->n) / (shape->dim[1] * shape->dim[2]);
    double *memory = malloc((size_t)shape->dim[2] * 6 * sizeof *memory);
    for (int64_t b = 0; b < samples && memory != NULL; b++)
        ref_sample(call, b, memory);
    free(memory);
}

static const tutti_recurrent_attr dy = {TUTTI_RECURRENT_DY}, all = {ALL},
                                  dc = {TUTTI_RECURRENT_H0 | TUTTI_RECURRENT_DC}, nothing = {0};
#define FIXED(b, t, h)                                                                             \
    {.rank = 2, .dim = {4 * (h), h}}, {.rank = 3, .dim = {b, t, 4 * (h)}, .lo = 0.1F, .hi = 0.9F}, \
    {                                                                                              \
        .rank = 3, .dim = { b, t, h }                                                              \
    }
#define STEPS_IN(b, t, width)                                                                      \
    {                                                                                              \
        .rank = 3, .dim = { b, t, width }                                                          \
    }
static const tutti_op_example examples[] = {
    {.label = "smallest",
     .n = 1,
     .n_in = 4,
     .in = {FIXED(TUTTI_BATCH, 2, 3), STEPS_IN(TUTTI_BATCH, 2, 3)},
     .attr = &dy},
    {.label = "smallest with a state",
     .n = 1,
     .n_in = 5,
     .in = {FIXED(TUTTI_BATCH, 3, 2),
            {.rank = 2, .dim = {TUTTI_BATCH, 2}},
            STEPS_IN(TUTTI_BATCH, 3, 2)},
     .attr = &dc},
    {.label = "all",
     .n = 5,
     .n_in = 7,
     .in = {FIXED(TUTTI_BATCH, 4, 19),
            {.rank = 2, .dim = {TUTTI_BATCH, 19}},
            STEPS_IN(TUTTI_BATCH, 4, 19),
            STEPS_IN(TUTTI_BATCH, 4, 19),
            STEPS_IN(TUTTI_BATCH, 4, 76)},
     .attr = &all},
    {.label = "many units", .n_in = 4, .in = {FIXED(2, 2, 150), STEPS_IN(2, 2, 150)}, .attr = &dy},
    {.label = "missing",
     .n_in = 3,
     .in = {FIXED(2, 2, 5)},
     .attr = &dy,
     .refused = "lstm_grad: 3 inputs, expected 4"},
    {.label = "unexpected",
     .n_in = 4,
     .in = {FIXED(2, 2, 5), STEPS_IN(2, 2, 5)},
     .attr = &nothing,
     .refused = "lstm_grad: 4 inputs, expected 3"},
    {.label = "other steps",
     .n_in = 4,
     .in = {FIXED(2, 2, 5), STEPS_IN(2, 3, 5)},
     .attr = &dy,
     .refused = "lstm_grad: dy is f32 2x3x5, expected f32 2x2x5"},
};

const tutti_op tutti_op_lstm_grad = {
    .name = "lstm_grad",
    .summary = "gradient of lstm by the projected inputs and the initial state",
    .shapes =
        "w (4H, H), gates (N, T, 4H), c (N, T, H), any of c0 (N, H), dy (N, T, H), dc (N, T, H), "
        "dgates (N, T, 4H) -> dx (N, T, 4H), dh0 (N, H), dc0 (N, H)",
    .options = "which inputs are given",
    .n_in_min = 3,
    .n_in_max = 7,
    .n_out = 3,
    .flags = TUTTI_OP_NO_GRAD,
    .attr_size = sizeof(tutti_recurrent_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
