/* The split and fusion passes on random graphs: any split over simulated devices gives the numbers
 * of one device, fused or not, and the program keeps its invariants. With results in f16 or bf16 it
 * has the same items and gives numbers near to those of f32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/interp.h"
#include "graph/random_graph.h"
#include "seed.h"

#define SAMPLES 7
#define STEPS   3

static void check_ok(const tutti_graph *graph, uint64_t seed) {
    if (graph->status != TUTTI_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, tutti_graph_message(graph));
}

/* Adds outputs, gradients among them, and an optimizer. */
static void finish(random_graph *r, uint64_t seed) {
    tutti_graph *g = r->graph;
    check_ok(g, seed);
    for (int32_t i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "out%d", (int)i);
        assert_int_equal(tutti_graph_set_output(g, name, rg_pick(r)), TUTTI_OK);
    }
    (void)tutti_graph_backward(g);
    check_ok(g, seed);
    const int32_t n_tensors = g->n_tensors;
    for (int32_t i = 1; i < n_tensors; i++)
        if (g->tensors[i].kind == TUTTI_TENSOR_PARAM && g->tensors[i].grad.id != 0) {
            char name[32];
            snprintf(name, sizeof name, "grad of %s", g->tensors[i].name);
            assert_int_equal(tutti_graph_set_output(g, name, g->tensors[i].grad), TUTTI_OK);
        }
    /* SGD, whose update is proportional to the gradient, keeps differences small. */
    const tutti_optimizer sgd = {.kind = TUTTI_SGD,
                                 .lr = 0.05F,
                                 .momentum = rg_below(r, 2) == 0 ? 0.9F : 0,
                                 .weight_decay = 0.01F,
                                 .clip_norm = rg_below(r, 2) == 0 ? 0.5F : 0,
                                 .accumulate = (int32_t)rg_below(r, 3),
                                 .average_decay = rg_below(r, 2) == 0 ? 0.5F : 0};
    const tutti_status status = tutti_graph_optimize(g, &sgd);
    if (status != TUTTI_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, tutti_error_message());
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
}

/* A tensor as every reader may rely on it, tracked with no help of the pass. */
static void check_member(const tutti_graph *graph, const tutti_node_info *node, bool alias,
                         bool *partial) {
    bool any = false, all = node->n_in > 0;
    for (int32_t i = 0; i < node->n_in; i++) {
        any |= partial[node->in[i].id];
        all &= partial[node->in[i].id];
    }
    const bool linear = (node->op->flags & TUTTI_OP_LINEAR) != 0 || alias;
    if (any)
        assert_true(linear && all);
    for (int32_t i = 0; i < node->n_out; i++) {
        const tutti_tensor_record *record = &graph->tensors[node->out[i].id];
        partial[node->out[i].id] = any || (record->batch_sum && !alias);
        if (any)
            assert_false(record->type.shape.batched);
    }
}

static void check_chain(const tutti_graph *graph, const tutti_node_info *node, bool alias,
                        bool *partial) {
    if (node->op != &tutti_op_fused) {
        check_member(graph, node, alias, partial);
        return;
    }
    const tutti_fused_chain *chain = node->attr;
    assert_true(chain->n_members > 1);
    assert_true(node->n_in + node->n_out <= TUTTI_FUSE_OPERANDS_MAX);
    for (int32_t m = 0; m < chain->n_members; m++)
        check_member(graph, &chain->members[m].node, false, partial);
}

static void check_invariants(const tutti_graph *graph, const tutti_program *program) {
    bool *ready = calloc((size_t)graph->n_tensors, sizeof *ready);
    bool *partial = calloc((size_t)graph->n_tensors, sizeof *partial);
    bool *on_owner_only = calloc((size_t)graph->n_tensors, sizeof *on_owner_only);
    int32_t *changed = calloc((size_t)graph->n_tensors, sizeof *changed);
    int32_t *sent = calloc((size_t)graph->n_tensors, sizeof *sent);
    bool commit = false, broadcast = false;
    for (int32_t i = 1; i < graph->n_tensors; i++)
        ready[i] = graph->tensors[i].kind != TUTTI_TENSOR_RESULT;
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        const tutti_node_info *node = &item->node;
        assert_true(item->commit || !commit);
        commit |= item->commit;
        assert_true(item->kind == TUTTI_ITEM_BROADCAST || !broadcast);
        broadcast |= item->kind == TUTTI_ITEM_BROADCAST;
        if (item->commit && item->kind == TUTTI_ITEM_NODE)
            assert_int_equal(item->place, TUTTI_PLACE_OWNER);
        for (int32_t i = 0; i < item->n_tensors; i++) {
            const uint32_t id = item->tensors[i].id;
            assert_true(ready[id]);
            assert_true(program->used[id] && program->on_each[id]);
            if (item->kind == TUTTI_ITEM_REDUCE) {
                assert_true(partial[id]);
                partial[id] = false;
                on_owner_only[id] = item->place == TUTTI_PLACE_OWNER;
            } else {
                sent[id]++;
            }
        }
        if (item->kind != TUTTI_ITEM_NODE)
            continue;
        for (int32_t i = 0; i < node->n_in; i++) {
            assert_true(ready[node->in[i].id]);
            assert_true(program->used[node->in[i].id]);
            if (item->place == TUTTI_PLACE_EACH) {
                assert_true(program->on_each[node->in[i].id]);
                assert_false(on_owner_only[node->in[i].id]);
            }
            /* An update comes after all readers of what it changes. */
            if ((node->op->flags & TUTTI_OP_UPDATE) == 0)
                assert_int_equal(changed[node->in[i].id], 0);
        }
        int32_t n_members;
        const tutti_node_info *members = tutti_node_members(node, &n_members);
        for (int32_t m = 0; m < n_members; m++)
            for (int32_t i = 0; i < members[m].n_in; i++)
                changed[members[m].in[i].id] += (members[m].op->mutates >> i & 1) != 0;
        for (int32_t i = 0; i < node->n_out; i++) {
            ready[node->out[i].id] = true;
            on_owner_only[node->out[i].id] = item->place == TUTTI_PLACE_OWNER;
        }
        if (node->op == &tutti_op_epilogue) {
            const tutti_epilogue *epilogue = node->attr;
            check_member(graph, &epilogue->base, false, partial);
            check_chain(graph, &epilogue->rest, false, partial);
        } else if (node->op == &tutti_op_prologue) {
            const tutti_prologue *prologue = node->attr;
            check_chain(graph, &prologue->chain, false, partial);
            check_member(graph, &prologue->base, false, partial);
        } else {
            check_chain(graph, node, item->alias, partial);
        }
    }
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        assert_true(changed[i] <= 1 && sent[i] <= 1);
        if (graph->tensors[i].kind == TUTTI_TENSOR_PARAM)
            assert_int_equal(changed[i], sent[i]);
    }
    for (int32_t i = 0; i < program->n_fetches; i++) {
        assert_false(partial[program->fetches[i].id]);
        assert_true(ready[program->fetches[i].id]);
        assert_true(program->used[program->fetches[i].id]);
    }
    free(ready);
    free(partial);
    free(on_owner_only);
    free(changed);
    free(sent);
}

static void compare(const tutti_graph *graph, tutti_tensor tensor, const interp *one,
                    const interp *many, double tolerance, uint64_t seed) {
    const size_t count = (size_t)tutti_shape_count(&graph->tensors[tensor.id].type.shape, SAMPLES);
    float *a = malloc((count + 1) * sizeof *a), *b = malloc((count + 1) * sizeof *b);
    interp_poison(a, count);
    interp_poison(b, count);
    interp_fetch(one, tensor, a);
    interp_fetch(many, tensor, b);
    /* Gradients cancel: the rounding of a small one is that of its summands, about 1. Once in some
     * ten thousand graphs it adds up to 2e-5; a part that is left out is off by far more. */
    double largest = 1, error = 0;
    for (size_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)a[i]));
        error = isfinite(a[i]) && isfinite(b[i]) ? fmax(error, fabs((double)a[i] - (double)b[i]))
                                                 : INFINITY;
    }
    if (error > tolerance * largest)
        fail_msg("seed %llu: %s differs by %g of %g", (unsigned long long)seed,
                 tutti_graph_tensor_name(graph, tensor), error, largest);
    free(a);
    free(b);
}

static void **make_feeds(const tutti_graph *graph, const tutti_program *program, uint64_t seed) {
    void **feeds = calloc((size_t)program->n_inputs + 1, sizeof *feeds);
    for (int32_t k = 0; k < program->n_inputs; k++) {
        const tutti_type *type = &graph->tensors[program->inputs[k].id].type;
        const size_t count = (size_t)tutti_shape_count(&type->shape, SAMPLES);
        float *values = feeds[k] = malloc((count + 1) * sizeof *values);
        tutti_rng rng;
        tutti_rng_begin(&rng, seed, 1000 + program->inputs[k].id);
        for (size_t i = 0; i < count; i++)
            values[i] = tutti_rng_uniform(&rng) * 2 - 1;
    }
    return feeds;
}

static void free_feeds(void **feeds, int32_t count) {
    for (int32_t k = 0; k < count; k++)
        free(feeds[k]);
    free(feeds);
}

/* Both programs on the same feeds; every fetch, parameter and state must agree. */
static void run_and_compare(const tutti_graph *graph, const tutti_program *a,
                            const tutti_program *b, const int64_t *shares, int32_t n_devices,
                            int32_t owner, double tolerance, uint64_t seed) {
    interp one, many;
    interp_make(&one, graph, 1, (int64_t[]){SAMPLES}, 0, seed);
    interp_make(&many, graph, n_devices, shares, owner, seed);
    for (int32_t step = 0; step < STEPS; step++) {
        void **feeds = make_feeds(graph, a, seed + (uint64_t)step);
        interp_step(&one, a, feeds);
        interp_step(&many, b, feeds);
        free_feeds(feeds, a->n_inputs);
        for (int32_t i = 0; i < a->n_fetches; i++)
            compare(graph, a->fetches[i], &one, &many, tolerance, seed);
    }
    for (int32_t i = 1; i < graph->n_tensors; i++)
        if (interp_lasts(&one, i))
            compare(graph, (tutti_tensor){(uint32_t)i}, &one, &many, tolerance, seed);
    /* Every device ends with the owner's weights, bit for bit. */
    for (int32_t d = 0; d < n_devices; d++)
        for (int32_t i = 1; i < graph->n_tensors; i++)
            if (graph->tensors[i].kind == TUTTI_TENSOR_PARAM)
                assert_memory_equal(many.memory[d][i], many.memory[owner][i],
                                    interp_count(&many, (uint32_t)i, d) * sizeof(float));
    interp_free(&one);
    interp_free(&many);
}

static const struct {
    int32_t n, owner;
    int64_t share[INTERP_MAX];
} splits[] = {{2, 0, {7, 0}},    {2, 1, {7, 0}},       {2, 0, {0, 7}},       {2, 0, {4, 3}},
              {3, 1, {6, 0, 1}}, {4, 3, {1, 2, 3, 1}}, {4, 2, {0, 0, 7, 0}}, {4, 0, {2, 2, 0, 3}}};

static void test_splits(void **state) {
    (void)state;
    const uint64_t base = test_seed();
    int32_t fused = 0, reduces = 0, owners = 0;
    for (uint64_t seed = base; seed < base + 60; seed++) {
        random_graph r;
        rg_make(&r, seed, false, 6 + (int32_t)(seed % 25));
        finish(&r, seed);
        for (int32_t mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
            tutti_arena arena = {0};
            tutti_program program, plain;
            assert_int_equal(tutti_program_make(r.graph, (tutti_mode)mode, &arena, &program),
                             TUTTI_OK);
            check_invariants(r.graph, &program);
            for (int32_t k = 0; k < program.n_items; k++) {
                fused += program.items[k].node.op == &tutti_op_fused;
                reduces += program.items[k].kind == TUTTI_ITEM_REDUCE;
                owners += program.items[k].place == TUTTI_PLACE_OWNER && !program.items[k].commit;
            }
            assert_int_equal(interp_unfused(r.graph, (tutti_mode)mode, &arena, &plain), TUTTI_OK);
            check_invariants(r.graph, &plain);
            run_and_compare(r.graph, &plain, &program, (int64_t[]){SAMPLES}, 1, 0, 0, seed);
            for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
                run_and_compare(r.graph, &program, &program, splits[i].share, splits[i].n,
                                splits[i].owner, 1e-4, seed);
            tutti_arena_free(&arena);
        }
        tutti_graph_free(r.graph);
    }
    print_message("seeds from %llu: %d fused, %d reduces\n", (unsigned long long)base, (int)fused,
                  (int)reduces);
    assert_true(fused > 100 && reduces > 100 && owners > 0);
}

/* The items of the f32 program, with operands of one type each; narrow are results for each sample
 * that stay on their device. Returns how many. */
static int32_t check_narrow(const tutti_graph *graph, const tutti_program *exact,
                            const tutti_program *program, tutti_dtype narrow) {
    int32_t count = 0;
    assert_int_equal(program->n_items, exact->n_items);
    for (int32_t k = 0; k < program->n_items; k++) {
        const tutti_item *item = &program->items[k];
        const tutti_node_info *node = &item->node;
        assert_true(item->kind == exact->items[k].kind && item->place == exact->items[k].place &&
                    node->op == exact->items[k].node.op && node->n_in == exact->items[k].node.n_in);
        for (int32_t i = 0; i < item->n_tensors; i++)
            assert_int_equal(program->dtype[item->tensors[i].id], TUTTI_F32);
        for (int32_t i = 0; item->kind == TUTTI_ITEM_NODE && i < node->n_in + node->n_out; i++) {
            const bool is_in = i < node->n_in;
            const uint32_t id = is_in ? node->in[i].id : node->out[i - node->n_in].id;
            const tutti_dtype dtype =
                is_in ? node->in_type[i].dtype : node->out_type[i - node->n_in].dtype;
            assert_int_equal(dtype, program->dtype[id]);
            if (dtype != narrow)
                continue;
            count++;
            assert_true(graph->tensors[id].kind == TUTTI_TENSOR_RESULT &&
                        graph->tensors[id].type.shape.batched);
        }
    }
    for (int32_t i = 0; i < program->n_fetches; i++)
        assert_int_equal(program->dtype[program->fetches[i].id], TUTTI_F32);
    return count;
}

static void test_precision(void **state) {
    (void)state;
    const uint64_t base = test_seed();
    int32_t count = 0;
    for (uint64_t seed = base; seed < base + 60; seed++) {
        random_graph r;
        rg_make(&r, seed, true, 6 + (int32_t)(seed % 25));
        finish(&r, seed);
        const tutti_dtype narrow = seed % 2 == 0 ? TUTTI_F16 : TUTTI_BF16;
        for (int32_t mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
            tutti_arena arena = {0};
            tutti_program exact, program;
            assert_int_equal(tutti_program_make(r.graph, (tutti_mode)mode, &arena, &exact),
                             TUTTI_OK);
            assert_int_equal(tutti_program_make_for(r.graph, (tutti_mode)mode,
                                                    (tutti_program_options){narrow, true}, &arena,
                                                    &program),
                             TUTTI_OK);
            check_invariants(r.graph, &program);
            count += check_narrow(r.graph, &exact, &program, narrow);
            run_and_compare(r.graph, &exact, &program, splits[seed % 8].share, splits[seed % 8].n,
                            splits[seed % 8].owner, narrow == TUTTI_F16 ? 0.03 : 0.2, seed);
            tutti_arena_free(&arena);
        }
        tutti_graph_free(r.graph);
    }
    print_message("seeds from %llu: %d narrow operands\n", (unsigned long long)base, (int)count);
    assert_true(count > 100);
}

/* A maximum of what is summed over devices: fused with what makes the summands, it would come first. */
static void test_sum_between(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 6});
    const tutti_tensor mean = tutti_mean(g, x, 1, (int32_t[]){0}, false);
    const tutti_tensor peak = tutti_max(g, mean, 1, (int32_t[]){0}, false);
    assert_int_equal(tutti_graph_set_output(g, "y", tutti_add(g, x, peak)), TUTTI_OK);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    tutti_arena arena = {0};
    tutti_program program;
    assert_int_equal(tutti_program_make(g, TUTTI_PREDICT, &arena, &program), TUTTI_OK);
    check_invariants(g, &program);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        run_and_compare(g, &program, &program, splits[i].share, splits[i].n, splits[i].owner, 1e-5,
                        seed);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_splits),
                                       cmocka_unit_test(test_sum_between),
                                       cmocka_unit_test(test_precision)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
