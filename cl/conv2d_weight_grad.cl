/* Gradient of a convolution by its weights, for GPUs; kernels, shapes and launch sizes:
 * conv_gemm.clh. */
#define CONV_MODE CONV_WEIGHT
#include "conv_gemm.clh"
