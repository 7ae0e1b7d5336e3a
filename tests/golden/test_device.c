/* The same goldens through plan and run, on one processor as two devices: every op forward and
 * backward in one step, optimizers step by step, the network's losses and weights; the batch first
 * whole on the first device, then in halves. TUTTI_TEST_PROFILE names other devices. */
#include "cases.h"
#include "devices.h"
#include "training.h"
#include "tutti/plan.h"

static golden_file file;
static devices dev;

typedef struct session {
    tutti_plan *plan;
    tutti_run *run;
} session;

static void session_open(session *s, const tutti_graph *graph, int64_t batch) {
    OK(tutti_plan_make(graph, dev.runtime, &(tutti_plan_options){.batch = batch}, &s->plan));
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

typedef struct placed_case {
    golden value[CASE_INPUTS + 1], dout_value;
    tutti_tensor x[CASE_INPUTS], y, dout;
    int32_t n_in;
    bool has_grad;
} placed_case;

static bool has_grad_of(const golden_case *c, int32_t input) {
    golden grad;
    return golden_find(&file, &grad, "%s/grad%d", c->name, (int)input);
}

/* Adds the case to the graph; `loss` grows by sum(y * dout), so that dout is the gradient of y. */
static void place(tutti_graph *g, const golden_case *c, placed_case *p, tutti_tensor *loss) {
    char name[64];
    *p = (placed_case){.n_in = 0};
    for (; golden_find(&file, &p->value[p->n_in], "%s/in%d", c->name, p->n_in); p->n_in++) {
        const int i = p->n_in;
        snprintf(name, sizeof name, "%s.x%d", c->name, i);
        p->x[i] = make_input(g, name, &p->value[i], (c->batched >> i & 1) != 0);
        if (has_grad_of(c, i))
            OK(tutti_graph_want_grad(g, p->x[i]));
    }
    p->y = c->build(g, p->x);
    snprintf(name, sizeof name, "%s.y", c->name);
    OK(tutti_graph_set_output(g, name, p->y));
    p->has_grad = golden_find(&file, &p->dout_value, "%s/dout", c->name);
    if (!p->has_grad)
        return;
    snprintf(name, sizeof name, "%s.dout", c->name);
    p->dout = make_input(g, name, &p->dout_value, tutti_graph_tensor_shape(g, p->y).batched);
    const tutti_tensor part = tutti_sum(g, tutti_mul(g, p->y, p->dout), 0, NULL, false);
    *loss = loss->id == 0 ? part : tutti_add(g, *loss, part);
}

/* Cases first to end - 1, a family, in one graph. */
static void check_family(size_t first, size_t end) {
    enum { N = 6 };
    tutti_graph *g;
    tutti_tensor loss = {0};
    placed_case placed[CASES];
    session s;
    OK(tutti_graph_make(&g));
    for (size_t c = first; c < end; c++)
        place(g, &cases[c], &placed[c], &loss);
    OK(tutti_graph_set_loss(g, loss));
    OK(tutti_graph_backward(g));
    tutti_feed feeds[CASES * (CASE_INPUTS + 1)];
    tutti_fetch fetches[CASES * (CASE_INPUTS + 1)];
    golden expected[CASES * (CASE_INPUTS + 1)];
    const char *names[CASES * (CASE_INPUTS + 1)][2];
    int32_t n_feeds = 0, n_fetches = 0;
    for (size_t c = first; c < end; c++) {
        static const char *const grad_names[CASE_INPUTS] = {"grad0", "grad1", "grad2", "grad3",
                                                            "grad4", "grad5", "grad6"};
        const placed_case *p = &placed[c];
        for (int32_t i = -1; i < p->n_in; i++) {
            if (i >= 0)
                feeds[n_feeds++] = (tutti_feed){p->x[i], p->value[i].data};
            if (i >= 0 && (!p->has_grad || !has_grad_of(&cases[c], i)))
                continue;
            const char *what = i < 0 ? "out" : grad_names[i];
            const tutti_tensor tensor = i < 0 ? p->y : tutti_graph_grad(g, p->x[i]);
            if (i >= 0) {
                char name[64];
                snprintf(name, sizeof name, "%s.%s", cases[c].name, what);
                OK(tutti_graph_set_output(g, name, tensor));
            }
            names[n_fetches][0] = cases[c].name;
            names[n_fetches][1] = what;
            expected[n_fetches] = golden_get(&file, cases[c].name, what);
            fetches[n_fetches] =
                (tutti_fetch){tensor, malloc((size_t)expected[n_fetches].count * 4)};
            n_fetches++;
        }
        if (p->has_grad)
            feeds[n_feeds++] = (tutti_feed){p->dout, p->dout_value.data};
    }
    OK(tutti_graph_freeze(g));
    session_open(&s, g, N);
    for (int split = 0; split < SPLITS; split++) {
        OK(set_split(&dev, s.run, split));
        for (int32_t i = 0; i < n_fetches; i++)
            memset(fetches[i].data, 0xFF, (size_t)expected[i].count * 4);
        OK(tutti_run_step(s.run, TUTTI_TRAIN, N, feeds, n_feeds, fetches, n_fetches));
        for (int32_t i = 0; i < n_fetches; i++)
            golden_check(names[i][0], names[i][1], expected[i].data, fetches[i].data,
                         expected[i].count, 1e-5);
    }
    for (int32_t i = 0; i < n_fetches; i++)
        free(fetches[i].data);
    session_close(&s);
    tutti_graph_free(g);
}

static void test_ops(void **state) {
    (void)state;
    for (size_t first = 1, end; first < CASES; first = end + 1) {
        for (end = first; end < CASES && cases[end].family == NULL; end++)
            ;
        print_message("%s: %d cases\n", cases[first - 1].family, (int)(end - first));
        check_family(first, end);
    }
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
                if (optimizer_has_average(&o, step))
                    check_tensor(&s, optimizer_cases[c].name, i == 0 ? "average_a" : "average_b",
                                 o.average[i], (const float *)o.averages[i].data + step * count,
                                 count, 1e-5);
            }
        }
        session_close(&s);
        tutti_graph_free(o.graph);
    }
}

static void check_network(int split) {
    mlp m;
    session s;
    mlp_make(&m);
    session_open(&s, m.graph, MLP_BATCH);
    OK(set_split(&dev, s.run, split));
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

static void test_network(void **state) {
    (void)state;
    for (int split = 0; split < SPLITS; split++)
        check_network(split);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ops),
                                       cmocka_unit_test(test_optimizers),
                                       cmocka_unit_test(test_network)};
    devices_open(&dev);
    golden_open(&file);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_close(&file);
    devices_close(&dev);
    return failed;
}
