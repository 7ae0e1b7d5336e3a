/* Many matrix products of one size, a work-item per tile; CPUs: see batched_matmul.clh for which,
 * matmul_cpu.cl for how. */
#include "batched_matmul.clh"
#include "matmul_cpu.cl"
