/* Convolution, for CPUs; kernel, shapes and launch sizes: conv_cpu.clh. */
#define TRANSPOSED 0
#include "conv_cpu.clh"
