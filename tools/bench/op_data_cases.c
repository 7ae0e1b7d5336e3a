/* Ops that move data or look for it, and other shapes of what op_cases.c has. */
#include "op_cases.h"

#define WIDE 1024

static tutti_tensor input(tutti_graph *g, const char *name, int32_t rank, const int64_t *rest) {
    int64_t dims[TUTTI_MAX_RANK] = {TUTTI_BATCH};
    for (int32_t i = 1; i < rank; i++)
        dims[i] = rest[i - 1];
    return tutti_graph_input(g, name, TUTTI_F32, rank, dims);
}

static tutti_tensor rows(tutti_graph *g) {
    return input(g, "x", 2, (int64_t[]){WIDE});
}

static tutti_tensor images(tutti_graph *g) {
    return input(g, "x", 4, (int64_t[]){32, 64, 64});
}

static tutti_tensor labels(tutti_graph *g) {
    return tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
}

static void output(tutti_graph *g, tutti_tensor y) {
    (void)tutti_graph_set_output(g, "out", y);
}

/* The gradient of x, given an input "dy" as that of y. */
static void gradient(tutti_graph *g, tutti_tensor x, tutti_tensor y) {
    const tutti_shape shape = tutti_graph_tensor_shape(g, y);
    const tutti_tensor dy = input(g, "dy", shape.rank, shape.dim + 1);
    (void)tutti_graph_want_grad(g, x);
    (void)tutti_graph_set_loss(g, tutti_sum(g, tutti_mul(g, y, dy), 0, NULL, false));
    (void)tutti_graph_backward(g);
    output(g, tutti_graph_grad(g, x));
}

static void max_middle(tutti_graph *g) {
    output(g, tutti_max(g, images(g), 1, (int32_t[]){1}, false));
}
static void argmax(tutti_graph *g) {
    output(g, tutti_argmax(g, rows(g), 1));
}
static void argmax_middle(tutti_graph *g) {
    output(g, tutti_argmax(g, images(g), 1));
}
static void top_k(tutti_graph *g) {
    output(g, tutti_top_k(g, rows(g), 8, NULL));
}
static void cumsum(tutti_graph *g) {
    output(g, tutti_cumsum(g, rows(g), 1));
}
static void cumsum_middle(tutti_graph *g) {
    output(g, tutti_cumsum(g, images(g), 1));
}
/* A row of an image for each index, and back. */
static tutti_tensor index_of_rows(tutti_graph *g) {
    return tutti_graph_input(g, "index", TUTTI_I32, 3, (int64_t[]){TUTTI_BATCH, 512, 1});
}
static void gather(tutti_graph *g) {
    const tutti_tensor x = input(g, "x", 3, (int64_t[]){512, 256});
    output(g, tutti_gather(g, x, 1, index_of_rows(g)));
}
static void scatter_add(tutti_graph *g) {
    const tutti_tensor x = input(g, "x", 3, (int64_t[]){512, 256});
    const tutti_tensor src = input(g, "src", 3, (int64_t[]){512, 256});
    output(g, tutti_scatter_add(g, x, 1, index_of_rows(g), src));
}
static void slice(tutti_graph *g) {
    output(g, tutti_slice(g, rows(g), 1, 100, 900, 1));
}
static void slice_grad(tutti_graph *g) {
    const tutti_tensor x = rows(g);
    gradient(g, x, tutti_slice(g, x, 1, 100, 900, 1));
}
static void concat(tutti_graph *g) {
    const tutti_tensor parts[] = {input(g, "x", 2, (int64_t[]){700}),
                                  input(g, "z", 2, (int64_t[]){324})};
    output(g, tutti_concat(g, 2, parts, 1));
}
static void pad(tutti_graph *g) {
    const tutti_pad2d_options border = {.before = {2, 2}, .after = {2, 2}};
    output(g, tutti_pad2d(g, images(g), &border));
}
static void one_hot(tutti_graph *g) {
    output(g, tutti_one_hot(g, labels(g), WIDE));
}
static void upsample(tutti_graph *g) {
    output(g, tutti_upsample2d(g, images(g), &(tutti_upsample2d_options){.scale = {2, 2}}));
}
static void permute_matrix(tutti_graph *g) {
    const tutti_tensor x = input(g, "x", 3, (int64_t[]){1024, 1024});
    output(g, tutti_permute(g, x, 3, (int32_t[]){0, 2, 1}));
}
static void permute_heads(tutti_graph *g) {
    const tutti_tensor x = input(g, "x", 4, (int64_t[]){512, 8, 64});
    output(g, tutti_permute(g, x, 4, (int32_t[]){0, 2, 1, 3}));
}
static void layer_norm_narrow(tutti_graph *g) {
    const tutti_tensor x = input(g, "x", 2, (int64_t[]){128});
    output(g, tutti_nn_layer_norm(g, x, "norm", NULL));
}
static void instance_norm(tutti_graph *g) {
    output(g, tutti_nn_group_norm(g, images(g), 32, "norm", NULL));
}
static void group_norm_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_nn_group_norm(g, x, 8, "norm", NULL));
}
static void rms_norm_grad(tutti_graph *g) {
    const tutti_tensor x = rows(g);
    gradient(g, x, tutti_nn_rms_norm(g, x, "norm", NULL));
}
static const tutti_pool2d_options overlapping = {
    .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
static void max_pool_3(tutti_graph *g) {
    output(g, tutti_max_pool2d(g, images(g), &overlapping));
}
static void max_pool_3_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_max_pool2d(g, x, &overlapping));
}
static void avg_pool_3(tutti_graph *g) {
    output(g, tutti_avg_pool2d(g, images(g), &overlapping));
}
static void avg_pool_3_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_avg_pool2d(g, x, &overlapping));
}
static void global_avg(tutti_graph *g) {
    output(g, tutti_global_avg_pool2d(g, images(g)));
}
static void global_avg_grad(tutti_graph *g) {
    const tutti_tensor x = images(g);
    gradient(g, x, tutti_global_avg_pool2d(g, x));
}
static void global_max(tutti_graph *g) {
    output(g, tutti_global_max_pool2d(g, images(g)));
}
static void smooth(tutti_graph *g, bool backward) {
    const tutti_tensor x = rows(g);
    const tutti_cross_entropy_options options = {.label_smoothing = 0.1F};
    if (backward)
        (void)tutti_graph_want_grad(g, x);
    (void)tutti_graph_set_loss(g, tutti_cross_entropy(g, x, labels(g), &options));
    if (!backward)
        return;
    (void)tutti_graph_backward(g);
    output(g, tutti_graph_grad(g, x));
}
static void cross_entropy_smooth(tutti_graph *g) {
    smooth(g, false);
}
static void cross_entropy_smooth_grad(tutti_graph *g) {
    smooth(g, true);
}
/* A parameter of 4M elements. */
static void train_with(tutti_graph *g, const tutti_optimizer *optimizer) {
    const int64_t size = 1 << 22;
    const tutti_tensor w =
        tutti_graph_param(g, "w", 1, &size, (tutti_init){.kind = TUTTI_INIT_CONSTANT, .a = 1});
    const tutti_tensor x = input(g, "x", 2, &size);
    (void)tutti_graph_set_loss(g, tutti_mean(g, tutti_mul(g, x, w), 0, NULL, false));
    (void)tutti_graph_optimize(g, optimizer);
}
static void lamb(tutti_graph *g) {
    train_with(g, &(tutti_optimizer){.kind = TUTTI_LAMB});
}

#define PREDICT(function, samples) .build = (function), .mode = TUTTI_PREDICT, .n = (samples)
#define BACKWARD(function, samples, op)                                                            \
    .build = (function), .mode = TUTTI_EVAL, .n = (samples), .only = (op)

const op_case bench_op_data_cases[] = {
    {.name = "max.middle", PREDICT(max_middle, 128)},
    {.name = "argmax", PREDICT(argmax, 16384)},
    {.name = "argmax.middle", PREDICT(argmax_middle, 128)},
    {.name = "top_k", PREDICT(top_k, 16384)},
    {.name = "cumsum", PREDICT(cumsum, 16384)},
    {.name = "cumsum.middle", PREDICT(cumsum_middle, 128)},
    {.name = "gather", PREDICT(gather, 128), .classes = 512},
    {.name = "scatter_add", PREDICT(scatter_add, 64), .classes = 512},
    {.name = "slice", PREDICT(slice, 16384)},
    {.name = "slice.grad", BACKWARD(slice_grad, 16384, "slice_grad")},
    {.name = "concat", PREDICT(concat, 16384)},
    {.name = "pad", PREDICT(pad, 128)},
    {.name = "one_hot", PREDICT(one_hot, 16384), .classes = WIDE},
    {.name = "upsample", PREDICT(upsample, 32)},
    {.name = "permute.matrix", PREDICT(permute_matrix, 16)},
    {.name = "permute.heads", PREDICT(permute_heads, 64)},
    {.name = "layer_norm.narrow", PREDICT(layer_norm_narrow, 131072)},
    {.name = "instance_norm", PREDICT(instance_norm, 128)},
    {.name = "group_norm.grad", BACKWARD(group_norm_grad, 128, "norm_grad")},
    {.name = "rms_norm.grad", BACKWARD(rms_norm_grad, 8192, "norm_grad")},
    {.name = "max_pool.3x3", PREDICT(max_pool_3, 128)},
    {.name = "max_pool.3x3.grad", BACKWARD(max_pool_3_grad, 128, "max_pool2d_grad")},
    {.name = "avg_pool.3x3", PREDICT(avg_pool_3, 128)},
    {.name = "avg_pool.3x3.grad", BACKWARD(avg_pool_3_grad, 128, "avg_pool2d_grad")},
    {.name = "avg_pool.global", PREDICT(global_avg, 128)},
    {.name = "avg_pool.global.grad", BACKWARD(global_avg_grad, 128, NULL)},
    {.name = "max_pool.global", PREDICT(global_max, 128)},
    {.name = "cross_entropy.smooth",
     .build = cross_entropy_smooth,
     .mode = TUTTI_EVAL,
     .n = 16384,
     .classes = WIDE},
    {.name = "cross_entropy.smooth.grad",
     BACKWARD(cross_entropy_smooth_grad, 8192, "cross_entropy_grad"),
     .classes = WIDE},
    {.name = "lamb", .build = lamb, .mode = TUTTI_TRAIN, .n = 1, .only = "lamb"},
};
const int32_t bench_op_data_case_count = sizeof bench_op_data_cases / sizeof *bench_op_data_cases;
