/* Candidates of many examples on every OpenCL device present. Included by one file per test
 * program, after cmocka.h.
 *
 * TUTTI_TEST_SEED repeats a run. TUTTI_CONFORMANCE_WORK=<n> leaves out examples of more than n
 * operations, and library routines, for devices that are interpreters. TUTTI_CONFORMANCE_OP=<name>
 * runs the candidates of that op only. TUTTI_CONFORMANCE_SHARD=<i>/<n> runs every n-th op from the
 * i-th on, so that several runs share the work. TUTTI_CONFORMANCE_HOST=1 opens no device: examples are
 * lowered and references run, for builds with sanitizers, under which drivers are slow. */
#ifndef TESTS_CONFORMANCE_DEVICES_H
#define TESTS_CONFORMANCE_DEVICES_H

#include "conformance/candidates.h"
#include "seed.h"

static uint64_t seed;
static double work_limit = INFINITY;
static const char *only_op;
static bool host_only;

static int shard_index, shard_count = 1;

static inline bool in_shard(int32_t op) {
    return op % shard_count == shard_index;
}

static inline void settings_read(void) {
    const char *shard = getenv("TUTTI_CONFORMANCE_SHARD");
    if (shard != NULL && (sscanf(shard, "%d/%d", &shard_index, &shard_count) != 2 ||
                          shard_index < 0 || shard_index >= shard_count)) {
        fprintf(stderr, "TUTTI_CONFORMANCE_SHARD is \"%s\", expected 0/3 or the like\n", shard);
        exit(2);
    }
    const char *work = getenv("TUTTI_CONFORMANCE_WORK");
    seed = test_seed();
    if (work != NULL)
        work_limit = strtod(work, NULL);
    only_op = getenv("TUTTI_CONFORMANCE_OP");
    host_only = getenv("TUTTI_CONFORMANCE_HOST") != NULL;
}

static inline tutti_rng rng_of(const tutti_op *op, const tutti_op_example *example) {
    char name[256];
    tutti_rng rng;
    snprintf(name, sizeof name, "%s/%s", op->name, example->label);
    tutti_rng_begin(&rng, seed, tutti_rng_stream(name));
    return rng;
}

/* What to check: pairs of an op and an example that it accepts. */
typedef struct conf_pair {
    const tutti_op *op;
    const tutti_op_example *example;
    tutti_dtype narrow; /* f16 or bf16: all f32 operands in that type */
} conf_pair;

/* An example on a device, lowered for what the device is or as for the other kind: a CPU computes
 * GPU-shaped kernels correctly too, and not every machine that tests has a GPU. */
typedef struct job {
    conf_case c;
    tutti_device_info info;
    tutti_lowering lowering;
    bool other;
} job;

static inline bool job_make(job *j, const conf_pair *pair, const tutti_device *device, bool other,
                            tutti_arena *arena) {
    const tutti_op *op = pair->op;
    const tutti_op_example *example = pair->example;
    if (case_make(&j->c, op, example) != TUTTI_OK)
        return false;
    for (int32_t i = 0; i < j->c.node.n_in + j->c.node.n_out; i++)
        if (tutti_dtype_is_narrow(pair->narrow) && j->c.types[i].dtype == TUTTI_F32)
            j->c.types[i].dtype = pair->narrow;
    const tutti_cost cost = op->cost(&j->c.node, j->c.n);
    if (cost.flops + cost.bytes / 4 > work_limit)
        return false;
    j->info = device->info;
    j->other = other;
    if (other)
        j->info.type = (j->info.type & TUTTI_DEVICE_CPU) != 0 ? TUTTI_DEVICE_GPU : TUTTI_DEVICE_CPU;
    /* With all that the user may allow. */
    const tutti_status status = tutti_node_lower_rounding(&j->c.node, &j->info, j->c.n,
                                                          TUTTI_MATMUL_MEDIUM, arena, &j->lowering);
    if (status != TUTTI_OK)
        fail_msg("%s: %s: lower: %s", op->name, example->label, tutti_error_message());
    return true;
}

static inline bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static inline bool same_candidate(const tutti_candidate *a, const tutti_candidate *b) {
    if (a->n_launches != b->n_launches)
        return false;
    for (int32_t i = 0; i < a->n_launches; i++) {
        const tutti_launch *x = &a->launches[i], *y = &b->launches[i];
        if (!same_text(x->routine, y->routine) || !same_text(x->entry, y->entry) ||
            !same_text(x->options, y->options) || x->rank != y->rank ||
            memcmp(x->range, y->range, sizeof x->range) != 0)
            return false;
    }
    return true;
}

static inline int64_t work_items(const tutti_launch *launch, int64_t n) {
    int64_t count = 1;
    for (int32_t d = 0; d < launch->rank; d++) {
        const tutti_range *r = &launch->range[d];
        const int64_t unit = r->per_item * r->local;
        count *= (tutti_extent_value(r->items, n) + unit - 1) / unit * r->local;
    }
    return count;
}

/* Jobs come in pairs: what the second has in common with the first is not run twice. Interpreters
 * do without library routines and without many work-groups that are mostly padding. */
static inline bool is_wanted(const job *j, const tutti_candidate *candidate) {
    const tutti_launch *first = &candidate->launches[0];
    if (work_limit < INFINITY &&
        (first->routine != NULL || (double)work_items(first, j->c.n) > work_limit))
        return false;
    for (int32_t k = 0; j->other && k < j[-1].lowering.n_candidates; k++)
        if (same_candidate(candidate, &j[-1].lowering.candidates[k]))
            return false;
    return true;
}

static inline void want_all(tutti_kernels *kernels, const job *j) {
    for (int32_t k = 0; k < j->lowering.n_candidates; k++) {
        const tutti_candidate *candidate = &j->lowering.candidates[k];
        for (int32_t l = 0; l < candidate->n_launches && is_wanted(j, candidate); l++)
            if (tutti_kernels_want(kernels, &candidate->launches[l], j->c.op->name) != TUTTI_OK)
                fail_msg("%s: %s: %s", j->c.op->name, j->c.example->label, tutti_error_message());
    }
}

static inline int32_t run_job(tutti_kernels *kernels, const job *j, int32_t *runs) {
    int32_t bad = 0;
    for (int32_t k = 0; k < j->lowering.n_candidates; k++) {
        const tutti_candidate *candidate = &j->lowering.candidates[k];
        char text[256] = "";
        tutti_rng rng = rng_of(j->c.op, j->c.example);
        if (!is_wanted(j, candidate))
            continue;
        ++*runs;
        if (candidate_agrees(kernels, &j->c, candidate, &rng, text))
            continue;
        print_error("%s: %s: candidate %s on %s: %s\n", j->c.op->name, j->c.example->label,
                    candidate->name, j->info.name, text);
        bad++;
    }
    return bad;
}

static inline int32_t check_device(const tutti_device *device, const conf_pair *pairs,
                                   int32_t n_pairs) {
    int32_t n_jobs = 0, bad = 0, runs = 0;
    job *jobs = calloc((size_t)n_pairs * 2, sizeof *jobs);
    tutti_arena arena = {0};
    tutti_kernels *kernels;
    assert_non_null(jobs);
    if (tutti_kernels_make(NULL, device, &kernels) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t p = 0; p < n_pairs; p++) {
        if ((pairs[p].op->flags & TUTTI_OP_ALIAS) != 0 ||
            (only_op != NULL && strcmp(only_op, pairs[p].op->name) != 0))
            continue;
        for (int32_t other = 0; other < 2; other++) {
            job *j = &jobs[n_jobs];
            if (!job_make(j, &pairs[p], device, other != 0, &arena)) {
                case_free(&j->c);
                break;
            }
            n_jobs++;
            want_all(kernels, j);
        }
    }
    if (tutti_kernels_build(kernels) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t j = 0; j < n_jobs; j++)
        bad += run_job(kernels, &jobs[j], &runs);
    printf("%s: %d candidates of %d examples\n", device->info.name, (int)runs, (int)n_jobs / 2);
    for (int32_t j = 0; j < n_jobs; j++)
        case_free(&jobs[j].c);
    free(jobs);
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
    assert_true(runs > 0);
    return bad;
}

/* Lowering, for CPUs with wide and with narrow vectors and for a GPU, and references of all pairs. */
static inline int32_t check_host(const conf_pair *pairs, int32_t n_pairs) {
    tutti_device device = {.info = {.id = "cpu.0",
                                    .name = "imagined",
                                    .type = TUTTI_DEVICE_CPU,
                                    .compute_units = 4,
                                    .clock_mhz = 1000,
                                    .memory_bytes = 1 << 30,
                                    .max_alloc_bytes = 1 << 28,
                                    .base_align_bytes = 128,
                                    .width_float = 16,
                                    .simd_floats = 16,
                                    .max_work_group = 1024,
                                    .max_work_item = {1024, 1024, 1024},
                                    .local_memory_bytes = 32768,
                                    .address_bits = 64}};
    int32_t lowered = 0;
    for (int32_t p = 0; p < n_pairs * 3; p++) {
        const conf_pair *pair = &pairs[p / 3];
        tutti_arena arena = {0};
        job j = {.other = false};
        device.info.width_float = device.info.simd_floats = p % 3 == 2 ? 8 : 16;
        if ((pair->op->flags & TUTTI_OP_ALIAS) == 0 &&
            (only_op == NULL || strcmp(only_op, pair->op->name) == 0) &&
            job_make(&j, pair, &device, p % 3 == 1, &arena)) {
            const tutti_node_info *node = &j.c.node;
            const int64_t counts[] = {j.c.n, 1, 0};
            tutti_rng rng = rng_of(pair->op, pair->example);
            lowered++;
            for (int32_t k = 0; p % 3 == 0 && k < (case_is_batched(&j.c) ? 3 : 1); k++) {
                void *host[OPERANDS];
                conf_run run;
                run_draw(&run, counts[k], &rng);
                for (int32_t i = 0; i < node->n_in + node->n_out; i++)
                    host[i] = i < node->n_in ? case_draw(&j.c, i, counts[k], &rng)
                                             : host_alloc(type_bytes(&j.c.types[i], counts[k]));
                node_ref(node, &run.values, host, host + node->n_in);
                for (int32_t i = 0; i < node->n_in + node->n_out; i++)
                    free(host[i]);
            }
        }
        case_free(&j.c);
        tutti_arena_free(&arena);
    }
    printf("host: %d examples lowered, for three kinds of devices\n", (int)lowered);
    return lowered > 0 ? 0 : 1;
}

/* The number of candidates that disagree, over all devices; prints each. */
static inline int32_t check_devices(const conf_pair *pairs, int32_t n_pairs) {
    static const tutti_profile profile = {.source = "conformance", .name = ""};
    static const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO, .build_options = ""};
    tutti_inventory *inventory;
    tutti_selection selections[32];
    tutti_device *devices;
    int32_t n_selections = 0, n_devices, bad = 0;
    if (host_only)
        return check_host(pairs, n_pairs);
    if (tutti_discover(NULL, &inventory) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t i = 0; i < inventory->n_devices && n_selections < 32; i++)
        if (inventory->devices[i].unusable[0] == '\0')
            selections[n_selections++] = (tutti_selection){i, &entry};
    if (n_selections == 0)
        fail_msg("no usable device; looked in %s", inventory->searched);
    if (tutti_devices_open_selected(&profile, inventory, selections, n_selections, &devices,
                                    &n_devices) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t i = 0; i < n_devices; i++)
        bad += check_device(&devices[i], pairs, n_pairs);
    tutti_devices_close(devices, n_devices);
    tutti_inventory_free(inventory);
    return bad;
}

#endif
