/* A program outside the tree: y = relu(x) w + b on whatever device there is. */
#include <math.h>
#include <stdio.h>

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

int main(void) {
    tutti_graph *graph;
    TRY(tutti_graph_make(&graph));
    const tutti_tensor x =
        tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, IN});
    const tutti_tensor y = tutti_nn_linear(graph, tutti_relu(graph, x), OUT, "head", NULL);
    TRY(tutti_graph_set_output(graph, "y", y));
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
    const float bias[OUT] = {10, 20};
    float weight[OUT][IN], out[N][OUT];
    TRY(tutti_run_write(run, tutti_graph_find(graph, "head.bias"), bias, sizeof bias));
    TRY(tutti_run_read(run, tutti_graph_find(graph, "head.weight"), weight, sizeof weight));
    const tutti_feed feed = {x, in};
    const tutti_fetch fetch = {y, out};
    TRY(tutti_run_step(run, TUTTI_PREDICT, N, &feed, 1, &fetch, 1));
    double worst = 0;
    for (int n = 0; n < N; n++)
        for (int o = 0; o < OUT; o++) {
            double sum = (double)bias[o];
            for (int i = 0; i < IN; i++)
                sum += in[n][i] > 0 ? (double)in[n][i] * (double)weight[o][i] : 0;
            worst = fmax(worst, fabs(sum - (double)out[n][o]));
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
