/* Undoing a broadcast, for gradients. */
#include "op/elementwise.h"

tutti_tensor tutti_reduce_to(tutti_graph *graph, tutti_tensor x, const tutti_shape *shape) {
    const tutti_shape from = tutti_tensor_type(graph, x).shape;
    if (x.id == 0 || tutti_shape_equal(&from, shape))
        return x;
    int32_t axes[TUTTI_MAX_RANK], n_axes = 0;
    const int32_t extra = from.rank - shape->rank;
    for (int32_t d = 0; d < from.rank; d++) {
        const bool was_batch = d == 0 && from.batched && !(extra == 0 && shape->batched);
        if (d < extra || was_batch || from.dim[d] != shape->dim[d - extra])
            axes[n_axes++] = d;
    }
    return tutti_reshape_to(graph, tutti_sum(graph, x, n_axes, axes, true), shape);
}
