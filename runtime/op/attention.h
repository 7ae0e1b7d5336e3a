/* What attention and its gradient share. */
#ifndef TUTTI_OP_ATTENTION_H
#define TUTTI_OP_ATTENTION_H

#include "graph/graph.h"
#include "op/elementwise.h"

typedef struct tutti_attention_attr {
    float scale;
    uint32_t causal; /* 0 or 1: query i sees keys 0 to i */
    uint32_t mask;   /* 0 or 1: the last input is added to the scores */
    uint32_t dlse;   /* 0 or 1: input 6 of attention_grad is the gradient of the log-sum-exp */
} tutti_attention_attr;

/* Extents, and the steps of the mask along batch, head, query and key: 0 where it is broadcast. */
typedef struct tutti_attention_view {
    tutti_extent batch;
    int64_t heads, queries, keys, width;
    int64_t mask_step[4];
    float scale;
    bool causal;
    int32_t mask; /* its index among the inputs, or -1 */
} tutti_attention_view;

tutti_attention_view tutti_attention_look(const tutti_node_info *node);
/* q, k, v (inputs 0 to 2) and the mask. */
TUTTI_MUST_USE tutti_status tutti_attention_check(const tutti_node_info *node);
/* N x heads x T of q: the shape of the log-sum-exp. */
tutti_shape tutti_attention_rows_shape(const tutti_node_info *node);
/* `products` multiply-adds per score and element of the width. */
tutti_cost tutti_attention_cost(const tutti_node_info *node, int64_t n, double products);

/* How a kernel on top of attention_cpu.clh is built. */
typedef struct tutti_attention_cpu {
    int64_t block;       /* rows per work-item, a multiple of the register tile's */
    int64_t local_bytes; /* 0: no block fits the device */
    char options[64];
} tutti_attention_cpu;

/* For a kernel over `rows` rows with these numbers of copies of blocks of its rows, of blocks of
 * the other side, and of score tiles in local memory. */
tutti_attention_cpu tutti_attention_fit(const tutti_node_info *node,
                                        const tutti_device_info *device, int64_t rows,
                                        int64_t row_copies, int64_t column_copies, int64_t tiles);

/* For attention_grad_cpu, a work-item per head; local_bytes is 0 where they are too few to share among
 * the compute units, or too large. */
tutti_attention_cpu tutti_attention_fit_heads(const tutti_node_info *node,
                                              const tutti_device_info *device);

/* How a kernel on top of attention_tile.clh is built. */
typedef struct tutti_attention_tile {
    int64_t block, parts;
    char options[32];
} tutti_attention_tile;

tutti_attention_tile tutti_attention_group(const tutti_node_info *node);

/* The arguments that all attention kernels end with, and their ranges; one of cpu, tile is NULL. */
void tutti_attention_arguments(const tutti_node_info *node, tutti_lowering *out,
                               tutti_launch *launch);
void tutti_attention_range(const tutti_node_info *node, tutti_launch *launch, int64_t rows,
                           const tutti_attention_cpu *cpu, const tutti_attention_tile *tile);

/* For the references. */
bool tutti_attention_sees(const tutti_attention_view *view, int64_t i, int64_t j);
int64_t tutti_attention_mask_at(const tutti_attention_view *view, int64_t b, int64_t h, int64_t i,
                                int64_t j);

#endif
