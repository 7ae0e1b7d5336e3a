/* x W^T + b, composed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

tutti_tensor tutti_linear(tutti_graph *g, tutti_tensor x, int64_t out_features, const char *name) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    if (x.id == 0 || tutti_graph_status(g) != TUTTI_OK)
        return (tutti_tensor){0};
    if (name == NULL)
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_INVALID_ARGUMENT, "linear: the name is NULL, expected a text"));
    char text[TUTTI_SHAPE_TEXT], weight_name[TUTTI_NAME_MAX + 8], bias_name[TUTTI_NAME_MAX + 8];
    if (shape.rank != 2)
        return tutti_graph_reject(g,
                                  tutti_fail(TUTTI_SHAPE, "linear %s: x is %s, expected a matrix",
                                             name, tutti_shape_text(&shape, text)));
    if (out_features < 1)
        return tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                                "linear %s: %" PRId64
                                                " output features, expected at least 1",
                                                name, out_features));
    if (snprintf(weight_name, sizeof weight_name, "%s.weight", name) >= (int)sizeof weight_name ||
        snprintf(bias_name, sizeof bias_name, "%s.bias", name) >= (int)sizeof bias_name)
        return tutti_graph_reject(g, tutti_fail(TUTTI_INVALID_ARGUMENT,
                                                "linear: the name %.32s… exceeds %d bytes", name,
                                                TUTTI_NAME_MAX));
    const tutti_init init = {TUTTI_INIT_KAIMING_UNIFORM, 1.0F, (float)shape.dim[1]};
    const tutti_tensor weight =
        tutti_graph_param(g, weight_name, 2, (int64_t[]){out_features, shape.dim[1]}, init);
    const tutti_tensor bias = tutti_graph_param(g, bias_name, 1, &out_features, init);
    return tutti_add(g, tutti_matmul(g, x, weight, false, true), bias);
}
