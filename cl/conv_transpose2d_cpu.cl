/* Transposed convolution, the data gradient of a convolution, for CPUs; kernel, shapes and launch
 * sizes: conv_cpu.clh. */
#define TRANSPOSED 1
#include "conv_cpu.clh"
