/* Binary cross-entropy with logits and weights, composed. With pos_weight w the positive part counts
 * w times: t w softplus(-x) + (1 - t) softplus(x), and softplus(-x) is the loss against 1. */
#include "base/status.h"
#include "op/loss.h"

static tutti_tensor each_bce(tutti_graph *g, tutti_tensor x, tutti_tensor t) {
    return tutti_op_apply1(g, &tutti_op_bce_with_logits, (tutti_tensor[]){x, t}, 2, NULL, 0);
}

tutti_tensor tutti_bce_with_logits_weighted(tutti_graph *g, tutti_tensor logits,
                                            tutti_tensor targets, tutti_tensor weight,
                                            tutti_tensor pos_weight) {
    if (!tutti_loss_check(g, "bce_with_logits", logits, targets))
        return (tutti_tensor){0};
    const tutti_shape shape = tutti_tensor_type(g, logits).shape;
    tutti_tensor each = each_bce(g, logits, targets);
    if (pos_weight.id != 0) {
        const tutti_tensor positive = each_bce(g, logits, tutti_constant(g, &shape, 1));
        const tutti_tensor more = tutti_mul(g, targets, tutti_add_scalar(g, pos_weight, -1));
        each = tutti_add(g, each, tutti_mul(g, more, positive));
    }
    if (weight.id != 0)
        each = tutti_mul(g, each, weight);
    const tutti_shape result = tutti_tensor_type(g, each).shape;
    char text[TUTTI_SHAPE_TEXT], text_result[TUTTI_SHAPE_TEXT];
    if (each.id != 0 && !tutti_shape_equal(&shape, &result))
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_SHAPE, "bce_with_logits: logits are %s, with the weights %s",
                          tutti_shape_text(&shape, text), tutti_shape_text(&result, text_result)));
    return tutti_mean(g, each, 0, NULL, false);
}
