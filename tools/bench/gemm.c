/* Matrix products of training, beside OpenBLAS, oneDNN and CLBlast. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/status.h"
#include "bench.h"
#include "kernel/routine.h"
#include "kernel/runtime.h"
#include "limit_kernels.h"
#include "op.h"

/* A linear layer of a network, or a square product (rows == inputs == outputs). */
static const struct layer {
    const char *net, *name;
    int64_t rows, inputs, outputs;
    bool first; /* of its network: nobody needs its data gradient */
} layers[] = {
    {"mlp", "784-512", 128, 784, 512, true},    {"mlp", "512-512", 128, 512, 512, false},
    {"mlp", "512-10", 128, 512, 10, false},     {"lenet", "9216-128", 128, 9216, 128, false},
    {"lenet", "128-10", 128, 128, 10, false},   {"resnet20", "64-10", 64, 64, 10, false},
    {"gpt", "128-384", 2048, 128, 384, false},  {"gpt", "128-128", 2048, 128, 128, false},
    {"gpt", "128-512", 2048, 128, 512, false},  {"gpt", "512-128", 2048, 512, 128, false},
    {"gpt", "128-65", 2048, 128, 65, false},    {"square", "256", 256, 256, 256, true},
    {"square", "512", 512, 512, 512, true},     {"square", "1024", 1024, 1024, 1024, true},
    {"square", "2048", 2048, 2048, 2048, true},
};

enum { FORWARD, DATA_GRADIENT, WEIGHT_GRADIENT, PASSES };
static const char *const pass_names[PASSES] = {"forward", "data", "weight"};

typedef struct product {
    char name[64];
    int64_t m, n, k;
    bool trans_a, trans_b;
} product;

/* C enumerations of BLAS's interface. */
enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
typedef void (*cblas_sgemm_fn)(int order, int trans_a, int trans_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);
typedef int (*dnnl_sgemm_fn)(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k,
                             float alpha, const float *a, int64_t lda, const float *b, int64_t ldb,
                             float beta, float *c, int64_t ldc);

typedef struct peers {
    cblas_sgemm_fn cblas;
    dnnl_sgemm_fn dnnl;
    bool clblast;
} peers;

typedef struct job {
    const product *p;
    const peers *with;
    const float *a, *b;
    float *c;
    const tutti_device *device; /* CLBlast's, */
    tutti_routine_arg args[8];
    tutti_tensor out;
} job;

static tutti_status call_cblas(void *user, int32_t times) {
    const job *j = user;
    const product *p = j->p;
    for (int32_t i = 0; i < times; i++)
        j->with->cblas(ROW_MAJOR, p->trans_a ? TRANS : NO_TRANS, p->trans_b ? TRANS : NO_TRANS,
                       (int)p->m, (int)p->n, (int)p->k, 1.0F, j->a, (int)(p->trans_a ? p->m : p->k),
                       j->b, (int)(p->trans_b ? p->k : p->n), 0.0F, j->c, (int)p->n);
    return TUTTI_OK;
}

static tutti_status call_dnnl(void *user, int32_t times) {
    const job *j = user;
    const product *p = j->p;
    for (int32_t i = 0; i < times; i++)
        if (j->with->dnnl(p->trans_a ? 'T' : 'N', p->trans_b ? 'T' : 'N', p->m, p->n, p->k, 1.0F,
                          j->a, p->trans_a ? p->m : p->k, j->b, p->trans_b ? p->k : p->n, 0.0F,
                          j->c, p->n) != 0)
            return tutti_fail(TUTTI_INTERNAL, "dnnl_sgemm failed");
    return TUTTI_OK;
}

static tutti_status call_clblast(void *user, int32_t times) {
    const job *j = user;
    const tutti_routine *routine = tutti_routine_find("clblast_sgemm");
    for (int32_t i = 0; i < times; i++)
        TUTTI_TRY(routine->call(j->device, j->args, NULL));
    TUTTI_CL(j->device, clFinish, j->device->queue);
    return TUTTI_OK;
}

static float element(const float *x, bool trans, int64_t rows, int64_t columns, int64_t i,
                     int64_t k) {
    return trans ? x[k * rows + i] : x[i * columns + k];
}

/* Some elements, in double precision. */
static tutti_status check(const product *p, const float *a, const float *b, const float *c,
                          const char *who) {
    tutti_rng rng;
    tutti_rng_begin(&rng, 2, 0);
    for (int32_t t = 0; t < 64; t++) {
        const int64_t i = (int64_t)tutti_rng_below(&rng, (uint64_t)p->m);
        const int64_t k = (int64_t)tutti_rng_below(&rng, (uint64_t)p->n);
        double sum = 0, size = 0;
        for (int64_t l = 0; l < p->k; l++) {
            const double term = (double)element(a, p->trans_a, p->m, p->k, i, l) *
                                (double)element(b, p->trans_b, p->k, p->n, l, k);
            sum += term;
            size += fabs(term);
        }
        const double got = (double)c[i * p->n + k];
        if (!(fabs(got - sum) <= 1e-5 * size + 1e-30))
            return tutti_fail(TUTTI_WRONG_RESULT, "%s: %s has %g at (%lld, %lld), expected %g",
                              p->name, who, got, (long long)i, (long long)k, sum);
    }
    return TUTTI_OK;
}

/* What the graph of a training has for this product: the batch is the rows of x and dy, so it is M
 * forward and in the data gradient, K in the weight gradient. */
static tutti_status build(const product *p, bool over_batch, tutti_graph *g, tutti_tensor *out) {
    const int64_t rows_b = p->trans_b ? p->n : p->k;
    const int64_t columns_a = p->trans_a ? p->m : p->k, columns_b = p->trans_b ? p->k : p->n;
    const tutti_tensor a =
        tutti_graph_input(g, "a", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, columns_a});
    const tutti_tensor b = tutti_graph_input(
        g, "b", TUTTI_F32, 2, (int64_t[]){over_batch ? TUTTI_BATCH : rows_b, columns_b});
    *out = tutti_matmul(g, a, b, p->trans_a, p->trans_b);
    return tutti_graph_set_output(g, "c", *out);
}

static tutti_status open_product(const bench *b, const product *p, bench_op *op,
                                 tutti_tensor *out) {
    tutti_graph *g;
    TUTTI_TRY(tutti_graph_make(&g));
    tutti_status status = build(p, p->trans_a, g, out);
    if (status != TUTTI_OK) {
        tutti_graph_free(g);
        return status;
    }
    return bench_op_open(b, g, TUTTI_PREDICT, p->trans_a ? p->k : p->m, 1, NULL, op);
}

enum { TUTTI, OPENBLAS, ONEDNN, CLBLAST, FMA, RIVALS };
static const char *const rival_names[RIVALS] = {"tutti", "openblas", "onednn", "clblast", "fma"};

typedef struct means {
    bench_mean ratio[RIVALS];
} means;

static tutti_status put_row(const bench *b, const product *p, const bench_op *op,
                            const bench_rival *rivals, const int32_t *at, means *sums) {
    char key[32];
    cJSON *row = bench_row("gemm");
    bench_text(row, "name", p->name);
    bench_text(row, "form", p->trans_a ? "TN" : p->trans_b ? "NT" : "NN");
    bench_number(row, "m", (double)p->m);
    bench_number(row, "n", (double)p->n);
    bench_number(row, "k", (double)p->k);
    bench_text(row, "kernel", op->kernels);
    bench_number(row, "us", rivals[0].median_s * 1e6);
    for (int i = 0; i < RIVALS; i++) {
        const bench_rival *rival = at[i] >= 0 ? &rivals[at[i]] : NULL;
        const double rate = bench_rate(rival), ratio = bench_rate(&rivals[0]) / rate;
        bench_number(row, rival_names[i], rate);
        snprintf(key, sizeof key, "%s_best", rival_names[i]);
        bench_number(row, key, rival != NULL ? rival->work / rival->best_s * 1e-9 : NAN);
        snprintf(key, sizeof key, i == FMA ? "share" : "by_%s", rival_names[i]);
        if (i != TUTTI)
            bench_number(row, key, ratio);
        bench_mean_add(&sums->ratio[i], ratio);
    }
    return bench_put(b, row);
}

static tutti_status compete(const bench *b, const product *p, const peers *with, bench_op *op,
                            tutti_tensor out, bench_limit *fma, float *c, means *sums) {
    const double work = 2 * (double)p->m * (double)p->n * (double)p->k;
    job j = {.p = p, .with = with, .a = op->feeds[0], .b = op->feeds[1], .c = c};
    j.device = &b->runtime->devices[0];
    const tutti_tensor a = tutti_graph_find(op->graph, "a"),
                       other = tutti_graph_find(op->graph, "b");
    j.args[0].memory = bench_op_memory(op, a);
    j.args[1].memory = bench_op_memory(op, other);
    j.args[2].memory = bench_op_memory(op, out);
    const int64_t numbers[] = {p->m, p->n, p->k, p->trans_a, p->trans_b};
    for (int i = 0; i < 5; i++)
        j.args[3 + i].i32 = numbers[i];

    bench_rival rivals[RIVALS];
    int32_t at[RIVALS] = {0, -1, -1, -1, -1}, count = 1;
    rivals[0] = (bench_rival){rival_names[0], work, bench_op_call, op, 0, 0};
    TUTTI_TRY(bench_op_fetch(op, out, c));
    TUTTI_TRY(check(p, j.a, j.b, c, "tutti"));
    const struct {
        int who;
        bool there;
        tutti_status (*call)(void *, int32_t);
    } others[] = {{OPENBLAS, with->cblas != NULL, call_cblas},
                  {ONEDNN, with->dnnl != NULL, call_dnnl},
                  {CLBLAST, with->clblast, call_clblast}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!others[i].there)
            continue;
        const size_t size = (size_t)(p->m * p->n) * sizeof(float);
        memset(c, 0xff, size);
        TUTTI_TRY(others[i].call(&j, 1));
        if (others[i].who == CLBLAST)
            TUTTI_TRY(tutti_buffer_read(j.device, j.args[2].memory, 0, c, size));
        TUTTI_TRY(check(p, j.a, j.b, c, rival_names[others[i].who]));
        at[others[i].who] = count;
        rivals[count++] = (bench_rival){rival_names[others[i].who], work, others[i].call, &j, 0, 0};
    }
    at[FMA] = count;
    rivals[count++] = bench_limit_rival(fma, "fma");
    TUTTI_TRY(bench_compete(b, rivals, count));
    return put_row(b, p, op, rivals, at, sums);
}

static tutti_status measure(const bench *b, const product *p, const peers *with, bench_limit *fma,
                            means *sums) {
    bench_op op;
    tutti_tensor out;
    float *c = malloc((size_t)(p->m * p->n) * sizeof *c);
    if (c == NULL)
        return tutti_fail_memory((size_t)(p->m * p->n) * sizeof *c, "a result");
    tutti_status status = open_product(b, p, &op, &out);
    if (status == TUTTI_OK) {
        status = compete(b, p, with, &op, out, fma, c, sums);
        bench_op_close(&op);
    }
    free(c);
    return status;
}

static tutti_status put_means(const bench *b, const char *what, const means *sums) {
    cJSON *row = bench_row("mean");
    bench_text(row, "over", what);
    bench_number(row, "count", sums->ratio[FMA].count);
    for (int i = TUTTI + 1; i < RIVALS; i++) {
        char key[32];
        snprintf(key, sizeof key, i == FMA ? "share" : "by_%s", rival_names[i]);
        bench_number(row, key, bench_mean_value(&sums->ratio[i]));
        snprintf(key, sizeof key, i == FMA ? "share_least" : "least_by_%s", rival_names[i]);
        bench_number(row, key, sums->ratio[i].count > 0 ? sums->ratio[i].least : NAN);
    }
    return bench_put(b, row);
}

static bool is_square(const struct layer *l) {
    return strcmp(l->net, "square") == 0;
}

static product product_of(const struct layer *l, int pass) {
    product p = {.m = l->rows, .n = l->outputs, .k = l->inputs};
    if (is_square(l)) {
        snprintf(p.name, sizeof p.name, "%s.%s", l->net, l->name);
        return p;
    }
    snprintf(p.name, sizeof p.name, "%s.%s.%s", l->net, l->name, pass_names[pass]);
    if (pass == FORWARD) {
        p.trans_b = true;
    } else if (pass == DATA_GRADIENT) {
        p.n = l->inputs;
        p.k = l->outputs;
    } else {
        p.m = l->outputs;
        p.n = l->inputs;
        p.k = l->rows;
        p.trans_a = true;
    }
    return p;
}

static bool is_needed(const struct layer *l, int pass) {
    return !(is_square(l) && pass > 0) && !(l->first && pass == DATA_GRADIENT);
}

static void names(bench_name_fn each, void *user) {
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int pass = 0; pass < PASSES; pass++)
            if (is_needed(&layers[i], pass))
                each(user, product_of(&layers[i], pass).name);
}

static tutti_status run_all(const bench *b, const peers *with, bench_limit *fma) {
    means training = {0}, square = {0};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int pass = 0; pass < PASSES; pass++) {
            const product p = product_of(&layers[i], pass);
            if (!is_needed(&layers[i], pass) || !bench_wants(b, p.name))
                continue;
            TUTTI_TRY(measure(b, &p, with, fma, is_square(&layers[i]) ? &square : &training));
        }
    if (training.ratio[FMA].count > 0)
        TUTTI_TRY(put_means(b, "training", &training));
    return square.ratio[FMA].count > 0 ? put_means(b, "squares", &square) : TUTTI_OK;
}

static void *open_library(const bench *b, const char *peer, const char *file, const char *function,
                          void **out_library) {
    *out_library =
        bench_wants_peer(b, &bench_gemm, peer) ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
    return *out_library == NULL ? NULL : dlsym(*out_library, function);
}

static tutti_status gemm(bench *b, int32_t index) {
    (void)index;
    void *libraries[2];
    bench_limit fma;
    peers with = {.clblast = bench_wants_peer(b, &bench_gemm, "clblast")};
    /* POSIX promises that pointers to data and functions convert. */
    *(void **)&with.cblas =
        open_library(b, "openblas", "libopenblas.so.0", "cblas_sgemm", &libraries[0]);
    *(void **)&with.dnnl = open_library(b, "onednn", "libdnnl.so.2", "dnnl_sgemm", &libraries[1]);
    TUTTI_TRY(bench_open_first(b));
    TUTTI_TRY(bench_limit_fma(b, &fma));
    const tutti_status status = run_all(b, &with, &fma);
    bench_limit_close(&fma);
    return status;
}

static const bench_column gemm_columns[] = {
    {"name", "product", -24, 0},
    {"form", "", 2, 0},
    {"m", "M", 5, 0},
    {"n", "N", 5, 0},
    {"k", "K", 5, 0},
    {"kernel", "kernel", -10, 0},
    {"us", "us", 8, 1},
    {"tutti", "GFLOP/s", 8, 1},
    {"openblas", "OpenBLAS", 8, 1},
    {"onednn", "oneDNN", 8, 1},
    {"clblast", "CLBlast", 8, 1},
    {"fma", "FMA", 8, 1},
    {"by_openblas", "/OpenBLAS", 9, 2},
    {"by_onednn", "/oneDNN", 8, 2},
    {"by_clblast", "/CLBlast", 8, 2},
    {"share", "/FMA", 6, 2},
};
static const bench_column mean_columns[] = {
    {"over", "geometric mean", -24, 0},
    {"count", "of", 4, 0},
    {"by_openblas", "/OpenBLAS", 9, 2},
    {"least_by_openblas", "least", 6, 2},
    {"by_onednn", "/oneDNN", 9, 2},
    {"least_by_onednn", "least", 6, 2},
    {"by_clblast", "/CLBlast", 9, 2},
    {"least_by_clblast", "least", 6, 2},
    {"share", "/FMA", 9, 2},
    {"share_least", "least", 6, 2},
};
static const bench_table tables[] = {
    {"gemm", gemm_columns, sizeof gemm_columns / sizeof *gemm_columns},
    {"mean", mean_columns, sizeof mean_columns / sizeof *mean_columns},
};

const bench_noun bench_gemm = {
    .name = "gemm",
    .summary = "matrix products of these networks, and square ones",
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .all_peers = "openblas,onednn,clblast",
    .peers = "openblas,onednn,clblast",
    .names = names,
    .one_device = true,
    .run = gemm,
};
