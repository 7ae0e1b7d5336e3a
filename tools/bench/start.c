/* From nothing to the first training step of the sample mnist: with empty caches, and again. */
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "base/status.h"
#include "bench.h"
#include "models/lenet.h"

#define BATCH         64
#define PIXELS        784
#define COLD_ROUNDS   3 /* each takes long */
#define DIRECTORY_MAX 1024

static tutti_status build(tutti_graph *g) {
    const int64_t dims[] = {TUTTI_BATCH, 1, 28, 28};
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 4, dims);
    const tutti_tensor y = tutti_graph_input(g, "y", TUTTI_I32, 1, dims);
    const tutti_tensor logits =
        bench_quick() ? tutti_nn_linear(g, tutti_reshape(g, x, 2, (int64_t[]){TUTTI_BATCH, PIXELS}),
                                        10, "fc", NULL)
                      : lenet(g, x, &lenet_paper, 10);
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, y));
    (void)tutti_graph_set_output(g, "logits", logits);
    (void)tutti_graph_set_output(g, "accuracy", tutti_accuracy(g, logits, y));
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM});
    return tutti_graph_freeze(g);
}

static tutti_status first_step(bench *b, tutti_graph *g, tutti_plan **plan, tutti_run **run,
                               float *x) {
    int32_t y[BATCH];
    float loss;
    tutti_rng rng;
    tutti_rng_begin(&rng, 1, 0);
    for (int i = 0; i < BATCH; i++)
        y[i] = (int32_t)tutti_rng_below(&rng, 10);
    for (int i = 0; i < BATCH * PIXELS; i++)
        x[i] = tutti_rng_uniform(&rng);
    TUTTI_TRY(build(g));
    TUTTI_TRY(bench_open(b, false));
    TUTTI_TRY(tutti_plan_make(g, b->runtime, &(tutti_plan_options){.batch = BATCH}, plan));
    TUTTI_TRY(tutti_run_open(*plan, NULL, run));
    const tutti_feed feeds[] = {{tutti_graph_find(g, "x"), x}, {tutti_graph_find(g, "y"), y}};
    return tutti_run_step(*run, TUTTI_TRAIN, BATCH, feeds, 2,
                          &(tutti_fetch){tutti_graph_loss(g), &loss}, 1);
}

/* In a process of its own: drivers are loaded, and everything is looked for, once. */
static tutti_status start_once(bench *b, void *user) {
    (void)user;
    const double begin = tutti_clock_s();
    tutti_graph *g;
    tutti_plan *plan = NULL;
    tutti_run *run = NULL;
    TUTTI_TRY(tutti_graph_make(&g));
    float *x = malloc((size_t)BATCH * PIXELS * sizeof *x);
    tutti_status status = x == NULL ? tutti_fail_memory((size_t)BATCH * PIXELS * 4, "images")
                                    : first_step(b, g, &plan, &run, x);
    if (status == TUTTI_OK) {
        const tutti_kernel_stats stats = tutti_runtime_kernel_stats(b->runtime);
        cJSON *row = bench_row("once");
        bench_number(row, "s", tutti_clock_s() - begin);
        bench_number(row, "build_s", stats.build_s);
        bench_number(row, "programs", stats.programs);
        bench_number(row, "compiled", stats.compiled);
        bench_number(row, "from_disk", stats.from_disk);
        bench_number(row, "from_driver", stats.from_driver);
        status = bench_put(b, row);
    }
    tutti_run_close(run);
    tutti_plan_free(plan);
    tutti_graph_free(g);
    free(x);
    return status;
}

static const char *const counts[] = {"programs", "compiled", "from_disk", "from_driver"};
enum { COUNTS = sizeof counts / sizeof *counts };

typedef struct starts {
    double *s, *build_s;
    double counts[COUNTS]; /* of the last */
    int32_t count;
} starts;

static double number_of(const cJSON *row, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, key);
    return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

static void take(void *user, cJSON *row) {
    starts *all = user;
    all->s[all->count] = number_of(row, "s");
    all->build_s[all->count++] = number_of(row, "build_s");
    for (int i = 0; i < COUNTS; i++)
        all->counts[i] = number_of(row, counts[i]);
    cJSON_Delete(row);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk) {
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

/* Empty directories in the place of every cache that is known. */
static tutti_status make_caches(char directory[DIRECTORY_MAX]) {
    static const char *const variables[] = {"TUTTI_CACHE_DIR", "POCL_CACHE_DIR", "CUDA_CACHE_PATH",
                                            "XDG_CACHE_HOME"};
    const char *parent = getenv("TMPDIR");
    const int length = snprintf(directory, DIRECTORY_MAX, "%s/tutti-bench-XXXXXX",
                                parent != NULL && *parent != '\0' ? parent : "/tmp");
    if (length >= DIRECTORY_MAX || mkdtemp(directory) == NULL)
        return tutti_fail(TUTTI_IO, "%s: no directory for caches (TMPDIR): %s", directory,
                          length >= DIRECTORY_MAX ? "too long" : strerror(errno));
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        char path[DIRECTORY_MAX + 32];
        snprintf(path, sizeof path, "%s/%zu", directory, i);
        (void)setenv(variables[i], path, 1);
    }
    return TUTTI_OK;
}

static void remove_caches(const char *directory) {
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A process that removes them when the last that measures has ended, also by Ctrl-C, which it does not
 * get itself. */
typedef struct keeper {
    pid_t pid;
    int end; /* it waits until nobody has this open */
} keeper;

/* Waits for a byte, or until nobody has the other end open. */
static void wait_for(int end) {
    char byte;
    while (read(end, &byte, 1) < 0 && errno == EINTR)
        continue;
}

/* To be called with the signals blocked that end both, which only the parent may get once the keeper
 * has a session of its own; it gets the mask `usual`. */
static tutti_status keep_caches(const char *directory, const sigset_t *usual, keeper *out) {
    int ends[2], ready[2];
    if (pipe(ends) != 0)
        return tutti_fail(TUTTI_IO, "%s: no pipe: %s", directory, strerror(errno));
    if (pipe(ready) != 0) {
        close(ends[0]);
        close(ends[1]);
        return tutti_fail(TUTTI_IO, "%s: no pipe: %s", directory, strerror(errno));
    }
    out->pid = fork();
    if (out->pid == 0) {
        (void)setsid();
        (void)sigprocmask(SIG_SETMASK, usual, NULL);
        close(ends[1]);
        close(ready[0]);
        close(ready[1]); /* says that it is there */
        wait_for(ends[0]);
        remove_caches(directory);
        _exit(0);
    }
    const int error = errno;
    close(ends[0]);
    close(ready[1]);
    if (out->pid > 0)
        wait_for(ready[0]);
    close(ready[0]);
    out->end = ends[1];
    if (out->pid > 0)
        return TUTTI_OK;
    close(ends[1]);
    return tutti_fail(TUTTI_IO, "%s: no process: %s", directory, strerror(error));
}

/* Caches and their keeper. Ctrl-C waits until there are both. */
static tutti_status open_caches(char directory[DIRECTORY_MAX], keeper *out) {
    sigset_t ends, usual;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &ends, &usual);
    tutti_status status = make_caches(directory);
    if (status == TUTTI_OK) {
        status = keep_caches(directory, &usual, out);
        if (status != TUTTI_OK)
            remove_caches(directory);
    }
    (void)sigprocmask(SIG_SETMASK, &usual, NULL);
    return status;
}

static void stop_keeper(keeper *k) {
    close(k->end);
    (void)waitpid(k->pid, NULL, 0);
}

static tutti_status put(const bench *b, const char *caches, starts *all) {
    cJSON *row = bench_row("start");
    bench_text(row, "name", "mnist");
    bench_text(row, "caches", caches);
    bench_number(row, "rounds", all->count);
    bench_number(row, "first_step_s", bench_median(all->s, all->count));
    bench_number(row, "best_s", all->s[0]);
    bench_number(row, "build_s", bench_median(all->build_s, all->count));
    for (int i = 0; i < COUNTS; i++)
        bench_number(row, counts[i], all->counts[i]);
    return bench_put(b, row);
}

/* Cold starts, each with caches of its own; those of the last serve the warm ones. */
static tutti_status measure(const bench *b, starts *cold, starts *warm) {
    const int32_t colds = bench_quick() ? 1 : COLD_ROUNDS;
    tutti_status status = TUTTI_OK;
    for (int32_t i = 0; i < colds && status == TUTTI_OK; i++) {
        char directory[DIRECTORY_MAX];
        keeper k = {0};
        TUTTI_TRY(open_caches(directory, &k));
        status = bench_child(b, start_once, NULL, take, cold);
        const int32_t warms = bench_quick() ? 1 : b->options->rounds;
        for (int32_t w = 0; i == colds - 1 && w < warms && status == TUTTI_OK; w++)
            status = bench_child(b, start_once, NULL, take, warm);
        stop_keeper(&k);
    }
    if (status == TUTTI_OK)
        status = put(b, "cold", cold);
    return status == TUTTI_OK ? put(b, "warm", warm) : status;
}

static tutti_status start(bench *b, int32_t index) {
    (void)index;
    const size_t most = (size_t)b->options->rounds + COLD_ROUNDS;
    double *numbers = calloc(4 * most, sizeof *numbers);
    if (numbers == NULL)
        return tutti_fail_memory(4 * most * sizeof *numbers, "times");
    starts cold = {.s = numbers, .build_s = numbers + most};
    starts warm = {.s = numbers + 2 * most, .build_s = numbers + 3 * most};
    const tutti_status status = measure(b, &cold, &warm);
    free(numbers);
    return status;
}

static const bench_column start_columns[] = {
    {"name", "start", -8, 0},         {"caches", "caches", -6, 0},
    {"rounds", "rounds", 6, 0},       {"first_step_s", "first step s", 12, 2},
    {"best_s", "best", 8, 2},         {"build_s", "building s", 10, 2},
    {"programs", "programs", 8, 0},   {"compiled", "compiled", 8, 0},
    {"from_disk", "from disk", 9, 0}, {"from_driver", "from driver", 11, 0},
};
static const bench_table tables[] = {
    {"start", start_columns, sizeof start_columns / sizeof *start_columns}};
static const char *const cases[] = {"mnist"};

const bench_noun bench_start = {
    .name = "start",
    .summary = "from nothing to the first step of the sample mnist",
    .cases = cases,
    .n_cases = 1,
    .tables = tables,
    .n_tables = 1,
    .run = start,
};
