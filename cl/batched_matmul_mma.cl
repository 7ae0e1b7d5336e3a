/* Many matrix products of one size on the tensor units of NVIDIA GPUs: see batched_matmul.clh for which,
 * matmul_mma.cl for how. */
#define LEAD_EXACT
#include "batched_matmul.clh"
#include "matmul_mma.cl"
