/* One example of an op as a graph with one node, its random inputs, and its evaluation on the host.
 * Header for test programs only. */
#ifndef TESTS_CONFORMANCE_CASES_H
#define TESTS_CONFORMANCE_CASES_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/narrow.h"
#include "base/reference.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "op/ops.h"

#define SCALARS  8
#define OPERANDS (TUTTI_EXAMPLE_IN + 8)

typedef struct conf_case {
    const tutti_op *op;
    const tutti_op_example *example;
    int64_t n;
    tutti_graph *graph;
    tutti_tensor in[TUTTI_EXAMPLE_IN];
    tutti_tensor out[8];
    tutti_type types[OPERANDS];
    tutti_node_info node;
} conf_case;

/* As tutti_graph_input; k * TUTTI_BATCH may come first as well, for k rows of each sample. */
static inline tutti_tensor case_input(tutti_graph *graph, const char *name,
                                      const tutti_example_in *in) {
    int64_t dim[TUTTI_MAX_RANK] = {TUTTI_BATCH, -in->dim[0]};
    if (in->rank < 1 || in->rank >= TUTTI_MAX_RANK || in->dim[0] >= TUTTI_BATCH)
        return tutti_graph_input(graph, name, in->dtype, in->rank, in->dim);
    memcpy(dim + 2, in->dim + 1, (size_t)(in->rank - 1) * sizeof *dim);
    const tutti_tensor samples = tutti_graph_input(graph, name, in->dtype, in->rank + 1, dim);
    memmove(dim + 1, dim + 2, (size_t)(in->rank - 1) * sizeof *dim);
    return tutti_reshape(graph, samples, in->rank, dim);
}

/* Adds the example's inputs and applies the op; the result is the op's. */
static inline tutti_status case_make(conf_case *c, const tutti_op *op,
                                     const tutti_op_example *example) {
    *c = (conf_case){.op = op, .example = example, .n = example->n == 0 ? 5 : example->n};
    tutti_status status = tutti_graph_make(&c->graph);
    char name[16];
    for (int32_t i = 0; i < SCALARS && status == TUTTI_OK; i++) {
        snprintf(name, sizeof name, "s%d", (int)i);
        (void)tutti_graph_scalar(c->graph, name, 0);
    }
    for (int32_t i = 0; i < example->n_in && status == TUTTI_OK; i++) {
        const tutti_example_in *in = &example->in[i];
        snprintf(name, sizeof name, "x%d", (int)i);
        c->in[i] = case_input(c->graph, name, in);
        status = tutti_graph_status(c->graph);
    }
    if (status == TUTTI_OK)
        status = tutti_op_apply(c->graph, op, c->in, example->n_in, example->attr,
                                example->attr == NULL ? 0 : op->attr_size, c->out);
    if (status == TUTTI_OK)
        c->node = tutti_node_view(c->graph, &c->graph->nodes[c->graph->n_nodes - 1], c->types);
    return status;
}

static inline void case_free(conf_case *c) {
    tutti_graph_free(c->graph);
    c->graph = NULL;
}

static inline bool case_is_batched(const conf_case *c) {
    for (int32_t i = 0; i < c->node.n_in + c->node.n_out; i++)
        if (c->types[i].shape.batched)
            return true;
    return false;
}

static inline size_t type_bytes(const tutti_type *type, int64_t n) {
    return (size_t)tutti_shape_count(&type->shape, n) * tutti_dtype_size_bytes(type->dtype);
}

static inline void *host_alloc(size_t size_bytes) {
    void *memory = malloc(size_bytes + 8);
    if (memory == NULL)
        abort();
    memset(memory, 0xFF, size_bytes + 8); /* NaN */
    return memory;
}

static inline float draw_float(float lo, float hi, tutti_rng *rng) {
    if (isnan(lo) && !isnan(hi))
        return tutti_rng_below(rng, 8) == 0 ? NAN : (tutti_rng_uniform(rng) * 2 - 1) * hi;
    return lo == hi ? lo : lo + tutti_rng_uniform(rng) * (hi - lo);
}

/* Values of an input for n samples, as the example wants them. */
static inline void *case_draw(const conf_case *c, int32_t input, int64_t n, tutti_rng *rng) {
    const tutti_example_in *in = &c->example->in[input];
    const tutti_type *type = &c->types[input];
    const int64_t count = tutti_shape_count(&type->shape, n);
    const bool plain = in->lo == 0 && in->hi == 0;
    const float lo = plain ? -1 : in->lo, hi = plain ? 1 : in->hi;
    void *memory = host_alloc(type_bytes(type, n));
    for (int64_t i = 0; i < count; i++)
        if (type->dtype == TUTTI_I32)
            ((int32_t *)memory)[i] =
                (int32_t)lo + (int32_t)tutti_rng_below(rng, (uint64_t)((int32_t)hi - (int32_t)lo));
        else if (tutti_dtype_is_narrow(type->dtype))
            ((uint16_t *)memory)[i] = tutti_narrow(type->dtype, draw_float(lo, hi, rng));
        else
            ((float *)memory)[i] = draw_float(lo, hi, rng);
    return memory;
}

/* Values of a step: more samples in the whole batch than this device has. */
typedef struct conf_run {
    tutti_run_values values;
    float scalars[SCALARS];
} conf_run;

static inline void run_draw(conf_run *run, int64_t n, tutti_rng *rng) {
    run->values = (tutti_run_values){.n = n,
                                     .n_global = n + 7,
                                     .sample_begin = 3,
                                     .seed = (uint64_t)tutti_rng_u32(rng) << 32 | 12345,
                                     .step = 4,
                                     .scalars = run->scalars};
    for (int32_t i = 0; i < SCALARS; i++)
        run->scalars[i] = 0.001F + 0.098F * tutti_rng_uniform(rng);
}

/* The node by its reference. */
static inline void node_ref(const tutti_node_info *node, const tutti_run_values *run,
                            void *const *in, void *const *out) {
    if ((node->op->flags & TUTTI_OP_ALIAS) != 0)
        memcpy(out[0], in[0], type_bytes(&node->in_type[0], run->n));
    else
        tutti_reference(&(tutti_ref_call){.node = node, .run = run, .in = in, .out = out});
}

/* Evaluates all nodes of a graph; memory, by tensor id, holds the inputs and receives the rest. */
static inline void graph_ref(const tutti_graph *graph, const tutti_run_values *run, void **memory) {
    for (int32_t k = 0; k < graph->n_nodes; k++) {
        const tutti_node *node = &graph->nodes[k];
        tutti_type types[OPERANDS];
        void *in[OPERANDS], *out[OPERANDS];
        const tutti_node_info view = tutti_node_view(graph, node, types);
        for (int32_t i = 0; i < node->n_in; i++)
            in[i] = memory[node->in[i].id];
        for (int32_t i = 0; i < node->n_out; i++)
            out[i] = memory[node->out[i].id] = host_alloc(type_bytes(&view.out_type[i], run->n));
        node_ref(&view, run, in, out);
    }
}

#endif
