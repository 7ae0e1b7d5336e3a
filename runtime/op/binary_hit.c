/* Whether the sign of a logit says what its target says, per element. */
#include "op/loss.h"

tutti_tensor tutti_binary_accuracy(tutti_graph *g, tutti_tensor logits, tutti_tensor targets) {
    const tutti_tensor hits =
        tutti_op_apply1(g, &tutti_op_binary_hit, (tutti_tensor[]){logits, targets}, 2, NULL, 0);
    return tutti_mean(g, hits, 0, NULL, false);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    (void)node;
    return tutti_expr(text, text_size, "((%s > 0.0f) == (%s > 0.5f) ? 1.0f : 0.0f)", in[0], in[1]);
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)call;
    (void)index;
    return (x[0] > 0) == (x[1] > 0.5) ? 1 : 0;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static const tutti_op_example examples[] = {
    {.label = "batched",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 7}},
            {.rank = 2, .dim = {TUTTI_BATCH, 7}, .lo = 0, .hi = 1}}},
    {.label = "vector",
     .n_in = 2,
     .in = {{.rank = 1, .dim = {50}}, {.rank = 1, .dim = {50}, .lo = 0, .hi = 1}}},
    {.label = "shapes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {TUTTI_BATCH, 1}}, {.rank = 1, .dim = {TUTTI_BATCH}}},
     .refused = "binary_hit: x is Nx1, target is N"},
};

const tutti_op tutti_op_binary_hit = {
    .name = "binary_hit",
    .summary = "1 where (logit > 0) equals (target > 0.5), else 0",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
    .infer = tutti_loss_infer,
    .cost = tutti_elementwise_cost,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
