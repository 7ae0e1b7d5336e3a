/* state = keep * state + gain * value; `count` elements each, state changes in place. With -DPAIR the
 * same for state2 and value2, with gain2. A work-item per element, see update.clh. */
#ifdef PAIR
#define OPERANDS(X, s)                                                                             \
    X(float, state, s) X(const float, value, s) X(float, state2, s) X(const float, value2, s)
#define GAIN2 , float gain2
#else
#define OPERANDS(X, s) X(float, state, s) X(const float, value, s)
#define GAIN2
#endif
#include "update.clh"

__kernel void running_average(SLOT_OPERANDS, float keep, float gain GAIN2) {
    FIND_SLOT
    state[i] = keep * state[i] + gain * value[i];
#ifdef PAIR
    state2[i] = keep * state2[i] + gain2 * value2[i];
#endif
}
