/* Many matrix products of one size, a work-item per output: see batched_matmul.clh for which,
 * matmul_small.cl for how. */
#include "batched_matmul.clh"
#include "matmul_small.cl"
