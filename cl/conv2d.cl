/* Convolution; kernels, shapes and launch sizes: conv_cpu.clh, conv_gemm.clh. */
#define TRANSPOSED 0
#define CONV_MODE  CONV_FORWARD
#include "conv_cpu.clh"
#include "conv_gemm.clh"
