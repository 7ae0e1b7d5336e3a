/* sum = scale * grad when `first`, else sum + scale * grad; `count` elements each, sum changes in
 * place. A work-item per element, see update.clh. */
#define OPERANDS(X, s) X(float, sum, s) X(const float, grad, s)
#include "update.clh"

__kernel void accumulate(SLOT_OPERANDS, float scale, uint first) {
    FIND_SLOT
    const float part = scale * grad[i];
    sum[i] = first != 0 ? part : sum[i] + part;
}
