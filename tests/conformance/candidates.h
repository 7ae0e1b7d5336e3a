/* A candidate of an op on a device against the op's reference. Header for test programs only. */
#ifndef TESTS_CONFORMANCE_CANDIDATES_H
#define TESTS_CONFORMANCE_CANDIDATES_H

#include "base/narrow.h"
#include "conformance/guarded.h"
#include "graph/lowering.h"
#include "kernel/library.h"

#define LAUNCHES 16

/* A candidate bound to memory. */
typedef struct bench {
    const tutti_device *device;
    const conf_case *c;
    const tutti_candidate *candidate;
    guarded tensors[OPERANDS], scratch[LAUNCHES];
    tutti_bound_launch *bound[LAUNCHES];
} bench;

/* Output 0 of an update shares memory with input 0. */
static inline bool is_shared_output(const conf_case *c, int32_t operand) {
    return operand == c->node.n_in && (c->op->flags & TUTTI_OP_UPDATE) != 0;
}

static inline tutti_status bench_resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    const bench *b = user;
    if (arg->kind == TUTTI_ARG_SCRATCH) {
        *out = b->scratch[arg->u.scratch].view;
        return TUTTI_OK;
    }
    const tutti_node_info *node = &b->c->node;
    for (int32_t i = 0; i < node->n_in + node->n_out; i++)
        if ((i < node->n_in ? node->in[i] : node->out[i - node->n_in]).id == arg->u.tensor.id) {
            *out = b->tensors[is_shared_output(b->c, i) ? 0 : i].view;
            return TUTTI_OK;
        }
    return TUTTI_INTERNAL;
}

/* Inputs, poisoned outputs and scratch, and the launches. */
static inline tutti_status bench_launch(bench *b, const tutti_run_values *run, void *const *in) {
    const tutti_node_info *node = &b->c->node;
    tutti_status status = TUTTI_OK;
    for (int32_t i = 0; i < node->n_in + node->n_out && status == TUTTI_OK; i++) {
        const bool is_in = i < node->n_in;
        if (!is_shared_output(b->c, i))
            status = guarded_write(b->device, &b->tensors[i], is_in ? in[i] : NULL,
                                   is_in ? type_bytes(&b->c->types[i], run->n) : 0);
    }
    for (int32_t i = 0; i < b->candidate->n_scratch && status == TUTTI_OK; i++)
        status = guarded_write(b->device, &b->scratch[i], NULL, 0);
    for (int32_t i = 0; i < b->candidate->n_launches && status == TUTTI_OK; i++)
        status = tutti_bound_launch_enqueue(b->bound[i], run, NULL);
    if (status == TUTTI_OK)
        status = tutti_cl_status(clFinish(b->device->queue));
    return status;
}

/* The i-th operand after a run against what the reference left of it. */
static inline bool bench_compare(const bench *b, int32_t i, int64_t n, const void *expected,
                                 char text[256]) {
    const tutti_type *type = &b->c->types[i];
    const size_t size = type_bytes(type, n);
    const bool is_in = i < b->c->node.n_in;
    const double tolerance =
        (double)(b->c->example->tolerance > 0 ? b->c->example->tolerance : 1e-5F);
    char detail[256] = "";
    uint32_t *words = guarded_read(b->device, &b->tensors[i], size, detail);
    bool good = words != NULL;
    if (good && is_in && (b->c->op->mutates >> i & 1) == 0) {
        good = memcmp(words + GUARD / 4, expected, size) == 0;
        snprintf(detail, sizeof detail, "has changed");
    } else if (good) {
        good = values_agree(type, tutti_shape_count(&type->shape, n), expected, words + GUARD / 4,
                            tolerance, detail);
    }
    if (!good)
        snprintf(text, 256, "N = %ld: %s %d: %.200s", (long)n, is_in ? "input" : "output",
                 (int)(is_in ? i : i - b->c->node.n_in), detail);
    free(words);
    return good;
}

/* The reference on operands rounded to bf16, for candidates that round them. */
static inline void ref_rounding(const conf_case *c, const tutti_run_values *run,
                                void *const *host) {
    const tutti_node_info *node = &c->node;
    void *in[OPERANDS];
    for (int32_t i = 0; i < node->n_in; i++) {
        const tutti_type *type = &node->in_type[i];
        in[i] = host_alloc(type_bytes(type, run->n));
        memcpy(in[i], host[i], type_bytes(type, run->n));
        for (int64_t k = 0; k < tutti_shape_count(&type->shape, run->n); k++)
            if (type->dtype == TUTTI_F32) {
                float *x = in[i];
                x[k] = tutti_widen(TUTTI_BF16, tutti_narrow(TUTTI_BF16, x[k]));
            } else if (type->dtype == TUTTI_F16) {
                uint16_t *x = in[i];
                x[k] = tutti_narrow(
                    TUTTI_F16, tutti_widen(TUTTI_BF16,
                                           tutti_narrow(TUTTI_BF16, tutti_widen(TUTTI_F16, x[k]))));
            }
    }
    node_ref(node, run, in, host + node->n_in);
    for (int32_t i = 0; i < node->n_in; i++)
        free(in[i]);
}

/* One run for n samples. */
static inline bool bench_step(bench *b, int64_t n, tutti_rng *rng, char text[256]) {
    const tutti_node_info *node = &b->c->node;
    const int32_t n_all = node->n_in + node->n_out;
    void *host[OPERANDS];
    conf_run run;
    run_draw(&run, n, rng);
    for (int32_t i = 0; i < n_all; i++)
        host[i] = i < node->n_in ? case_draw(b->c, i, n, rng)
                                 : host_alloc(type_bytes(&b->c->types[i], n));
    const tutti_status status = bench_launch(b, &run.values, host);
    bool good = status == TUTTI_OK;
    if (!good)
        snprintf(text, 256, "N = %ld: %s: %.200s", (long)n, tutti_status_name(status),
                 tutti_error_message());
    if (b->candidate->tolerance > 0)
        ref_rounding(b->c, &run.values, host);
    else
        node_ref(node, &run.values, host, host + node->n_in);
    for (int32_t i = 0; i < n_all && good; i++)
        if (!is_shared_output(b->c, i))
            good = bench_compare(b, i, n, host[i], text);
    for (int32_t i = 0; i < b->candidate->n_scratch && good; i++) {
        uint32_t *words = guarded_read(b->device, &b->scratch[i], b->scratch[i].size_bytes, text);
        good = words != NULL;
        free(words);
    }
    for (int32_t i = 0; i < n_all; i++)
        free(host[i]);
    return good;
}

/* The candidate, bound once, for the example's batch, for one sample, for none, and for the batch
 * again. */
static inline bool candidate_agrees(tutti_kernels *kernels, const conf_case *c,
                                    const tutti_candidate *candidate, tutti_rng *rng,
                                    char text[256]) {
    bench b = {.device = tutti_kernels_device(kernels), .c = c, .candidate = candidate};
    const tutti_node_info *node = &c->node;
    tutti_status status = candidate->n_scratch > LAUNCHES || candidate->n_launches > LAUNCHES
                              ? TUTTI_INTERNAL
                              : TUTTI_OK;
    for (int32_t i = 0; i < node->n_in + node->n_out && status == TUTTI_OK; i++)
        if (!is_shared_output(c, i))
            status = guarded_make(b.device, type_bytes(&c->types[i], c->n), &b.tensors[i]);
    for (int32_t i = 0; i < candidate->n_scratch && status == TUTTI_OK; i++)
        status = guarded_make(
            b.device, (size_t)tutti_extent_value(candidate->scratch_bytes[i], c->n), &b.scratch[i]);
    for (int32_t i = 0; i < candidate->n_launches && status == TUTTI_OK; i++)
        status = tutti_bound_launch_make(kernels, &candidate->launches[i], node->attr,
                                         bench_resolve, &b, &b.bound[i]);
    bool good = status == TUTTI_OK;
    if (!good)
        snprintf(text, 256, "%s: %.200s", tutti_status_name(status), tutti_error_message());
    const int64_t counts[] = {c->n, 1, 0, c->n};
    const int32_t n_counts = case_is_batched(c) ? 4 : 1;
    for (int32_t k = 0; k < n_counts && good; k++)
        good = bench_step(&b, counts[k], rng, text);
    for (int32_t i = 0; i < LAUNCHES; i++) {
        tutti_bound_launch_free(b.bound[i]);
        guarded_free(&b.scratch[i]);
    }
    for (int32_t i = 0; i < OPERANDS; i++)
        guarded_free(&b.tensors[i]);
    return good;
}

#endif
