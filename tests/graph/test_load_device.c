/* Products and convolutions with random elementwise work on what they read, several times each
 * element, on an OpenCL device against the composed references: either operand, with work on the
 * result as well, parts of a long sum, padding, strides and groups; also 16-bit operands, and the
 * order of candidates. */
#include "graph/on_device.h"

#include "graph/fuse.h"
#include "graph/lowering.h"
#include "kernel/trial.h"
#include "kernel/tune.h"
#include "op/ops.h"

#define GRAPHS 5

static tutti_tensor uniform(tutti_graph *g, const char *name, int32_t rank, const int64_t *dims) {
    return tutti_graph_param(g, name, rank, dims, (tutti_init){TUTTI_INIT_UNIFORM, -1, 1});
}

static tutti_tensor rows(tutti_graph *g, const char *name, int64_t columns) {
    return tutti_graph_input(g, name, TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, columns});
}

/* Cheap, of several operands, one a value per row or column. */
static tutti_tensor work(tutti_graph *g, tutti_tensor x, tutti_tensor by) {
    return tutti_relu(g, tutti_add(g, tutti_mul(g, x, by), tutti_scale(g, x, 0.25F)));
}

static tutti_tensor convolution(tutti_graph *g, bool plain) {
    const int64_t groups = plain ? 1 : 2, c = from(2, 5), k = plain ? from(1, 5) : from(9, 12);
    const tutti_tensor x = tutti_graph_input(
        g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, groups * c, from(5, 9), from(5, 9)});
    const tutti_conv2d_options options = {
        .stride = {from(1, 2), from(1, 2)}, .padding = {1, from(0, 1)}, .groups = groups};
    const tutti_tensor by = uniform(g, "by", 3, (int64_t[]){groups * c, 1, 1});
    const tutti_tensor w =
        uniform(g, "w", 4, (int64_t[]){plain ? c : groups * k, plain ? k : c, 3, from(1, 3)});
    const tutti_tensor none = {0};
    return plain ? tutti_conv_transpose2d(g, work(g, x, by), w, none, &options)
                 : tutti_conv2d(g, work(g, x, by), w, none, &options);
}

static tutti_graph *make(int32_t index) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    /* The first sum is long enough to be done in parts. */
    const int64_t k = index == 0 ? from(257, 400) : from(30, 200), n = from(5, 60);
    tutti_tensor x = {0}, by = {0}, y = {0};
    if (index < 2) {
        x = rows(g, "x", k);
        by = uniform(g, "by", 1, (int64_t[]){k});
    }
    if (index == 0) /* A, and the same functions behind the product, through a reshape */
        y = tutti_dropout(g,
                          tutti_matmul(g,
                                       tutti_reshape(g, tutti_dropout(g, tutti_mul(g, x, by), 0.3F),
                                                     2, (int64_t[]){TUTTI_BATCH, k}),
                                       uniform(g, "w", 2, (int64_t[]){k, n}), false, false),
                          0.5F);
    else if (index == 1) /* B, summed over the batch */
        y = tutti_matmul(g, rows(g, "dy", n), work(g, x, by), true, false);
    else if (index == 2) /* B transposed; a product that is too small for tiles */
        y = tutti_sigmoid(g, tutti_matmul(g, rows(g, "a", 7),
                                          work(g, uniform(g, "w", 2, (int64_t[]){5, 7}),
                                               uniform(g, "r", 2, (int64_t[]){5, 1})),
                                          false, true));
    else
        y = convolution(g, index == 4);
    OK(tutti_graph_set_output(g, "y", y));
    OK(tutti_graph_status(g));
    OK(tutti_graph_freeze(g));
    return g;
}

static const tutti_node_info *find(const tutti_program *program) {
    for (int32_t i = 0; i < program->n_items; i++)
        if (program->items[i].node.op == &tutti_op_prologue)
            return &program->items[i].node;
    fail_msg("nothing was fused");
    return NULL;
}

static void check(tutti_kernels *kernels, const tutti_node_info *node,
                  const tutti_candidate *candidate, int64_t n) {
    tutti_trial *trial;
    tutti_trial_run *run;
    double seconds, error;
    OK(tutti_trial_make(kernels, node, n, true, &trial));
    OK(tutti_trial_bind(trial, candidate, &run));
    OK(tutti_trial_reset(run));
    OK(tutti_trial_time(run, 1, &seconds));
    OK(tutti_trial_error(run, &error));
    if (!(error <= 5e-5))
        fail_msg("%s, %s, %d samples: error %g", tutti_fused_label(node), candidate->name, (int)n,
                 error);
    tutti_trial_unbind(run);
    tutti_trial_free(trial);
}

/* The first candidates that take the work, and one that does not. */
static bool is_checked(const tutti_lowering *lowering, int32_t c) {
    const tutti_candidate *candidate = &lowering->candidates[c];
    for (int32_t l = 0; l < candidate->n_launches; l++)
        if (candidate->launches[l].routine != NULL)
            return false;
    return c < 2 || strstr(candidate->name, "apart") != NULL ||
           strstr(candidate->name, "split") != NULL;
}

static void loads_agree(void **state) {
    (void)state;
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    tutti_arena arena = {0};
    tutti_graph *graphs[GRAPHS];
    const tutti_node_info *nodes[GRAPHS];
    tutti_lowering lowerings[GRAPHS];
    tutti_device_info gpu = device.info;
    gpu.type = TUTTI_DEVICE_GPU;
    int32_t taken = 0, split = 0;
    for (int32_t i = 0; i < GRAPHS; i++) {
        tutti_program program;
        graphs[i] = make(i);
        OK(tutti_program_make_for(graphs[i], TUTTI_TRAIN,
                                  (tutti_program_options){i == 3 ? TUTTI_BF16 : TUTTI_F32, true},
                                  &arena, &program));
        nodes[i] = find(&program);
        OK(tutti_node_lower(nodes[i], &gpu, 64, &arena, &lowerings[i]));
        for (int32_t c = 0; c < lowerings[i].n_candidates; c++) {
            const tutti_candidate *candidate = &lowerings[i].candidates[c];
            bool takes = false;
            for (int32_t l = 0; l < candidate->n_launches; l++)
                takes |= candidate->launches[l].prologue;
            for (int32_t l = 0; is_checked(&lowerings[i], c) && l < candidate->n_launches; l++)
                OK(tutti_kernels_want_trial(kernels, &candidate->launches[l], "test"));
            taken += takes;
            split += takes && strstr(candidate->name, "split") != NULL;
        }
    }
    assert_true(taken >= GRAPHS && split >= 1);
    print_message("%d candidates take it, %d in parts\n", (int)taken, (int)split);
    OK(tutti_kernels_build(kernels));
    for (int32_t i = 0; i < GRAPHS; i++) {
        for (int32_t c = 0; c < lowerings[i].n_candidates; c++)
            if (is_checked(&lowerings[i], c))
                check(kernels, nodes[i], &lowerings[i].candidates[c], from(1, 70));
        tutti_graph_free(graphs[i]);
    }
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(loads_agree)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
