#include <inttypes.h>

#include "base/status.h"
#include "graph/graph.h"

/* Elements of one tensor (per sample when batched): byte counts stay far from overflow. */
#define COUNT_MAX (INT64_C(1) << 48)

tutti_status tutti_shape_make(int32_t rank, const int64_t *dims, tutti_shape *out) {
    if (rank < 0 || rank > TUTTI_MAX_RANK)
        return tutti_fail(TUTTI_SHAPE, "rank is %" PRId32 ", must be 0 to %d", rank,
                          TUTTI_MAX_RANK);
    if (rank > 0 && dims == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "rank is %" PRId32 " but dims is NULL", rank);
    tutti_shape shape = {.rank = rank};
    int64_t count = 1;
    for (int32_t i = 0; i < rank; i++) {
        int64_t dim = dims[i];
        if (i == 0 && dim == TUTTI_BATCH) {
            shape.batched = true;
            dim = 1;
        }
        if (dim == TUTTI_BATCH)
            return tutti_fail(TUTTI_SHAPE,
                              "extent %" PRId32 " is TUTTI_BATCH, only the first may be", i);
        if (dim < 1)
            return tutti_fail(TUTTI_SHAPE, "extent %" PRId32 " is %" PRId64 ", must be at least 1",
                              i, dim);
        if (dim > COUNT_MAX / count)
            return tutti_fail(TUTTI_SHAPE, "extent %" PRId32 " is %" PRId64 ": too many elements",
                              i, dim);
        count *= dim;
        shape.dim[i] = dim;
    }
    *out = shape;
    return TUTTI_OK;
}

bool tutti_shape_broadcast(const tutti_shape *a, const tutti_shape *b, tutti_shape *out) {
    tutti_shape shape = {.rank = a->rank > b->rank ? a->rank : b->rank,
                         .batched = a->batched || b->batched};
    /* The batch axis must be the leading one of the result. */
    if ((a->batched && a->rank != shape.rank) || (b->batched && b->rank != shape.rank))
        return false;
    for (int32_t i = 0; i < shape.rank; i++) {
        const int32_t ia = i - (shape.rank - a->rank), ib = i - (shape.rank - b->rank);
        const int64_t da = ia >= 0 ? a->dim[ia] : 1, db = ib >= 0 ? b->dim[ib] : 1;
        if (i == 0 && shape.batched) {
            /* T*N meets T*N, or an extent that is 1 for every N. */
            if (a->batched && b->batched ? da != db : (a->batched ? db : da) != 1)
                return false;
            shape.dim[0] = a->batched ? da : db;
            continue;
        }
        if (da != db && da != 1 && db != 1)
            return false;
        shape.dim[i] = da == 1 ? db : da;
    }
    *out = shape;
    return true;
}

tutti_extent tutti_extent_count(const tutti_shape *shape) {
    const int64_t count = tutti_shape_sample_count(shape);
    return shape->batched ? (tutti_extent){0, count} : (tutti_extent){count, 0};
}

tutti_extent tutti_extent_dim(const tutti_shape *shape, int32_t axis) {
    const int64_t dim = shape->dim[axis];
    return axis == 0 && shape->batched ? (tutti_extent){0, dim} : (tutti_extent){dim, 0};
}
