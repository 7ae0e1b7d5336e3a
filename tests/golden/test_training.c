/* Optimizers and a small network against PyTorch, through the ops' references. */
#include "training.h"

static golden_file file;

static void test_optimizers(void **state) {
    (void)state;
    for (size_t c = 0; c < OPTIMIZER_CASES; c++) {
        optimizer_graph o;
        host h;
        optimizer_graph_make(&file, &optimizer_cases[c], &o);
        host_open(&h, o.graph, 1);
        for (int i = 0; i < 2; i++)
            host_write(&h, o.param[i], o.start[i].data);
        for (int64_t step = 0; step < o.after[0].dim[0]; step++) {
            h.scalars[0] = optimizer_lr(step);
            for (int i = 0; i < 2; i++)
                host_write(&h, o.grad[i],
                           (const float *)o.grads[i].data + step * o.grads[i].dim[1]);
            host_step(&h);
            for (int i = 0; i < 2; i++) {
                const int64_t count = o.after[i].dim[1];
                golden_check(optimizer_cases[c].name, i == 0 ? "a" : "b",
                             (const float *)o.after[i].data + step * count, h.data[o.param[i].id],
                             count, 1e-6);
                if (optimizer_has_average(&o, step))
                    golden_check(optimizer_cases[c].name, i == 0 ? "average_a" : "average_b",
                                 (const float *)o.averages[i].data + step * count,
                                 h.data[o.average[i].id], count, 1e-6);
            }
        }
        host_close(&h);
        tutti_graph_free(o.graph);
    }
}

static void test_network(void **state) {
    (void)state;
    mlp m;
    host h;
    mlp_make(&m);
    host_open(&h, m.graph, MLP_BATCH);
    for (int i = 0; i < 4; i++)
        host_write(&h, tutti_graph_find(m.graph, mlp_params[i]),
                   golden_get(&file, "mlp/start", mlp_params[i]).data);
    const golden x = golden_get(&file, "mlp", "x"), labels = golden_get(&file, "mlp", "labels");
    const golden losses = golden_get(&file, "mlp", "losses");
    for (int64_t step = 0; step < MLP_STEPS; step++) {
        host_write(&h, m.x, (const float *)x.data + step * MLP_BATCH * 8);
        host_write(&h, m.labels, (const int32_t *)labels.data + step * MLP_BATCH);
        host_step(&h);
        golden_check("mlp", "losses", (const float *)losses.data + step, h.data[m.loss.id], 1,
                     1e-5);
    }
    for (int i = 0; i < 4; i++) {
        const golden end = golden_get(&file, "mlp/end", mlp_params[i]);
        golden_check("mlp/end", mlp_params[i], end.data,
                     h.data[tutti_graph_find(m.graph, mlp_params[i]).id], end.count, 1e-5);
    }
    host_close(&h);
    tutti_graph_free(m.graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_optimizers),
                                       cmocka_unit_test(test_network)};
    golden_open(&file);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_close(&file);
    return failed;
}
