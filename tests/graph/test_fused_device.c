/* Generated kernels of fused chains on an OpenCL device against the members' references: random
 * chains over random broadcast patterns, dropout's numbers for a share in the middle of the batch,
 * results that share memory with an operand, an empty share. */
#include "graph/on_device.h"

#include "graph/generate.h"
#include "graph/lowering.h"
#include "op/ops.h"

#define GRAPHS      11 /* of which two are sums of dropouts, on a CPU and on a GPU */
#define DROPOUTS    (TUTTI_CHAIN_STREAMS_MAX + 1)
#define N_MAX       37
#define COLUMNS_MAX 40
#define OPERANDS    TUTTI_FUSE_OPERANDS_MAX

static int64_t columns; /* of the graph being made */

static int32_t below(uint64_t bound) {
    return (int32_t)tutti_rng_below(&rng, bound);
}

/* An operand that broadcasts to (N, 3, 5, columns). */
static tutti_tensor random_operand(tutti_graph *g, int32_t index) {
    const int64_t full[] = {TUTTI_BATCH, 3, 5, columns};
    int64_t dims[4];
    const int32_t rank = below(4) == 0 ? below(4) : 4;
    for (int32_t i = 0; i < rank; i++)
        dims[i] = below(2) == 0 ? 1 : full[4 - rank + i];
    char name[16];
    snprintf(name, sizeof name, "x%d", (int)index);
    return tutti_graph_input(g, name, TUTTI_F32, rank, dims);
}

static tutti_tensor random_node(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    switch (below(9)) {
    case 0:
        return tutti_add(g, a, b);
    case 1:
        return tutti_sub(g, b, a);
    case 2:
        return tutti_mul(g, a, b);
    case 3:
        return tutti_div(g, a, tutti_add_scalar(g, tutti_mul(g, b, b), 1));
    case 4:
        return tutti_tanh(g, a);
    case 5:
        return tutti_gelu(g, a);
    case 6:
        return tutti_dropout(g, a, 0.4F);
    case 7:
        return tutti_scale_over_batch(g, a, 11);
    default:
        return tutti_relu(g, tutti_scale(g, a, -0.3F));
    }
}

static tutti_graph *random_chains(void) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    tutti_tensor pool[64];
    int32_t n = 0;
    pool[n++] = tutti_graph_input(g, "full", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 3, 5, columns});
    const tutti_tensor full = pool[0];
    for (int32_t i = 0; i < 5; i++)
        pool[n++] = random_operand(g, i);
    for (int32_t i = 0; i < 20; i++) {
        tutti_tensor a = pool[below((uint64_t)n)];
        /* Nodes of the full shape, so that chains form. */
        if (tutti_graph_tensor_shape(g, a).rank != 4 || !tutti_graph_tensor_shape(g, a).batched ||
            below(4) == 0)
            a = tutti_add(g, full, a);
        const tutti_shape shape = tutti_graph_tensor_shape(g, a);
        if (tutti_shape_sample_count(&shape) != 15 * columns)
            a = tutti_mul(g, a, full);
        const tutti_tensor b = pool[below((uint64_t)n)];
        pool[n++] = random_node(g, a, b);
    }
    char name[16];
    for (int32_t i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "y%d", (int)i);
        OK(tutti_graph_set_output(g, name, pool[n - 1 - 3 * i]));
    }
    OK(tutti_graph_status(g));
    OK(tutti_graph_freeze(g));
    return g;
}

/* More random streams in one chain than kernels have arrays of words for. */
static tutti_graph *sum_of_dropouts(void) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    const tutti_tensor x =
        tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, 3, 5, columns});
    tutti_tensor sum = tutti_dropout(g, x, 0.5F);
    for (int i = 1; i < DROPOUTS; i++)
        sum = tutti_add(g, sum, tutti_dropout(g, x, 0.5F));
    OK(tutti_graph_set_output(g, "y", sum));
    OK(tutti_graph_freeze(g));
    return g;
}

typedef struct bound_node {
    const tutti_node_info *node;
    cl_mem memory[OPERANDS];
    int32_t in_place; /* input whose memory output 0 shares, or -1 */
} bound_node;

static tutti_status resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    const bound_node *b = user;
    for (int32_t i = 0; i < b->node->n_in + b->node->n_out; i++) {
        const tutti_tensor t = i < b->node->n_in ? b->node->in[i] : b->node->out[i - b->node->n_in];
        if (t.id == arg->u.tensor.id) {
            *out = b->memory[i == b->node->n_in && b->in_place >= 0 ? b->in_place : i];
            return TUTTI_OK;
        }
    }
    return tutti_fail(TUTTI_INTERNAL, "tensor %u is no operand", arg->u.tensor.id);
}

static size_t operand_count(const tutti_node_info *node, int32_t i, int64_t n) {
    const tutti_type *type = i < node->n_in ? &node->in_type[i] : &node->out_type[i - node->n_in];
    return (size_t)tutti_shape_count(&type->shape, n);
}

/* One run of the bound kernel for n samples against the reference. */
static void check_run(bound_node *b, tutti_bound_launch *launch, int64_t n) {
    const tutti_node_info *node = b->node;
    const float scalars[1] = {0};
    const tutti_run_values run = {.n = n,
                                  .n_global = n + 9,
                                  .sample_begin = 4,
                                  .seed = (uint64_t)tutti_rng_u32(&rng) << 32 | 77,
                                  .step = 6,
                                  .scalars = scalars};
    void *host[OPERANDS];
    for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
        /* One element more than the operand: it must stay. */
        const size_t count = operand_count(node, i, n);
        float *values = host[i] = malloc((count + 1) * sizeof *values);
        for (size_t k = 0; k <= count; k++)
            values[k] = i < node->n_in ? tutti_rng_uniform(&rng) * 4 - 2 : NAN;
        if (i == node->n_in && b->in_place >= 0)
            continue;
        assert_int_equal(clEnqueueWriteBuffer(device.queue, b->memory[i], CL_TRUE, 0,
                                              (count + 1) * sizeof *values, values, 0, NULL, NULL),
                         CL_SUCCESS);
    }
    OK(tutti_bound_launch_enqueue(launch, &run, NULL));
    tutti_reference(
        &(tutti_ref_call){.node = node, .run = &run, .in = host, .out = host + node->n_in});
    for (int32_t i = 0; i < node->n_out; i++) {
        const int32_t at = i == 0 && b->in_place >= 0 ? b->in_place : node->n_in + i;
        const size_t count = operand_count(node, node->n_in + i, n);
        const float *expected = host[node->n_in + i];
        float *got = malloc((count + 1) * sizeof *got);
        fixture_read(&device, b->memory[at], got, (count + 1) * sizeof *got);
        double largest = 1e-6;
        for (size_t k = 0; k < count; k++)
            largest = fmax(largest, fabs((double)expected[k]));
        for (size_t k = 0; k < count; k++)
            if (!(fabs((double)expected[k] - (double)got[k]) <= 1e-5 * largest))
                fail_msg("%s: output %d, element %zu of %zu: %g, expected %g",
                         tutti_fused_label(node), (int)i, k, count, (double)got[k],
                         (double)expected[k]);
        if (at >= node->n_in)
            assert_true(isnan(got[count]));
        free(got);
    }
    for (int32_t i = 0; i < node->n_in + node->n_out; i++)
        free(host[i]);
}

static void check_node(tutti_kernels *kernels, const tutti_node_info *node,
                       const tutti_candidate *candidate, bool in_place) {
    bound_node b = {.node = node, .in_place = -1};
    for (int32_t i = 0; i < node->n_in && in_place; i++)
        if (tutti_shape_equal(&node->in_type[i].shape, &node->out_type[0].shape))
            b.in_place = i;
    static const float zero[N_MAX * 15 * COLUMNS_MAX + 1];
    for (int32_t i = 0; i < node->n_in + node->n_out; i++)
        b.memory[i] =
            fixture_buffer(&device, zero, (operand_count(node, i, N_MAX) + 1) * sizeof *zero);
    tutti_bound_launch *launch;
    OK(tutti_bound_launch_make(kernels, &candidate->launches[0], node->attr, resolve, &b, &launch));
    check_run(&b, launch, N_MAX);
    check_run(&b, launch, 1);
    check_run(&b, launch, 0);
    check_run(&b, launch, 2 + below(N_MAX - 2));
    tutti_bound_launch_free(launch);
    for (int32_t i = 0; i < node->n_in + node->n_out; i++)
        clReleaseMemObject(b.memory[i]);
}

static void fused_chains_agree(void **state) {
    (void)state;
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    tutti_graph *graphs[GRAPHS];
    tutti_arena arena = {0};
    tutti_program programs[GRAPHS];
    tutti_lowering *lowerings[GRAPHS];
    int32_t checked = 0, members = 0, rows = 0;
    for (int32_t g = 0; g < GRAPHS; g++) {
        columns = (int64_t[]){7, COLUMNS_MAX, 19}[g % 3];
        const bool dropouts = g >= GRAPHS - 2;
        graphs[g] = dropouts ? sum_of_dropouts() : random_chains();
        OK(tutti_program_make(graphs[g], TUTTI_TRAIN, &arena, &programs[g]));
        lowerings[g] = tutti_arena_array(&arena, (size_t)programs[g].n_items, sizeof *lowerings[g]);
        for (int32_t k = 0; k < programs[g].n_items; k++) {
            const tutti_node_info *node = &programs[g].items[k].node;
            if (node->op != &tutti_op_fused)
                continue;
            /* As for a GPU too: the form of the kernel differs. */
            tutti_device_info info = device.info;
            info.type = g % 4 != 3 && g != GRAPHS - 1 ? TUTTI_DEVICE_CPU : TUTTI_DEVICE_GPU;
            assert_true(!dropouts || tutti_fused_size(node) == 2 * DROPOUTS - 1);
            OK(tutti_node_lower(node, &info, N_MAX, &arena, &lowerings[g][k]));
            rows += lowerings[g][k].candidates[0].launches[0].rank == 2;
            OK(tutti_kernels_want(kernels, &lowerings[g][k].candidates[0].launches[0], "fused"));
        }
    }
    OK(tutti_kernels_build(kernels));
    for (int32_t g = 0; g < GRAPHS; g++) {
        for (int32_t k = 0; k < programs[g].n_items; k++) {
            const tutti_node_info *node = &programs[g].items[k].node;
            if (node->op != &tutti_op_fused)
                continue;
            check_node(kernels, node, &lowerings[g][k].candidates[0], false);
            check_node(kernels, node, &lowerings[g][k].candidates[0], true);
            checked++;
            members += tutti_fused_size(node);
        }
        tutti_graph_free(graphs[g]);
    }
    print_message("%d chains of %d ops, %d by rows\n", (int)checked, (int)members, (int)rows);
    assert_true(rows > 0);
    assert_true(checked >= GRAPHS && members > 4 * checked);
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(fused_chains_agree)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
