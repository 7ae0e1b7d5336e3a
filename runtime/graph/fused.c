/* The fused op: a chain of elementwise nodes as one node. Its kernel comes from chain.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/reference.h"
#include "base/status.h"
#include "graph/fuse.h"
#include "graph/group.h"

static tutti_status fused_lower(const tutti_node_info *node, const tutti_device_info *device,
                                tutti_lowering *out) {
    return tutti_chain_launch(node, node->attr, device, out,
                              tutti_lowering_candidate(out, "generated"));
}

static double bytes_of(const tutti_type *type, int64_t n) {
    return (double)tutti_dtype_size_bytes(type->dtype) * (double)tutti_shape_count(&type->shape, n);
}

static tutti_cost fused_cost(const tutti_node_info *node, int64_t n) {
    const tutti_fused_chain *chain = node->attr;
    tutti_cost cost = {0};
    for (int32_t m = 0; m < chain->n_members; m++)
        cost.flops += chain->members[m].node.op->cost(&chain->members[m].node, n).flops;
    for (int32_t k = 0; k < node->n_in; k++)
        cost.bytes += bytes_of(&node->in_type[k], n);
    for (int32_t k = 0; k < node->n_out; k++)
        cost.bytes += bytes_of(&node->out_type[k], n);
    return cost;
}

/* Member by member through each op's own reference, so that it owes nothing to the expressions. */
static void fused_ref(const tutti_ref_call *call) {
    const tutti_fused_chain *chain = call->node->attr;
    const size_t count = (size_t)tutti_shape_count(&call->node->out_type[0].shape, call->run->n);
    float *memory = malloc((count * (size_t)chain->n_members + 1) * sizeof *memory);
    if (memory == NULL) {
        for (int32_t k = 0; k < call->node->n_out; k++)
            for (size_t i = 0; i < count; i++)
                ((float *)call->out[k])[i] = NAN;
        return;
    }
    for (int32_t m = 0; m < chain->n_members; m++) {
        const tutti_fused_member *member = &chain->members[m];
        void *in[TUTTI_FUSE_INPUTS_MAX];
        void *out = memory + count * (size_t)m;
        for (int32_t k = 0; k < member->node.n_in; k++)
            in[k] = member->source[k] >= 0 ? call->in[member->source[k]]
                                           : memory + count * (size_t)(-1 - member->source[k]);
        tutti_reference_widened(
            &(tutti_ref_call){.node = &member->node, .run = call->run, .in = in, .out = &out});
        if (member->output >= 0)
            memcpy(call->out[member->output], out, count * sizeof *memory);
    }
    free(memory);
}

static tutti_status fused_infer(const tutti_node_info *node, tutti_infer *out) {
    (void)out;
    return tutti_op_fail(node, TUTTI_UNSUPPORTED, "made by the fusion pass only");
}

/* attr_size is 0: attr is a pointer into the program, no data to be hashed or copied. */
const tutti_op tutti_op_fused = {.name = "fused",
                                 .summary = "a chain of elementwise ops in one kernel",
                                 .n_in_min = 0,
                                 .n_in_max = TUTTI_FUSE_OPERANDS_MAX,
                                 .n_out = 1,
                                 .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_NO_GRAD,
                                 .infer = fused_infer,
                                 .cost = fused_cost,
                                 .lower = fused_lower,
                                 .ref = fused_ref};

tutti_fused_chain tutti_fused_chain_of(const tutti_node_info *node, tutti_single_chain *single) {
    if (node->op == &tutti_op_fused)
        return *(const tutti_fused_chain *)node->attr;
    for (int32_t k = 0; k < TUTTI_FUSE_INPUTS_MAX; k++) {
        single->source[k] = k;
        single->shapes[k] = node->out_type[0].shape;
    }
    single->member = (tutti_fused_member){.node = *node, .source = single->source, .output = 0};
    return (tutti_fused_chain){.members = &single->member,
                               .n_members = 1,
                               .shapes = single->shapes,
                               .label = node->op->name};
}

const tutti_node_info *tutti_fused_core(const tutti_node_info *node) {
    if (node->op == &tutti_op_prologue)
        return tutti_fused_core(&((const tutti_prologue *)node->attr)->base);
    return node->op == &tutti_op_epilogue ? &((const tutti_epilogue *)node->attr)->base : node;
}

int32_t tutti_fused_size(const tutti_node_info *node) {
    const tutti_prologue *l = node->op == &tutti_op_prologue ? node->attr : NULL;
    if (node->op == &tutti_op_epilogue)
        return 1 + tutti_fused_size(&((const tutti_epilogue *)node->attr)->rest);
    if (l != NULL)
        return tutti_fused_size(&l->chain) + tutti_fused_size(&l->base);
    return node->op == &tutti_op_fused ? ((const tutti_fused_chain *)node->attr)->n_members : 1;
}

const char *tutti_fused_label(const tutti_node_info *node) {
    if (node->op == &tutti_op_epilogue)
        return ((const tutti_epilogue *)node->attr)->label;
    if (node->op == &tutti_op_prologue)
        return ((const tutti_prologue *)node->attr)->label;
    if (node->op == &tutti_op_group)
        return ((const tutti_group *)node->attr)->label;
    return node->op == &tutti_op_fused ? ((const tutti_fused_chain *)node->attr)->label
                                       : node->op->name;
}
