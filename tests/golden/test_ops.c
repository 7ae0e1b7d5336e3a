/* Known answers of PyTorch for every op, forward and backward, through the ops' references. */
#include "cases.h"

static golden_file file;

static bool has_grad_of(const golden_case *c, int32_t input) {
    golden grad;
    return golden_find(&file, &grad, "%s/grad%d", c->name, (int)input);
}

static void check_case(const golden_case *c, uint32_t batched) {
    tutti_graph *g;
    golden value[CASE_INPUTS + 1], expected, dout_value;
    tutti_tensor x[CASE_INPUTS];
    int32_t n_in = 0;
    int64_t n = 1;
    OK(tutti_graph_make(&g));
    for (; golden_find(&file, &value[n_in], "%s/in%d", c->name, n_in); n_in++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", n_in);
        x[n_in] = make_input(g, name, &value[n_in], (batched >> n_in & 1) != 0);
        if ((batched >> n_in & 1) != 0)
            n = value[n_in].dim[0];
        if (has_grad_of(c, n_in))
            OK(tutti_graph_want_grad(g, x[n_in]));
    }
    const tutti_tensor y = c->build(g, x);
    const bool has_grad = golden_find(&file, &dout_value, "%s/dout", c->name);
    tutti_tensor dout = {0};
    if (has_grad) {
        /* d(sum(y * dout)) / dy = dout */
        dout = make_input(g, "dout", &dout_value, tutti_graph_tensor_shape(g, y).batched);
        OK(tutti_graph_set_loss(g, tutti_sum(g, tutti_mul(g, y, dout), 0, NULL, false)));
        OK(tutti_graph_backward(g));
    }
    OK(tutti_graph_set_output(g, "y", y));
    OK(tutti_graph_freeze(g));

    host h;
    host_open(&h, g, n);
    for (int32_t i = 0; i < n_in; i++)
        host_write(&h, x[i], value[i].data);
    if (has_grad)
        host_write(&h, dout, dout_value.data);
    host_step(&h);
    expected = golden_get(&file, c->name, "out");
    const tutti_shape shape = tutti_graph_tensor_shape(g, y);
    assert_int_equal(tutti_shape_count(&shape, n), expected.count);
    golden_check(c->name, "out", expected.data, h.data[y.id], expected.count, 1e-6);
    for (int32_t i = 0; i < n_in && has_grad; i++) {
        char name[16];
        snprintf(name, sizeof name, "grad%d", i);
        if (!has_grad_of(c, i))
            continue;
        expected = golden_get(&file, c->name, name);
        const tutti_tensor grad = tutti_graph_grad(g, x[i]);
        assert_int_not_equal(grad.id, 0);
        golden_check(c->name, name, expected.data, h.data[grad.id], expected.count, 2e-6);
    }
    host_close(&h);
    tutti_graph_free(g);
}

static void test_not_batched(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].family == NULL && (cases[i].batched & ONLY) == 0)
            check_case(&cases[i], 0);
}

static void test_batched(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].family == NULL && cases[i].batched != 0)
            check_case(&cases[i], cases[i].batched);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_batched),
                                       cmocka_unit_test(test_batched)};
    golden_open(&file);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_close(&file);
    return failed;
}
