/* Equal updates of several parameters as one node, so that one launch does them all. */
#ifndef TUTTI_GRAPH_GROUP_H
#define TUTTI_GRAPH_GROUP_H

#include "tutti/ext/op.h"

/* Slots of a grouped kernel (cl/update.clh), and operands of one: with what all slots share they stay
 * below the 1024 bytes of arguments that OpenCL promises. */
#define TUTTI_GROUP_SLOTS      16
#define TUTTI_GROUP_INPUTS_MAX 6
/* Elements of a slot are rounded up to whole work-groups of this size, so that a work-group has one
 * slot; smaller ones where the device needs that. PoCL gives each work-group all arguments: 1024
 * elements repay that, 256 take a tenth longer. */
#define TUTTI_GROUP_ITEMS 1024

/* What attr of a group points to. Its inputs are those of the members, one behind the other, then the
 * factor, if there is one; its outputs are those of the members. */
typedef struct tutti_group {
    const tutti_node_info *members; /* of one op, with equal attributes, in any order */
    int32_t n_members;
    tutti_tensor factor; /* a scalar that the members' gradients are multiplied by; id 0: none */
    const char *label;
} tutti_group;

#endif
