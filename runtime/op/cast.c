/* x as another element type. */
#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

tutti_tensor tutti_cast(tutti_graph *g, tutti_tensor x, tutti_dtype dtype) {
    if (x.id == 0 || tutti_tensor_type(g, x).dtype == dtype)
        return x;
    static const tutti_op *const ops[] = {[TUTTI_F32] = &tutti_op_to_f32,
                                          [TUTTI_I32] = &tutti_op_to_i32,
                                          [TUTTI_F16] = &tutti_op_to_f16,
                                          [TUTTI_BF16] = &tutti_op_to_bf16};
    if ((unsigned)dtype > TUTTI_BF16)
        return tutti_graph_reject(
            g, tutti_fail(TUTTI_INVALID_ARGUMENT, "cast: %d is no element type", (int)dtype));
    return tutti_op_apply1(g, ops[dtype], &x, 1, NULL, 0);
}
