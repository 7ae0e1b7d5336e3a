/* Convolution, for GPUs; kernels, shapes and launch sizes: conv_gemm.clh. */
#define CONV_MODE CONV_FORWARD
#include "conv_gemm.clh"
