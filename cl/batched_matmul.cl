/* Many matrix products of one size, a work-group per tile; GPUs: see batched_matmul.clh for which,
 * matmul.cl for how. */
#define LEAD_EXACT
#include "batched_matmul.clh"
#include "matmul.cl"
