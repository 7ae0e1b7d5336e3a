/* Mean squared error, composed of other ops. */
#include "base/status.h"
#include "op/elementwise.h"

tutti_tensor tutti_mse(tutti_graph *g, tutti_tensor x, tutti_tensor target) {
    const tutti_shape a = tutti_tensor_type(g, x).shape, b = tutti_tensor_type(g, target).shape;
    char text_a[TUTTI_SHAPE_TEXT], text_b[TUTTI_SHAPE_TEXT];
    /* N against Nx1 would broadcast to a wrong loss without a sound. */
    if (x.id != 0 && target.id != 0 && !tutti_shape_equal(&a, &b))
        return tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE, "mse: x is %s, target is %s",
                                                tutti_shape_text(&a, text_a),
                                                tutti_shape_text(&b, text_b)));
    const tutti_tensor difference = tutti_sub(g, x, target);
    return tutti_mean(g, tutti_mul(g, difference, difference), 0, NULL, false);
}
