/* Pooling over whole images, composed. */
#include "base/status.h"
#include "op/image.h"

static bool is_image(tutti_graph *g, tutti_tensor x, const char *name) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    char text[TUTTI_SHAPE_TEXT];
    if (x.id != 0 && shape.rank != 4)
        (void)tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE, "%s: x is %s, expected 4 axes", name,
                                               tutti_shape_text(&shape, text)));
    return x.id != 0 && shape.rank == 4;
}

tutti_tensor tutti_global_avg_pool2d(tutti_graph *g, tutti_tensor x) {
    if (!is_image(g, x, "global_avg_pool2d"))
        return (tutti_tensor){0};
    return tutti_mean(g, x, 2, (int32_t[]){2, 3}, true);
}

tutti_tensor tutti_global_max_pool2d(tutti_graph *g, tutti_tensor x) {
    if (!is_image(g, x, "global_max_pool2d"))
        return (tutti_tensor){0};
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    return tutti_max_pool2d(g, x, &(tutti_pool2d_options){.kernel = {shape.dim[2], shape.dim[3]}});
}
