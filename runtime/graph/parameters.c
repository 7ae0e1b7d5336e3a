/* What a chain's code takes: its parameters as text, and the arguments for them. */
#include <inttypes.h>

#include "base/narrow.h"
#include "base/status.h"
#include "graph/generate.h"

static uint32_t host_seed_lo(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)run->seed;
}

static uint32_t host_seed_hi(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)(run->seed >> 32);
}

static uint32_t host_step(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)run->step;
}

static uint32_t host_sample_lo(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)(uint64_t)run->sample_begin;
}

static uint32_t host_sample_hi(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (uint32_t)((uint64_t)run->sample_begin >> 32);
}

static float host_inv_batch(const tutti_run_values *run, const void *attr) {
    (void)attr;
    return (float)(1.0 / (double)run->n_global);
}

static const char *c_type(tutti_dtype dtype) {
    return dtype == TUTTI_I32 ? "int" : tutti_dtype_is_narrow(dtype) ? "ushort" : "float";
}

void tutti_put_parameters(tutti_strbuf *text, const tutti_node_info *node, tutti_tensor base,
                          const tutti_chain_needs *needs, const char *before, const char *types,
                          const char *prefix) {
    static const char *const random[] = {"SEED_LO", "SEED_HI", "STEP", "sample_lo", "sample_hi"};
    for (int32_t k = 0; k < node->n_in; k++) {
        if (node->in[k].id == base.id)
            continue;
        tutti_strbuf_puts(text, before);
        if (types != NULL)
            tutti_strbuf_printf(text, "__global const %s *%s", c_type(node->in_type[k].dtype),
                                types);
        tutti_strbuf_printf(text, "%sin%" PRId32, prefix, k);
    }
    for (int32_t k = base.id != 0; k < node->n_out; k++) {
        tutti_strbuf_puts(text, before);
        if (types != NULL)
            tutti_strbuf_printf(text, "__global %s *%s", c_type(node->out_type[k].dtype), types);
        tutti_strbuf_printf(text, "%sout%" PRId32, prefix, k);
    }
    const char *number = types != NULL ? "const float " : "";
    for (int32_t k = 0; k < needs->n_scalars; k++)
        tutti_strbuf_printf(text, "%s%s%sS%" PRIu32, before, number, prefix, needs->scalars[k]);
    if (needs->inv_batch)
        tutti_strbuf_printf(text, "%s%s%sINV_BATCH", before, number, prefix);
    for (size_t k = 0; needs->random && k < sizeof random / sizeof *random; k++)
        tutti_strbuf_printf(text, "%s%s%s%s", before, types != NULL ? "const uint " : "", prefix,
                            random[k]);
}

void tutti_launch_chain(tutti_lowering *out, tutti_launch *launch, const tutti_node_info *node,
                        tutti_tensor base, const tutti_chain_needs *needs) {
    for (int32_t k = 0; k < node->n_in; k++)
        if (node->in[k].id != base.id)
            tutti_launch_tensor(out, launch, node->in[k]);
    for (int32_t k = base.id != 0; k < node->n_out; k++)
        tutti_launch_tensor(out, launch, node->out[k]);
    for (int32_t k = 0; k < needs->n_scalars; k++)
        tutti_launch_scalar(out, launch, needs->scalars[k]);
    if (needs->inv_batch)
        tutti_launch_host_f32(out, launch, host_inv_batch);
    if (needs->random) {
        tutti_launch_host_u32(out, launch, host_seed_lo);
        tutti_launch_host_u32(out, launch, host_seed_hi);
        tutti_launch_host_u32(out, launch, host_step);
        tutti_launch_host_u32(out, launch, host_sample_lo);
        tutti_launch_host_u32(out, launch, host_sample_hi);
    }
}

tutti_status tutti_attach_code(tutti_strbuf *text, tutti_status status, const tutti_node_info *node,
                               tutti_tensor base, const tutti_chain_needs *needs,
                               tutti_lowering *out, tutti_attached_code *code) {
    *code = (tutti_attached_code){0};
    if (status == TUTTI_OK && !text->failed)
        code->text = tutti_arena_strdup(out->arena, text->text);
    if (status == TUTTI_OK && code->text == NULL)
        status = tutti_fail_memory(text->length, "a generated kernel");
    tutti_strbuf_free(text);
    tutti_launch_chain(out, &code->parameters, node, base, needs);
    return status;
}
