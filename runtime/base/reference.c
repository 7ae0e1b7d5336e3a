#include "base/reference.h"

#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"

#define OPERANDS_MAX 64

/* The types with f32 in the place of f16 and bf16; false when there are too many. */
static bool widen_types(const tutti_node_info *node, tutti_type types[OPERANDS_MAX]) {
    if (node->n_in + node->n_out > OPERANDS_MAX)
        return false;
    for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
        types[i] = i < node->n_in ? node->in_type[i] : node->out_type[i - node->n_in];
        if (tutti_dtype_is_narrow(types[i].dtype))
            types[i].dtype = TUTTI_F32;
    }
    return true;
}

static void spoil(const tutti_ref_call *call) {
    for (int32_t k = 0; k < call->node->n_out; k++) {
        const tutti_type *type = &call->node->out_type[k];
        memset(call->out[k], 0xFF,
               (size_t)tutti_shape_count(&type->shape, call->run->n) *
                   tutti_dtype_size_bytes(type->dtype));
    }
}

void tutti_reference_widened(const tutti_ref_call *call) {
    tutti_type types[OPERANDS_MAX];
    tutti_node_info node = *call->node;
    if (!widen_types(call->node, types)) {
        spoil(call);
        return;
    }
    node.in_type = types;
    node.out_type = types + node.n_in;
    node.op->ref(
        &(tutti_ref_call){.node = &node, .run = call->run, .in = call->in, .out = call->out});
}

/* The memory of operand i. */
static void *operand(const tutti_ref_call *call, int32_t i) {
    return i < call->node->n_in ? call->in[i] : call->out[i - call->node->n_in];
}

/* Calls with f32 copies of the narrow operands; false without memory. */
static bool call_widened(const tutti_ref_call *call, const tutti_type *const *types) {
    const tutti_node_info *node = call->node;
    const int32_t count = node->n_in + node->n_out;
    void *memory[OPERANDS_MAX] = {NULL};
    bool good = true;
    for (int32_t i = 0; i < count && good; i++) {
        const size_t n = (size_t)tutti_shape_count(&types[i]->shape, call->run->n);
        if (!tutti_dtype_is_narrow(types[i]->dtype)) {
            memory[i] = operand(call, i);
            continue;
        }
        memory[i] = malloc((n + 1) * sizeof(float));
        good = memory[i] != NULL;
        if (good && i < node->n_in)
            tutti_widen_all(types[i]->dtype, operand(call, i), n, memory[i]);
    }
    if (good)
        tutti_reference_widened(&(tutti_ref_call){
            .node = node, .run = call->run, .in = memory, .out = memory + node->n_in});
    for (int32_t i = 0; i < count; i++) {
        if (!tutti_dtype_is_narrow(types[i]->dtype))
            continue;
        if (good && i >= node->n_in)
            tutti_narrow_all(types[i]->dtype, memory[i],
                             (size_t)tutti_shape_count(&types[i]->shape, call->run->n),
                             operand(call, i));
        free(memory[i]);
    }
    return good;
}

void tutti_reference(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const int32_t count = node->n_in + node->n_out;
    const tutti_type *types[OPERANDS_MAX];
    bool any = false;
    for (int32_t i = 0; i < count && i < OPERANDS_MAX; i++) {
        types[i] = i < node->n_in ? &node->in_type[i] : &node->out_type[i - node->n_in];
        any |= tutti_dtype_is_narrow(types[i]->dtype);
    }
    if (!any)
        node->op->ref(call);
    else if (count > OPERANDS_MAX || !call_widened(call, types))
        spoil(call);
}
