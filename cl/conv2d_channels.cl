/* Convolution of small images, for CPUs; kernel, shapes and launch sizes: conv_channels.clh. */
#define TRANSPOSED 0
#include "conv_channels.clh"
