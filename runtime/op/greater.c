/* 1 where a is above b, else 0: b below a. */
#include "op/ops.h"

tutti_tensor tutti_greater(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_less(g, b, a);
}
