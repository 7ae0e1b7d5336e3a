/* The graphs of the training goldens: optimizers on given gradients, and a small network. */
#ifndef TUTTI_TESTS_GOLDEN_TRAINING_H
#define TUTTI_TESTS_GOLDEN_TRAINING_H

#include "golden.h"

typedef struct optimizer_case {
    const char *name;
    tutti_optimizer optimizer;
} optimizer_case;

static const optimizer_case optimizer_cases[] = {
    {"sgd", {.kind = TUTTI_SGD, .lr = 0.05F}},
    {"sgd_decay", {.kind = TUTTI_SGD, .lr = 0.05F, .weight_decay = 0.1F}},
    {"sgd_momentum", {.kind = TUTTI_SGD, .lr = 0.05F, .momentum = 0.9F, .weight_decay = 0.01F}},
    {"sgd_nesterov", {.kind = TUTTI_SGD, .lr = 0.05F, .momentum = 0.8F, .nesterov = true}},
    {"adam", {.kind = TUTTI_ADAM, .lr = 0.05F}},
    {"adam_decay",
     {.kind = TUTTI_ADAM,
      .lr = 0.05F,
      .beta1 = 0.8F,
      .beta2 = 0.95F,
      .eps = 1e-4F,
      .weight_decay = 0.1F}},
    {"adamw", {.kind = TUTTI_ADAMW, .lr = 0.05F, .weight_decay = 0.1F}},
    {"adam_clip", {.kind = TUTTI_ADAM, .lr = 0.05F, .clip_norm = 1.5F}},
    {"sgd_clip", {.kind = TUTTI_SGD, .lr = 0.05F, .clip_norm = 1.5F}},
    {"rmsprop", {.kind = TUTTI_RMSPROP, .lr = 0.05F}},
    {"rmsprop_momentum",
     {.kind = TUTTI_RMSPROP, .lr = 0.05F, .momentum = 0.9F, .weight_decay = 0.1F, .alpha = 0.9F}},
    {"rmsprop_centered", {.kind = TUTTI_RMSPROP, .lr = 0.05F, .centered = true, .eps = 1e-4F}},
    {"rmsprop_all",
     {.kind = TUTTI_RMSPROP,
      .lr = 0.05F,
      .centered = true,
      .momentum = 0.5F,
      .alpha = 0.8F,
      .weight_decay = 0.01F}},
    {"adagrad", {.kind = TUTTI_ADAGRAD, .lr = 0.05F}},
    {"adagrad_decay", {.kind = TUTTI_ADAGRAD, .lr = 0.05F, .weight_decay = 0.1F, .eps = 1e-3F}},
    {"lamb", {.kind = TUTTI_LAMB, .lr = 0.05F, .weight_decay = 0.01F}},
    {"lamb_plain", {.kind = TUTTI_LAMB, .lr = 0.05F, .beta1 = 0.8F, .beta2 = 0.95F, .eps = 1e-3F}},
    {"flat_adamw",
     {.kind = TUTTI_ADAMW, .lr = 0.05F, .weight_decay = 0.1F, .no_decay_on_1d = true}},
    {"groups_sgd",
     {.kind = TUTTI_SGD,
      .lr = 0.05F,
      .momentum = 0.9F,
      .weight_decay = 0.1F,
      .groups =
          (const tutti_param_group[]){{.pattern = "[a]", .lr_factor = 0.25F}, {.no_decay = true}},
      .n_groups = 2}},
    {"groups_adam_clip",
     {.kind = TUTTI_ADAM,
      .lr = 0.05F,
      .weight_decay = 0.1F,
      .clip_norm = 1.5F,
      .groups = (const tutti_param_group[]){{.pattern = "a*", .weight_decay = 0.2F},
                                            {.pattern = "?", .lr_factor = 2}},
      .n_groups = 2}},
    {"groups_lamb",
     {.kind = TUTTI_LAMB,
      .lr = 0.05F,
      .weight_decay = 0.1F,
      .no_decay_on_1d = true,
      .groups = (const tutti_param_group[]){{.pattern = "a", .lr_factor = 0.5F}},
      .n_groups = 1}},
    {"accumulate_sgd", {.kind = TUTTI_SGD, .lr = 0.05F, .momentum = 0.9F, .accumulate = 3}},
    {"accumulate_adam",
     {.kind = TUTTI_ADAM, .lr = 0.05F, .weight_decay = 0.1F, .clip_norm = 0.5F, .accumulate = 4}},
    {"average_sgd", {.kind = TUTTI_SGD, .lr = 0.05F, .average_decay = 0.75F}},
    {"average_adamw",
     {.kind = TUTTI_ADAMW,
      .lr = 0.05F,
      .weight_decay = 0.1F,
      .accumulate = 2,
      .average_decay = 0.9F}},
};
#define OPTIMIZER_CASES (sizeof optimizer_cases / sizeof *optimizer_cases)

/* Learning rate of a step, as make_goldens.py sets it. */
static inline float optimizer_lr(int64_t step) {
    return step < 2 ? 0.05F : 0.02F;
}

/* Two parameters whose gradients are the inputs. */
typedef struct optimizer_graph {
    tutti_graph *graph;
    tutti_tensor param[2], grad[2], loss;
    golden start[2], grads[2], after[2];
    tutti_tensor average[2]; /* where the golden has one */
    golden averages[2];
} optimizer_graph;

static inline void optimizer_graph_make(const golden_file *file, const optimizer_case *c,
                                        optimizer_graph *o) {
    static const char *const names[2][5] = {{"a", "grad_a", "start_a", "grads_a", "a"},
                                            {"b", "grad_b", "start_b", "grads_b", "b"}};
    OK(tutti_graph_make(&o->graph));
    tutti_tensor loss = {0};
    for (int i = 0; i < 2; i++) {
        o->start[i] = golden_get(file, c->name, names[i][2]);
        o->grads[i] = golden_get(file, c->name, names[i][3]);
        o->after[i] = golden_get(file, c->name, names[i][4]);
        const golden *s = &o->start[i];
        o->param[i] = tutti_graph_param(o->graph, names[i][0], s->rank, s->dim,
                                        (tutti_init){.kind = TUTTI_INIT_ZEROS});
        o->grad[i] = tutti_graph_input(o->graph, names[i][1], TUTTI_F32, s->rank, s->dim);
        const tutti_tensor part =
            tutti_sum(o->graph, tutti_mul(o->graph, o->param[i], o->grad[i]), 0, NULL, false);
        loss = i == 0 ? part : tutti_add(o->graph, loss, part);
    }
    o->loss = loss;
    OK(tutti_graph_set_loss(o->graph, loss));
    OK(tutti_graph_optimize(o->graph, &c->optimizer));
    OK(tutti_graph_freeze(o->graph));
    for (int i = 0; i < 2; i++) {
        o->average[i] = (tutti_tensor){0};
        if (golden_find(file, &o->averages[i], "%s/average_%s", c->name, names[i][0]))
            o->average[i] = tutti_graph_average(o->graph, o->param[i]);
        assert_int_equal(o->average[i].id != 0, c->optimizer.average_decay > 0);
    }
}

/* The first update copies; before it there is no average. */
static inline bool optimizer_has_average(const optimizer_graph *o, int64_t step) {
    return o->average[0].id != 0 && step + 1 >= tutti_graph_steps_per_update(o->graph);
}

#define MLP_BATCH 12
#define MLP_STEPS 20
static const char *const mlp_params[] = {"hidden.weight", "hidden.bias", "head.weight",
                                         "head.bias"};

typedef struct mlp {
    tutti_graph *graph;
    tutti_tensor x, labels, loss;
} mlp;

static inline void mlp_make(mlp *m) {
    OK(tutti_graph_make(&m->graph));
    tutti_graph *g = m->graph;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 8});
    m->labels = tutti_graph_input(g, "labels", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    const tutti_tensor hidden = tutti_relu(g, tutti_nn_linear(g, m->x, 16, "hidden", NULL));
    m->loss =
        tutti_softmax_cross_entropy(g, tutti_nn_linear(g, hidden, 4, "head", NULL), m->labels);
    OK(tutti_graph_set_loss(g, m->loss));
    OK(tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 0.01F}));
    OK(tutti_graph_freeze(g));
}

#endif
