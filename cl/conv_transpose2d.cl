/* Transposed convolution, the data gradient of a convolution; kernels, shapes and launch sizes:
 * conv_cpu.clh, conv_gemm.clh. */
#define TRANSPOSED 1
#define CONV_MODE  CONV_TRANSPOSED
#include "conv_cpu.clh"
#include "conv_gemm.clh"
