#include "op_cases.h"

#define WIDE 1024

static tutti_tensor input(tutti_graph *g, const char *name, int32_t rank, const int64_t *rest) {
    int64_t dims[TUTTI_MAX_RANK] = {TUTTI_BATCH};
    for (int32_t i = 1; i < rank; i++)
        dims[i] = rest[i - 1];
    return tutti_graph_input(g, name, TUTTI_F32, rank, dims);
}

static tutti_tensor rows(tutti_graph *g, const char *name) {
    return input(g, name, 2, (int64_t[]){WIDE});
}

static tutti_tensor labels(tutti_graph *g) {
    return tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
}

static tutti_tensor images(tutti_graph *g) {
    return input(g, "x", 4, (int64_t[]){32, 64, 64});
}

static void output(tutti_graph *g, tutti_tensor y) {
    (void)tutti_graph_set_output(g, "out", y);
}

static tutti_tensor ones(tutti_graph *g, const char *name, int64_t count) {
    return tutti_graph_param(g, name, 1, &count, (tutti_init){.kind = TUTTI_INIT_CONSTANT, .a = 1});
}

/* The gradient of x (an input, unless it is a parameter), given an input "dy" as that of y. */
static void gradient_of(tutti_graph *g, tutti_tensor x, tutti_tensor y) {
    const tutti_shape shape = tutti_graph_tensor_shape(g, y);
    const tutti_tensor dy = input(g, "dy", shape.rank, shape.dim + 1);
    (void)tutti_graph_set_loss(g, tutti_sum(g, tutti_mul(g, y, dy), 0, NULL, false));
    (void)tutti_graph_backward(g);
    output(g, tutti_graph_grad(g, x));
}

static void gradient(tutti_graph *g, tutti_tensor x, tutti_tensor y) {
    (void)tutti_graph_want_grad(g, x);
    gradient_of(g, x, y);
}

static void add(tutti_graph *g) {
    output(g, tutti_add(g, rows(g, "x"), rows(g, "z")));
}
static void relu(tutti_graph *g) {
    output(g, tutti_relu(g, rows(g, "x")));
}
static void gelu(tutti_graph *g) {
    output(g, tutti_gelu(g, rows(g, "x")));
}
static void gelu_tanh(tutti_graph *g) {
    output(g, tutti_gelu_tanh(g, rows(g, "x")));
}
static void chain(tutti_graph *g) {
    const tutti_tensor x = rows(g, "x");
    output(g, tutti_add(g, tutti_mul(g, tutti_sigmoid(g, x), rows(g, "z")), x));
}
static void dropout(tutti_graph *g) {
    /* Outside of training it is nothing, so it has to be trained. */
    const tutti_tensor y = tutti_dropout(g, rows(g, "x"), 0.5F);
    output(g, y);
}
static void permute(tutti_graph *g) {
    output(g, tutti_permute(g, images(g), 4, (int32_t[]){0, 2, 3, 1}));
}
static void sum_rows(tutti_graph *g) {
    output(g, tutti_sum(g, rows(g, "x"), 1, (int32_t[]){1}, false));
}
static void sum_columns(tutti_graph *g) {
    output(g, tutti_sum(g, rows(g, "x"), 1, (int32_t[]){0}, false));
}
static void max_rows(tutti_graph *g) {
    output(g, tutti_max(g, rows(g, "x"), 1, (int32_t[]){1}, false));
}
static void softmax(tutti_graph *g) {
    output(g, tutti_softmax(g, rows(g, "x")));
}
static void softmax_grad(tutti_graph *g) {
    const tutti_tensor x = rows(g, "x");
    gradient(g, x, tutti_softmax(g, x));
}
static void log_softmax(tutti_graph *g) {
    output(g, tutti_log_softmax(g, rows(g, "x")));
}
static void cross_entropy(tutti_graph *g) {
    const tutti_tensor x = rows(g, "x");
    const tutti_tensor loss = tutti_softmax_cross_entropy(g, x, labels(g));
    (void)tutti_graph_set_loss(g, loss);
}
static void cross_entropy_grad(tutti_graph *g) {
    const tutti_tensor x = rows(g, "x");
    (void)tutti_graph_want_grad(g, x);
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, x, labels(g)));
    (void)tutti_graph_backward(g);
    output(g, tutti_graph_grad(g, x));
}
static void layer_norm(tutti_graph *g) {
    output(g, tutti_nn_layer_norm(g, rows(g, "x"), "norm", NULL));
}
static void layer_norm_grad(tutti_graph *g) {
    const tutti_tensor x = rows(g, "x");
    gradient(g, x, tutti_layer_norm(g, x, (tutti_tensor){0}, (tutti_tensor){0}, 1, 1e-5F));
}
static void rms_norm(tutti_graph *g) {
    output(g, tutti_nn_rms_norm(g, rows(g, "x"), "norm", NULL));
}
static void group_norm(tutti_graph *g) {
    output(g, tutti_nn_group_norm(g, images(g), 8, "norm", NULL));
}
static void batch_norm(tutti_graph *g) {
    output(g, tutti_nn_batch_norm(g, images(g), "norm", NULL));
}
static void batch_norm_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_nn_batch_norm(g, x, "norm", NULL));
}
static void max_pool(tutti_graph *g) {
    output(g, tutti_max_pool2d(g, images(g), &(tutti_pool2d_options){.kernel = {2, 2}}));
}
static void max_pool_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_max_pool2d(g, x, &(tutti_pool2d_options){.kernel = {2, 2}}));
}
static void avg_pool(tutti_graph *g) {
    output(g, tutti_avg_pool2d(g, images(g), &(tutti_pool2d_options){.kernel = {2, 2}}));
}
static void avg_pool_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_avg_pool2d(g, x, &(tutti_pool2d_options){.kernel = {2, 2}}));
}
static void embedding(tutti_graph *g) {
    const tutti_init normal = {TUTTI_INIT_NORMAL, 0.0F, 1.0F};
    const tutti_tensor table = tutti_graph_param(g, "table", 2, (int64_t[]){65536, 128}, normal);
    output(g, tutti_embedding(g, table, labels(g)));
}
static void embedding_grad(tutti_graph *g) {
    const tutti_init normal = {TUTTI_INIT_NORMAL, 0.0F, 1.0F};
    const tutti_tensor table = tutti_graph_param(g, "table", 2, (int64_t[]){65536, 128}, normal);
    gradient_of(g, table, tutti_embedding(g, table, labels(g)));
}

/* Queries, keys and values of (T, heads, d). */
static tutti_tensor attend(tutti_graph *g, tutti_tensor *out_q, bool causal) {
    const int64_t dims[] = {512, 8, 64};
    *out_q = input(g, "q", 4, dims);
    return tutti_attention(g, *out_q, input(g, "k", 4, dims), input(g, "v", 4, dims),
                           &(tutti_attention_options){.causal = causal});
}
static void attention(tutti_graph *g) {
    tutti_tensor q;
    output(g, attend(g, &q, false));
}
static void causal_attention(tutti_graph *g) {
    tutti_tensor q;
    output(g, attend(g, &q, true));
}
static void attention_grad(tutti_graph *g) {
    tutti_tensor q;
    const tutti_tensor y = attend(g, &q, true);
    gradient(g, q, y);
}

/* A parameter of 4M elements whose gradient is an input's sum over the batch. */
static void train_with(tutti_graph *g, const tutti_optimizer *optimizer) {
    const int64_t size = 1 << 22;
    const tutti_tensor w = ones(g, "w", size);
    const tutti_tensor x = input(g, "x", 2, &size);
    (void)tutti_graph_set_loss(g, tutti_mean(g, tutti_mul(g, x, w), 0, NULL, false));
    (void)tutti_graph_optimize(g, optimizer);
}
static void sgd(tutti_graph *g) {
    train_with(g, &(tutti_optimizer){.kind = TUTTI_SGD, .momentum = 0.9F});
}
static void adam(tutti_graph *g) {
    train_with(g, &(tutti_optimizer){.kind = TUTTI_ADAM});
}
static void adamw(tutti_graph *g) {
    train_with(g, &(tutti_optimizer){.kind = TUTTI_ADAMW, .weight_decay = 0.01F});
}

const op_case bench_op_cases[] = {
    {.name = "add", .build = add, .mode = TUTTI_PREDICT, .n = 8192},
    {.name = "relu", .build = relu, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "gelu", .build = gelu, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "gelu_tanh", .build = gelu_tanh, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "chain", .build = chain, .mode = TUTTI_PREDICT, .n = 8192},
    {.name = "dropout", .build = dropout, .mode = TUTTI_TRAIN, .n = 16384},
    {.name = "permute", .build = permute, .mode = TUTTI_PREDICT, .n = 128},
    {.name = "sum.rows", .build = sum_rows, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "sum.columns", .build = sum_columns, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "max.rows", .build = max_rows, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "softmax", .build = softmax, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "softmax.grad",
     .build = softmax_grad,
     .mode = TUTTI_EVAL,
     .n = 8192,
     .only = "softmax_grad"},
    {.name = "log_softmax", .build = log_softmax, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "cross_entropy",
     .build = cross_entropy,
     .mode = TUTTI_EVAL,
     .n = 16384,
     .classes = WIDE},
    {.name = "cross_entropy.grad",
     .build = cross_entropy_grad,
     .mode = TUTTI_EVAL,
     .n = 8192,
     .classes = WIDE,
     .only = "softmax_cross_entropy_grad"},
    {.name = "layer_norm", .build = layer_norm, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "layer_norm.grad",
     .build = layer_norm_grad,
     .mode = TUTTI_EVAL,
     .n = 8192,
     .only = "norm_grad"},
    {.name = "rms_norm", .build = rms_norm, .mode = TUTTI_PREDICT, .n = 16384},
    {.name = "group_norm", .build = group_norm, .mode = TUTTI_PREDICT, .n = 128},
    /* Statistics over the batch need x twice; the gradient x and dy twice each. That of the gradient
     * includes the forward pass and the loss that dy comes from. */
    {.name = "batch_norm", .build = batch_norm, .mode = TUTTI_TRAIN, .n = 128, .passes = 3},
    {.name = "batch_norm.both",
     .build = batch_norm_grad,
     .mode = TUTTI_TRAIN,
     .n = 128,
     .passes = 8},
    {.name = "max_pool", .build = max_pool, .mode = TUTTI_PREDICT, .n = 128},
    {.name = "max_pool.grad",
     .build = max_pool_grad,
     .mode = TUTTI_EVAL,
     .n = 128,
     .only = "max_pool2d_grad"},
    {.name = "avg_pool", .build = avg_pool, .mode = TUTTI_PREDICT, .n = 128},
    {.name = "avg_pool.grad",
     .build = avg_pool_grad,
     .mode = TUTTI_EVAL,
     .n = 128,
     .only = "avg_pool2d_grad"},
    {.name = "embedding", .build = embedding, .mode = TUTTI_PREDICT, .n = 65536, .classes = 65536},
    {.name = "embedding.grad",
     .build = embedding_grad,
     .mode = TUTTI_EVAL,
     .n = 65536,
     .classes = 65536,
     .only = "embedding_grad"},
    {.name = "attention", .build = attention, .mode = TUTTI_PREDICT, .n = 8},
    {.name = "attention.causal", .build = causal_attention, .mode = TUTTI_PREDICT, .n = 8},
    {.name = "attention.grad",
     .build = attention_grad,
     .mode = TUTTI_EVAL,
     .n = 8,
     .only = "attention_grad"},
    {.name = "sgd", .build = sgd, .mode = TUTTI_TRAIN, .n = 1, .only = "sgd"},
    {.name = "adam", .build = adam, .mode = TUTTI_TRAIN, .n = 1, .only = "adam"},
    {.name = "adamw", .build = adamw, .mode = TUTTI_TRAIN, .n = 1, .only = "adamw"},
};
const int32_t bench_op_case_count = sizeof bench_op_cases / sizeof *bench_op_cases;
