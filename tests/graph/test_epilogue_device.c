/* Products and convolutions with random elementwise work in their kernels, on an OpenCL device
 * against the composed references: random sizes, transposes, strides and groups, broadcast operands,
 * reshapes, dropout, several outputs; CPU and GPU kernels; a candidate that takes no epilogue. */
#include "graph/on_device.h"

#include "graph/lowering.h"
#include "kernel/trial.h"
#include "kernel/tune.h"
#include "op/ops.h"

#define GRAPHS 7

static tutti_tensor uniform(tutti_graph *g, const char *name, int32_t rank, const int64_t *dims) {
    return tutti_graph_param(g, name, rank, dims, (tutti_init){TUTTI_INIT_UNIFORM, -1, 1});
}

static tutti_tensor product(tutti_graph *g) {
    /* Several panels and blocks of the inner size now and then. */
    const int64_t k = from(1, 4) == 1 ? from(257, 600) : from(1, 40), n = from(1, 150);
    const bool trans = from(0, 1) == 1;
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, k});
    return tutti_matmul(g, x, uniform(g, "w", 2, trans ? (int64_t[]){n, k} : (int64_t[]){k, n}),
                        false, trans);
}

/* Of heads that lie between the rows. */
static tutti_tensor products(tutti_graph *g) {
    const int64_t heads = from(1, 3), width = from(1, 40);
    tutti_tensor in[2];
    for (int32_t i = 0; i < 2; i++) {
        in[i] = tutti_graph_input(g, i == 0 ? "q" : "k", TUTTI_F32, 4,
                                  (int64_t[]){TUTTI_BATCH, from(1, 70), heads, width});
        in[i] = tutti_permute(g, in[i], 4, (int32_t[]){0, 2, 1, 3});
    }
    return tutti_matmul(g, in[0], in[1], false, true);
}

/* `many` channels: what Winograd's kernel takes. */
static tutti_tensor convolution(tutti_graph *g, bool transposed, bool many) {
    const int64_t groups = many ? 1 : from(1, 2), c = many ? from(13, 30) : from(1, 4);
    const int64_t k = many ? from(13, 30) : from(1, 9), r = many ? 3 : from(1, 3);
    const int64_t stride[] = {many ? 1 : from(1, 2), many ? 1 : from(1, 2)};
    const tutti_tensor x = tutti_graph_input(
        g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, groups * c, from(3, 9), from(3, 21)});
    const tutti_conv2d_options options = {.stride = {stride[0], stride[1]},
                                          .padding = {from(0, r - 1), from(0, r - 1)},
                                          .groups = groups};
    const int64_t dims[] = {transposed ? groups * c : groups * k, transposed ? k : c, r, r};
    const tutti_tensor w = uniform(g, "w", 4, dims);
    const tutti_tensor bias =
        from(0, 1) == 0 ? (tutti_tensor){0} : uniform(g, "bias", 1, (int64_t[]){groups * k});
    return transposed ? tutti_conv_transpose2d(g, x, w, bias, &options)
                      : tutti_conv2d(g, x, w, bias, &options);
}

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
    switch (from(0, 7)) {
    case 0:
        return tutti_relu(g, y);
    case 1:
        return tutti_tanh(g, y);
    case 2:
        return tutti_dropout(g, y, 0.4F);
    case 3:
        return tutti_scale_over_batch(g, y, 2);
    case 4:
        return tutti_mul(g, y, tutti_heaviside(g, operand(g, &shape, index)));
    case 5:
        return tutti_reshape(g, y, 2, (int64_t[]){TUTTI_BATCH, tutti_shape_sample_count(&shape)});
    default:
        return tutti_add(g, y, operand(g, &shape, index));
    }
}

static tutti_graph *random_graph(int32_t index) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    tutti_tensor y = index % 7 < 2    ? product(g)
                     : index % 7 == 2 ? products(g)
                                      : convolution(g, index % 7 >= 5, index % 2 == 1);
    const tutti_tensor first = tutti_sigmoid(g, y);
    y = first;
    for (int32_t i = 0; i < 6; i++)
        y = work(g, y, i);
    OK(tutti_graph_set_output(g, "y", tutti_neg(g, y)));
    if (from(0, 1) == 1)
        OK(tutti_graph_set_output(g, "first", first));
    OK(tutti_graph_status(g));
    OK(tutti_graph_freeze(g));
    return g;
}

/* The node that has taken the epilogue. */
static const tutti_node_info *find(const tutti_program *program) {
    const tutti_node_info *node = NULL;
    for (int32_t k = 0; k < program->n_items; k++)
        if (program->items[k].node.op == &tutti_op_epilogue) {
            assert_null(node);
            node = &program->items[k].node;
        }
    assert_non_null(node);
    return node;
}

static void check(tutti_kernels *kernels, const tutti_node_info *node,
                  const tutti_candidate *candidate) {
    const int64_t sizes[] = {from(2, 40), 1};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        tutti_trial *trial;
        tutti_trial_run *run;
        double seconds, error;
        OK(tutti_trial_make(kernels, node, sizes[s], true, &trial));
        OK(tutti_trial_bind(trial, candidate, &run));
        OK(tutti_trial_reset(run));
        OK(tutti_trial_time(run, 1, &seconds));
        OK(tutti_trial_error(run, &error));
        if (!(error <= 5e-5))
            fail_msg("%s, %s, %d samples: error %g", tutti_fused_label(node), candidate->name,
                     (int)sizes[s], error);
        tutti_trial_unbind(run);
        tutti_trial_free(trial);
    }
}

/* All candidates but calls of libraries, whose kernels take long to build. */
static int32_t check_all(tutti_kernels *kernels, const tutti_node_info *node,
                         tutti_lowering *lowering, bool build) {
    int32_t n = 0;
    for (int32_t c = 0; c < lowering->n_candidates; c++) {
        const tutti_candidate *candidate = &lowering->candidates[c];
        if (candidate->launches[0].routine != NULL)
            continue;
        for (int32_t l = 0; build && l < candidate->n_launches; l++)
            OK(tutti_kernels_want_trial(kernels, &candidate->launches[l], "test"));
        if (!build)
            check(kernels, node, candidate);
        n++;
    }
    return n;
}

static void random_epilogues_agree(void **state) {
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
    int32_t checked = 0;
    for (int32_t i = 0; i < GRAPHS; i++) {
        tutti_program program;
        graphs[i] = random_graph(i);
        OK(tutti_program_make(graphs[i], TUTTI_TRAIN, &arena, &program));
        nodes[i] = find(&program);
        assert_true(tutti_fused_size(nodes[i]) >= 3);
        for (int32_t k = 0; k < 2; k++) {
            OK(tutti_node_lower(nodes[i], k == 0 ? &cpu : &gpu, 64, &arena, &lowerings[i][k]));
            check_all(kernels, nodes[i], &lowerings[i][k], true);
        }
    }
    OK(tutti_kernels_build(kernels));
    for (int32_t i = 0; i < GRAPHS; i++) {
        for (int32_t k = 0; k < 2; k++)
            checked += check_all(kernels, nodes[i], &lowerings[i][k], false);
        tutti_graph_free(graphs[i]);
    }
    print_message("%d candidates\n", (int)checked);
    assert_true(checked >= 2 * GRAPHS);
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
}

/* Negates, by a kernel that takes no epilogue. */
static tutti_status flip_lower(const tutti_node_info *node, const tutti_device_info *info,
                               tutti_lowering *out) {
    (void)info;
    tutti_launch *launch = tutti_candidate_launch_source(
        out, tutti_lowering_candidate(out, "plain"),
        "__kernel void flip(__global const float *x, __global float *y, int n) {\n"
        "    const int i = get_global_id(0);\n"
        "    if (i < n)\n"
        "        y[i] = -x[i];\n"
        "}\n",
        "flip", "");
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    tutti_launch_tensor(out, launch, node->in[0]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, count, 1, 64);
    return tutti_lowering_status(out);
}

static void flip_ref(const tutti_ref_call *call) {
    const int64_t count = tutti_shape_count(&call->node->out_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        ((float *)call->out[0])[i] = -((const float *)call->in[0])[i];
}

static const tutti_op flip = {.name = "flip",
                              .n_in_min = 1,
                              .n_in_max = 1,
                              .n_out = 1,
                              .flags = TUTTI_OP_EPILOGUE | TUTTI_OP_NO_GRAD,
                              .infer = tutti_elementwise_infer,
                              .cost = tutti_elementwise_cost,
                              .lower = flip_lower,
                              .ref = flip_ref};

static void chain_follows(void **state) {
    (void)state;
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 23});
    const tutti_tensor y = tutti_op_apply1(g, &flip, &x, 1, NULL, 0);
    OK(tutti_graph_set_output(g, "y",
                              tutti_tanh(g, tutti_add(g, y, uniform(g, "b", 1, (int64_t[]){23})))));
    OK(tutti_graph_freeze(g));
    tutti_arena arena = {0};
    tutti_program program;
    tutti_lowering lowering;
    tutti_kernels *kernels;
    OK(tutti_kernels_make(NULL, &device, &kernels));
    OK(tutti_program_make(g, TUTTI_PREDICT, &arena, &program));
    const tutti_node_info *node = find(&program);
    assert_string_equal(tutti_fused_label(node), "flip+add+tanh");
    OK(tutti_node_lower(node, &device.info, 64, &arena, &lowering));
    assert_int_equal(lowering.candidates[0].n_launches, 2);
    check_all(kernels, node, &lowering, true);
    OK(tutti_kernels_build(kernels));
    check_all(kernels, node, &lowering, false);
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_epilogues_agree),
                                       cmocka_unit_test(chain_follows)};
    return cmocka_run_group_tests(tests, open_device, close_device);
}
