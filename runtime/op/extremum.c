/* What max and min over axes share besides reduce.c. */
#include "op/reduce.h"

tutti_status tutti_extremum_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_reduce_attr *attr = node->attr;
    const tutti_shape *shape = &node->in_type[0].shape;
    if (tutti_reduce_batch(shape, attr->axes)) {
        char text[TUTTI_SHAPE_TEXT];
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "x is %s: the batch cannot be reduced, it would take all devices' "
                             "samples",
                             tutti_shape_text(shape, text));
    }
    return tutti_reduce_infer(node, out);
}

tutti_status tutti_extremum_grad(tutti_graph *graph, const tutti_node_info *node,
                                 const tutti_tensor *dout, const bool *want, tutti_tensor *din) {
    if (!want[0])
        return TUTTI_OK;
    const tutti_reduce_attr *attr = node->attr;
    const tutti_shape kept = tutti_reduce_shape(&node->in_type[0].shape, attr->axes, true);
    const tutti_tensor y = tutti_reshape_to(graph, node->out[0], &kept);
    const tutti_tensor dy = tutti_reshape_to(graph, dout[0], &kept);
    const tutti_tensor attains = tutti_equal(graph, node->in[0], y);
    const tutti_reduce_attr keep = {attr->axes, 1};
    const tutti_tensor count =
        tutti_op_apply1(graph, &tutti_op_sum, &attains, 1, &keep, sizeof keep);
    din[0] = tutti_mul(graph, attains, tutti_div(graph, dy, count));
    return tutti_graph_status(graph);
}
