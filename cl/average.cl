/* average = keep * average + rest * value, value itself when keep is 0; `count` elements each,
 * average changes in place. A work-item per element, see update.clh. */
#define OPERANDS(X, s) X(float, average, s) X(const float, value, s)
#include "update.clh"

__kernel void average(SLOT_OPERANDS, float keep, float rest) {
    FIND_SLOT
    average[i] = keep == 0.0f ? value[i] : keep * average[i] + rest * value[i];
}
