/* Sums over axes: y[o][i] = sum over r of x[o][r][i]. Kernels, shapes and launch sizes: reduce.clh.
 */
#define IDENTITY      0.0f
#define COMBINE(a, b) ((a) + (b))
#include "reduce.clh"
