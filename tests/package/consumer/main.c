/* A program outside the tree: z = softsign(y), y = relu(x) w + b, and a step of training, on whatever
 * device there is. softsign is an elementwise op of its own, made with the public headers only. */
#include <math.h>
#include <stdio.h>

#include <tutti/ext/op.h>
#include <tutti/tutti.h>

enum { N = 3, IN = 4, OUT = 2 };

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        const tutti_status status_ = (expr);                                                       \
        if (status_ != TUTTI_OK) {                                                                 \
            fprintf(stderr, "consumer: %s\n", tutti_error_message());                              \
            return tutti_status_exit_code(status_);                                                \
        }                                                                                          \
    } while (0)

/* x / (c + |x|) */
static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    char c[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "%s / (%s + fabs(%s))", in[0],
                      tutti_f32_text(*(const float *)node->attr, c), in[0]);
}

static double element(const tutti_ref_call *call, const double *x, int64_t index) {
    (void)index;
    return x[0] / ((double)*(const float *)call->node->attr + fabs(x[0]));
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, element);
}

/* c / (c + |x|)^2, from ops of the library: they fuse with the rest. */
static tutti_status grad(tutti_graph *g, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const float c = *(const float *)node->attr;
    if (want[0]) {
        const tutti_tensor size = tutti_add_scalar(g, tutti_abs(g, node->in[0]), c);
        const tutti_tensor slope = tutti_scale(g, tutti_pow_scalar(g, size, -2), c);
        din[0] = tutti_reduce_to(g, tutti_mul(g, dout[0], slope), &node->in_type[0].shape);
    }
    return tutti_graph_status(g);
}

static const tutti_op softsign = {.name = "softsign",
                                  .summary = "x / (c + |x|)",
                                  .n_in_min = 1,
                                  .n_in_max = 1,
                                  .n_out = 1,
                                  .flags = TUTTI_OP_ELEMENTWISE,
                                  .attr_size = sizeof(float),
                                  .infer = tutti_elementwise_infer,
                                  .cost = tutti_elementwise_cost,
                                  .grad = grad,
                                  .ref = ref,
                                  .expr = expr};

int main(void) {
    tutti_graph *graph;
    TRY(tutti_graph_make(&graph));
    const tutti_tensor x =
        tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, IN});
    const tutti_tensor y = tutti_nn_linear(graph, tutti_relu(graph, x), OUT, "head", NULL);
    const tutti_tensor target =
        tutti_graph_input(graph, "target", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, OUT});
    const float c = 0.75F;
    const tutti_tensor z = tutti_op_apply1(graph, &softsign, &y, 1, &c, sizeof c);
    TRY(tutti_graph_set_output(graph, "z", z));
    TRY(tutti_graph_set_loss(graph, tutti_mse(graph, z, target)));
    TRY(tutti_graph_optimize(graph, &(tutti_optimizer){.kind = TUTTI_SGD, .lr = 1}));
    TRY(tutti_graph_freeze(graph));

    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_plan *plan;
    tutti_run *run;
    TRY(tutti_profile_open("auto", &profile));
    TRY(tutti_runtime_open(profile, &runtime));
    TRY(tutti_plan_make(graph, runtime, &(tutti_plan_options){.batch = N}, &plan));
    TRY(tutti_run_open(plan, NULL, &run));
    const float in[N][IN] = {{1, -2, 3, -4}, {-1, 2, -3, 4}, {0.5F, 0.25F, 0, -0.125F}};
    const float wanted[N][OUT] = {{0, 1}, {-1, 0.5F}, {1, 1}}, bias[OUT] = {0.5F, -1};
    float weight[OUT][IN], out[N][OUT], trained[OUT];
    TRY(tutti_run_write(run, tutti_graph_find(graph, "head.bias"), bias, sizeof bias));
    TRY(tutti_run_read(run, tutti_graph_find(graph, "head.weight"), weight, sizeof weight));
    const tutti_feed feeds[] = {{x, in}, {target, wanted}};
    const tutti_fetch fetch = {z, out};
    TRY(tutti_run_step(run, TUTTI_PREDICT, N, feeds, 1, &fetch, 1));
    TRY(tutti_run_step(run, TUTTI_TRAIN, N, feeds, 2, NULL, 0));
    TRY(tutti_run_read(run, tutti_graph_find(graph, "head.bias"), trained, sizeof trained));
    double worst = 0;
    for (int o = 0; o < OUT; o++) {
        double slope = 0; /* of the loss in the bias */
        for (int n = 0; n < N; n++) {
            double sum = (double)bias[o];
            for (int i = 0; i < IN; i++)
                sum += in[n][i] > 0 ? (double)in[n][i] * (double)weight[o][i] : 0;
            const double size = (double)c + fabs(sum);
            worst = fmax(worst, fabs(sum / size - (double)out[n][o]));
            slope +=
                2 * (sum / size - (double)wanted[n][o]) / (N * OUT) * (double)c / (size * size);
        }
        worst = fmax(worst, fabs((double)bias[o] - slope - (double)trained[o]));
    }
    printf("tutti %s on %s: largest error %.1e\n", tutti_version(),
           tutti_runtime_device(runtime, 0)->name, worst);
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    tutti_graph_free(graph);
    return worst < 1e-5 ? 0 : 1;
}
