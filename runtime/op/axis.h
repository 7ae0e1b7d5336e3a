/* What ops along one axis share: a tensor as outer x extent x inner around that axis. */
#ifndef TUTTI_OP_AXIS_H
#define TUTTI_OP_AXIS_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_axis_view {
    int32_t axis;
    tutti_extent outer;  /* product of the extents before the axis */
    tutti_extent extent; /* batched for axis 0 of a batched tensor, outer is 1 then */
    int64_t inner;       /* product of the extents behind the axis */
} tutti_axis_view;

/* A negative axis counts from the end. The axis must be there. */
tutti_axis_view tutti_axis_view_of(const tutti_shape *shape, int32_t axis);
/* The shape with that extent, not batched along the axis, in place of the axis's own. */
tutti_shape tutti_axis_with(const tutti_shape *shape, int32_t axis, int64_t extent);
/* Refuses an axis that is not there and, as the op runs along it, the batch. `what` names the
 * tensor. */
TUTTI_MUST_USE tutti_status tutti_axis_check(const tutti_node_info *node, const char *what,
                                             const tutti_shape *shape, int32_t axis);
/* Product of extents of which at most one depends on the batch. */
tutti_extent tutti_extent_multiply(tutti_extent a, tutti_extent b);
tutti_extent tutti_extent_times(tutti_extent a, int64_t factor);

/* Where the index of outer x extent x inner elements lies: at o * outer + j * extent + i * inner. A
 * step is 0 where the index has only extents of 1 and serves all elements. */
typedef struct tutti_index_steps {
    tutti_extent outer;
    int64_t extent, inner;
} tutti_index_steps;

/* Refuses an index (i32) that does not fit x (named `what`) before or behind the axis. Extents along
 * the axis are not compared. */
TUTTI_MUST_USE tutti_status tutti_index_check(const tutti_node_info *node, const char *what,
                                              const tutti_shape *x, const tutti_type *index,
                                              int32_t axis);
/* For an index that was accepted. */
tutti_index_steps tutti_index_steps_of(const tutti_shape *x, const tutti_shape *index,
                                       int32_t axis);

#endif
