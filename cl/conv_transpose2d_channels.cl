/* Transposed convolution of small images, for CPUs; kernel, shapes and launch sizes:
 * conv_channels.clh. */
#define TRANSPOSED 1
#include "conv_channels.clh"
