/* A tensor expanded to a shape that the caller writes out: broadcast_like does the work. */
#include <inttypes.h>

#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

tutti_tensor tutti_expand(tutti_graph *g, tutti_tensor x, int32_t rank, const int64_t *dims) {
    const tutti_shape from = tutti_tensor_type(g, x).shape;
    tutti_shape shape;
    int64_t filled[TUTTI_MAX_RANK] = {0};
    char text[TUTTI_SHAPE_TEXT];
    if (x.id == 0)
        return x;
    if (rank < from.rank || rank > TUTTI_MAX_RANK || (rank > 0 && dims == NULL))
        return tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                                "expand: x is %s, to rank %" PRId32
                                                "%s: expected %" PRId32 " to %d extents",
                                                tutti_shape_text(&from, text), rank,
                                                dims == NULL ? " at NULL" : "", from.rank,
                                                TUTTI_MAX_RANK));
    for (int32_t i = 0; i < rank; i++) {
        const int32_t own = i - (rank - from.rank);
        filled[i] = dims[i] != 0 || own < 0    ? dims[i]
                    : own == 0 && from.batched ? TUTTI_BATCH
                                               : from.dim[own];
    }
    const tutti_status status = tutti_shape_make(rank, filled, &shape);
    if (status != TUTTI_OK)
        return tutti_graph_reject(g, tutti_fail_context(status, "expand"));
    /* T rows per sample stay T rows per sample. */
    if (shape.batched && from.batched && rank == from.rank)
        shape.dim[0] = from.dim[0];
    return tutti_broadcast_to(g, x, &shape);
}
