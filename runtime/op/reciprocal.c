/* 1 / x: the power -1, which the generated kernel computes as a division. */
#include "op/ops.h"

tutti_tensor tutti_reciprocal(tutti_graph *g, tutti_tensor x) {
    return tutti_pow_scalar(g, x, -1);
}
