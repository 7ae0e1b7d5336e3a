#include "op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "kernel/runtime.h"

enum { FEEDS_MAX = sizeof((bench_op){0}.feeds) / sizeof(void *) };

static const tutti_plan_mode *mode_of(const bench_op *op) {
    return &op->plan->devices[0].modes[op->mode];
}

static tutti_status make_feeds(bench_op *op, int64_t classes) {
    const tutti_program *program = &mode_of(op)->program;
    TUTTI_ASSERT(program->n_inputs <= FEEDS_MAX);
    tutti_rng rng;
    tutti_rng_begin(&rng, 1, 0);
    for (int32_t i = 0; i < program->n_inputs; i++) {
        const tutti_type *type = &op->graph->tensors[program->inputs[i].id].type;
        const size_t count = (size_t)tutti_shape_count(&type->shape, op->n);
        op->feeds[i] = malloc(count * 4 + 4);
        if (op->feeds[i] == NULL)
            return tutti_fail_memory(count * 4, "a feed");
        op->n_feeds++;
        for (size_t k = 0; k < count; k++)
            if (type->dtype == TUTTI_I32)
                ((int32_t *)op->feeds[i])[k] = (int32_t)tutti_rng_below(&rng, (uint64_t)classes);
            else
                ((float *)op->feeds[i])[k] = tutti_rng_uniform(&rng) * 2 - 1;
    }
    return TUTTI_OK;
}

static tutti_status run_once(bench_op *op, const tutti_fetch *fetch, int32_t n_fetches) {
    tutti_feed feeds[FEEDS_MAX];
    for (int32_t i = 0; i < op->n_feeds; i++)
        feeds[i] = (tutti_feed){mode_of(op)->program.inputs[i], op->feeds[i]};
    return tutti_run_step(op->run, op->mode, op->n, feeds, op->n_feeds, fetch, n_fetches);
}

/* An op of the list, alone or fused with others ("matmul+add"). */
static bool named(const char *list, const char *name) {
    for (;; name++) {
        const size_t length = strcspn(name, "+");
        for (const char *op = list; *op != '\0'; op += *op == ',') {
            const size_t op_length = strcspn(op, ",");
            if (op_length == length && strncmp(op, name, length) == 0)
                return true;
            op += op_length;
        }
        name += length;
        if (*name == '\0')
            return false;
    }
}

/* The step's node when it is launched here, else NULL. */
static const tutti_node_info *launched(const bench_op *op, int32_t step) {
    const tutti_plan_step *s = &mode_of(op)->steps[step];
    const tutti_item *item = &mode_of(op)->program.items[s->item];
    if (item->kind != TUTTI_ITEM_NODE || s->candidate == NULL ||
        (op->only != NULL && !named(op->only, tutti_fused_label(&item->node))))
        return NULL;
    return &item->node;
}

static double bytes_of(const bench_op *op, tutti_tensor tensor) {
    const tutti_type *type = &op->graph->tensors[tensor.id].type;
    return (double)tutti_shape_count(&type->shape, op->n) *
           (double)tutti_dtype_size_bytes(type->dtype);
}

enum { READ = 1, WRITTEN = 2, CHANGED = 4 };

/* Each tensor that comes from outside or that nothing here reads counts once; what an update
 * changes, twice. */
static tutti_status count_bytes(bench_op *op) {
    const size_t n = (size_t)op->graph->n_tensors;
    unsigned char *uses = calloc(n + 1, 1);
    if (uses == NULL)
        return tutti_fail_memory(n, "tensors");
    for (int32_t i = 0; i < mode_of(op)->n_steps; i++) {
        const tutti_node_info *node = launched(op, i);
        int32_t n_members = 0;
        const tutti_node_info *members = node != NULL ? tutti_node_members(node, &n_members) : NULL;
        for (int32_t m = 0; m < n_members; m++)
            for (int32_t k = 0; k < members[m].n_in; k++)
                uses[members[m].in[k].id] |=
                    tutti_op_mutates(members[m].op, k) ? READ | CHANGED : READ;
        /* The first output of an update lies where its first input does. */
        for (int32_t k = 0; node != NULL && k < node->n_out; k++)
            if ((node->op->flags & TUTTI_OP_UPDATE) == 0)
                uses[node->out[k].id] |= WRITTEN;
    }
    for (uint32_t id = 1; id < n; id++) {
        if (uses[id] == READ || uses[id] == WRITTEN)
            op->bytes += bytes_of(op, (tutti_tensor){id});
        else if (uses[id] & CHANGED)
            op->bytes += 2 * bytes_of(op, (tutti_tensor){id});
    }
    free(uses);
    return TUTTI_OK;
}

/* What is launched, and what that costs. */
static tutti_status look(bench_op *op) {
    for (int32_t i = 0; i < mode_of(op)->n_steps; i++) {
        const tutti_node_info *node = launched(op, i);
        if (node == NULL)
            continue;
        op->flops += node->op->cost(node, op->n).flops;
        op->n_launches += op->run->members[0].modes[op->mode].steps[i].n_launches;
        const char *name = mode_of(op)->steps[i].candidate->name;
        const size_t used = strlen(op->kernels);
        if (strstr(op->kernels, name) == NULL)
            snprintf(op->kernels + used, sizeof op->kernels - used, "%s%s", used > 0 ? "+" : "",
                     name);
    }
    return count_bytes(op);
}

static tutti_status open_op(const bench *b, bench_op *op, int64_t classes) {
    TUTTI_TRY(tutti_graph_freeze(op->graph));
    TUTTI_TRY(
        tutti_plan_make(op->graph, b->runtime, &(tutti_plan_options){.batch = op->n}, &op->plan));
    TUTTI_TRY(tutti_run_open(op->plan, &(tutti_run_options){.seed = 1}, &op->run));
    TUTTI_TRY(make_feeds(op, classes));
    TUTTI_TRY(run_once(op, NULL, 0));
    return look(op);
}

tutti_status bench_op_open(const bench *b, tutti_graph *graph, tutti_mode mode, int64_t n,
                           int64_t classes, const char *only, bench_op *out) {
    *out = (bench_op){.graph = graph, .mode = mode, .n = n, .only = only};
    const tutti_status status = open_op(b, out, classes);
    if (status != TUTTI_OK)
        bench_op_close(out);
    return status;
}

void bench_op_close(bench_op *op) {
    tutti_run_close(op->run);
    tutti_plan_free(op->plan);
    tutti_graph_free(op->graph);
    for (int32_t i = 0; i < op->n_feeds; i++)
        free(op->feeds[i]);
    *op = (bench_op){0};
}

static tutti_status launch_all(bench_op *op) {
    tutti_run_member *member = &op->run->members[0];
    for (int32_t i = 0; i < mode_of(op)->n_steps; i++) {
        const tutti_bound_step *step = &member->modes[op->mode].steps[i];
        for (int32_t k = 0; launched(op, i) != NULL && k < step->n_launches; k++)
            TUTTI_TRY(tutti_bound_launch_enqueue(step->launches[k], &member->values, NULL));
    }
    return TUTTI_OK;
}

tutti_status bench_op_call(void *user, int32_t times) {
    bench_op *op = user;
    for (int32_t i = 0; i < times; i++)
        TUTTI_TRY(launch_all(op));
    TUTTI_CL(op->run->members[0].device, clFinish, op->run->members[0].device->queue);
    return TUTTI_OK;
}

cl_mem bench_op_memory(const bench_op *op, tutti_tensor tensor) {
    return op->run->members[0].modes[op->mode].views[tensor.id];
}

tutti_status bench_op_fetch(bench_op *op, tutti_tensor tensor, void *out) {
    return run_once(op, &(tutti_fetch){tensor, out}, 1);
}
