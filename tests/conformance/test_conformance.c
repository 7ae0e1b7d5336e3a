/* Walks all ops: bad inputs are refused with the promised text, gradients agree with differences,
 * every candidate agrees with the reference on every OpenCL device present. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conformance/devices.h"
#include "conformance/gradient.h"

static void every_op_is_complete(void **state) {
    (void)state;
    int32_t n_ops, bad = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    assert_true(n_ops > 30);
    for (int32_t o = 0; o < n_ops; o++) {
        const tutti_op *op = ops[o];
        const char *missing = NULL;
        int32_t accepted = 0, refused = 0;
        for (int32_t e = 0; e < op->n_examples; e++)
            op->examples[e].refused != NULL ? refused++ : accepted++;
        if (op->summary == NULL || op->infer == NULL || op->cost == NULL)
            missing = "summary, infer or cost";
        else if (op->grad == NULL && (op->flags & TUTTI_OP_NO_GRAD) == 0)
            missing = "grad, and no flag NO_GRAD";
        else if (op->ref == NULL && (op->flags & TUTTI_OP_ALIAS) == 0)
            missing = "ref";
        else if (op->lower == NULL && (op->flags & (TUTTI_OP_ALIAS | TUTTI_OP_ELEMENTWISE)) == 0)
            missing = "lower";
        else if ((op->flags & TUTTI_OP_ELEMENTWISE) != 0 && op->expr == NULL)
            missing = "expr";
        else if (accepted == 0)
            missing = "example that is accepted";
        else if (refused == 0 && op->n_in_max > 0)
            missing = "example that is refused";
        if (missing != NULL) {
            print_error("%s: has no %s\n", op->name, missing);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void bad_inputs_are_refused(void **state) {
    (void)state;
    int32_t n_ops, bad = 0, checked = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples; e++) {
            const tutti_op_example *example = &ops[o]->examples[e];
            conf_case c;
            const tutti_status status = case_make(&c, ops[o], example);
            const char *message = tutti_graph_message(c.graph);
            if (example->refused == NULL && status != TUTTI_OK) {
                print_error("%s: %s: refused: %s\n", ops[o]->name, example->label, message);
                bad++;
            } else if (example->refused != NULL) {
                checked++;
                if (status == TUTTI_OK || strstr(message, example->refused) == NULL) {
                    print_error("%s: %s: %s \"%s\", expected \"%s\"\n", ops[o]->name,
                                example->label, tutti_status_name(status), message,
                                example->refused);
                    bad++;
                }
            }
            case_free(&c);
        }
    assert_true(checked > 10);
    assert_int_equal(bad, 0);
}

static void gradients_agree_with_differences(void **state) {
    (void)state;
    int32_t n_ops, bad = 0, checked = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++) {
        if (ops[o]->grad == NULL || !in_shard(o))
            continue;
        for (int32_t e = 0; e < ops[o]->n_examples; e++) {
            const tutti_op_example *example = &ops[o]->examples[e];
            conf_case c;
            char text[256] = "";
            tutti_rng rng = rng_of(ops[o], example);
            if (example->refused != NULL)
                continue;
            if (case_make(&c, ops[o], example) == TUTTI_OK) {
                checked++;
                if (!gradient_agrees(&c, &rng, text)) {
                    print_error("%s: %s: %s\n", ops[o]->name, example->label, text);
                    bad++;
                }
            }
            case_free(&c);
        }
    }
    assert_true(checked > 50 / shard_count);
    assert_int_equal(bad, 0);
}

/* A gradient that is wrong in one factor, to show that the check can fail. */
static tutti_status wrong_grad(tutti_graph *graph, const tutti_node_info *node,
                               const tutti_tensor *dout, const bool *want, tutti_tensor *din) {
    tutti_status status = tutti_op_matmul.grad(graph, node, dout, want, din);
    din[1] = tutti_scale(graph, din[1], 1.1F);
    return status;
}

static void a_wrong_gradient_is_found(void **state) {
    (void)state;
    tutti_op wrong = tutti_op_matmul;
    wrong.grad = wrong_grad;
    conf_case c;
    char text[256];
    const tutti_op_example *example = &wrong.examples[3];
    tutti_rng rng = rng_of(&wrong, example);
    assert_int_equal(case_make(&c, &wrong, example), TUTTI_OK);
    assert_false(gradient_agrees(&c, &rng, text));
    case_free(&c);
}

/* Generated kernels, kernels that take such operands, and some that get copies in f32 (graph/widen.c), in
 * f16 and bf16. Of those that take long to compile, an example for each kernel. */
static bool is_tried_narrow(const tutti_op *op, const tutti_op_example *example) {
    static const tutti_op *const ops[] = {&tutti_op_add, &tutti_op_where, &tutti_op_sigmoid,
                                          &tutti_op_max_pool2d};
    static const char *const products[] = {"over the tiles",    "over the tiles NT",
                                           "over the tiles TN", "over the tiles TT",
                                           "few columns",       "few rows"};
    static const char *const convolutions[] = {"3x3, same size", "stride 2", "small",
                                               "tiles of 4x4"};
    for (size_t i = 0; i < sizeof products / sizeof *products && op == &tutti_op_matmul; i++)
        if (strcmp(example->label, products[i]) == 0)
            return true;
    if (op == &tutti_op_batched_matmul &&
        (strcmp(example->label, "samples") == 0 || strcmp(example->label, "heads NT") == 0))
        return true;
    for (size_t i = 0; i < sizeof convolutions / sizeof *convolutions; i++)
        if ((op == &tutti_op_conv2d || op == &tutti_op_conv2d_weight_grad) &&
            strcmp(example->label, convolutions[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (ops[i] == op)
            return true;
    return false;
}

static void candidates_agree_with_references(void **state) {
    (void)state;
    int32_t n_ops, n_pairs = 0, total = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++)
        total += ops[o]->n_examples;
    conf_pair *pairs = calloc((size_t)total * 2, sizeof *pairs);
    assert_non_null(pairs);
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples && in_shard(o); e++)
            if (ops[o]->examples[e].refused == NULL)
                pairs[n_pairs++] = (conf_pair){.op = ops[o], .example = &ops[o]->examples[e]};
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples && in_shard(o); e++)
            if (ops[o]->examples[e].refused == NULL &&
                is_tried_narrow(ops[o], &ops[o]->examples[e]))
                pairs[n_pairs++] =
                    (conf_pair){ops[o], &ops[o]->examples[e], e % 2 == 0 ? TUTTI_F16 : TUTTI_BF16};
    const int32_t bad = check_devices(pairs, n_pairs);
    free(pairs);
    assert_int_equal(bad, 0);
}

int main(void) {
    settings_read();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_is_complete),
        cmocka_unit_test(bad_inputs_are_refused),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(a_wrong_gradient_is_found),
        cmocka_unit_test(candidates_agree_with_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
