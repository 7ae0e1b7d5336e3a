/* How GPUs multiply matrices: which kernels, tiles and splits of K are offered for a shape, by an
 * estimate of how long they take. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "op/matmul.h"

/* A candidate that the estimate puts so much behind the best is not offered. */
#define OFFERED_WITHIN 1.4
/* Estimates count multiply-adds at which a compute unit is busy as long: a work-group alone does not
 * fill one, ... */
#define FILLING_ITEMS 256
/* ... a partial product is written and read again, and a second launch costs some microseconds. */
#define MOVED_FLOAT 20.0
#define LAUNCH      5e5
/* Parts of K shorter than this do not repay the sums. */
#define PART_MIN   128
#define SPLITS_MAX 16
/* Candidates that any GPU can run. */
#define PLAIN_MAX   3
#define SPECIAL_MAX 2
/* One for each type that operands may be rounded to; of the special ones at least one has room. */
#define ROUNDING_MAX 2
_Static_assert(PLAIN_MAX + 1 + ROUNDING_MAX <= TUTTI_MATMUL_GPU_MAX, "");

/* On which devices a kernel runs; what it rounds operands to. */
typedef enum needs { ANY_GPU, TENSOR_UNITS, SUB_GROUPS } needs;
typedef enum rounding_kind { TO_F32, TO_TF32, TO_BF16 } rounding_kind;

/* A kernel with its tile: bm x bn outputs per work-group, tm x tn per work-item, strips of bk. */
typedef struct tile {
    const char *name;
    needs needs;
    int bm, bn, bk, tm, tn;
    double rate; /* of a filled compute unit, against tile128 on the same device */
    rounding_kind rounds;
} tile;

static const tile tiles[] = {
    {"tile128", ANY_GPU, 128, 128, 8, 8, 8, 1.0, TO_F32},
    {"tile64", ANY_GPU, 64, 64, 16, 8, 4, 0.8, TO_F32},
    {"tile32", ANY_GPU, 32, 32, 16, 4, 4, 0.5, TO_F32},
    /* Sums of three products of tf32 numbers. */
    {"tf32x3_128", TENSOR_UNITS, 128, 128, 16, 8, 8, 2.0, TO_F32},
    {"tf32x3_64", TENSOR_UNITS, 64, 64, 16, 8, 4, 1.6, TO_F32},
    /* One product each. Estimates that were not measured: the f32 strips limit them. */
    {"tf32_128", TENSOR_UNITS, 128, 128, 16, 8, 8, 3.0, TO_TF32},
    {"tf32_64", TENSOR_UNITS, 64, 64, 16, 8, 4, 2.4, TO_TF32},
    {"bf16_128", TENSOR_UNITS, 128, 128, 16, 8, 8, 4.0, TO_BF16},
    {"bf16_64", TENSOR_UNITS, 64, 64, 16, 8, 4, 3.2, TO_BF16},
    /* 16 rows per work-item spill up to 8 KiB of registers on Intel's Xe-LP and Xe-HPG (128 of 32 bytes). */
    {"sub_group16", SUB_GROUPS, 64, 32, 16, 8, 2, 1.0, TO_F32},
    {"sub_group8", SUB_GROUPS, 32, 16, 8, 8, 2, 0.7, TO_F32},
};

typedef struct offer {
    const tile *tile;
    int64_t splits;
    double estimate;
} offer;

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int items_of(const tile *t) {
    return t->bm / t->tm * (t->bn / t->tn);
}

/* Where tensor units multiply tf32 at eight times the rate of f32 or more, three products in place of
 * one are a gain: NVIDIA's large chips (A100, H100, B200). On the others the rates are equal. */
static bool has_fast_tf32(const tutti_device_info *device) {
    const uint32_t minor = device->compute_capability % 10;
    const uint32_t major = device->compute_capability / 10;
    return (major == 8 || major == 9 || major == 10) && (minor == 0 || (major == 10 && minor == 3));
}

static bool fits(const tile *t, const tutti_device_info *device) {
    const int floats = t->needs == TENSOR_UNITS ? 2 * (t->bm + t->bn) * (t->bk + 8)
                       : t->needs == SUB_GROUPS ? 0
                                                : 2 * (t->bm + t->bn) * t->bk;
    if (device->max_work_group < (uint32_t)items_of(t) ||
        device->local_memory_bytes < 4 * (uint64_t)floats)
        return false;
    /* All that have units multiply bf16 at more than the rate of f32. */
    if (t->needs == TENSOR_UNITS)
        return has_fast_tf32(device) || (t->rounds == TO_BF16 && device->compute_capability >= 80);
    /* Of bk work-items. Extensions whose names go on build on this one. */
    if (t->needs == SUB_GROUPS)
        return device->sub_group_size == (uint32_t)t->bk &&
               strstr(device->extensions, "cl_intel_subgroups") != NULL;
    return true;
}

static double estimate(const tile *t, const tutti_device_info *device,
                       const tutti_matmul_size *size, int64_t splits) {
    const int64_t units = device->compute_units > 0 ? device->compute_units : 1;
    const int64_t groups =
        size->count * ceil_div(size->m, t->bm) * ceil_div(size->n, t->bn) * splits;
    const int64_t rounds = ceil_div(groups, units);
    const double filled = (double)(rounds * items_of(t)) / FILLING_ITEMS;
    const double work = (double)(rounds * t->bm * t->bn) * (double)ceil_div(size->k, splits);
    const double outputs = (double)size->count * (double)size->m * (double)size->n;
    const double join =
        splits == 1 ? 0 : LAUNCH + MOVED_FLOAT * outputs * (double)(2 * splits + 1) / (double)units;
    return work / (t->rate * (filled < 1 ? filled : 1)) + join;
}

/* As many parts of K as occupy all compute units. */
static int64_t splits_for(const tile *t, const tutti_device_info *device,
                          const tutti_matmul_size *size) {
    const int64_t groups = ceil_div(size->m, t->bm) * ceil_div(size->n, t->bn);
    int64_t splits = ceil_div(device->compute_units, groups);
    splits = splits < size->k / PART_MIN ? splits : size->k / PART_MIN;
    return splits < SPLITS_MAX ? splits : SPLITS_MAX;
}

static int by_estimate(const void *a, const void *b) {
    const offer *x = a, *y = b;
    return (x->estimate > y->estimate) - (x->estimate < y->estimate);
}

static void write_offer(const offer *o, const tutti_matmul_attr *attr,
                        tutti_matmul_rounding rounding, tutti_matmul_gpu *out) {
    static const char *const entries[] = {"matmul_tile", "matmul_mma", "matmul_sub_group"};
    static const char *const files[] = {"matmul.cl", "matmul_mma.cl", "matmul_sub_group.cl"};
    const tile *t = o->tile;
    *out = (tutti_matmul_gpu){.file = files[t->needs],
                              .entry = entries[t->needs],
                              .splits = o->splits,
                              .columns = t->bn,
                              .per_item = {t->tn, t->tm},
                              .local = {t->bn / t->tn, t->bm / t->tm},
                              .tolerance = t->rounds == TO_TF32   ? TUTTI_MATMUL_TF32_TOLERANCE
                                           : t->rounds == TO_BF16 ? rounding.bf16_tolerance
                                                                  : 0};
    snprintf(out->name, sizeof out->name, o->splits == 1 ? "%s" : "%s_split%d", t->name,
             (int)o->splits);
    const int length =
        t->needs == SUB_GROUPS
            ? snprintf(out->options, sizeof out->options, "-DSG=%d -DLY=%d -DTM=%d -DTN=%d", t->bk,
                       t->bm / t->tm, t->tm, t->tn)
            : snprintf(out->options, sizeof out->options, "-DBM=%d -DBN=%d -DBK=%d -DTM=%d -DTN=%d",
                       t->bm, t->bn, t->bk, t->tm, t->tn);
    snprintf(out->options + length, sizeof out->options - (size_t)length,
             "%s -DTRANS_A=%d -DTRANS_B=%d",
             t->rounds == TO_TF32   ? " -DMMA=1"
             : t->rounds == TO_BF16 ? " -DMMA=16"
                                    : "",
             (int)attr->trans_a, (int)attr->trans_b);
}

typedef bool (*is_asked_fn)(const tile *t, tutti_matmul_rounding rounding);

static bool is_plain(const tile *t, tutti_matmul_rounding rounding) {
    (void)rounding;
    return t->needs == ANY_GPU;
}

static bool is_special(const tile *t, tutti_matmul_rounding rounding) {
    (void)rounding;
    return t->needs != ANY_GPU && t->rounds == TO_F32;
}

static bool is_tf32(const tile *t, tutti_matmul_rounding rounding) {
    return t->rounds == TO_TF32 && rounding.tf32;
}

static bool is_bf16(const tile *t, tutti_matmul_rounding rounding) {
    return t->rounds == TO_BF16 && rounding.bf16;
}

/* The best of those that are asked for, in order. */
static int32_t choose(const tutti_device_info *device, const tutti_matmul_size *size,
                      is_asked_fn is_asked, tutti_matmul_rounding rounding, int32_t most,
                      offer *out) {
    offer offers[2 * TUTTI_COUNT(tiles)];
    int32_t n = 0, n_out = 0;
    for (int32_t i = 0; i < TUTTI_COUNT(tiles); i++) {
        if (!is_asked(&tiles[i], rounding) || !fits(&tiles[i], device))
            continue;
        offers[n++] = (offer){&tiles[i], 1, estimate(&tiles[i], device, size, 1)};
        const int64_t splits = size->may_split ? splits_for(&tiles[i], device, size) : 1;
        if (splits > 1)
            offers[n++] = (offer){&tiles[i], splits, estimate(&tiles[i], device, size, splits)};
    }
    qsort(offers, (size_t)n, sizeof *offers, by_estimate);
    for (; n_out < n && n_out < most; n_out++) {
        if (offers[n_out].estimate > OFFERED_WITHIN * offers[0].estimate)
            break;
        out[n_out] = offers[n_out];
    }
    return n_out;
}

int32_t tutti_matmul_gpu_fit(const tutti_device_info *device, const tutti_matmul_size *size,
                             const tutti_matmul_attr *attr, tutti_matmul_rounding rounding,
                             tutti_matmul_gpu out[TUTTI_MATMUL_GPU_MAX]) {
    offer offers[TUTTI_MATMUL_GPU_MAX], rounds[ROUNDING_MAX];
    int32_t n_rounds = choose(device, size, is_tf32, rounding, 1, rounds);
    n_rounds += choose(device, size, is_bf16, rounding, 1, rounds + n_rounds);
    int32_t n = choose(device, size, is_plain, rounding, PLAIN_MAX, offers);
    /* Kernels for special units follow: the first candidate is taken unseen where nothing is
     * measured, and only measuring checks results. */
    const int32_t room = TUTTI_MATMUL_GPU_MAX - n - n_rounds;
    n += choose(device, size, is_special, rounding, room < SPECIAL_MAX ? room : SPECIAL_MAX,
                offers + n);
    for (int32_t i = 0; i < n_rounds; i++)
        offers[n++] = rounds[i];
    for (int32_t i = 0; i < n; i++)
        write_offer(&offers[i], attr, rounding, &out[i]);
    return n;
}

/* One candidate of matmul. */
static void lower_one(const tutti_node_info *node, tutti_lowering *out, const tutti_matmul_gpu *gpu,
                      tutti_extent rows, tutti_extent columns, tutti_extent inner) {
    tutti_candidate *candidate = tutti_lowering_candidate(out, gpu->name);
    if (candidate != NULL)
        candidate->tolerance = gpu->tolerance;
    const tutti_extent count = tutti_extent_count(&node->out_type[0].shape);
    const tutti_extent splits = tutti_extent_const(gpu->splits);
    uint32_t scratch = 0;
    if (gpu->splits > 1)
        scratch = tutti_candidate_scratch(
            out, candidate,
            (tutti_extent){4 * gpu->splits * count.base, 4 * gpu->splits * count.per_sample});
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, gpu->file, gpu->entry, "%s", gpu->options);
    tutti_matmul_operands(node, out, launch);
    if (gpu->splits > 1)
        tutti_launch_scratch(out, launch, scratch);
    else
        tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, rows);
    tutti_launch_i32(out, launch, columns);
    tutti_launch_i32(out, launch, inner);
    tutti_launch_i32(out, launch, splits);
    tutti_launch_range(launch, columns, gpu->per_item[0], gpu->local[0]);
    tutti_launch_range(launch, rows, gpu->per_item[1], gpu->local[1]);
    tutti_launch_range(launch, splits, 1, 1);
    if (gpu->splits == 1)
        tutti_launch_epilogue(out, launch);
    tutti_launch_loads(out, launch);
    if (gpu->splits == 1)
        return;
    launch = tutti_candidate_launch(out, candidate, "matmul_join.cl", "matmul_join", "%s", "");
    tutti_launch_scratch(out, launch, scratch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, count);
    tutti_launch_i32(out, launch, splits);
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, count, 1, 64);
}

void tutti_matmul_lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out, tutti_extent rows, tutti_extent columns,
                            tutti_extent inner) {
    const tutti_matmul_size size = {.count = 1,
                                    .m = tutti_extent_value(rows, TUTTI_TYPICAL_BATCH),
                                    .n = tutti_extent_value(columns, TUTTI_TYPICAL_BATCH),
                                    .k = tutti_extent_value(inner, TUTTI_TYPICAL_BATCH),
                                    .may_split = true};
    tutti_matmul_gpu gpu[TUTTI_MATMUL_GPU_MAX];
    const int32_t n =
        tutti_matmul_gpu_fit(device, &size, node->attr, tutti_matmul_rounding_of(node, out), gpu);
    for (int32_t i = 0; i < n; i++)
        lower_one(node, out, &gpu[i], rows, columns, inner);
}
