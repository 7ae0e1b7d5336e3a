/* Convolution by tiles of 4 x 4, for CPU devices (cl/winograd.clh). */
#ifndef TUTTI_OP_WINOGRAD_H
#define TUTTI_OP_WINOGRAD_H

#include "op/conv.h"

/* The portions of a convolution: `spans` rows of tiles each, and of those one of `parts`, of
 * `tiles_w` tiles. */
typedef struct tutti_winograd {
    int64_t image_rows; /* of tiles, in an image */
    int64_t spans, tiles_w, parts;
    int64_t tile_block, tiles; /* of a portion, rounded up to tile_block */
    /* Local memory: the tiles of x and of y as points, what lies between two axes of a transform,
     * and the rows of an image. */
    int64_t x_bytes, y_bytes, mid_bytes, buffer_bytes;
} tutti_winograd;

/* False where the tiles do not pay or do not fit. */
bool tutti_winograd_of(const tutti_conv *p, const tutti_device_info *device, int64_t tile_block,
                       tutti_winograd *out);
/* Adds the candidate for conv2d or conv_transpose2d; false where there is none. */
bool tutti_winograd_lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out, const tutti_conv *p, bool transposed);

#endif
