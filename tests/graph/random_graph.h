/* Random graphs over the built-in ops, with bounded values. Header for test programs only. */
#ifndef TESTS_GRAPH_RANDOM_GRAPH_H
#define TESTS_GRAPH_RANDOM_GRAPH_H

#include <stdio.h>

#include "base/rng.h"
#include "graph/graph.h"
#include "op/ops.h"

#define POOL_MAX 64

typedef struct random_graph {
    tutti_graph *graph;
    tutti_rng rng;
    tutti_tensor pool[POOL_MAX];
    int32_t n_pool, n_params;
    bool smooth; /* no kinks, no dropout: fit for finite differences */
} random_graph;

static inline int32_t rg_below(random_graph *r, uint64_t bound) {
    return (int32_t)tutti_rng_below(&r->rng, bound);
}

static inline tutti_tensor rg_pick(random_graph *r) {
    /* Late ones more often, so that chains grow. */
    const int32_t a = rg_below(r, (uint64_t)r->n_pool), b = rg_below(r, (uint64_t)r->n_pool);
    return r->pool[a > b ? a : b];
}

static inline void rg_put(random_graph *r, tutti_tensor t) {
    if (t.id != 0 && r->n_pool < POOL_MAX)
        r->pool[r->n_pool++] = t;
}

static inline tutti_tensor rg_param(random_graph *r, int32_t rank, const int64_t *dims) {
    char name[16];
    snprintf(name, sizeof name, "p%d", (int)r->n_params++);
    return tutti_graph_param(r->graph, name, rank, dims, (tutti_init){TUTTI_INIT_UNIFORM, -1, 1});
}

static inline tutti_tensor rg_unary(random_graph *r, tutti_tensor x) {
    tutti_graph *g = r->graph;
    switch (rg_below(r, r->smooth ? 9 : 15)) {
    case 0:
        return tutti_tanh(g, x);
    case 1:
        return tutti_sigmoid(g, x);
    case 2:
        return tutti_gelu(g, x);
    case 3:
        return tutti_scale(g, x, 0.75F);
    case 4:
        return tutti_neg(g, x);
    case 5:
        return tutti_add_scalar(g, x, 0.25F);
    case 6:
        return tutti_exp(g, tutti_tanh(g, x));
    case 7:
        return tutti_log(g, tutti_add_scalar(g, tutti_mul(g, x, x), 1.5F));
    case 8:
        return tutti_sin(g, x);
    case 9:
        return tutti_relu(g, x);
    case 10:
        return tutti_abs(g, x);
    case 11:
        return tutti_clamp(g, x, -0.5F, 0.75F);
    case 12:
        return tutti_where(g, tutti_cast(g, x, TUTTI_I32), x, tutti_scale(g, x, 0.5F));
    case 13:
        return tutti_dropout(g, x, 0.3F);
    default:
        return tutti_scale_over_batch(g, x, 3.0F);
    }
}

static inline tutti_tensor rg_binary(random_graph *r, tutti_tensor a, tutti_tensor b) {
    tutti_graph *g = r->graph;
    const tutti_shape sa = tutti_graph_tensor_shape(g, a), sb = tutti_graph_tensor_shape(g, b);
    tutti_shape out;
    if (!tutti_shape_broadcast(&sa, &sb, &out))
        return (tutti_tensor){0};
    switch (rg_below(r, 6)) {
    case 0:
        return tutti_add(g, a, b);
    case 4:
        return tutti_shape_equal(&sa, &sb) ? tutti_by_mode(g, a, b) : tutti_add(g, a, b);
    case 1:
        return tutti_sub(g, a, b);
    case 2:
        return tutti_tanh(g, tutti_mul(g, a, b));
    case 3:
        return tutti_div(g, a, tutti_add_scalar(g, tutti_mul(g, b, b), 1.5F));
    default:
        return tutti_tanh(g, tutti_add(g, a, b));
    }
}

static inline tutti_tensor rg_reduce(random_graph *r, tutti_tensor x) {
    const tutti_shape shape = tutti_graph_tensor_shape(r->graph, x);
    int32_t axes[TUTTI_MAX_RANK], n = 0;
    for (int32_t i = 0; i < shape.rank; i++)
        if (rg_below(r, 2) == 0)
            axes[n++] = rg_below(r, 2) == 0 ? i : i - shape.rank;
    const bool keep = rg_below(r, 2) == 0;
    if (shape.rank == 0)
        return (tutti_tensor){0};
    return tutti_tanh(r->graph, rg_below(r, 2) == 0 ? tutti_sum(r->graph, x, n, axes, keep)
                                                    : tutti_mean(r->graph, x, n, axes, keep));
}

static inline tutti_tensor rg_product(random_graph *r, tutti_tensor x) {
    const tutti_shape shape = tutti_graph_tensor_shape(r->graph, x);
    if (shape.rank != 2)
        return (tutti_tensor){0};
    const int64_t dims[2] = {shape.dim[1], 1 + rg_below(r, 4)}, swapped[2] = {dims[1], dims[0]};
    const bool trans = rg_below(r, 2) == 0;
    const tutti_tensor w = rg_param(r, 2, trans ? swapped : dims);
    rg_put(r, w);
    const tutti_tensor y = tutti_matmul(r->graph, x, w, false, trans);
    const tutti_tensor b = rg_param(r, 1, &dims[1]);
    return tutti_tanh(r->graph, tutti_add(r->graph, y, b));
}

/* Along the last axis, or the first when that is not the batch. */
static inline tutti_tensor rg_along(random_graph *r, tutti_tensor x) {
    const tutti_shape shape = tutti_graph_tensor_shape(r->graph, x);
    const int32_t first = shape.batched ? 1 : 0;
    if (shape.rank <= first)
        return (tutti_tensor){0};
    const int32_t axis = first + rg_below(r, (uint64_t)(shape.rank - first));
    const int64_t extent = shape.dim[axis];
    switch (rg_below(r, r->smooth ? 3 : 4)) {
    case 0:
        return tutti_tanh(r->graph, tutti_cumsum(r->graph, x, axis));
    case 1:
        return extent > 6 ? x : tutti_concat(r->graph, 2, (tutti_tensor[]){x, x}, axis);
    case 2:
        return tutti_slice(r->graph, x, axis, rg_below(r, (uint64_t)extent), TUTTI_END,
                           1 + rg_below(r, 2));
    default:
        return tutti_top_k(r->graph, x, 1, NULL);
    }
}

static inline tutti_tensor rg_view(random_graph *r, tutti_tensor x) {
    const tutti_shape shape = tutti_graph_tensor_shape(r->graph, x);
    if (shape.rank == 3) {
        if (rg_below(r, 2) == 0)
            return tutti_permute(r->graph, x, 3, (int32_t[]){0, 2, 1});
        return tutti_reshape(r->graph, x, 2,
                             (int64_t[]){shape.batched ? TUTTI_BATCH : 0, shape.dim[2]});
    }
    if (shape.rank == 2 && !shape.batched)
        return rg_below(r, 2) == 0 ? tutti_permute(r->graph, x, 2, (int32_t[]){1, 0})
                                   : tutti_reshape(r->graph, x, 1, (int64_t[]){0});
    return (tutti_tensor){0};
}

/* A graph with a loss over everything that nothing else reads. */
static inline void rg_make(random_graph *r, uint64_t seed, bool smooth, int32_t n_ops) {
    *r = (random_graph){.smooth = smooth};
    tutti_rng_begin(&r->rng, seed, 77);
    if (tutti_graph_make(&r->graph) != TUTTI_OK)
        return;
    tutti_graph *g = r->graph;
    rg_put(r, tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 3}));
    rg_put(r, tutti_graph_input(g, "z", TUTTI_F32, 3, (int64_t[]){TUTTI_BATCH, 2, 3}));
    rg_put(r, tutti_graph_input(g, "u", TUTTI_F32, 1, (int64_t[]){3}));
    rg_put(r, rg_param(r, 1, (int64_t[]){3}));
    rg_put(r, rg_param(r, 0, NULL));
    rg_put(r, rg_param(r, 2, (int64_t[]){2, 3}));
    for (int32_t i = 0; i < n_ops; i++) {
        switch (rg_below(r, 9)) {
        case 0:
        case 1:
            rg_put(r, rg_unary(r, rg_pick(r)));
            break;
        case 2:
        case 3:
        case 4:
            rg_put(r, rg_binary(r, rg_pick(r), rg_pick(r)));
            break;
        case 5:
            rg_put(r, rg_reduce(r, rg_pick(r)));
            break;
        case 6:
            rg_put(r, rg_product(r, rg_pick(r)));
            break;
        case 7:
            rg_put(r, rg_along(r, rg_pick(r)));
            break;
        default:
            rg_put(r, rg_view(r, rg_pick(r)));
        }
    }
    bool read[4096] = {false};
    for (int32_t n = 0; n < g->n_nodes; n++)
        for (int32_t i = 0; i < g->nodes[n].n_in; i++)
            read[g->nodes[n].in[i].id % 4096] = true;
    tutti_tensor loss = {0};
    for (int32_t i = 0; i < r->n_pool; i++) {
        if (read[r->pool[i].id % 4096])
            continue;
        const tutti_tensor mean =
            tutti_mean(g, tutti_mul(g, r->pool[i], r->pool[i]), 0, NULL, false);
        loss = loss.id == 0 ? mean : tutti_add(g, loss, mean);
    }
    (void)tutti_graph_set_loss(g, loss);
}

#endif
