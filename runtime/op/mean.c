/* The sum over axes divided by the number of elements summed, composed. The number of samples is
 * known only when a step runs, and is that of the whole batch. */
#include "op/reduce.h"

tutti_tensor tutti_mean(tutti_graph *g, tutti_tensor x, int32_t n_axes, const int32_t *axes,
                        bool keep_dims) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    uint32_t bits = 0;
    if (x.id != 0) {
        const tutti_status status = tutti_reduce_axes("mean", &shape, n_axes, axes, &bits);
        if (status != TUTTI_OK)
            return tutti_graph_reject(g, status);
    }
    const tutti_tensor sum = tutti_sum(g, x, n_axes, axes, keep_dims);
    if (sum.id == 0)
        return sum;
    double count = 1;
    for (int32_t i = 0; i < shape.rank; i++)
        if ((bits >> i & 1) != 0)
            count *= (double)shape.dim[i];
    const float factor = (float)(1 / count);
    if (tutti_reduce_batch(&shape, bits))
        return tutti_scale_over_batch(g, sum, factor);
    return tutti_scale(g, sum, factor);
}
