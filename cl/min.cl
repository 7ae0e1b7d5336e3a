/* Minima over axes: y[o][i] = min over r of x[o][r][i], NaN when one of them is NaN. Kernels, shapes
 * and launch sizes: reduce.clh.
 */
#define IDENTITY      INFINITY
#define COMBINE(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
#include "reduce.clh"
