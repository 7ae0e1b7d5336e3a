/* An op of one's own, softsign, with its own kernel in own_op.cl: trains a tiny regression through
 * it and compares the device's predictions with the op's reference. See docs/adding-an-op.md. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tutti/ext/op.h"
#include "tutti/tutti.h"

/* softsign has one input; softsign_grad has two, x and dy. Every output has the shape of x. */
static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    char text[TUTTI_SHAPE_TEXT];
    for (int32_t i = 0; i < node->n_in; i++)
        if (node->in_type[i].dtype != TUTTI_F32 ||
            !tutti_shape_equal(&node->in_type[i].shape, &node->in_type[0].shape))
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s %s", i,
                                 tutti_dtype_name(node->in_type[i].dtype),
                                 tutti_shape_text(&node->in_type[i].shape, text));
    out[0].type = node->in_type[0];
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, n);
    return (tutti_cost){.flops = 3 * count, .bytes = 4 * count * (node->n_in + 1)};
}

/* The kernel in own_op.cl that is called like the op: inputs, output, element count. */
static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    (void)device;
    const tutti_extent count = tutti_extent_count(&node->in_type[0].shape);
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "own_op.cl", node->op->name, "%s", "");
    for (int32_t i = 0; i < node->n_in; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_range(launch, count, 1, 64);
    return tutti_lowering_status(out);
}

static void ref(const tutti_ref_call *call) {
    const float *x = call->in[0];
    float *y = call->out[0];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        y[i] = (float)((double)x[i] / (1.0 + fabs((double)x[i])));
}

static void ref_grad(const tutti_ref_call *call) {
    const float *x = call->in[0], *dy = call->in[1];
    float *dx = call->out[0];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        dx[i] = (float)((double)dy[i] / pow(1.0 + fabs((double)x[i]), 2));
}

static const tutti_op softsign_grad = {.name = "softsign_grad",
                                       .summary = "gradient of softsign",
                                       .n_in_min = 2,
                                       .n_in_max = 2,
                                       .n_out = 1,
                                       .flags = TUTTI_OP_NO_GRAD,
                                       .infer = infer,
                                       .cost = cost,
                                       .lower = lower,
                                       .ref = ref_grad};

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (!want[0])
        return TUTTI_OK;
    return tutti_op_apply(graph, &softsign_grad, (tutti_tensor[]){node->in[0], dout[0]}, 2, NULL, 0,
                          din);
}

static const tutti_op softsign = {.name = "softsign",
                                  .summary = "x / (1 + |x|)",
                                  .n_in_min = 1,
                                  .n_in_max = 1,
                                  .n_out = 1,
                                  .infer = infer,
                                  .cost = cost,
                                  .lower = lower,
                                  .grad = grad,
                                  .ref = ref};

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        const tutti_status status = (expr);                                                        \
        if (status != TUTTI_OK) {                                                                  \
            fprintf(stderr, "own_op: %s\n", tutti_error_message());                                \
            return tutti_status_exit_code(status);                                                 \
        }                                                                                          \
    } while (0)

enum { N = 64, FEATURES = 3, STEPS = 300 };

int main(int argc, char **argv) {
    const char *devices = "auto";
    bool explain = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("Usage: own_op [--profile FILE|EXPR] [--explain]\n");
            return 0;
        }
        if (strcmp(argv[i], "--version") == 0) {
            printf("own_op (Tutti) %s\n", tutti_version());
            return 0;
        }
        if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc) {
            devices = argv[++i];
        } else if (strcmp(argv[i], "--explain") == 0) {
            explain = true;
        } else {
            fprintf(stderr, "own_op: unexpected argument '%s'; see --help\n", argv[i]);
            return 2;
        }
    }
    /* Kernels are looked up here, then in the library. A profile's kernel_path does the same. */
    setenv("TUTTI_KERNEL_PATH", TUTTI_SAMPLE_DATA "/..", 0);

    tutti_graph *graph;
    TRY(tutti_graph_make(&graph));
    const tutti_tensor x =
        tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    const tutti_tensor target =
        tutti_graph_input(graph, "target", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 1});
    const tutti_tensor hidden = tutti_nn_linear(graph, x, 1, "layer", NULL);
    tutti_tensor y;
    TRY(tutti_op_apply(graph, &softsign, &hidden, 1, NULL, 0, &y));
    const tutti_tensor loss_tensor = tutti_mse(graph, y, target);
    TRY(tutti_graph_set_loss(graph, loss_tensor));
    TRY(tutti_graph_set_output(graph, "hidden", hidden));
    TRY(tutti_graph_set_output(graph, "y", y));
    TRY(tutti_graph_optimize(graph, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 0.05F}));
    TRY(tutti_graph_freeze(graph));

    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_plan *plan;
    tutti_run *run;
    TRY(tutti_profile_open(devices, &profile));
    TRY(tutti_runtime_open(profile, &runtime));
    TRY(tutti_plan_make(graph, runtime, &(tutti_plan_options){.batch = N}, &plan));
    if (explain) {
        char *text;
        TRY(tutti_plan_explain(plan, &text));
        fputs(text, stdout);
        tutti_free(text);
    }
    TRY(tutti_run_open(plan, &(tutti_run_options){.seed = 1}, &run));

    /* Points on a grid, and what softsign makes of 2 a - b + 0.5 c. */
    float points[N][FEATURES], targets[N], hidden_out[N], y_out[N], first = 0, loss = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < FEATURES; j++)
            points[i][j] = (float)(i >> 2 * j & 3) - 1.5F;
        const float sum = 2 * points[i][0] - points[i][1] + 0.5F * points[i][2];
        targets[i] = sum / (1 + fabsf(sum));
    }
    const tutti_feed feeds[] = {{x, points}, {target, targets}};
    const tutti_fetch loss_out = {loss_tensor, &loss};
    for (int step = 0; step < STEPS; step++) {
        TRY(tutti_run_step(run, TUTTI_TRAIN, N, feeds, 2, &loss_out, 1));
        if (step == 0)
            first = loss;
    }
    const tutti_fetch fetches[] = {{hidden, hidden_out}, {y, y_out}};
    TRY(tutti_run_step(run, TUTTI_PREDICT, N, feeds, 1, fetches, 2));
    double worst = 0;
    for (int i = 0; i < N; i++) {
        const double expected = (double)hidden_out[i] / (1.0 + fabs((double)hidden_out[i]));
        worst = fmax(worst, fabs((double)y_out[i] - expected));
    }
    printf("loss %.4f -> %.6f, softsign differs from its reference by %.1e\n", (double)first,
           (double)loss, worst);
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    tutti_graph_free(graph);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "own_op: cannot write standard output\n");
        return 1;
    }
    return loss < 1e-3F && loss < first / 10 && worst < 1e-6 ? 0 : 1;
}
