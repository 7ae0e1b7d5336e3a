/* What the passes share that give elementwise work to another op's kernel: epilogue, prologue. */
#ifndef TUTTI_GRAPH_ATTACH_H
#define TUTTI_GRAPH_ATTACH_H

#include "graph/fuse.h"
#include "graph/passes.h"

/* One sweep over the items; what it knows of those before the present one. */
typedef struct tutti_attachment {
    tutti_passes *p;
    int32_t *producer; /* by tensor: item, or -1 */
    int32_t *reads;    /* by tensor: operands that read it, in the whole program */
    int32_t *reduced;  /* by tensor: the last reduction of its memory so far, or -1 */
    uint32_t *root;    /* by tensor: what it is an alias of, or itself */
    bool *taken;       /* by item: part of another one */
    int32_t barrier;   /* the last update or broadcast so far, or -1 */
} tutti_attachment;

/* Visits item k, a node that is neither alias nor update. May make one node of it and an earlier
 * item, at one of the two, which it writes to *at; the other is then taken. */
typedef tutti_status (*tutti_attach_visit)(tutti_attachment *a, int32_t k, int32_t *at);

/* Visits the items and leaves out those that were taken. */
TUTTI_MUST_USE tutti_status tutti_attach_sweep(tutti_passes *p, tutti_attach_visit visit);

/* True for a chain, or a node that could be one, with results in f32. */
bool tutti_attach_is_chain(const tutti_item *item);
/* True when an item that is not taken runs where and when a later one does, with no update between. */
bool tutti_attach_beside(const tutti_attachment *a, int32_t earlier, int32_t later);
/* How often the node reads the tensor. */
int32_t tutti_attach_reads(const tutti_node_info *node, tutti_tensor tensor);
/* True when what the node reads, but for `except`, is the same from item `from` on until now. */
bool tutti_attach_lasts(const tutti_attachment *a, const tutti_node_info *node, tutti_tensor except,
                        int32_t from);

#endif
