/* Convolution by tiles, for CPU devices (cl/winograd.clh). */
#ifndef TUTTI_OP_WINOGRAD_H
#define TUTTI_OP_WINOGRAD_H

#include "op/conv.h"

/* Adds the candidate for conv2d or conv_transpose2d; false where there is none. */
bool tutti_winograd_lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, bool transposed);
/* The same for conv2d_weight_grad. */
bool tutti_winograd_weight_lower(const tutti_node_info *node, const tutti_device_info *device,
                                 tutti_lowering *out, const tutti_conv *p);

#endif
