/* Operands in f16 and bf16 for kernels that know f32 alone: their inputs are widened into scratch
 * memory before, their results rounded from there behind. */
#include "base/narrow.h"
#include "base/status.h"
#include "graph/lowering.h"

#define LOCAL_SIZE 64

typedef struct operand {
    tutti_tensor tensor;
    const tutti_type *type;
    bool is_input;
} operand;

static void add_copy(const tutti_device_info *device, tutti_lowering *out,
                     tutti_candidate *candidate, const operand *o, uint32_t scratch) {
    const tutti_extent count = tutti_extent_count(&o->type->shape);
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "widen.cl", o->is_input ? "widen" : "narrow",
                               "-DTYPE=%s%s", tutti_dtype_name(o->type->dtype),
                               (device->type & TUTTI_DEVICE_CPU) != 0 ? " -DF16_BITS" : "");
    if (o->is_input)
        tutti_launch_tensor(out, launch, o->tensor);
    tutti_launch_scratch(out, launch, scratch);
    if (!o->is_input)
        tutti_launch_tensor(out, launch, o->tensor);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, count, 1, LOCAL_SIZE);
}

/* True when each of the candidate's own arguments that are the tensor takes its type as it is. */
static bool is_taken(const tutti_candidate *candidate, tutti_tensor tensor) {
    bool any = false;
    for (int32_t l = 0; l < candidate->n_launches; l++) {
        const tutti_launch *launch = &candidate->launches[l];
        const int32_t n =
            launch->epilogue || launch->prologue ? launch->n_own_args : launch->n_args;
        for (int32_t i = 0; i < n; i++) {
            const tutti_arg *arg = &launch->args[i];
            if (arg->kind != TUTTI_ARG_TENSOR || arg->u.tensor.id != tensor.id)
                continue;
            if (!arg->typed)
                return false;
            any = true;
        }
    }
    return any;
}

static void widen_operand(const tutti_device_info *device, tutti_lowering *out,
                          tutti_candidate *candidate, const operand *o) {
    const tutti_extent count = tutti_extent_count(&o->type->shape);
    if (is_taken(candidate, o->tensor))
        return;
    const uint32_t scratch = tutti_candidate_scratch(
        out, candidate, (tutti_extent){4 * count.base, 4 * count.per_sample});
    /* What an epilogue or a prologue reads it reads as it is. */
    tutti_candidate_redirect(candidate, o->tensor,
                             (tutti_arg){.kind = TUTTI_ARG_SCRATCH, .u.scratch = scratch}, true);
    add_copy(device, out, candidate, o, scratch);
    if (o->is_input && out->status == TUTTI_OK)
        tutti_candidate_last_first(candidate);
}

void tutti_widen_input(const tutti_device_info *device, tutti_lowering *out,
                       tutti_candidate *candidate, tutti_tensor tensor, const tutti_type *type) {
    widen_operand(device, out, candidate, &(operand){tensor, type, true});
}

tutti_status tutti_widen_operands(const tutti_node_info *node, const tutti_device_info *device,
                                  tutti_lowering *out) {
    for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
        const bool is_input = i < node->n_in;
        const int32_t k = is_input ? i : i - node->n_in;
        const operand o = {is_input ? node->in[k] : node->out[k],
                           is_input ? &node->in_type[k] : &node->out_type[k], is_input};
        bool seen = false;
        for (int32_t j = 0; is_input && j < k; j++)
            seen |= node->in[j].id == o.tensor.id;
        if (!tutti_dtype_is_narrow(o.type->dtype) || seen)
            continue;
        for (int32_t c = 0; c < out->n_candidates; c++)
            widen_operand(device, out, &out->candidates[c], &o);
    }
    return tutti_lowering_status(out);
}
