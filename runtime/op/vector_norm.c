/* (sum of |x|^p)^(1/p), composed. Where the norm is 0 its gradient is 0, as is usual. */
#include <math.h>

#include "base/status.h"
#include "op/reduce.h"

tutti_tensor tutti_vector_norm(tutti_graph *g, tutti_tensor x, float p, int32_t n_axes,
                               const int32_t *axes, bool keep_dims) {
    if (x.id == 0)
        return x;
    if (!(p >= 1))
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "vector_norm: p is %g, expected 1 or more, or INFINITY", (double)p));
    if (p == INFINITY)
        return tutti_max(g, tutti_abs(g, x), n_axes, axes, keep_dims);
    if (p == 1)
        return tutti_sum(g, tutti_abs(g, x), n_axes, axes, keep_dims);
    const tutti_tensor powers =
        p == 2 ? tutti_mul(g, x, x) : tutti_pow_scalar(g, tutti_abs(g, x), p);
    const tutti_tensor sum = tutti_sum(g, powers, n_axes, axes, keep_dims);
    const tutti_shape shape = tutti_tensor_type(g, sum).shape;
    if (sum.id == 0)
        return sum;
    /* The root is taken of 1 where the sum is 0: its derivative there is infinite. */
    const tutti_tensor zero = tutti_constant(g, &shape, 0);
    const tutti_tensor some = tutti_not_equal(g, sum, zero);
    const tutti_tensor safe = tutti_where(g, some, sum, tutti_constant(g, &shape, 1));
    const tutti_tensor root = p == 2 ? tutti_sqrt(g, safe) : tutti_pow_scalar(g, safe, 1 / p);
    return tutti_where(g, some, root, zero);
}
