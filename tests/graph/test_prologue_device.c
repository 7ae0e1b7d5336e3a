/* Reductions with random elementwise work in their kernels, on an OpenCL device against the composed
 * references: random shapes, axes and broadcast operands, dropout, reshapes, results that are kept;
 * the kernels of CPUs and GPUs. */
#include "graph/on_device.h"

#include "graph/fuse.h"
#include "graph/lowering.h"
#include "kernel/trial.h"
#include "kernel/tune.h"
#include "tutti/ops.h"

#define GRAPHS 5

/* An operand for tensors of that shape, broadcast along random axes. */
static tutti_tensor operand(tutti_graph *g, const tutti_shape *shape, int32_t index) {
    int64_t dims[TUTTI_MAX_RANK];
    for (int32_t i = 0; i < shape->rank; i++)
        dims[i] = from(0, 1) == 0 ? 1 : i == 0 ? TUTTI_BATCH : shape->dim[i];
    char name[16];
    snprintf(name, sizeof name, "o%d", (int)index);
    return tutti_graph_input(g, name, TUTTI_F32, shape->rank, dims);
}

static tutti_tensor work(tutti_graph *g, tutti_tensor y, int32_t index) {
    const tutti_shape shape = tutti_graph_tensor_shape(g, y);
    switch (from(0, 5)) {
    case 0:
        return tutti_abs(g, y);
    case 1:
        return tutti_add_scalar(g, tutti_dropout(g, y, 0.4F), 0.3F);
    case 2:
        return tutti_scale_over_batch(g, y, 20);
    case 3:
        return tutti_mul(g, y, tutti_sigmoid(g, operand(g, &shape, index)));
    default:
        return tutti_add(g, y, operand(g, &shape, index));
    }
}

/* Long rows, rows that are no multiple of a stretch, wide and narrow columns, two launches. */
static tutti_graph *random_graph(int32_t index) {
    static const int64_t rows[][3] = {{3, 700, 1}, {2, 20, 300}, {1, 40, 5}, {4, 1, 65}, {2, 9, 7}};
    const int64_t *r = rows[index];
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    tutti_tensor y = tutti_graph_input(g, "x", TUTTI_F32, 4,
                                       (int64_t[]){TUTTI_BATCH, r[0] + from(0, 1),
                                                   r[1] + from(0, r[1]), r[2] + from(0, r[2] - 1)});
    const tutti_tensor first = tutti_tanh(g, y);
    y = first;
    for (int32_t i = 0; i < 4; i++)
        y = work(g, y, i);
    const int32_t axes[] = {(int32_t)from(0, 2), 3};
    const tutti_tensor sum = index == 3 ? tutti_max(g, y, 2, (int32_t[]){1, 3}, false)
                                        : tutti_sum(g, y, index % 2 == 0 ? 2 : 1,
                                                    index == 1 ? (int32_t[]){2} : axes, false);
    OK(tutti_graph_set_output(g, "sum", sum));
    if (from(0, 1) == 1)
        OK(tutti_graph_set_output(g, "first", first));
    if (from(0, 1) == 1)
        OK(tutti_graph_set_output(g, "y", y));
    OK(tutti_graph_status(g));
    OK(tutti_graph_freeze(g));
    return g;
}

static const tutti_node_info *find(const tutti_program *program) {
    for (int32_t k = 0; k < program->n_items; k++)
        if (program->items[k].node.op == &tutti_op_prologue)
            return &program->items[k].node;
    fail_msg("nothing was fused");
    return NULL;
}

static void check(tutti_kernels *kernels, const tutti_node_info *node,
                  const tutti_candidate *candidate) {
    const int64_t sizes[] = {from(2, 20), 1};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        tutti_trial *trial;
        tutti_trial_run *run;
        double seconds, error;
        OK(tutti_trial_make(kernels, node, sizes[s], true, &trial));
        OK(tutti_trial_bind(trial, candidate, &run));
        OK(tutti_trial_reset(run));
        OK(tutti_trial_time(run, 1, &seconds));
        OK(tutti_trial_error(run, &error));
        if (!(error <= 5e-4)) /* a sum over all that cancels is 1e-4 off at times */
            fail_msg("%s, %s, %d samples: error %g", tutti_fused_label(node), candidate->name,
                     (int)sizes[s], error);
        tutti_trial_unbind(run);
        tutti_trial_free(trial);
    }
}

static void random_prologues_agree(void **state) {
    (void)state;
    tutti_rng_begin(&rng, test_seed(), 0);
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    tutti_arena arena = {0};
    tutti_graph *graphs[GRAPHS];
    const tutti_node_info *nodes[GRAPHS];
    tutti_lowering lowerings[GRAPHS][2];
    tutti_device_info cpu = device.info, gpu = device.info;
    cpu.type = TUTTI_DEVICE_CPU;
    gpu.type = TUTTI_DEVICE_GPU;
    for (int32_t i = 0; i < GRAPHS; i++) {
        tutti_program program;
        graphs[i] = random_graph(i);
        OK(tutti_program_make(graphs[i], TUTTI_TRAIN, &arena, &program));
        nodes[i] = find(&program);
        assert_true(tutti_fused_size(nodes[i]) >= 6);
        for (int32_t k = 0; k < 2; k++) {
            OK(tutti_node_lower(nodes[i], k == 0 ? &cpu : &gpu, 64, &arena, &lowerings[i][k]));
            const tutti_candidate *candidate = &lowerings[i][k].candidates[0];
            assert_true(candidate->launches[0].prologue);
            for (int32_t l = 0; l < candidate->n_launches; l++)
                OK(tutti_kernels_want_trial(kernels, &candidate->launches[l], "test"));
        }
    }
    OK(tutti_kernels_build(kernels));
    for (int32_t i = 0; i < GRAPHS; i++) {
        for (int32_t k = 0; k < 2; k++)
            check(kernels, nodes[i], &lowerings[i][k].candidates[0]);
        tutti_graph_free(graphs[i]);
    }
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_prologues_agree)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
