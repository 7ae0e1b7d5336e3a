/* Training steps of whole networks, beside PyTorch's and tinygrad's. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/status.h"
#include "bench.h"
#include "kernels.h"
#include "peer.h"
#include "plan/plan.h"
#include "shared/nets.h"

enum { MAX_PEERS = 4, NETS = 4 };

static const char *const nets[NETS] = {"mlp", "lenet", "resnet20", "gpt"};

/* What results are stored in, and what products may round to. */
typedef struct variant {
    const char *name;
    tutti_precision precision;
    tutti_matmul_precision matmul;
} variant;

static const variant variants[] = {
    {"f32", TUTTI_PRECISION_F32, TUTTI_MATMUL_HIGHEST},
    {"f32, products medium", TUTTI_PRECISION_F32, TUTTI_MATMUL_MEDIUM},
    {"bf16", TUTTI_PRECISION_BF16, TUTTI_MATMUL_HIGHEST},
    {"bf16, products medium", TUTTI_PRECISION_BF16, TUTTI_MATMUL_MEDIUM},
    {"f16", TUTTI_PRECISION_F16, TUTTI_MATMUL_HIGHEST},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

typedef struct training {
    const tool_net *net;
    tool_net scaled; /* the net with loss scaling */
    tutti_graph *graph;
    tutti_plan *plan;
    tutti_run *run;
    tool_batch data;
    int32_t steps;    /* of a round */
    double *rounds_s; /* per step, of each round */
} training;

static tutti_status step(training *t) {
    t->data.fetch.data = &t->data.loss;
    return tutti_run_step(t->run, TUTTI_TRAIN, t->net->batch, t->data.feeds, 2, &t->data.fetch, 1);
}

static tutti_status round_of_steps(training *t, int32_t steps, double *out_s) {
    const double begin = tutti_clock_s();
    for (int32_t i = 0; i < steps; i++)
        TUTTI_TRY(step(t));
    *out_s = (tutti_clock_s() - begin) / steps;
    return TUTTI_OK;
}

static tutti_status open_training(bench *b, training *t, const variant *v) {
    t->scaled = *t->net;
    if (v->precision == TUTTI_PRECISION_F16)
        t->scaled.optimizer.loss_scale = 65536;
    TUTTI_TRY(tool_net_build(&t->scaled, &t->graph));
    TUTTI_TRY(tutti_plan_make(t->graph, b->runtime,
                              &(tutti_plan_options){.batch = t->net->batch,
                                                    .precision = v->precision,
                                                    .matmul_precision = v->matmul},
                              &t->plan));
    TUTTI_TRY(tutti_run_open(t->plan, &(tutti_run_options){.seed = 1}, &t->run));
    TUTTI_TRY(tool_batch_make(t->net, t->graph, &t->data));
    /* Warm, and how many steps make a round. */
    double step_s = 0;
    for (int32_t i = 0; i < 3; i++)
        TUTTI_TRY(round_of_steps(t, 1, &step_s));
    const double round_s = bench_quick() ? 0 : BENCH_ROUND_S;
    t->steps = step_s * 2 >= round_s ? 2 : (int32_t)ceil(round_s / step_s);
    t->rounds_s = calloc((size_t)b->options->rounds, sizeof *t->rounds_s);
    return t->rounds_s == NULL ? tutti_fail_memory(sizeof(double), "times of rounds") : TUTTI_OK;
}

static void close_training(training *t) {
    free(t->rounds_s);
    tool_batch_free(&t->data);
    tutti_run_close(t->run);
    tutti_plan_free(t->plan);
    tutti_graph_free(t->graph);
}

/* Every second round the peers come first. */
static tutti_status measure(const bench *b, training *t, bench_peer **peers, int32_t n_peers) {
    for (int32_t round = 0; round < b->options->rounds; round++) {
        if (round % 2 == 0)
            TUTTI_TRY(round_of_steps(t, t->steps, &t->rounds_s[round]));
        for (int32_t i = 0; i < n_peers; i++)
            bench_peer_round(peers[round % 2 == 0 ? i : n_peers - 1 - i]);
        if (round % 2 == 1)
            TUTTI_TRY(round_of_steps(t, t->steps, &t->rounds_s[round]));
    }
    return TUTTI_OK;
}

static cJSON *result_row(const tool_net *net, const char *who, const char *how, double median_s,
                         double best_s) {
    cJSON *row = bench_row("train");
    bench_text(row, "net", net->name);
    bench_text(row, "who", who);
    bench_text(row, "variant", how);
    bench_number(row, "batch", (double)net->batch);
    bench_number(row, "ms_per_step", median_s * 1e3);
    bench_number(row, "best_ms", best_s * 1e3);
    bench_number(row, "samples_per_s", (double)net->batch / median_s);
    return row;
}

/* What a row of this kind does not know is null. */
static tutti_status put_result(const bench *b, cJSON *row) {
    static const char *const keys[] = {"peak_mib", "start_peak_mib", "planned_mib",
                                       "gflops",   "share",          "gb_per_s",
                                       "loss",     "ratio",          "gain"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!cJSON_HasObjectItem(row, keys[i]))
            bench_text(row, keys[i], NULL);
    return bench_put(b, row);
}

/* Operations and bytes of all ops of a step, on whichever device, each tensor of an op once. */
static tutti_cost cost_of(const tutti_plan *plan, int64_t batch) {
    tutti_cost sum = {0};
    const tutti_plan_mode *mode = &plan->devices[plan->owner].modes[TUTTI_TRAIN];
    for (int32_t i = 0; i < mode->n_steps; i++) {
        const tutti_item *item = &mode->program.items[mode->steps[i].item];
        if (item->kind != TUTTI_ITEM_NODE || mode->steps[i].candidate == NULL)
            continue;
        const tutti_cost cost = item->node.op->cost(&item->node, batch);
        sum.flops += cost.flops;
        sum.bytes += cost.bytes;
    }
    return sum;
}

static tutti_status put_own(const bench *b, training *t, double steps_mib, double whole_mib,
                            double *out_median_s) {
    double planned = 0;
    for (int32_t i = 0; i < tutti_runtime_device_count(b->runtime); i++)
        planned += (double)tutti_plan_memory_bytes(t->plan, i);
    const double median_s = bench_median(t->rounds_s, b->options->rounds);
    cJSON *row = result_row(t->net, "tutti", "", median_s, t->rounds_s[0]);
    bench_number(row, "peak_mib", steps_mib);
    bench_number(row, "start_peak_mib", whole_mib);
    bench_number(row, "planned_mib", planned / 1048576);
    const tutti_cost cost = cost_of(t->plan, t->net->batch);
    bench_number(row, "gflops", cost.flops / median_s * 1e-9);
    bench_number(row, "share", cost.flops / median_s * 1e-9 / b->limits.fma_gflops);
    bench_number(row, "gb_per_s", cost.bytes / median_s * 1e-9);
    bench_number(row, "loss", t->data.loss);
    *out_median_s = median_s;
    return put_result(b, row);
}

static tutti_status put_peer(const bench *b, const tool_net *net, bench_peer *peer, double own_s) {
    bench_peer_result results[BENCH_VARIANTS_MAX];
    const int32_t count = bench_peer_results(peer, results);
    if (count == 0) {
        cJSON *row = bench_row("problem");
        bench_text(row, "net", net->name);
        bench_text(row, "who", bench_peer_name(peer));
        bench_text(row, "problem", bench_peer_problem(peer));
        return bench_put(b, row);
    }
    for (int32_t i = 0; i < count; i++) {
        cJSON *row = result_row(net, bench_peer_name(peer), results[i].variant, results[i].median_s,
                                results[i].best_s);
        bench_number(row, "peak_mib", results[i].peak_mib);
        bench_number(row, "ratio", results[i].median_s / own_s);
        TUTTI_TRY(put_result(b, row));
    }
    return TUTTI_OK;
}

static tutti_status compare(bench *b, training *t, bench_peer **peers, int32_t n_peers) {
    const double whole_mib = bench_memory_mib("VmHWM");
    bench_memory_reset();
    TUTTI_TRY(measure(b, t, peers, n_peers));
    double own_s;
    TUTTI_TRY(put_own(b, t, bench_memory_mib("VmHWM"), whole_mib, &own_s));
    for (int32_t i = 0; i < n_peers; i++)
        TUTTI_TRY(put_peer(b, t->net, peers[i], own_s));
    return b->options->kernels
               ? bench_kernels(b, t->net->name, t->plan, t->run, t->net->batch, &t->data)
               : TUTTI_OK;
}

/* Every second round begins with the last. */
static tutti_status measure_variants(const bench *b, training *t) {
    for (int32_t round = 0; round < b->options->rounds; round++)
        for (int32_t i = 0; i < VARIANTS; i++) {
            training *each = &t[round % 2 == 0 ? i : VARIANTS - 1 - i];
            TUTTI_TRY(round_of_steps(each, each->steps, &each->rounds_s[round]));
        }
    return TUTTI_OK;
}

static tutti_status put_variants(const bench *b, training *t) {
    double f32_s = 0;
    for (int32_t i = 0; i < VARIANTS; i++) {
        const double median_s = bench_median(t[i].rounds_s, b->options->rounds);
        double planned = 0;
        for (int32_t d = 0; d < tutti_runtime_device_count(b->runtime); d++)
            planned += (double)tutti_plan_memory_bytes(t[i].plan, d);
        f32_s = i == 0 ? median_s : f32_s;
        cJSON *row = result_row(t[i].net, "tutti", variants[i].name, median_s, t[i].rounds_s[0]);
        bench_number(row, "gain", f32_s / median_s);
        bench_number(row, "planned_mib", planned / 1048576);
        bench_number(row, "loss", t[i].data.loss);
        TUTTI_TRY(put_result(b, row));
    }
    return TUTTI_OK;
}

static tutti_status train_variants(bench *b, const tool_net *net) {
    training t[VARIANTS] = {0};
    tutti_status status = bench_open(b, false);
    for (int32_t i = 0; i < VARIANTS && status == TUTTI_OK; i++) {
        t[i].net = net;
        status = open_training(b, &t[i], &variants[i]);
    }
    if (status == TUTTI_OK)
        status = measure_variants(b, t);
    if (status == TUTTI_OK)
        status = put_variants(b, t);
    for (int32_t i = 0; i < VARIANTS; i++)
        close_training(&t[i]);
    return status;
}

static tutti_status train(bench *b, int32_t index) {
    training t = {.net = tool_net_find(nets[index])};
    bench_peer *peers[MAX_PEERS] = {NULL};
    int32_t n_peers = 0;
    if (b->options->precisions)
        return train_variants(b, t.net);
    tutti_status status = bench_open(b, b->options->kernels);
    if (status == TUTTI_OK)
        status = open_training(b, &t, &variants[0]);
    if (status == TUTTI_OK)
        status = bench_peers_start(b, &bench_train, t.net->name, peers, MAX_PEERS, &n_peers);
    if (status == TUTTI_OK)
        status = compare(b, &t, peers, n_peers);
    for (int32_t i = 0; i < n_peers; i++)
        bench_peer_stop(peers[i]);
    close_training(&t);
    return status;
}

static const bench_column result_columns[] = {
    {"net", "net", -9, 0},
    {"who", "who", -14, 0},
    {"variant", "variant", -28, 0},
    {"ms_per_step", "ms/step", 9, 2},
    {"best_ms", "best", 9, 2},
    {"samples_per_s", "samples/s", 10, 0},
    {"ratio", "tutti is x", 10, 2},
    {"gain", "f32 is x", 8, 2},
    {"peak_mib", "peak MiB", 9, 0},
    {"start_peak_mib", "at start", 9, 0},
    {"planned_mib", "planned", 9, 1},
    {"gflops", "GFLOP/s", 8, 1},
    {"share", "/FMA", 6, 2},
};

static const bench_column problem_columns[] = {
    {"net", "net", -9, 0}, {"who", "who", -14, 0}, {"problem", "not measured", -40, 0}};

static const bench_table tables[] = {
    {"train", result_columns, sizeof result_columns / sizeof *result_columns},
    {"problem", problem_columns, sizeof problem_columns / sizeof *problem_columns},
    {"kernel", bench_kernel_columns, BENCH_KERNEL_COLUMNS},
};

const bench_noun bench_train = {
    .name = "train",
    .summary = "training steps of four networks",
    .cases = nets,
    .n_cases = NETS,
    .tables = tables,
    .n_tables = sizeof tables / sizeof *tables,
    .all_peers = "torch,torch-openmp,tinygrad",
    .run = train,
};
