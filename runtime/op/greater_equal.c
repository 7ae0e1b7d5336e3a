/* 1 where a is at least b, else 0: b at most a. */
#include "op/ops.h"

tutti_tensor tutti_greater_equal(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_less_equal(g, b, a);
}
