/* 1 where the first of the row's largest logits is at the label, else 0 */
#include "op/rows.h"

tutti_tensor tutti_accuracy(tutti_graph *g, tutti_tensor logits, tutti_tensor labels) {
    const tutti_tensor hits =
        tutti_op_apply1(g, &tutti_op_top1_hit, (tutti_tensor[]){logits, labels}, 2, NULL, 0);
    return tutti_mean(g, hits, 0, NULL, false);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    tutti_status status = tutti_rows_check_labels(node);
    if (status == TUTTI_OK)
        out->type = (tutti_type){TUTTI_F32, node->in_type[1].shape};
    return status;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    return tutti_rows_cost(node, n, 1);
}

static void ref(const tutti_ref_call *call) {
    const int64_t columns = tutti_rows_columns(call->node);
    const int64_t rows = tutti_extent_value(tutti_rows_count(call->node), call->run->n);
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->in[0] + r * columns;
        int64_t at = 0;
        for (int64_t c = 1; c < columns; c++)
            if (x[c] > x[at])
                at = c;
        ((float *)call->out[0])[r] = at == ((const int32_t *)call->in[1])[r] ? 1.0F : 0.0F;
    }
}

#define CASE(text, rows, classes, low, high)                                                       \
    {                                                                                              \
        .label = text, .n_in = 2, .in = {                                                          \
            {.rank = 2, .dim = {rows, classes}},                                                   \
            {.dtype = TUTTI_I32, .rank = 1, .dim = {rows}, .lo = low, .hi = high}                  \
        }                                                                                          \
    }
static const tutti_op_example examples[] = {
    CASE("digits", TUTTI_BATCH, 10, 0, 10),
    CASE("one class", 3, 1, 0, 1),
    CASE("two classes", 64, 2, 0, 2),
    CASE("many classes", 3, 1037, 0, 1037),
    CASE("more than a short row", 64, 49, 0, 4),
    CASE("labels outside", 12, 4, -3, 7),
    /* All logits equal: the first wins. */
    {.label = "ties",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {9, 100}, .lo = 1, .hi = 1},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {9}, .hi = 2}}},
    {.label = "too few labels",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 3}},
            {.dtype = TUTTI_I32, .rank = 1, .dim = {4}, .hi = 3}},
     .refused = "top1_hit: logits are Nx3, labels are 4: expected one label per row"},
};

const tutti_op tutti_op_top1_hit = {
    .name = "top1_hit",
    .summary = "1 where the first of the row's largest logits is at the label, else 0",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_NO_GRAD,
    .infer = infer,
    .cost = cost,
    .lower = tutti_rows_lower,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
