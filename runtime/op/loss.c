#include "op/loss.h"

#include "base/status.h"

tutti_status tutti_loss_infer(const tutti_node_info *node, tutti_infer *out) {
    char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
    if (!tutti_shape_equal(&node->in_type[0].shape, &node->in_type[1].shape))
        return tutti_op_fail(node, TUTTI_SHAPE, "x is %s, target is %s",
                             tutti_shape_text(&node->in_type[0].shape, a),
                             tutti_shape_text(&node->in_type[1].shape, b));
    return tutti_elementwise_infer(node, out);
}

bool tutti_loss_check(tutti_graph *graph, const char *name, tutti_tensor x, tutti_tensor target) {
    const tutti_shape a = tutti_tensor_type(graph, x).shape;
    const tutti_shape b = tutti_tensor_type(graph, target).shape;
    char text_a[TUTTI_SHAPE_TEXT], text_b[TUTTI_SHAPE_TEXT];
    if (x.id == 0 || target.id == 0)
        return false;
    if (tutti_shape_equal(&a, &b))
        return true;
    (void)tutti_graph_reject(graph, tutti_fail(TUTTI_SHAPE, "%s: x is %s, target is %s", name,
                                               tutti_shape_text(&a, text_a),
                                               tutti_shape_text(&b, text_b)));
    return false;
}
