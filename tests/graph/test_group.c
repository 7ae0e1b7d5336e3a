/* Updates in groups: which ones the pass puts together and what memory that holds back; and on an
 * OpenCL device the same bits as one launch each, for every optimizer. */
#include "graph/on_device.h"

#include "graph/graph.h"
#include "graph/group.h"
#include "graph/lowering.h"
#include "graph/program.h"
#include "op/ops.h"

#define GUARD 64 /* elements behind each buffer */

/* A loss that depends on parameters p0, p1, ... of these numbers of elements. */
static tutti_graph *graph_of(const int64_t *counts, int32_t n, const tutti_optimizer *o) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 1});
    tutti_tensor loss = tutti_mean(g, x, 0, NULL, false);
    for (int32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", (int)i);
        const tutti_tensor p =
            tutti_graph_param(g, name, 1, &counts[i], (tutti_init){TUTTI_INIT_UNIFORM, -1, 1});
        loss = tutti_add(g, loss, tutti_mean(g, tutti_mul(g, x, p), 0, NULL, false));
    }
    OK(tutti_graph_set_loss(g, loss));
    OK(tutti_graph_optimize(g, o));
    OK(tutti_graph_freeze(g));
    return g;
}

static tutti_program program_of(const tutti_graph *g, tutti_arena *arena) {
    tutti_program program;
    OK(tutti_program_make(g, TUTTI_TRAIN, arena, &program));
    return program;
}

/* The updates in order, as "adam x 3, adam". */
static void expect_updates(const int64_t *counts, int32_t n, const tutti_optimizer *o,
                           const char *expected) {
    tutti_graph *g = graph_of(counts, n, o);
    tutti_arena arena = {0};
    const tutti_program p = program_of(g, &arena);
    char text[512] = "";
    for (int32_t k = 0; k < p.n_items; k++) {
        const tutti_node_info *node = &p.items[k].node;
        if (p.items[k].kind == TUTTI_ITEM_NODE && (node->op->flags & TUTTI_OP_UPDATE) != 0)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                     text[0] != '\0' ? ", " : "", tutti_fused_label(node));
    }
    assert_string_equal(text, expected);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void equal_updates_are_grouped(void **state) {
    (void)state;
    int64_t counts[40];
    for (int32_t i = 0; i < 40; i++)
        counts[i] = from(1, 50);
    expect_updates(counts, 1, &(tutti_optimizer){.kind = TUTTI_ADAM}, "adam");
    expect_updates(counts, 5, &(tutti_optimizer){.kind = TUTTI_ADAM}, "adam x 5");
    expect_updates(counts, 40, &(tutti_optimizer){.kind = TUTTI_SGD},
                   "sgd x 16, sgd x 16, sgd x 8");
    expect_updates(counts, 17, &(tutti_optimizer){.kind = TUTTI_ADAGRAD}, "adagrad x 16, adagrad");
    /* More elements than a group may have: an update of its own, wherever it stands. */
    expect_updates((int64_t[]){(INT64_C(1) << 30) + 1, 7, 5}, 3,
                   &(tutti_optimizer){.kind = TUTTI_ADAM}, "adam, adam x 2");
    expect_updates((int64_t[]){7, 5, (INT64_C(1) << 30) + 1}, 3,
                   &(tutti_optimizer){.kind = TUTTI_ADAM}, "adam x 2, adam");
    /* Norms of each parameter: launches of its own. */
    expect_updates(counts, 2, &(tutti_optimizer){.kind = TUTTI_LAMB}, "lamb, lamb");
    /* What reads a new parameter, or a sum, comes after all of them. */
    expect_updates(
        counts, 3,
        &(tutti_optimizer){.kind = TUTTI_RMSPROP, .accumulate = 2, .average_decay = 0.9F},
        "accumulate x 3, rmsprop x 3, average x 3");
    const tutti_param_group groups[] = {{.pattern = "p[02]", .lr_factor = 2},
                                        {.pattern = "p1", .no_decay = true}};
    expect_updates(counts, 5,
                   &(tutti_optimizer){
                       .kind = TUTTI_ADAMW, .weight_decay = 0.1F, .groups = groups, .n_groups = 2},
                   "adamw x 2, adamw, adamw x 2");
}

/* Clipping: updates multiply by the factor themselves, but for LAMB's. */
static void updates_take_the_factor(void **state) {
    (void)state;
    static const int64_t counts[] = {7, 2, 300};
    for (int32_t kind = TUTTI_SGD; kind <= TUTTI_LAMB; kind++) {
        tutti_graph *g = graph_of(
            counts, 3, &(tutti_optimizer){.kind = (tutti_optimizer_kind)kind, .clip_norm = 1});
        tutti_arena arena = {0};
        const tutti_program p = program_of(g, &arena);
        int32_t factors = 0, products = 0;
        for (int32_t k = 0; k < p.n_items; k++) {
            const tutti_node_info *node = &p.items[k].node;
            if (p.items[k].kind == TUTTI_ITEM_NODE && node->op == &tutti_op_group) {
                const tutti_group *group = node->attr;
                factors += group->factor.id != 0 ? group->n_members : 0;
                if (group->factor.id != 0)
                    assert_int_equal(node->in[node->n_in - 1].id, group->factor.id);
            }
            products += p.items[k].kind == TUTTI_ITEM_NODE && p.items[k].commit &&
                        node->op == &tutti_op_mul;
        }
        assert_int_equal(factors, kind == TUTTI_LAMB ? 0 : 3);
        assert_int_equal(products, kind == TUTTI_LAMB ? 3 : 0);
        tutti_arena_free(&arena);
        tutti_graph_free(g);
    }
}

/* SGD, of which each gradient goes through an op that no update takes. */
static tutti_graph *bent_graph(const int64_t *counts, int32_t n) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 1});
    tutti_tensor loss = tutti_mean(g, x, 0, NULL, false), params[64];
    for (int32_t i = 0; i < n; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", (int)i);
        params[i] =
            tutti_graph_param(g, name, 1, &counts[i], (tutti_init){TUTTI_INIT_UNIFORM, -1, 1});
        loss = tutti_add(g, loss, tutti_mean(g, tutti_mul(g, x, params[i]), 0, NULL, false));
    }
    OK(tutti_graph_set_loss(g, loss));
    OK(tutti_graph_backward(g));
    const tutti_sgd_attr attr = {
        .update = {.lr_factor = 1, .lr = tutti_graph_scalar(g, "lr", 0.1F), .every = 1}};
    for (int32_t i = 0; i < n; i++)
        (void)tutti_sgd(g, params[i], tutti_tanh(g, g->tensors[params[i].id].grad),
                        (tutti_tensor){0}, &attr);
    OK(tutti_graph_freeze(g));
    return g;
}

/* The bytes of such gradients that exist at the same time. */
static int64_t most_held(const tutti_program *p, int32_t *out_groups) {
    int64_t held = 0, most = 0;
    *out_groups = 0;
    for (int32_t k = 0; k < p->n_items; k++) {
        const tutti_item *item = &p->items[k];
        if (item->kind != TUTTI_ITEM_NODE)
            continue;
        int32_t n_members;
        const tutti_node_info *members = tutti_node_members(&item->node, &n_members);
        for (int32_t m = 0; m < n_members; m++) {
            const int64_t bytes = 4 * tutti_shape_count(&members[m].in_type[0].shape, 1);
            if (strcmp(members[m].op->name, "sgd") == 0)
                held -= bytes;
            else if (strcmp(members[m].op->name, "tanh") == 0)
                held += bytes;
        }
        most = held > most ? held : most;
        *out_groups += n_members > 1;
    }
    assert_int_equal(held, 0);
    return most;
}

/* New gradients wait for their group: no more of them than the largest alone, or than a small
 * part of all that is updated. */
static void groups_hold_little_back(void **state) {
    (void)state;
    int32_t all_groups = 0;
    for (int32_t round = 0; round < 20; round++) {
        int64_t counts[64], all = 0, largest = 0;
        const int32_t n = (int32_t)from(2, 64);
        for (int32_t i = 0; i < n; i++) {
            counts[i] = from(0, 3) == 0 ? from(1000, 9000) : from(2, 300);
            all += counts[i];
            largest = counts[i] > largest ? counts[i] : largest;
        }
        tutti_graph *g = bent_graph(counts, n);
        tutti_arena arena = {0};
        const tutti_program p = program_of(g, &arena);
        int32_t groups;
        const int64_t held = most_held(&p, &groups);
        assert_true(held >= 4 * largest);
        assert_true(held <= 4 * largest || held * 100 <= 4 * 2 * all);
        all_groups += groups;
        tutti_arena_free(&arena);
        tutti_graph_free(g);
    }
    assert_true(all_groups > 20);
}

typedef struct buffers {
    const tutti_graph *graph;
    cl_mem *memory; /* by tensor */
    float **before;
} buffers;

static size_t count_of(const buffers *b, uint32_t id) {
    return (size_t)tutti_shape_count(&b->graph->tensors[id].type.shape, 1);
}

static void write_all(const buffers *b, const tutti_node_info *node) {
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = node->in[i].id;
        OK(tutti_buffer_write(&device, b->memory[id], 0, b->before[id],
                              (count_of(b, id) + GUARD) * sizeof(float)));
    }
}

/* Values that suit every state: a mean square is above the square of the mean. */
static void make_inputs(buffers *b, const tutti_node_info *node) {
    const int32_t node_inputs = ((const tutti_group *)node->attr)->members[0].n_in;
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = node->in[i].id;
        const size_t count = count_of(b, id) + GUARD;
        if (b->memory[id] != NULL)
            continue;
        b->before[id] = malloc(count * sizeof(float));
        for (size_t k = 0; k < count; k++)
            b->before[id][k] = (i % node_inputs == 2 ? 1 : 0.25F) + 0.5F * tutti_rng_uniform(&rng);
        OK(tutti_buffer_make(&device, count * sizeof(float), &b->memory[id]));
    }
}

static tutti_status resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    const buffers *b = user;
    assert_int_equal(arg->kind, TUTTI_ARG_TENSOR);
    *out = b->memory[arg->u.tensor.id];
    return TUTTI_OK;
}

static const tutti_run_values *values(void) {
    static const float scalars[4] = {0.013F, 0.5F, 0.25F, 0.125F};
    static const tutti_run_values run = {
        .n = 1, .n_global = 1, .seed = 1, .step = 5, .scalars = scalars};
    return &run;
}

static const tutti_launch *only_launch(const tutti_lowering *lowering) {
    assert_int_equal(lowering->n_candidates, 1);
    assert_int_equal(lowering->candidates[0].n_launches, 1);
    return &lowering->candidates[0].launches[0];
}

static void run(tutti_kernels *kernels, buffers *b, const tutti_node_info *node,
                const tutti_lowering *lowering) {
    tutti_bound_launch *bound;
    OK(tutti_bound_launch_make(kernels, only_launch(lowering), node->attr, resolve, b, &bound));
    OK(tutti_bound_launch_enqueue(bound, values(), NULL));
    assert_int_equal(clFinish(device.queue), CL_SUCCESS);
    tutti_bound_launch_free(bound);
}

static float *read_back(const buffers *b, uint32_t id) {
    const size_t bytes = (count_of(b, id) + GUARD) * sizeof(float);
    float *data = malloc(bytes);
    memset(data, 0xFF, bytes);
    OK(tutti_buffer_read(&device, b->memory[id], 0, data, bytes));
    return data;
}

/* The group's reference against what the device made of it. */
static void compare_reference(const buffers *b, const tutti_node_info *node, float *const *got) {
    void *in[TUTTI_GROUP_SLOTS * 5], *out[TUTTI_GROUP_SLOTS];
    assert_true(node->n_in <= TUTTI_GROUP_SLOTS * 5);
    const int32_t member_inputs = ((const tutti_group *)node->attr)->members[0].n_in;
    for (int32_t i = 0; i < node->n_in; i++) {
        const size_t bytes = count_of(b, node->in[i].id) * sizeof(float);
        in[i] = malloc(bytes);
        memcpy(in[i], b->before[node->in[i].id], bytes);
    }
    for (int32_t i = 0; i < node->n_out; i++)
        out[i] = in[i * member_inputs];
    node->op->ref(&(tutti_ref_call){.node = node, .run = values(), .in = in, .out = out});
    for (int32_t i = 0; i < node->n_in; i++) {
        for (size_t k = 0; k < count_of(b, node->in[i].id); k++)
            if (!(fabs((double)got[i][k] - (double)((float *)in[i])[k]) <= 2e-6))
                fail_msg("%s: input %d, element %zu is %g, the reference %g",
                         tutti_fused_label(node), (int)i, k, (double)got[i][k],
                         (double)((float *)in[i])[k]);
        free(in[i]);
    }
}

/* One launch for all members, then one each, from the same values. */
static void compare_group(tutti_kernels *kernels, buffers *b, const tutti_node_info *node,
                          const tutti_lowering *together, const tutti_lowering *alone) {
    const tutti_group *group = node->attr;
    float **got = calloc((size_t)node->n_in, sizeof *got);
    write_all(b, node);
    run(kernels, b, node, together);
    for (int32_t i = 0; i < node->n_in; i++)
        got[i] = read_back(b, node->in[i].id);
    compare_reference(b, node, got);
    write_all(b, node);
    for (int32_t m = 0; m < group->n_members && group->factor.id == 0; m++)
        run(kernels, b, &group->members[m], &alone[m]);
    for (int32_t i = 0; i < node->n_in; i++) {
        const uint32_t id = node->in[i].id;
        const size_t count = count_of(b, id);
        float *expected = read_back(b, id);
        if (group->factor.id == 0 && memcmp(expected, got[i], (count + GUARD) * sizeof(float)) != 0)
            fail_msg("%s: input %d of %zu elements differs from a launch of its own",
                     tutti_fused_label(node), (int)i, count);
        assert_memory_equal(got[i] + count, b->before[id] + count, GUARD * sizeof(float));
        free(expected);
        free(got[i]);
    }
    free(got);
}

static int32_t compare_program(tutti_kernels *kernels, const tutti_graph *g, tutti_arena *arena) {
    const tutti_program p = program_of(g, arena);
    buffers b = {.graph = g,
                 .memory = tutti_arena_array(arena, (size_t)g->n_tensors, sizeof *b.memory),
                 .before = tutti_arena_array(arena, (size_t)g->n_tensors, sizeof *b.before)};
    int32_t n_groups = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int32_t k = 0; k < p.n_items; k++) {
            const tutti_node_info *node = &p.items[k].node;
            if (p.items[k].kind != TUTTI_ITEM_NODE || node->op != &tutti_op_group)
                continue;
            const tutti_group *group = node->attr;
            tutti_lowering together, alone[TUTTI_GROUP_SLOTS];
            OK(tutti_node_lower(node, &device.info, 1, arena, &together));
            for (int32_t m = 0; m < group->n_members; m++)
                OK(tutti_node_lower(&group->members[m], &device.info, 1, arena, &alone[m]));
            if (pass == 0) {
                OK(tutti_kernels_want(kernels, only_launch(&together), "test"));
                if (group->factor.id == 0)
                    OK(tutti_kernels_want(kernels, only_launch(&alone[0]), "test"));
                make_inputs(&b, node);
                n_groups++;
            } else {
                compare_group(kernels, &b, node, &together, alone);
            }
        }
        OK(tutti_kernels_build(kernels));
    }
    for (int32_t i = 0; i < g->n_tensors; i++) {
        if (b.memory[i] != NULL)
            clReleaseMemObject(b.memory[i]);
        free(b.before[i]);
    }
    return n_groups;
}

static void groups_give_the_same_bits(void **state) {
    (void)state;
    static const tutti_optimizer optimizers[] = {
        {.kind = TUTTI_SGD, .accumulate = 3, .average_decay = 0.9F},
        {.kind = TUTTI_SGD, .momentum = 0.9F, .weight_decay = 0.01F},
        {.kind = TUTTI_SGD, .momentum = 0.9F, .nesterov = true},
        {.kind = TUTTI_ADAM, .weight_decay = 0.01F},
        {.kind = TUTTI_ADAMW, .weight_decay = 0.01F},
        {.kind = TUTTI_RMSPROP},
        {.kind = TUTTI_RMSPROP, .momentum = 0.5F, .centered = true, .weight_decay = 0.1F},
        {.kind = TUTTI_ADAGRAD},
        {.kind = TUTTI_SGD, .momentum = 0.9F, .clip_norm = 1},
        {.kind = TUTTI_ADAMW, .weight_decay = 0.01F, .clip_norm = 1},
    };
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    int32_t n_groups = 0;
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
        /* Two groups, one of them full; a slot of several work-groups, and one that just fits. */
        int64_t counts[20];
        const int32_t n = (int32_t)from(18, 20);
        for (int32_t k = 0; k < n; k++)
            counts[k] =
                optimizers[i].clip_norm > 0 || from(0, 2) == 0 ? from(2, 5000) : from(1, 100);
        counts[from(0, n - 1)] = TUTTI_GROUP_ITEMS;
        counts[from(0, n - 1)] = 3 * TUTTI_GROUP_ITEMS + 1;
        tutti_arena arena = {0};
        tutti_graph *g = graph_of(counts, n, &optimizers[i]);
        n_groups += compare_program(kernels, g, &arena);
        tutti_arena_free(&arena);
        tutti_graph_free(g);
    }
    assert_int_equal(n_groups, 2 * (10 + 2));
    tutti_kernels_free(kernels);
}

int main(void) {
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_updates_are_grouped), cmocka_unit_test(updates_take_the_factor),
        cmocka_unit_test(groups_hold_little_back), cmocka_unit_test(groups_give_the_same_bits)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
