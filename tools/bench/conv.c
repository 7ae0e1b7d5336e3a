/* 3x3 convolutions of training, beside oneDNN's. */
#include <math.h>

#include "base/status.h"
#include "bench.h"
#include "limit_kernels.h"
#include "onednn.h"
#include "op.h"
#include "op/conv.h"

static const struct layer {
    const char *net;
    int64_t images, c, k, size, stride, padding;
    bool first; /* of its network: nobody needs its data gradient */
} layers[] = {
    {"lenet", 128, 1, 32, 28, 1, 0, true},     {"lenet", 128, 32, 64, 26, 1, 0, false},
    {"resnet20", 64, 3, 16, 32, 1, 1, true},   {"resnet20", 64, 16, 16, 32, 1, 1, false},
    {"resnet20", 64, 16, 32, 32, 2, 1, false}, {"resnet20", 64, 32, 32, 16, 1, 1, false},
    {"resnet20", 64, 32, 64, 16, 2, 1, false}, {"resnet20", 64, 64, 64, 8, 1, 1, false},
};

#define TAPS 3
static const char *const pass_names[PASSES] = {"forward", "data", "weight"};

static conv_shape shape_of(const struct layer *l) {
    const int64_t out = (l->size + 2 * l->padding - TAPS) / l->stride + 1;
    return (conv_shape){l->images, l->c, l->size, l->size,   l->k,
                        out,       out,  TAPS,    l->stride, l->padding};
}

static tutti_status build(const conv_shape *s, int pass, tutti_graph *g) {
    const tutti_conv2d_options options = {.stride = {s->stride, s->stride},
                                          .padding = {s->padding, s->padding}};
    const tutti_conv_attr attr = tutti_conv_attr_of(&options);
    const int64_t x_dims[] = {TUTTI_BATCH, s->c, s->h, s->w};
    const int64_t y_dims[] = {TUTTI_BATCH, s->k, s->oh, s->ow};
    const int64_t w_dims[] = {s->k, s->c, s->taps, s->taps};
    tutti_tensor x = {0}, y = {0}, w = {0}, out;
    if (pass != DATA_GRADIENT)
        x = tutti_graph_input(g, "x", TUTTI_F32, 4, x_dims);
    if (pass != FORWARD)
        y = tutti_graph_input(g, "dy", TUTTI_F32, 4, y_dims);
    if (pass != WEIGHT_GRADIENT)
        w = tutti_graph_input(g, "w", TUTTI_F32, 4, w_dims);
    if (pass == FORWARD) {
        out = tutti_conv2d(g, x, w, (tutti_tensor){0}, &options);
    } else if (pass == WEIGHT_GRADIENT) {
        out = tutti_conv2d_weight_grad(g, x, y, s->taps, s->taps, &attr);
    } else {
        /* Rows and columns at the end that no tap reached. */
        const int64_t extra = s->h - ((s->oh - 1) * s->stride - 2 * s->padding + s->taps);
        const tutti_conv_attr own = tutti_conv_attr_with(&attr, extra, extra);
        out = tutti_conv_transpose2d_node(g, y, w, (tutti_tensor){0}, &own);
    }
    return tutti_graph_set_output(g, "out", out);
}

static tutti_status open_conv(const bench *b, const conv_shape *s, int pass, bench_op *op) {
    tutti_graph *g;
    TUTTI_TRY(tutti_graph_make(&g));
    const tutti_status status = build(s, pass, g);
    if (status != TUTTI_OK) {
        tutti_graph_free(g);
        return status;
    }
    return bench_op_open(b, g, TUTTI_PREDICT, s->n, 1, NULL, op);
}

typedef struct means {
    bench_mean onednn, share;
} means;

static tutti_status put_row(const bench *b, const char *name, const conv_shape *s,
                            const bench_op *op, const bench_rival *own, const bench_rival *onednn,
                            const bench_rival *fma, means *sums) {
    const double ratio = bench_rate(own) / bench_rate(onednn);
    const double share = bench_rate(own) / bench_rate(fma);
    cJSON *row = bench_row("conv");
    bench_text(row, "name", name);
    bench_number(row, "images", (double)s->n);
    bench_number(row, "size", (double)s->h);
    bench_number(row, "stride", (double)s->stride);
    bench_text(row, "kernel", op->kernels);
    bench_number(row, "us", own->median_s * 1e6);
    bench_number(row, "tutti", bench_rate(own));
    bench_number(row, "tutti_best", own->work / own->best_s * 1e-9);
    bench_number(row, "onednn", bench_rate(onednn));
    bench_number(row, "onednn_best", onednn != NULL ? onednn->work / onednn->best_s * 1e-9 : NAN);
    bench_text(row, "onednn_kernel",
               onednn != NULL ? bench_onednn_implementation(onednn->user) : NULL);
    bench_number(row, "fma", bench_rate(fma));
    bench_number(row, "by_onednn", ratio);
    bench_number(row, "share", share);
    bench_mean_add(&sums->onednn, ratio);
    bench_mean_add(&sums->share, share);
    return bench_put(b, row);
}

static tutti_status measure(const bench *b, const char *name, const conv_shape *s, int pass,
                            bench_limit *fma, means *sums) {
    const double work =
        2.0 * (double)(s->n * s->k * s->oh * s->ow) * (double)(s->c * s->taps * s->taps);
    bench_op op;
    onednn_conv *peers[2] = {NULL, NULL};
    TUTTI_TRY(open_conv(b, s, pass, &op));
    tutti_status status = TUTTI_OK;
    bench_rival rivals[4];
    int32_t count = 0, best = -1;
    rivals[count++] = (bench_rival){"tutti", work, bench_op_call, &op, 0, 0};
    rivals[count++] = bench_limit_rival(fma, "fma");
    for (int i = 0; i < 2 && status == TUTTI_OK; i++) {
        if (!bench_onednn_built_in() || !bench_wants_peer(b, &bench_conv, "onednn"))
            break;
        status = bench_onednn_make(s, pass, i == 1, &peers[i]);
        if (peers[i] != NULL)
            rivals[count++] = (bench_rival){"onednn", work, bench_onednn_call, peers[i], 0, 0};
    }
    if (status == TUTTI_OK)
        status = bench_compete(b, rivals, count);
    for (int32_t i = 2; i < count; i++)
        if (best < 0 || rivals[i].median_s < rivals[best].median_s)
            best = i;
    if (status == TUTTI_OK)
        status = put_row(b, name, s, &op, &rivals[0], best >= 0 ? &rivals[best] : NULL, &rivals[1],
                         sums);
    bench_onednn_free(peers[0]);
    bench_onednn_free(peers[1]);
    bench_op_close(&op);
    return status;
}

/* False for a pass that nobody needs. */
static bool name_of(const struct layer *l, int pass, char name[64]) {
    snprintf(name, 64, "%s.%d-%d.%s", l->net, (int)l->c, (int)l->k, pass_names[pass]);
    return !(l->first && pass == DATA_GRADIENT);
}

static void names(bench_name_fn each, void *user) {
    char name[64];
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int pass = 0; pass < PASSES; pass++)
            if (name_of(&layers[i], pass, name))
                each(user, name);
}

static tutti_status run_all(const bench *b, bench_limit *fma, means *sums) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int pass = 0; pass < PASSES; pass++) {
            const conv_shape s = shape_of(&layers[i]);
            char name[64];
            if (!name_of(&layers[i], pass, name) || !bench_wants(b, name))
                continue;
            const tutti_status status = measure(b, name, &s, pass, fma, sums);
            if (status != TUTTI_OK)
                return tutti_fail_context(status, "%s", name);
        }
    return TUTTI_OK;
}

static tutti_status put_mean(const bench *b, const means *sums) {
    if (sums->share.count == 0)
        return TUTTI_OK;
    cJSON *row = bench_row("mean");
    bench_text(row, "over", "3x3 convolutions");
    bench_number(row, "count", sums->share.count);
    bench_number(row, "by_onednn", bench_mean_value(&sums->onednn));
    bench_number(row, "least_by_onednn", sums->onednn.count > 0 ? sums->onednn.least : NAN);
    bench_number(row, "share", bench_mean_value(&sums->share));
    bench_number(row, "share_least", sums->share.least);
    return bench_put(b, row);
}

static tutti_status conv(bench *b, int32_t index) {
    (void)index;
    bench_limit fma;
    means sums = {0};
    TUTTI_TRY(bench_open_first(b));
    TUTTI_TRY(bench_limit_fma(b, &fma));
    tutti_status status = run_all(b, &fma, &sums);
    if (status == TUTTI_OK)
        status = put_mean(b, &sums);
    bench_limit_close(&fma);
    return status;
}

static const bench_column conv_columns[] = {
    {"name", "convolution", -24, 0},
    {"images", "images", 6, 0},
    {"size", "size", 4, 0},
    {"stride", "stride", 6, 0},
    {"kernel", "kernel", -12, 0},
    {"us", "us", 9, 1},
    {"tutti", "GFLOP/s", 8, 1},
    {"onednn", "oneDNN", 8, 1},
    {"fma", "FMA", 8, 1},
    {"by_onednn", "/oneDNN", 8, 2},
    {"share", "/FMA", 6, 2},
    {"onednn_kernel", "oneDNN's", -28, 0},
};
static const bench_column mean_columns[] = {
    {"over", "geometric mean", -24, 0}, {"count", "of", 4, 0},   {"by_onednn", "/oneDNN", 9, 2},
    {"least_by_onednn", "least", 6, 2}, {"share", "/FMA", 9, 2}, {"share_least", "least", 6, 2},
};
static const bench_table tables[] = {
    {"conv", conv_columns, sizeof conv_columns / sizeof *conv_columns},
    {"mean", mean_columns, sizeof mean_columns / sizeof *mean_columns},
};

const bench_noun bench_conv = {
    .name = "conv",
    .summary = "3x3 convolutions of these networks",
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .all_peers = "onednn",
    .peers = "onednn",
    .names = names,
    .one_device = true,
    .run = conv,
};
