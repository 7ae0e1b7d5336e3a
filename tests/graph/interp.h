/* Runs a program on the host with the ops' references, over several simulated devices. What a
 * device must not rely on is NaN or no memory at all. Header for test programs only. */
#ifndef TESTS_GRAPH_INTERP_H
#define TESTS_GRAPH_INTERP_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reference.h"
#include "base/rng.h"
#include "graph/fuse.h"
#include "graph/passes.h"
#include "graph/program.h"

#define INTERP_MAX 4

typedef struct interp {
    const tutti_graph *graph;
    int32_t n_devices;
    int64_t share[INTERP_MAX];
    int32_t owner;
    uint64_t seed, step;
    float scalars[16];
    void **memory[INTERP_MAX]; /* by tensor; NULL: none */
    bool *borrowed[INTERP_MAX];
} interp;

static inline int64_t interp_n(const interp *in) {
    int64_t n = 0;
    for (int32_t d = 0; d < in->n_devices; d++)
        n += in->share[d];
    return n;
}

static inline size_t interp_count(const interp *in, uint32_t id, int32_t device) {
    return (size_t)tutti_shape_count(&in->graph->tensors[id].type.shape, in->share[device]);
}

static inline void interp_poison(void *memory, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((float *)memory)[i] = NAN;
}

static inline bool interp_lasts(const interp *in, int32_t id) {
    const tutti_tensor_kind kind = in->graph->tensors[id].kind;
    return kind == TUTTI_TENSOR_PARAM || kind == TUTTI_TENSOR_STATE;
}

/* Parameters get values of their own, the same for every interp of this seed. */
static inline void interp_make(interp *in, const tutti_graph *graph, int32_t n_devices,
                               const int64_t *share, int32_t owner, uint64_t seed) {
    *in = (interp){.graph = graph, .n_devices = n_devices, .owner = owner, .seed = seed};
    for (int32_t i = 0; i < graph->n_scalars && i < 16; i++)
        in->scalars[i] = graph->scalars[i].initial;
    for (int32_t d = 0; d < n_devices; d++) {
        in->share[d] = share[d];
        in->memory[d] = calloc((size_t)graph->n_tensors, sizeof(void *));
        in->borrowed[d] = calloc((size_t)graph->n_tensors, sizeof(bool));
        for (int32_t t = 1; t < graph->n_tensors; t++) {
            if (!interp_lasts(in, t) ||
                (d != owner && !tutti_graph_is_shared(graph, (tutti_tensor){(uint32_t)t})))
                continue;
            const size_t count = interp_count(in, (uint32_t)t, d);
            float *values = in->memory[d][t] = malloc((count + 1) * sizeof(float));
            tutti_rng rng;
            tutti_rng_begin(&rng, seed, (uint64_t)t);
            for (size_t i = 0; i < count; i++)
                values[i] = graph->tensors[t].kind == TUTTI_TENSOR_STATE
                                ? 0
                                : tutti_rng_uniform(&rng) * 2 - 1;
        }
    }
}

static inline void interp_forget(interp *in, bool all) {
    for (int32_t d = 0; d < in->n_devices; d++)
        for (int32_t t = 1; t < in->graph->n_tensors; t++) {
            if (interp_lasts(in, t) && !all)
                continue;
            if (!in->borrowed[d][t])
                free(in->memory[d][t]);
            in->memory[d][t] = NULL;
            in->borrowed[d][t] = false;
        }
}

static inline void interp_free(interp *in) {
    interp_forget(in, true);
    for (int32_t d = 0; d < in->n_devices; d++) {
        free(in->memory[d]);
        free(in->borrowed[d]);
    }
}

static inline void interp_share_memory(interp *in, int32_t d, tutti_tensor of, tutti_tensor with) {
    if (!in->borrowed[d][of.id])
        free(in->memory[d][of.id]);
    in->memory[d][of.id] = in->memory[d][with.id];
    in->borrowed[d][of.id] = true;
}

static inline void interp_node(interp *in, const tutti_item *item, int32_t d, int64_t begin) {
    const tutti_node_info *node = &item->node;
    void *inputs[128], *outputs[64];
    int32_t n_members;
    const tutti_node_info *members = tutti_node_members(node, &n_members);
    for (int32_t m = 0; m < n_members; m++)
        if ((members[m].op->flags & TUTTI_OP_UPDATE) != 0 && members[m].n_out > 0)
            interp_share_memory(in, d, members[m].out[0], members[m].in[0]);
    if (item->alias) {
        interp_share_memory(in, d, node->out[0], node->in[0]);
        return;
    }
    for (int32_t i = 0; i < node->n_in; i++)
        inputs[i] = in->memory[d][node->in[i].id];
    for (int32_t i = 0; i < node->n_out; i++)
        outputs[i] = in->memory[d][node->out[i].id];
    const tutti_run_values run = {.n = in->share[d],
                                  .n_global = interp_n(in),
                                  .sample_begin = begin,
                                  .seed = in->seed,
                                  .step = in->step,
                                  .scalars = in->scalars};
    tutti_reference(&(tutti_ref_call){.node = node, .run = &run, .in = inputs, .out = outputs});
}

static inline void interp_reduce(interp *in, const tutti_item *item) {
    for (int32_t k = 0; k < item->n_tensors; k++) {
        const uint32_t id = item->tensors[k].id;
        const size_t count = interp_count(in, id, 0);
        for (size_t i = 0; i < count; i++) {
            double sum = 0;
            for (int32_t d = 0; d < in->n_devices; d++)
                sum += (double)((float *)in->memory[d][id])[i];
            for (int32_t d = 0; d < in->n_devices; d++)
                ((float *)in->memory[d][id])[i] =
                    item->place == TUTTI_PLACE_EACH || d == in->owner ? (float)sum : NAN;
        }
    }
}

/* One step. feeds: whole batch per input of the program, in its order. Results stay readable by
 * interp_fetch until the next step. */
static inline void interp_step(interp *in, const tutti_program *program, void *const *feeds) {
    const tutti_graph *graph = in->graph;
    interp_forget(in, false);
    int64_t begin[INTERP_MAX] = {0};
    for (int32_t d = 1; d < in->n_devices; d++)
        begin[d] = begin[d - 1] + in->share[d - 1];
    for (int32_t d = 0; d < in->n_devices; d++)
        for (int32_t t = 1; t < graph->n_tensors; t++)
            if (!interp_lasts(in, t) && program->used[t] &&
                (d == in->owner || program->on_each[t])) {
                const size_t count = interp_count(in, (uint32_t)t, d);
                in->memory[d][t] = malloc((count + 1) * sizeof(float));
                interp_poison(in->memory[d][t], count);
            }
    for (int32_t k = 0; k < program->n_inputs; k++) {
        const uint32_t id = program->inputs[k].id;
        const tutti_shape *shape = &graph->tensors[id].type.shape;
        for (int32_t d = 0; d < in->n_devices; d++)
            if (in->memory[d][id] != NULL)
                memcpy(in->memory[d][id],
                       (const float *)feeds[k] +
                           (shape->batched ? begin[d] * tutti_shape_sample_count(shape) : 0),
                       interp_count(in, id, d) * sizeof(float));
    }
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        if (!tutti_item_is_due(item, in->step))
            continue;
        if (item->kind == TUTTI_ITEM_REDUCE)
            interp_reduce(in, item);
        for (int32_t i = 0; item->kind == TUTTI_ITEM_BROADCAST && i < item->n_tensors; i++)
            for (int32_t d = 0; d < in->n_devices; d++)
                if (d != in->owner)
                    memcpy(in->memory[d][item->tensors[i].id],
                           in->memory[in->owner][item->tensors[i].id],
                           interp_count(in, item->tensors[i].id, d) * sizeof(float));
        for (int32_t d = 0; item->kind == TUTTI_ITEM_NODE && d < in->n_devices; d++)
            if (item->place == TUTTI_PLACE_EACH || d == in->owner)
                interp_node(in, item, d, begin[d]);
    }
    if (program->mode == TUTTI_TRAIN)
        in->step++;
}

/* The tensor for the whole batch; out holds tutti_shape_count(shape, n) floats. */
static inline void interp_fetch(const interp *in, tutti_tensor tensor, float *out) {
    const tutti_shape *shape = &in->graph->tensors[tensor.id].type.shape;
    if (!shape->batched) {
        memcpy(out, in->memory[in->owner][tensor.id],
               interp_count(in, tensor.id, in->owner) * sizeof(float));
        return;
    }
    for (int32_t d = 0; d < in->n_devices; d++) {
        const size_t count = interp_count(in, tensor.id, d);
        memcpy(out, in->memory[d][tensor.id], count * sizeof(float));
        out += count;
    }
}

/* The program without the fusion pass. */
static inline tutti_status interp_unfused(const tutti_graph *graph, tutti_mode mode,
                                          tutti_arena *arena, tutti_program *out) {
    tutti_status status = tutti_program_make(graph, mode, arena, out);
    tutti_passes passes = {.graph = graph, .mode = mode, .arena = arena, .scratch = arena};
    if (status == TUTTI_OK)
        status = tutti_pass_select(&passes);
    if (status == TUTTI_OK)
        status = tutti_pass_split(&passes);
    bool *used = tutti_arena_array(arena, (size_t)graph->n_tensors, sizeof *used);
    bool *on_each = tutti_arena_array(arena, (size_t)graph->n_tensors, sizeof *on_each);
    memcpy(used, out->used, (size_t)graph->n_tensors);
    memcpy(on_each, out->on_each, (size_t)graph->n_tensors);
    for (int32_t k = 0; k < passes.n_items; k++)
        for (int32_t i = 0; i < passes.items[k].node.n_out; i++) {
            used[passes.items[k].node.out[i].id] = true;
            on_each[passes.items[k].node.out[i].id] |= passes.items[k].place == TUTTI_PLACE_EACH;
        }
    out->used = used;
    out->on_each = on_each;
    out->items = passes.items;
    out->n_items = passes.n_items;
    return status;
}

#endif
