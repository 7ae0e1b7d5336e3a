/* The mean square of what is left of x without its mean, composed: two sweeps, as the difference of
 * E[x^2] and E[x]^2 would lose all digits where the mean is large. */
#include "base/status.h"
#include "op/reduce.h"

tutti_tensor tutti_variance(tutti_graph *g, tutti_tensor x, int32_t n_axes, const int32_t *axes,
                            bool unbiased, bool keep_dims) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const tutti_tensor mean = tutti_mean(g, x, n_axes, axes, true);
    char text[TUTTI_SHAPE_TEXT];
    uint32_t bits;
    if (mean.id == 0 || tutti_reduce_axes("variance", &shape, n_axes, axes, &bits) != TUTTI_OK)
        return (tutti_tensor){0};
    double count = 1;
    for (int32_t i = 0; i < shape.rank; i++)
        if ((bits >> i & 1) != 0)
            count *= (double)shape.dim[i];
    const bool over_batch = tutti_reduce_batch(&shape, bits);
    if (unbiased && !over_batch && count < 2)
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_SHAPE, "variance: x is %s: one element has no unbiased variance",
                          tutti_shape_text(&shape, text)));
    /* The deviations sum to nothing, so the mean has no part in the gradient. */
    const tutti_tensor deviation = tutti_sub(g, x, tutti_detach(g, mean));
    const tutti_tensor sum =
        tutti_sum(g, tutti_mul(g, deviation, deviation), n_axes, axes, keep_dims);
    if (over_batch)
        return tutti_divide_by_count(g, sum, count, unbiased ? 1 : 0);
    return tutti_scale(g, sum, (float)(1 / (count - (unbiased ? 1 : 0))));
}
