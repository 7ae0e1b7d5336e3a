/* The same goldens through plan and run, on the first device that is there: optimizers step by
 * step, the network's losses and weights, and a chain of ops forward and backward. */
#include "training.h"
#include "tutti/plan.h"

static golden_file file;
static tutti_profile *profile;
static tutti_runtime *runtime;

typedef struct session {
    tutti_plan *plan;
    tutti_run *run;
} session;

static void session_open(session *s, const tutti_graph *graph, int64_t batch) {
    OK(tutti_plan_make(graph, runtime, &(tutti_plan_options){.batch = batch}, &s->plan));
    OK(tutti_run_open(s->plan, &(tutti_run_options){.seed = 1}, &s->run));
}

static void session_close(session *s) {
    tutti_run_close(s->run);
    tutti_plan_free(s->plan);
}

static void check_tensor(const session *s, const char *group, const char *name, tutti_tensor tensor,
                         const float *expected, int64_t count, double tolerance) {
    float *got = malloc((size_t)count * 4);
    memset(got, 0xFF, (size_t)count * 4);
    OK(tutti_run_read(s->run, tensor, got, (size_t)count * 4));
    golden_check(group, name, expected, got, count, tolerance);
    free(got);
}

static void test_optimizers(void **state) {
    (void)state;
    for (size_t c = 0; c < OPTIMIZER_CASES; c++) {
        optimizer_graph o;
        session s;
        optimizer_graph_make(&file, &optimizer_cases[c], &o);
        session_open(&s, o.graph, 1);
        for (int i = 0; i < 2; i++)
            OK(tutti_run_write(s.run, o.param[i], o.start[i].data, (size_t)o.start[i].count * 4));
        for (int64_t step = 0; step < o.after[0].dim[0]; step++) {
            tutti_feed feeds[2];
            for (int i = 0; i < 2; i++)
                feeds[i] = (tutti_feed){o.grad[i],
                                        (const float *)o.grads[i].data + step * o.grads[i].dim[1]};
            OK(tutti_run_set_scalar(s.run, "lr", optimizer_lr(step)));
            OK(tutti_run_step(s.run, TUTTI_TRAIN, 1, feeds, 2, NULL, 0));
            for (int i = 0; i < 2; i++) {
                const int64_t count = o.after[i].dim[1];
                check_tensor(&s, optimizer_cases[c].name, i == 0 ? "a" : "b", o.param[i],
                             (const float *)o.after[i].data + step * count, count, 1e-5);
            }
        }
        session_close(&s);
        tutti_graph_free(o.graph);
    }
}

static void test_network(void **state) {
    (void)state;
    mlp m;
    session s;
    mlp_make(&m);
    session_open(&s, m.graph, MLP_BATCH);
    for (int i = 0; i < 4; i++) {
        const golden start = golden_get(&file, "mlp/start", mlp_params[i]);
        OK(tutti_run_write(s.run, tutti_graph_find(m.graph, mlp_params[i]), start.data,
                           (size_t)start.count * 4));
    }
    const golden x = golden_get(&file, "mlp", "x"), labels = golden_get(&file, "mlp", "labels");
    const golden losses = golden_get(&file, "mlp", "losses");
    for (int64_t step = 0; step < MLP_STEPS; step++) {
        const tutti_feed feeds[] = {
            {m.x, (const float *)x.data + step * MLP_BATCH * 8},
            {m.labels, (const int32_t *)labels.data + step * MLP_BATCH},
        };
        float loss = NAN;
        OK(tutti_run_step(s.run, TUTTI_TRAIN, MLP_BATCH, feeds, 2, &(tutti_fetch){m.loss, &loss},
                          1));
        golden_check("mlp", "losses", (const float *)losses.data + step, &loss, 1, 1e-5);
    }
    for (int i = 0; i < 4; i++) {
        const golden end = golden_get(&file, "mlp/end", mlp_params[i]);
        check_tensor(&s, "mlp/end", mlp_params[i], tutti_graph_find(m.graph, mlp_params[i]),
                     end.data, end.count, 1e-5);
    }
    session_close(&s);
    tutti_graph_free(m.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_optimizers),
                                       cmocka_unit_test(test_network)};
    if (tutti_profile_open("auto", &profile) != TUTTI_OK ||
        tutti_runtime_open(profile, &runtime) != TUTTI_OK) {
        fprintf(stderr, "%s\n", tutti_error_message());
        return 1;
    }
    golden_open(&file);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_close(&file);
    tutti_runtime_close(runtime);
    tutti_profile_free(profile);
    return failed;
}
