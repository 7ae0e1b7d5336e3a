/* Gradient of gru by the projected inputs, the hidden part q = h[t-1] w + bias, and the initial state;
 * those of weight and bias are a matrix product and a sum of dq. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "op/recurrent.h"

enum { W, GATES, Y, FIRST };
#define ALL (TUTTI_RECURRENT_H0 | TUTTI_RECURRENT_DY | TUTTI_RECURRENT_DGATES)

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    int64_t h;
    TUTTI_TRY(tutti_recurrent_steps(node, GATES, "gates", 4, &h));
    const tutti_shape *gates = &node->in_type[GATES].shape, w = {.rank = 2, .dim = {3 * h, h}};
    const tutti_shape states = tutti_recurrent_shape(gates, true, h);
    const tutti_shape state = tutti_recurrent_shape(gates, false, h);
    TUTTI_TRY(tutti_recurrent_check(node, W, "w", &w));
    TUTTI_TRY(tutti_recurrent_check(node, Y, "y", &states));
    TUTTI_TRY(tutti_recurrent_optional(node, FIRST, ALL,
                                       (const tutti_shape *[]){&state, &states, NULL, gates},
                                       (const char *[]){"h0", "dy", NULL, "dgates"}));
    out[0].type = out[1].type = (tutti_type){TUTTI_F32, tutti_recurrent_shape(gates, true, 3 * h)};
    out[2].type = (tutti_type){TUTTI_F32, state};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_recurrent_cost(node, n, &node->in_type[Y].shape, 3);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    return tutti_recurrent_lower(node, device, out, &node->in_type[Y].shape, 4, FIRST, ALL, false);
}

/* One sample; memory: 4 h doubles. */
static void ref_sample(const tutti_ref_call *call, int64_t b, double *memory) {
    const tutti_shape *shape = &call->node->in_type[Y].shape;
    const int64_t steps = shape->dim[1], h = shape->dim[2];
    const float *w = call->in[W];
    double *dh = memory, *dq = dh + h;
    const float *optional[4];
    for (uint32_t i = 0; i < 4; i++) {
        const int32_t index = tutti_recurrent_index(call->node, FIRST, 1U << i);
        optional[i] = index >= 0 ? call->in[index] : NULL;
    }
    memset(memory, 0, (size_t)h * 4 * sizeof *memory);
    for (int64_t t = steps - 1; t >= 0; t--) {
        const int64_t row = b * steps + t;
        for (int64_t j = 0; j < h; j++) {
            const float *gates = (const float *)call->in[GATES] + row * 4 * h + j;
            const double r = (double)gates[0], z = (double)gates[h], n = (double)gates[2 * h];
            const double inner = (double)gates[3 * h];
            double before = 0, dgate[4] = {0};
            if (t > 0)
                before = (double)((const float *)call->in[Y])[(row - 1) * h + j];
            else if (optional[0] != NULL)
                before = (double)optional[0][b * h + j];
            for (int64_t g = 0; g < 4 && optional[3] != NULL; g++)
                dgate[g] = (double)optional[3][(row * 4 + g) * h + j];
            const double d = dh[j] + (optional[1] != NULL ? (double)optional[1][row * h + j] : 0);
            const double dn = (dgate[2] + d * (1 - z)) * (1 - n * n);
            const double dz = (dgate[1] + d * (before - n)) * z * (1 - z);
            const double dr = (dgate[0] + dn * inner) * r * (1 - r);
            const double part[2][3] = {{dr, dz, dn}, {dr, dz, dgate[3] + dn * r}};
            for (int64_t g = 0; g < 3; g++) {
                ((float *)call->out[0])[(row * 3 + g) * h + j] = (float)part[0][g];
                ((float *)call->out[1])[(row * 3 + g) * h + j] = (float)part[1][g];
                dq[g * h + j] = part[1][g];
            }
            dh[j] = d * z;
        }
        for (int64_t j = 0; j < h; j++)
            for (int64_t k = 0; k < 3 * h; k++)
                dh[j] += dq[k] * (double)w[k * h + j];
    }
    for (int64_t j = 0; j < h; j++)
        ((float *)call->out[2])[b * h + j] = (float)dh[j];
}

static void ref(const tutti_ref_call *call) {
    const tutti_shape *shape = &call->node->in_type[Y].shape;
    const int64_t samples =
        tutti_shape_count(shape, call->run->n) / (shape->dim[1] * shape->dim[2]);
    double *memory = malloc((size_t)shape->dim[2] * 4 * sizeof *memory);
    for (int64_t b = 0; b < samples && memory != NULL; b++)
        ref_sample(call, b, memory);
    free(memory);
}

static const tutti_recurrent_attr dy = {TUTTI_RECURRENT_DY}, all = {ALL}, h0 = {TUTTI_RECURRENT_H0},
                                  dc = {TUTTI_RECURRENT_DC};
#define FIXED(b, t, h)                                                                             \
    {.rank = 2, .dim = {3 * (h), h}}, {.rank = 3, .dim = {b, t, 4 * (h)}, .lo = 0.1F, .hi = 0.9F}, \
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
    {.label = "no gradient",
     .n = 1,
     .n_in = 4,
     .in = {FIXED(TUTTI_BATCH, 3, 2), {.rank = 2, .dim = {TUTTI_BATCH, 2}}},
     .attr = &h0},
    {.label = "all",
     .n = 5,
     .n_in = 6,
     .in = {FIXED(TUTTI_BATCH, 4, 19),
            {.rank = 2, .dim = {TUTTI_BATCH, 19}},
            STEPS_IN(TUTTI_BATCH, 4, 19),
            STEPS_IN(TUTTI_BATCH, 4, 76)},
     .attr = &all},
    {.label = "many units", .n_in = 4, .in = {FIXED(2, 2, 150), STEPS_IN(2, 2, 150)}, .attr = &dy},
    {.label = "missing",
     .n_in = 3,
     .in = {FIXED(2, 2, 5)},
     .attr = &dy,
     .refused = "gru_grad: 3 inputs, expected 4"},
    {.label = "a cell",
     .n_in = 4,
     .in = {FIXED(2, 2, 5), STEPS_IN(2, 2, 5)},
     .attr = &dc,
     .refused = "gru_grad: 4 inputs, expected 3"},
    {.label = "other steps",
     .n_in = 4,
     .in = {FIXED(2, 2, 5), STEPS_IN(2, 3, 5)},
     .attr = &dy,
     .refused = "gru_grad: dy is f32 2x3x5, expected f32 2x2x5"},
};

const tutti_op tutti_op_gru_grad = {
    .name = "gru_grad",
    .summary = "gradient of gru by the projected inputs, the hidden part and the initial state",
    .shapes = "w (3H, H), gates (N, T, 4H), y (N, T, H), any of h0 (N, H), dy (N, T, H), dgates "
              "(N, T, 4H) "
              "-> dx (N, T, 3H), dq (N, T, 3H), dh0 (N, H)",
    .options = "which inputs are given",
    .n_in_min = 3,
    .n_in_max = 6,
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
