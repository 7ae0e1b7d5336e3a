/* Every allocation of a graph and of its programs fails in turn. */
#include "oom.h"

#include <stdio.h>

#include "graph/program.h"
#include "op/ops.h"
#include "tutti/nn.h"

/* So many that every array grows after the first. */
#define OUTPUTS 20

static tutti_status define(tutti_graph *g) {
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 6});
    const tutti_tensor t = tutti_graph_input(g, "t", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor y = tutti_dropout(g, tutti_gelu(g, tutti_nn_linear(g, x, 5, "a", NULL)), 0.25F);
    char name[16];
    for (int32_t i = 0; i < OUTPUTS; i++) {
        snprintf(name, sizeof name, "y%d", (int)i);
        y = tutti_tanh(g, tutti_add_scalar(g, y, 0.5F));
        (void)tutti_graph_set_output(g, name, y);
        snprintf(name, sizeof name, "s%d", (int)i);
        (void)tutti_graph_scalar(g, name, 1);
    }
    const tutti_tensor logits = tutti_nn_linear(g, y, 3, "b", NULL);
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, t));
    (void)tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, t));
    (void)tutti_graph_optimize(
        g, &(tutti_optimizer){
               .kind = TUTTI_ADAM, .clip_norm = 1, .accumulate = 2, .average_decay = 0.5F});
    return tutti_graph_freeze(g);
}

static tutti_status use_graph(void) {
    tutti_graph *g = NULL;
    tutti_status status = tutti_graph_make(&g);
    if (status == TUTTI_OK)
        status = define(g);
    char *text = NULL;
    if (status == TUTTI_OK)
        status = tutti_graph_print(g, &text);
    tutti_free(text);
    tutti_graph_free(g);
    return status;
}

static tutti_graph *frozen;

static tutti_status use_programs(void) {
    tutti_arena arena = {0};
    tutti_status status = TUTTI_OK;
    for (int mode = 0; mode < TUTTI_MODE_COUNT && status == TUTTI_OK; mode++) {
        tutti_program program;
        char *text = NULL;
        status = tutti_program_make(frozen, (tutti_mode)mode, &arena, &program);
        if (status == TUTTI_OK)
            status = tutti_program_print(frozen, &program, &text);
        tutti_free(text);
    }
    tutti_arena_free(&arena);
    return status;
}

static void each_allocation_of_a_graph(void **state) {
    (void)state;
    oom_each(use_graph);
}

static void each_allocation_of_programs(void **state) {
    (void)state;
    assert_int_equal(tutti_graph_make(&frozen), TUTTI_OK);
    assert_int_equal(define(frozen), TUTTI_OK);
    oom_each(use_programs);
    tutti_graph_free(frozen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_graph),
        cmocka_unit_test(each_allocation_of_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
