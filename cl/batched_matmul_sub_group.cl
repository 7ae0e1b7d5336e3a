/* Many matrix products of one size on GPUs with sub-groups of a known size: see batched_matmul.clh for which,
 * matmul_sub_group.cl for how. */
#define LEAD_EXACT
#include "batched_matmul.clh"
#include "matmul_sub_group.cl"
