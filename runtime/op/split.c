/* A tensor cut along an axis: slices. */
#include <inttypes.h>

#include "base/status.h"
#include "graph/graph.h"
#include "op/ops.h"

void tutti_split(tutti_graph *g, tutti_tensor x, int32_t axis, int32_t n, const int64_t *sizes,
                 tutti_tensor *out) {
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int32_t at = axis < 0 ? axis + shape.rank : axis;
    char text[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < n; i++)
        out[i] = (tutti_tensor){0};
    if (x.id == 0)
        return;
    if (at < 0 || at >= shape.rank || (shape.batched && at == 0)) {
        (void)tutti_graph_reject(g,
                                 tutti_fail(TUTTI_SHAPE, "split: x is %s: axis %" PRId32 " is %s",
                                            tutti_shape_text(&shape, text), axis,
                                            at == 0 && shape.batched ? "the batch" : "not there"));
        return;
    }
    int64_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += sizes != NULL ? sizes[i] : shape.dim[at] / n;
    if (n < 1 || sum != shape.dim[at]) {
        (void)tutti_graph_reject(g, tutti_fail(TUTTI_SHAPE,
                                               "split: x is %s: %" PRId32 " parts of %" PRId64
                                               " in all do not make axis %" PRId32 " of %" PRId64,
                                               tutti_shape_text(&shape, text), n, sum, at,
                                               shape.dim[at]));
        return;
    }
    int64_t begin = 0;
    for (int32_t i = 0; i < n; i++) {
        const int64_t size = sizes != NULL ? sizes[i] : shape.dim[at] / n;
        out[i] = tutti_slice(g, x, at, begin, begin + size, 1);
        begin += size;
    }
}
