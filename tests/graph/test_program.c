/* Which nodes a mode takes, the order of updates, buckets, the limits of fusion, and the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "graph/interp.h"
#include "graph/lowering.h"
#include "op/ops.h"

static const tutti_init zeros = {.kind = TUTTI_INIT_ZEROS};

static tutti_graph *fresh(void) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    return g;
}

static tutti_tensor batch_input(tutti_graph *g, const char *name, int64_t columns) {
    return tutti_graph_input(g, name, TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, columns});
}

static void freeze(tutti_graph *g) {
    if (tutti_graph_freeze(g) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

static tutti_program program_of(const tutti_graph *g, tutti_mode mode, tutti_arena *arena) {
    tutti_program program;
    if (tutti_program_make(g, mode, arena, &program) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    return program;
}

/* Names of inputs and fetches (outputs' names), space-separated. */
static void expect_program(const tutti_graph *g, tutti_mode mode, const char *inputs,
                           const char *fetches) {
    tutti_arena arena = {0};
    const tutti_program p = program_of(g, mode, &arena);
    char text[256] = "";
    for (int32_t i = 0; i < p.n_inputs; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ",
                 tutti_graph_tensor_name(g, p.inputs[i]));
    assert_string_equal(text, inputs);
    text[0] = '\0';
    for (int32_t i = 0; i < p.n_fetches; i++) {
        const char *name = p.fetches[i].id == g->loss.id ? "loss" : "?";
        for (int32_t k = 0; k < g->n_outputs; k++)
            if (g->outputs[k].tensor.id == p.fetches[i].id)
                name = g->outputs[k].name;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", name);
    }
    assert_string_equal(text, fetches);
    tutti_arena_free(&arena);
}

static void output(tutti_graph *g, const char *name, tutti_tensor t) {
    assert_int_equal(tutti_graph_set_output(g, name, t), TUTTI_OK);
}

static void set_loss(tutti_graph *g, tutti_tensor t) {
    if (tutti_graph_set_loss(g, t) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

static tutti_tensor dense(tutti_graph *g, tutti_tensor x, int64_t k, const char *name) {
    return tutti_matmul(g, x, tutti_graph_param(g, name, 2, (int64_t[]){k, 4}, zeros), false,
                        false);
}

static tutti_tensor mean_square(tutti_graph *g, tutti_tensor x) {
    return tutti_mean(g, tutti_mul(g, x, x), 0, NULL, false);
}

static void test_predict(void **state) {
    (void)state;
    /* A classifier: outputs before the loss, beside it, and from the labels. */
    tutti_graph *g = fresh();
    tutti_tensor x = batch_input(g, "x", 3);
    tutti_tensor t = tutti_graph_input(g, "t", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor y = dense(g, x, 3, "w");
    output(g, "logits", y);
    output(g, "probabilities", tutti_softmax(g, y));
    output(g, "accuracy", tutti_accuracy(g, y, t));
    set_loss(g, tutti_softmax_cross_entropy(g, y, t));
    assert_int_equal(tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_OK);
    freeze(g);
    expect_program(g, TUTTI_TRAIN, "x t ", "loss logits probabilities accuracy ");
    expect_program(g, TUTTI_EVAL, "x t ", "loss logits probabilities accuracy ");
    expect_program(g, TUTTI_PREDICT, "x ", "logits probabilities ");
    tutti_graph_free(g);

    /* No output on the way to the loss; the loss also reads a parameter. */
    g = fresh();
    x = batch_input(g, "x", 3);
    t = batch_input(g, "t", 4);
    const tutti_tensor w = tutti_graph_param(g, "w", 2, (int64_t[]){3, 4}, zeros);
    y = tutti_matmul(g, x, w, false, false);
    output(g, "accuracy", tutti_binary_accuracy(g, y, t));
    output(g, "probabilities", tutti_sigmoid(g, y));
    set_loss(g, tutti_add(g, tutti_mse(g, y, t), mean_square(g, w)));
    freeze(g);
    expect_program(g, TUTTI_EVAL, "x t ", "loss accuracy probabilities ");
    expect_program(g, TUTTI_PREDICT, "x ", "probabilities ");
    tutti_graph_free(g);

    /* Two inputs that meet parameters are both data, although an output does without one. */
    g = fresh();
    tutti_tensor a = batch_input(g, "a", 3), b = batch_input(g, "b", 3);
    const tutti_tensor ya = dense(g, a, 3, "wa");
    y = tutti_add(g, ya, dense(g, b, 3, "wb"));
    output(g, "of a", tutti_sigmoid(g, ya));
    output(g, "of both", tutti_sigmoid(g, y));
    set_loss(g, mean_square(g, y));
    freeze(g);
    expect_program(g, TUTTI_PREDICT, "a b ", "of a of both ");
    tutti_graph_free(g);

    /* Without a loss all outputs are predictions; without an output there is nothing to predict. */
    g = fresh();
    x = batch_input(g, "x", 3);
    output(g, "y", tutti_neg(g, x));
    output(g, "x itself", x);
    freeze(g);
    expect_program(g, TUTTI_PREDICT, "x ", "y x itself ");
    tutti_graph_free(g);
    g = fresh();
    set_loss(g, mean_square(g, batch_input(g, "x", 3)));
    freeze(g);
    expect_program(g, TUTTI_PREDICT, "", "");
    expect_program(g, TUTTI_EVAL, "x ", "loss ");
    tutti_graph_free(g);
}

/* state = (state + value) / 2, and the new state as output. */
static tutti_status ema_infer(const tutti_node_info *node, tutti_infer *out) {
    out->type = node->in_type[0];
    return TUTTI_OK;
}

static void ema_ref(const tutti_ref_call *call) {
    float *value = call->in[0];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, call->run->n);
    for (int64_t i = 0; i < count; i++)
        value[i] = (value[i] + ((float *)call->in[1])[i]) / 2;
}

static const tutti_op ema = {.name = "ema",
                             .n_in_min = 2,
                             .n_in_max = 2,
                             .n_out = 1,
                             .flags = TUTTI_OP_UPDATE | TUTTI_OP_NO_GRAD,
                             .mutates = 1,
                             .infer = ema_infer,
                             .ref = ema_ref};

static tutti_tensor apply_ema(tutti_graph *g, tutti_tensor a, tutti_tensor b) {
    return tutti_op_apply1(g, &ema, (tutti_tensor[]){a, b}, 2, NULL, 0);
}

/* A running mean of the batch, as batch normalisation keeps: read on each device when evaluating,
 * so it is sent there after training steps. */
static void test_updates(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = batch_input(g, "x", 2);
    const tutti_tensor running = tutti_graph_state(g, "running", 1, (int64_t[]){2}, zeros);
    const tutti_tensor old = tutti_graph_state(g, "old", 1, (int64_t[]){2}, zeros);
    const tutti_tensor next = tutti_graph_state(g, "next", 1, (int64_t[]){2}, zeros);
    /* One update follows the value before the first, the other the value after it, although both
     * nodes come later. */
    const tutti_tensor mean = tutti_mean(g, x, 1, (int32_t[]){0}, false);
    const tutti_tensor changed = apply_ema(g, running, mean);
    (void)apply_ema(g, old, tutti_scale(g, running, 2));
    (void)apply_ema(g, next, tutti_scale(g, changed, 2));
    output(g, "centred", tutti_sub(g, x, running));
    freeze(g);
    expect_program(g, TUTTI_EVAL, "x ", "centred ");
    tutti_arena arena = {0};
    const tutti_program p = program_of(g, TUTTI_TRAIN, &arena);
    assert_true(p.on_each[running.id]);
    assert_false(p.on_each[old.id] || p.on_each[next.id]);
    interp in;
    interp_make(&in, g, 3, (int64_t[]){3, 0, 1}, 1, 9);
    float values[8] = {1, 2, 3, 4, 5, 6, 7, 8}, centred[8], follow[2][2] = {{0}};
    for (int32_t step = 0; step < 3; step++) {
        interp_step(&in, &p, (void *[]){values});
        interp_fetch(&in, tutti_graph_find(g, "centred"), centred);
        for (int32_t i = 0; i < 2; i++) {
            const float target = 4 + (float)i; /* the mean */
            const float was = target * (float[]){0, 0.5F, 0.75F}[step];
            const float is = target * (float[]){0.5F, 0.75F, 0.875F}[step];
            follow[0][i] = (follow[0][i] + 2 * was) / 2;
            follow[1][i] = (follow[1][i] + 2 * is) / 2;
            assert_float_equal(centred[i], values[i] - was, 1e-5);
            for (int32_t d = 0; d < 3; d++)
                assert_float_equal(((float *)in.memory[d][running.id])[i], is, 1e-5);
            assert_float_equal(((float *)in.memory[1][old.id])[i], follow[0][i], 1e-5);
            assert_float_equal(((float *)in.memory[1][next.id])[i], follow[1][i], 1e-5);
        }
    }
    interp_free(&in);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

/* by_mode computes what its mode needs and nothing else, through the gradient too; alone, as an
 * output, and in front of a sum over the batch. */
static void test_by_mode(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = batch_input(g, "x", 2);
    const tutti_tensor running = tutti_graph_state(g, "running", 1, (int64_t[]){2}, zeros);
    const tutti_tensor w = tutti_graph_param(g, "w", 1, (int64_t[]){2}, zeros);
    const tutti_tensor mean = tutti_mean(g, tutti_mul(g, x, w), 1, (int32_t[]){0}, false);
    const tutti_tensor centre = tutti_by_mode(g, mean, running);
    (void)apply_ema(g, running, mean);
    const tutti_tensor y = tutti_sub(g, tutti_tanh(g, x), centre);
    output(g, "y", y);
    output(g, "centre", centre);
    set_loss(g, tutti_mean(g, tutti_mul(g, y, y), 0, NULL, false));
    assert_int_equal(tutti_graph_backward(g), TUTTI_OK);
    output(g, "grad", tutti_graph_grad(g, w));
    freeze(g);
    tutti_arena arena = {0};
    const tutti_program train = program_of(g, TUTTI_TRAIN, &arena);
    const tutti_program eval = program_of(g, TUTTI_EVAL, &arena);
    const tutti_program predict = program_of(g, TUTTI_PREDICT, &arena);
    assert_true(train.used[mean.id] && train.on_each[running.id]);
    assert_true(eval.used[centre.id]);
    assert_false(predict.used[centre.id]); /* no output there: y reads the state itself */
    assert_false(predict.used[mean.id]);   /* neither the mean nor what it is made of */
    for (int32_t k = 0; k < predict.n_items; k++) {
        assert_int_equal(predict.items[k].kind, TUTTI_ITEM_NODE);
        for (int32_t i = 0; i < predict.items[k].node.n_in; i++)
            assert_int_not_equal(predict.items[k].node.in[i].id, w.id);
    }
    const int64_t shares[][3] = {{4, 0, 0}, {1, 3, 0}, {1, 1, 2}, {0, 4, 0}};
    for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
        interp in;
        float values[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y_values[8], c[2], dw[2];
        interp_make(&in, g, 3, shares[s], 0, 5);
        const float *weight = in.memory[0][w.id];
        for (int32_t round = 0; round < 2; round++) {
            interp_step(&in, &train, (void *[]){values});
            interp_fetch(&in, centre, c);
            interp_fetch(&in, tutti_graph_find(g, "grad"), dw);
            for (int32_t i = 0; i < 2; i++) {
                const double expected = (4.0 + i) * (double)weight[i];
                double mean_y = 0;
                for (int32_t k = i; k < 8; k += 2)
                    mean_y += (tanh((double)values[k]) - expected) / 4;
                assert_true(fabs((double)c[i] - expected) < 1e-5);
                /* d mean(y^2) / d centre = -2 mean(y) / 2 columns, d centre / dw = mean(x) */
                assert_true(fabs((double)dw[i] + mean_y * (4.0 + i)) < 1e-4);
            }
            interp_step(&in, &eval, (void *[]){values});
            interp_fetch(&in, centre, c);
            interp_fetch(&in, tutti_graph_find(g, "y"), y_values);
            interp_fetch(&in, tutti_graph_find(g, "grad"), dw);
            for (int32_t i = 0; i < 2; i++) {
                const double part = round == 0 ? 0.5 : 0.75;
                const double expected = part * (4.0 + i) * (double)weight[i];
                assert_true(fabs((double)c[i] - expected) < 1e-5);
                assert_true(fabs((double)y_values[6 + i] -
                                 (tanh((double)values[6 + i]) - expected)) < 1e-5);
                assert_true(dw[i] == 0); /* the state does not depend on w */
            }
        }
        interp_free(&in);
    }
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void expect_refused(tutti_graph *g, tutti_status status, const char *message) {
    tutti_arena arena = {0};
    tutti_program program;
    freeze(g);
    assert_int_equal(tutti_program_make(g, TUTTI_TRAIN, &arena, &program), status);
    if (strstr(tutti_error_message(), message) == NULL)
        fail_msg("got: %s\nexpected: %s", tutti_error_message(), message);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void test_bad_updates(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor a = tutti_graph_state(g, "a", 0, NULL, zeros);
    const tutti_tensor b = tutti_graph_state(g, "b", 0, NULL, zeros);
    (void)apply_ema(g, a, b);
    (void)apply_ema(g, b, a);
    output(g, "o", a);
    expect_refused(g, TUTTI_INVALID_ARGUMENT, "updates read what each other changes");

    g = fresh();
    const tutti_tensor s = tutti_graph_state(g, "s", 0, NULL, zeros);
    (void)apply_ema(g, s, s);
    (void)apply_ema(g, s, s);
    output(g, "o", s);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_INVALID_ARGUMENT);
    assert_string_equal(tutti_error_message(), "s: changed by node 0 (ema) and by node 1 (ema)");
    tutti_graph_free(g);

    g = fresh();
    const tutti_tensor i = tutti_graph_input(g, "i", TUTTI_F32, 0, NULL);
    (void)apply_ema(g, i, i);
    output(g, "o", i);
    assert_int_equal(tutti_graph_freeze(g), TUTTI_INVALID_ARGUMENT);
    assert_non_null(strstr(tutti_error_message(), "ema (node 0): changes i, but only updates"));
    tutti_graph_free(g);

    g = fresh();
    const tutti_tensor u = tutti_graph_state(g, "u", 1, (int64_t[]){2}, zeros);
    output(g, "o", tutti_add(g, batch_input(g, "x", 2), apply_ema(g, u, u)));
    expect_refused(g, TUTTI_UNSUPPORTED, "ema (node 0): an update runs once per step");

    g = fresh();
    const tutti_tensor v = tutti_graph_state(g, "v", 1, (int64_t[]){2}, zeros);
    output(g, "o", tutti_neg(g, apply_ema(g, v, v)));
    expect_refused(g, TUTTI_UNSUPPORTED, "neg.1: comes after the updates of a step");
}

static void test_buckets(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = batch_input(g, "x", 1);
    tutti_tensor loss = {0};
    /* 400 KB to 5.2 MB */
    static const int64_t columns[] = {100000, 100000,  100000, 500000, 600000, 100,
                                      7,      1300000, 900000, 200000, 3};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", (int)i);
        const tutti_tensor w = tutti_graph_param(g, name, 1, &columns[i], zeros);
        const tutti_tensor part = tutti_mean(g, tutti_tanh(g, tutti_mul(g, x, w)), 0, NULL, false);
        loss = i == 0 ? part : tutti_add(g, loss, part);
    }
    set_loss(g, loss);
    assert_int_equal(tutti_graph_optimize(g, &(tutti_optimizer){0}), TUTTI_OK);
    freeze(g);
    tutti_arena arena = {0};
    const tutti_program p = program_of(g, TUTTI_TRAIN, &arena);
    int32_t reduces = 0, reduced = 0, sent = 0;
    for (int32_t k = 0; k < p.n_items; k++) {
        const tutti_item *item = &p.items[k];
        if (item->kind == TUTTI_ITEM_NODE)
            continue;
        int64_t bytes = 0;
        for (int32_t i = 0; i < item->n_tensors; i++)
            bytes += 4 * tutti_shape_count(&g->tensors[item->tensors[i].id].type.shape, 1);
        const bool first = item->kind == TUTTI_ITEM_REDUCE && reduces == 0;
        assert_true(item->n_tensors == 1 ||
                    bytes <= (first ? TUTTI_BUCKET_FIRST_BYTES : TUTTI_BUCKET_BYTES));
        reduces += item->kind == TUTTI_ITEM_REDUCE;
        reduced += item->kind == TUTTI_ITEM_REDUCE ? item->n_tensors : 0;
        sent += item->kind == TUTTI_ITEM_BROADCAST ? item->n_tensors : 0;
    }
    assert_int_equal(reduced, 12);
    assert_int_equal(sent, 11);
    assert_in_range(reduces, 4, 8);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

/* With accumulated gradients, updates and the sending of parameters come every K-th step; the
 * gradients' sums and a running statistic, and its sending, every step. */
static void test_accumulation(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = batch_input(g, "x", 3);
    const tutti_tensor w = tutti_graph_param(g, "w", 1, (int64_t[]){3}, zeros);
    const tutti_tensor s = tutti_graph_state(g, "s", 1, (int64_t[]){3}, zeros);
    const tutti_tensor b = tutti_graph_param(g, "b", 1, (int64_t[]){3}, zeros);
    const tutti_tensor y = tutti_add(g, tutti_mul(g, tutti_sub(g, x, s), w), b);
    set_loss(g, mean_square(g, y));
    const tutti_tensor mean = tutti_mean(g, x, 1, (int32_t[]){0}, false);
    assert_int_equal(
        tutti_running_average(g, s, mean, &(tutti_running_average_attr){.momentum = 0.5}),
        TUTTI_OK);
    assert_int_equal(
        tutti_graph_optimize(
            g, &(tutti_optimizer){.clip_norm = 1, .accumulate = 3, .average_decay = 0.5F}),
        TUTTI_OK);
    freeze(g);
    assert_int_not_equal(tutti_graph_average(g, w).id, 0);
    assert_int_equal(tutti_graph_average(g, s).id, 0);
    tutti_arena arena = {0};
    const tutti_program p = program_of(g, TUTTI_TRAIN, &arena);
    int32_t always = 0, rarely = 0;
    for (int32_t k = 0; k < p.n_items; k++) {
        const tutti_item *item = &p.items[k];
        const bool sends = item->kind == TUTTI_ITEM_BROADCAST;
        const bool updates =
            item->kind == TUTTI_ITEM_NODE && (item->node.op->flags & TUTTI_OP_UPDATE) != 0;
        int32_t n_members;
        const tutti_op *op = tutti_node_members(&item->node, &n_members)->op;
        const bool sums =
            updates && (op == &tutti_op_accumulate || op == &tutti_op_running_average);
        for (int32_t i = 0; sends && i < item->n_tensors; i++)
            assert_int_equal(item->tensors[i].id == s.id, item->every <= 1);
        if (!item->commit || sums)
            assert_true(item->every <= 1);
        else if (updates)
            assert_int_equal(item->every, 3);
        always += sends && item->every <= 1 ? item->n_tensors : 0;
        rarely += sends && item->every == 3 ? item->n_tensors : 0;
        assert_true(tutti_item_is_due(item, 2) && tutti_item_is_due(item, 5));
        assert_int_equal(tutti_item_is_due(item, 0), item->every <= 1);
        assert_int_equal(tutti_item_is_due(item, 3), item->every <= 1);
    }
    assert_int_equal(always, 1);
    assert_int_equal(rarely, 2);
    char *text;
    assert_int_equal(tutti_program_print(g, &p, &text), TUTTI_OK);
    assert_non_null(strstr(text, "w, b; every 3 steps"));
    free(text);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

/* The source of the n-th generated kernel. */
static char *source_of(const tutti_program *p, int32_t nth, tutti_arena *arena) {
    for (int32_t k = 0; k < p->n_items; k++) {
        tutti_lowering lowering;
        if (p->items[k].node.op != &tutti_op_fused || nth-- > 0)
            continue;
        assert_int_equal(tutti_node_lower(&p->items[k].node, NULL, 8, arena, &lowering), TUTTI_OK);
        return (char *)(uintptr_t)lowering.candidates[0].launches[0].source;
    }
    fail_msg("too few generated kernels");
    return NULL;
}

static void test_fusion(void **state) {
    (void)state;
    /* Long chains and many operands stay within the limits. */
    tutti_graph *g = fresh();
    tutti_tensor x = batch_input(g, "x", 2), sum = x;
    for (int32_t i = 0; i < 100; i++)
        x = tutti_add_scalar(g, x, 1);
    for (int32_t i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%d", (int)i);
        sum = tutti_add(g, sum, batch_input(g, name, 2));
    }
    output(g, "chain", x);
    output(g, "sum", sum);
    freeze(g);
    tutti_arena arena = {0};
    tutti_program p = program_of(g, TUTTI_PREDICT, &arena);
    int32_t members = 0;
    for (int32_t k = 0; k < p.n_items; k++) {
        const tutti_node_info *node = &p.items[k].node;
        assert_in_range(tutti_fused_size(node), 1, TUTTI_FUSE_MEMBERS_MAX);
        assert_true(node->n_in + node->n_out <= TUTTI_FUSE_OPERANDS_MAX);
        members += tutti_fused_size(node);
    }
    assert_int_equal(members, 160);
    assert_in_range(p.n_items, 7, 12);
    tutti_arena_free(&arena);
    tutti_graph_free(g);

    /* Equal chains give equal text; a value needed outside is written; a reader between the members
     * keeps them apart. */
    g = fresh();
    for (int32_t i = 0; i < 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", (int)i);
        const tutti_tensor in = batch_input(g, name, 5);
        snprintf(name, sizeof name, "b%d", (int)i);
        const tutti_tensor b = tutti_graph_param(g, name, 1, (int64_t[]){5}, zeros);
        const tutti_tensor y = tutti_tanh(g, tutti_add(g, in, b));
        const tutti_tensor z = tutti_scale(g, y, 2);
        const tutti_tensor total = tutti_softmax(g, z);
        snprintf(name, sizeof name, "y%d", (int)i);
        output(g, name, y);
        snprintf(name, sizeof name, "z%d", (int)i);
        output(g, name, tutti_neg(g, tutti_mul(g, z, total)));
    }
    freeze(g);
    p = program_of(g, TUTTI_PREDICT, &arena);
    assert_int_equal(p.n_items, 6);
    assert_string_equal(tutti_fused_label(&p.items[0].node), "add+tanh+scale");
    assert_int_equal(p.items[0].node.n_out, 2);
    assert_string_equal(tutti_fused_label(&p.items[2].node), "mul+neg");
    assert_string_equal(tutti_fused_label(&p.items[1].node), "softmax");
    assert_int_equal(tutti_fused_size(&p.items[1].node), 1);
    assert_string_equal(source_of(&p, 0, &arena), source_of(&p, 2, &arena));
    assert_string_equal(source_of(&p, 1, &arena), source_of(&p, 3, &arena));
    assert_string_not_equal(source_of(&p, 0, &arena), source_of(&p, 1, &arena));
    /* Cost: bytes of what is outside only. */
    const tutti_cost cost = p.items[0].node.op->cost(&p.items[0].node, 7);
    assert_true(cost.bytes == 4.0 * (7 * 5 * 3 + 5));
    assert_true(cost.flops >= 7 * 5 * 3);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void test_print(void **state) {
    (void)state;
    tutti_graph *g = fresh();
    const tutti_tensor x = batch_input(g, "x", 2);
    const tutti_tensor w = tutti_graph_param(g, "w", 1, (int64_t[]){2}, zeros);
    const tutti_tensor s = tutti_graph_state(g, "s", 1, (int64_t[]){2}, zeros);
    const tutti_tensor y = tutti_neg(g, tutti_mul(g, x, w));
    (void)apply_ema(g, s, tutti_sum(g, y, 1, (int32_t[]){0}, false));
    (void)tutti_graph_scalar(g, "lr", 0.5F);
    output(g, "y", y);
    freeze(g);
    char *text;
    assert_int_equal(tutti_graph_print(g, &text), TUTTI_OK);
    assert_string_equal(text, "input  x: f32 Nx2\n"
                              "param  w: f32 2\n"
                              "state  s: f32 2\n"
                              "scalar lr: 0.5\n"
                              "node   mul.0: f32 Nx2 = mul(x, w)\n"
                              "node   neg.1: f32 Nx2 = neg(mul.0)\n"
                              "node   sum.2: f32 2 = sum(neg.1)\n"
                              "node   ema.3: f32 2 = ema(s, sum.2)\n"
                              "output y: neg.1\n");
    tutti_free(text);
    for (int32_t i = 0; i < 2; i++) {
        tutti_arena arena = {0};
        const tutti_program p = program_of(g, TUTTI_TRAIN, &arena);
        assert_int_equal(tutti_program_print(g, &p, &text), TUTTI_OK);
        assert_string_equal(text, "inputs: x\n"
                                  "fetches: neg.1\n"
                                  "run       each         sum.2: f32 2, neg.1: f32 Nx2 = "
                                  "mul+neg+sum(x, w)\n"
                                  "reduce    owner        sum.2\n"
                                  "run       owner commit ema.3: f32 2 = ema(s, sum.2)\n");
        tutti_free(text);
        tutti_arena_free(&arena);
    }
    tutti_program program;
    tutti_arena arena = {0};
    tutti_graph *open = fresh();
    assert_int_equal(tutti_program_make(open, TUTTI_TRAIN, &arena, &program), TUTTI_STATE);
    tutti_graph_free(open);
    tutti_arena_free(&arena);
    tutti_graph_free(g);
}

static void quiet(void *user, tutti_log_level level, const char *message) {
    (void)user, (void)level, (void)message;
}

int main(void) {
    tutti_log_set(quiet, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_predict),     cmocka_unit_test(test_updates),
        cmocka_unit_test(test_bad_updates), cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_fusion),      cmocka_unit_test(test_print),
        cmocka_unit_test(test_by_mode),     cmocka_unit_test(test_accumulation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
