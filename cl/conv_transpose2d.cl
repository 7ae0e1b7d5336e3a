/* Transposed convolution, the data gradient of a convolution, for GPUs; kernels, shapes and launch
 * sizes: conv_gemm.clh. */
#define CONV_MODE CONV_TRANSPOSED
#include "conv_gemm.clh"
