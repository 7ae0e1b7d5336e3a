/* x as the other element type. */
#include "graph/graph.h"
#include "op/ops.h"

tutti_tensor tutti_cast(tutti_graph *g, tutti_tensor x, tutti_dtype dtype) {
    if (x.id == 0 || tutti_tensor_type(g, x).dtype == dtype)
        return x;
    return tutti_op_apply1(g, dtype == TUTTI_I32 ? &tutti_op_to_i32 : &tutti_op_to_f32, &x, 1, NULL,
                           0);
}
