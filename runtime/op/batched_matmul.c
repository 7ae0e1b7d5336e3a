/* Many matrix products of one size: leading axes of a and b broadcast, the batch may be the first of
 * them. matmul's kernels, with the product as one more dimension. */
#include <inttypes.h>
#include <stdio.h>

#include "base/status.h"
#include "op/axis.h"
#include "op/matmul.h"

#define LEADS_MAX (TUTTI_MAX_RANK - 2)

/* An operand as the products see it. */
typedef struct operand {
    tutti_shape shape, lead;      /* lead: without the matrices' axes */
    int64_t step[TUTTI_MAX_RANK]; /* along its axes, in elements */
    int64_t ld;                   /* from one of a matrix's rows in memory to the next, */
    bool turned;                  /* which are columns of the matrix */
} operand;

/* Neighbouring leading axes along which each operand has one step, as one. */
typedef struct leads {
    int32_t n;
    int64_t extent[LEADS_MAX];  /* outermost first; the first is not used, it may be the batch */
    int64_t step[2][LEADS_MAX]; /* of a and b, in elements */
    tutti_extent count;
} leads;

typedef struct products {
    int64_t m, n, k;
    operand in[2];
    tutti_matmul_attr trans; /* of what lies in memory */
    leads lead;
} products;

static tutti_shape lead_of(const tutti_shape *shape) {
    tutti_shape lead = *shape;
    lead.rank -= 2;
    return lead;
}

static operand operand_of(const tutti_node_info *node, int32_t side) {
    const tutti_batched_matmul_attr *attr = node->attr;
    const tutti_shape *from = &node->in_type[side].shape;
    const int32_t rank = from->rank, *perm = attr->perm[side];
    int64_t steps[TUTTI_MAX_RANK], step = 1;
    if (rank < 2)
        return (operand){.shape = *from};
    for (int32_t i = rank - 1; i >= 0; i--) {
        steps[i] = step;
        step *= from->dim[i];
    }
    operand o = {.shape = *from, .turned = perm[rank - 1] != rank - 1};
    for (int32_t i = 0; i < rank; i++) {
        o.shape.dim[i] = from->dim[perm[i]];
        o.step[i] = steps[perm[i]];
    }
    o.lead = lead_of(&o.shape);
    o.ld = o.step[o.turned ? rank - 1 : rank - 2];
    return o;
}

/* True when the operand has one matrix for all of the result's axis. */
static bool is_broadcast(const tutti_shape *lead, const tutti_shape *shape, int32_t axis) {
    const int32_t own = axis - (shape->rank - lead->rank);
    if (axis == 0 && shape->batched)
        return !(own == 0 && lead->batched);
    return own < 0 || (lead->dim[own] == 1 && shape->dim[axis] != 1);
}

/* From one index along an axis of the result's leading ones to the next; 0 where the operand has one
 * matrix for all. */
static int64_t step_along(const operand *o, const tutti_shape *shape, int32_t axis) {
    return is_broadcast(&o->lead, shape, axis) ? 0 : o->step[axis - (shape->rank - o->lead.rank)];
}

static leads leads_of(const tutti_node_info *node, const operand in[2]) {
    const tutti_shape shape = lead_of(&node->out_type[0].shape);
    leads l = {.n = 1, .extent = {1, 1, 1, 1}, .count = tutti_extent_const(1)};
    bool empty = true;
    for (int32_t d = 0; d < shape.rank; d++) {
        l.count = tutti_extent_multiply(l.count, tutti_extent_dim(&shape, d));
        const int64_t extent = shape.dim[d];
        const int64_t step[2] = {step_along(&in[0], &shape, d), step_along(&in[1], &shape, d)};
        if (extent == 1 && !(d == 0 && shape.batched))
            continue;
        if (!empty &&
            (l.step[0][l.n - 1] != step[0] * extent || l.step[1][l.n - 1] != step[1] * extent))
            l.n++;
        empty = false;
        l.extent[l.n - 1] *= extent;
        l.step[0][l.n - 1] = step[0];
        l.step[1][l.n - 1] = step[1];
    }
    return l;
}

static products view(const tutti_node_info *node) {
    const tutti_matmul_attr *attr = &((const tutti_batched_matmul_attr *)node->attr)->of;
    products p = {.in = {operand_of(node, 0), operand_of(node, 1)}};
    const tutti_shape *a = &p.in[0].shape, *b = &p.in[1].shape;
    p.m = a->dim[a->rank - (attr->trans_a ? 1 : 2)];
    p.n = b->dim[b->rank - (attr->trans_b ? 2 : 1)];
    p.k = a->dim[a->rank - (attr->trans_a ? 2 : 1)];
    p.trans = (tutti_matmul_attr){attr->trans_a ^ p.in[0].turned, attr->trans_b ^ p.in[1].turned};
    p.lead = leads_of(node, p.in);
    return p;
}

/* A row of each operand's matrices, or a column, is a row of the tensor's. */
static tutti_status check_operands(const tutti_node_info *node) {
    const tutti_batched_matmul_attr *attr = node->attr;
    for (int32_t side = 0; side < 2; side++) {
        const int32_t rank = node->in_type[side].shape.rank, *perm = attr->perm[side];
        TUTTI_ASSERT(rank < 2 || perm[rank - 1] == rank - 1 || perm[rank - 2] == rank - 1);
    }
    return TUTTI_OK;
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    TUTTI_TRY(check_operands(node));
    const tutti_matmul_attr *attr = &((const tutti_batched_matmul_attr *)node->attr)->of;
    const operand in[2] = {operand_of(node, 0), operand_of(node, 1)};
    const tutti_shape *a = &in[0].shape, *b = &in[1].shape;
    char text_a[TUTTI_SHAPE_TEXT], text_b[TUTTI_SHAPE_TEXT];
    tutti_shape_text(a, text_a);
    tutti_shape_text(b, text_b);
    const char *mark_a = attr->trans_a ? " transposed" : "",
               *mark_b = attr->trans_b ? " transposed" : "";
    for (int32_t i = 0; i < 2; i++)
        if (node->in_type[i].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s, expected f32",
                                 i == 0 ? "lhs" : "rhs", tutti_dtype_name(node->in_type[i].dtype));
    if (a->rank < 2 || b->rank < 2 || (a->rank == 2 && a->batched) || (b->rank == 2 && b->batched))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s, rhs is %s: expected matrices behind the leading axes, of "
                             "which the batch may be the first",
                             text_a, text_b);
    const int64_t k_a = a->dim[a->rank - (attr->trans_a ? 2 : 1)];
    const int64_t k_b = b->dim[b->rank - (attr->trans_b ? 1 : 2)];
    if (k_a != k_b)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s%s, rhs is %s%s: inner sizes %" PRId64 " and %" PRId64
                             " differ",
                             text_a, mark_a, text_b, mark_b, k_a, k_b);
    tutti_shape shape;
    if (!tutti_shape_broadcast(&in[0].lead, &in[1].lead, &shape))
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s, rhs is %s: the leading axes do not broadcast", text_a,
                             text_b);
    shape.dim[shape.rank++] = a->dim[a->rank - (attr->trans_a ? 1 : 2)];
    shape.dim[shape.rank++] = b->dim[b->rank - (attr->trans_b ? 2 : 1)];
    out->type = (tutti_type){TUTTI_F32, shape};
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const products p = view(node);
    double bytes = 0;
    for (int32_t i = 0; i < 2; i++)
        bytes += 4 * (double)tutti_shape_count(&node->in_type[i].shape, n);
    const double results = (double)tutti_shape_count(&node->out_type[0].shape, n);
    return (tutti_cost){.flops = 2 * results * (double)p.k, .bytes = bytes + 4 * results};
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* From tensors to K, then what a kernel has of its own, then where the matrices are. */
static void add_operands(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch,
                         const products *p, const int64_t *own, int32_t n_own) {
    tutti_matmul_operands(node, out, launch);
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, tutti_extent_const(p->m));
    tutti_launch_i32(out, launch, tutti_extent_const(p->n));
    tutti_launch_i32(out, launch, tutti_extent_const(p->k));
    for (int32_t i = 0; i < n_own; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(own[i]));
    for (int32_t i = 0; i < 2; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(p->in[i].ld));
    tutti_launch_i32(out, launch, p->lead.count);
    /* The kernels count four axes; those behind the groups have an extent of 1. */
    for (int32_t i = 1; i < LEADS_MAX; i++)
        tutti_launch_i32(out, launch, tutti_extent_const(i < p->lead.n ? p->lead.extent[i] : 1));
    for (int32_t side = 0; side < 2; side++)
        for (int32_t i = 0; i < LEADS_MAX; i++)
            tutti_launch_i32(out, launch,
                             tutti_extent_const(i < p->lead.n ? p->lead.step[side][i] : 0));
}

/* Matrices too small to repay copies. */
static bool lower_direct(const tutti_node_info *node, const tutti_device_info *device,
                         tutti_lowering *out, const products *p) {
    const int64_t count = tutti_extent_value(p->lead.count, TUTTI_TYPICAL_BATCH);
    tutti_matmul_direct fit;
    if (!tutti_matmul_direct_fit(device, count, p->m, p->n, p->k, &p->trans, &fit))
        return false;
    tutti_launch *launch = tutti_candidate_launch(out, tutti_lowering_candidate(out, "direct"),
                                                  "batched_matmul_direct.cl",
                                                  "batched_matmul_direct", "%s", fit.options);
    add_operands(node, out, launch, p, (int64_t[]){fit.each}, 1);
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, p->lead.count, fit.each, 1);
    return true;
}

/* False when local memory is too small. */
static bool lower_cpu(const tutti_node_info *node, const tutti_device_info *device,
                      tutti_lowering *out, const products *p) {
    const int64_t count = tutti_extent_value(p->lead.count, TUTTI_TYPICAL_BATCH);
    tutti_matmul_cpu fit;
    if (!tutti_matmul_cpu_fit(device, count, p->m, p->n, &p->trans, &fit))
        return false;
    const int64_t rows = fit.mr * fit.tiles;
    tutti_launch *launch =
        tutti_candidate_launch(out, tutti_lowering_candidate(out, "cpu"), "batched_matmul_cpu.cl",
                               "matmul_cpu", "%s", fit.options);
    add_operands(node, out, launch, p, (int64_t[]){fit.tiles, fit.panels, 1}, 3);
    tutti_launch_range(launch, tutti_extent_times(p->lead.count, ceil_div(p->m, rows)), 1, 1);
    tutti_launch_range(launch, tutti_extent_const(p->n), 16 * fit.nv * fit.panels, 1);
    return true;
}

static void lower_gpu(const tutti_node_info *node, const tutti_device_info *device,
                      tutti_lowering *out, const products *p) {
    const tutti_matmul_size size = {tutti_extent_value(p->lead.count, TUTTI_TYPICAL_BATCH), p->m,
                                    p->n, p->k, false};
    tutti_matmul_gpu gpu[TUTTI_MATMUL_GPU_MAX];
    const int32_t n =
        tutti_matmul_gpu_fit(device, &size, &p->trans, tutti_matmul_rounding_of(node, out), gpu);
    for (int32_t i = 0; i < n; i++) {
        char file[64];
        snprintf(file, sizeof file, "batched_%s", gpu[i].file);
        tutti_candidate *candidate = tutti_lowering_candidate(out, gpu[i].name);
        if (candidate != NULL)
            candidate->tolerance = gpu[i].tolerance;
        tutti_launch *launch =
            tutti_candidate_launch(out, candidate, file, gpu[i].entry, "%s", gpu[i].options);
        add_operands(node, out, launch, p, (int64_t[]){1}, 1);
        tutti_launch_range(
            launch,
            tutti_extent_times(p->lead.count, gpu[i].local[0] * ceil_div(p->n, gpu[i].columns)), 1,
            gpu[i].local[0]);
        tutti_launch_range(launch, tutti_extent_const(p->m), gpu[i].per_item[1], gpu[i].local[1]);
        tutti_launch_range(launch, tutti_extent_const(1), 1, 1);
        tutti_launch_epilogue(out, launch);
    }
}

static void lower_small(const tutti_node_info *node, tutti_lowering *out, const products *p) {
    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, "small"), "batched_matmul_small.cl", "matmul_small",
        "-DTRANS_A=%d -DTRANS_B=%d", (int)p->trans.trans_a, (int)p->trans.trans_b);
    add_operands(node, out, launch, p, NULL, 0);
    tutti_launch_epilogue(out, launch);
    tutti_launch_range(launch, tutti_extent_count(&node->out_type[0].shape), 1, 64);
}

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const products p = view(node);
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    /* 32x32x32, 16x16x16 and 8x8x8: 1.25, 1.7 and 3.4 times as fast as copies. With narrow vectors that
     * was not measured: it comes second. */
    const bool is_first =
        is_cpu && tutti_matmul_is_wide(device) && lower_direct(node, device, out, &p);
    if (is_first)
        return tutti_lowering_status(out);
    if (is_cpu && lower_cpu(node, device, out, &p)) {
        if (!tutti_matmul_is_wide(device))
            (void)lower_direct(node, device, out, &p);
        return tutti_lowering_status(out);
    }
    const bool is_tiny = p.m * p.n * p.k <= 16 * 16 * 16;
    if (is_tiny)
        lower_small(node, out, &p);
    if (!is_cpu)
        lower_gpu(node, device, out, &p);
    /* The one kernel that needs neither local memory nor large work-groups. */
    if (!is_tiny)
        lower_small(node, out, &p);
    return tutti_lowering_status(out);
}

/* An input as the products see it: a permutation, which they look through again. */
static tutti_tensor seen(tutti_graph *graph, const tutti_node_info *node, int32_t side) {
    const tutti_batched_matmul_attr *attr = node->attr;
    const int32_t rank = node->in_type[side].shape.rank;
    for (int32_t i = 0; i < rank; i++)
        if (attr->perm[side][i] != i)
            return tutti_permute(graph, node->in[side], rank, attr->perm[side]);
    return node->in[side];
}

/* The gradient of an input from that of what the products see. */
static tutti_tensor unseen(tutti_graph *graph, const tutti_node_info *node, int32_t side,
                           tutti_tensor d) {
    const tutti_batched_matmul_attr *attr = node->attr;
    const tutti_shape shape = operand_of(node, side).shape;
    int32_t back[TUTTI_MAX_RANK];
    bool same = true;
    for (int32_t i = 0; i < shape.rank; i++) {
        back[attr->perm[side][i]] = i;
        same = same && attr->perm[side][i] == i;
    }
    d = tutti_reduce_to(graph, d, &shape);
    return same ? d : tutti_permute(graph, d, shape.rank, back);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_matmul_attr *attr = &((const tutti_batched_matmul_attr *)node->attr)->of;
    const tutti_tensor d = dout[0];
    const bool ta = attr->trans_a != 0, tb = attr->trans_b != 0;
    if (want[0]) {
        const tutti_tensor b = seen(graph, node, 1);
        din[0] = unseen(graph, node, 0,
                        ta ? tutti_matmul(graph, b, d, tb, true)
                           : tutti_matmul(graph, d, b, false, !tb));
    }
    if (want[1]) {
        const tutti_tensor a = seen(graph, node, 0);
        din[1] = unseen(graph, node, 1,
                        tb ? tutti_matmul(graph, d, a, true, ta)
                           : tutti_matmul(graph, a, d, !ta, false));
    }
    return tutti_graph_status(graph);
}

/* Where the operand's matrix for product l of n samples begins. */
static int64_t matrix_at(const operand *o, const tutti_shape *shape, int64_t n, int64_t l) {
    int64_t at = 0;
    for (int32_t d = shape->rank - 1; d >= 0; d--) {
        const int64_t extent = shape->dim[d] * (d == 0 && shape->batched ? n : 1);
        at += l % extent * step_along(o, shape, d);
        l /= extent;
    }
    return at;
}

static void ref(const tutti_ref_call *call) {
    const tutti_node_info *node = call->node;
    const tutti_matmul_attr *attr = &((const tutti_batched_matmul_attr *)node->attr)->of;
    const tutti_shape shape = lead_of(&node->out_type[0].shape);
    const products p = view(node);
    const int64_t n = call->run->n, count = tutti_extent_value(p.lead.count, n);
    const int64_t *step_a = p.in[0].step + p.in[0].lead.rank;
    const int64_t *step_b = p.in[1].step + p.in[1].lead.rank;
    float *c = call->out[0];
    for (int64_t l = 0; l < count; l++) {
        const float *a = (const float *)call->in[0] + matrix_at(&p.in[0], &shape, n, l);
        const float *b = (const float *)call->in[1] + matrix_at(&p.in[1], &shape, n, l);
        for (int64_t i = 0; i < p.m; i++)
            for (int64_t j = 0; j < p.n; j++) {
                double sum = 0;
                for (int64_t k = 0; k < p.k; k++)
                    sum += (double)a[i * step_a[attr->trans_a] + k * step_a[!attr->trans_a]] *
                           (double)b[k * step_b[attr->trans_b] + j * step_b[!attr->trans_b]];
                *c++ = (float)sum;
            }
    }
}

/* Which axis of the tensor each of an operand is. */
#define PERM(...)                                                                                  \
    { __VA_ARGS__ }
#define DENSE PERM(0, 1, 2, 3, 4, 5)
static const tutti_batched_matmul_attr nn = {{0, 0}, {DENSE, DENSE}}, nt = {{0, 1}, {DENSE, DENSE}},
                                       tn = {{1, 0}, {DENSE, DENSE}}, tt = {{1, 1}, {DENSE, DENSE}},
                                       heads = {{0, 1}, {PERM(0, 2, 1, 3), PERM(0, 2, 1, 3)}},
                                       turned = {{0, 0}, {PERM(0, 2, 3, 1), PERM(0, 2, 3, 1)}},
                                       mixed = {{1, 0}, {PERM(1, 0, 2), DENSE}};
#define SHAPE(dims, ...)                                                                           \
    {                                                                                              \
        .rank = dims, .dim = { __VA_ARGS__ }                                                       \
    }
#define CASE(text, count, tag, first, second)                                                      \
    { .label = text, .n = count, .n_in = 2, .in = {first, second}, .attr = &(tag) }
static const tutti_op_example examples[] = {
    CASE("samples", 3, nn, SHAPE(3, TUTTI_BATCH, 3, 5), SHAPE(3, TUTTI_BATCH, 5, 4)),
    CASE("heads NT", 2, nt, SHAPE(4, TUTTI_BATCH, 2, 7, 5), SHAPE(4, TUTTI_BATCH, 2, 7, 5)),
    CASE("heads TN", 2, tn, SHAPE(4, TUTTI_BATCH, 2, 5, 7), SHAPE(4, TUTTI_BATCH, 2, 5, 3)),
    CASE("heads TT", 2, tt, SHAPE(4, TUTTI_BATCH, 2, 5, 7), SHAPE(4, TUTTI_BATCH, 2, 3, 5)),
    CASE("over the tiles", 2, nn, SHAPE(3, TUTTI_BATCH, 67, 21), SHAPE(3, TUTTI_BATCH, 21, 69)),
    CASE("one matrix for all", 3, tn, SHAPE(3, TUTTI_BATCH, 5, 4), SHAPE(2, 5, 3)),
    CASE("the same for all samples", 3, nn, SHAPE(3, 2, 4, 5), SHAPE(4, TUTTI_BATCH, 2, 5, 3)),
    CASE("crosswise", 0, nt, SHAPE(5, 3, 1, 2, 4, 3), SHAPE(6, 2, 1, 4, 1, 5, 3)),
    /* (N, T, heads, width), as attention's operands are before their axes are permuted. */
    CASE("permuted NT", 2, heads, SHAPE(4, TUTTI_BATCH, 5, 2, 3), SHAPE(4, TUTTI_BATCH, 4, 2, 3)),
    CASE("over the tiles, permuted NT", 2, heads, SHAPE(4, TUTTI_BATCH, 67, 2, 20),
         SHAPE(4, TUTTI_BATCH, 69, 2, 20)),
    CASE("columns first", 2, turned, SHAPE(4, TUTTI_BATCH, 5, 2, 3),
         SHAPE(4, TUTTI_BATCH, 3, 2, 5)),
    CASE("one permuted", 0, mixed, SHAPE(3, 5, 2, 4), SHAPE(3, 2, 5, 3)),
    CASE("small", 2, tn, SHAPE(3, TUTTI_BATCH, 3, 9), SHAPE(3, TUTTI_BATCH, 3, 8)),
    CASE("small NT", 1, heads, SHAPE(4, TUTTI_BATCH, 1, 1, 16), SHAPE(4, TUTTI_BATCH, 16, 1, 16)),
    CASE("no samples", 0, nn, SHAPE(3, 2, 33, 20), SHAPE(3, 2, 20, 18)),
    {.label = "inner sizes",
     .n_in = 2,
     .in = {SHAPE(3, 2, 4, 5), SHAPE(3, 2, 4, 6)},
     .attr = &nn,
     .refused = "batched_matmul: lhs is 2x4x5, rhs is 2x4x6: inner sizes 5 and 4 differ"},
    {.label = "leading axes",
     .n_in = 2,
     .in = {SHAPE(3, 2, 4, 5), SHAPE(3, 3, 5, 6)},
     .attr = &nn,
     .refused = "batched_matmul: lhs is 2x4x5, rhs is 3x5x6: the leading axes do not broadcast"},
    {.label = "batched rows",
     .n_in = 2,
     .in = {SHAPE(2, TUTTI_BATCH, 5), SHAPE(3, 2, 5, 6)},
     .attr = &nn,
     .refused = "batched_matmul: lhs is Nx5, rhs is 2x5x6: expected matrices behind the leading"},
    {.label = "vector",
     .n_in = 2,
     .in = {SHAPE(3, 2, 4, 5), SHAPE(1, 5)},
     .attr = &nn,
     .refused = "batched_matmul: lhs is 2x4x5, rhs is 5: expected matrices behind the leading"},
    {.label = "labels",
     .n_in = 2,
     .in = {SHAPE(3, 2, 4, 5), {.dtype = TUTTI_I32, .rank = 2, .dim = {5, 4}, .hi = 3}},
     .attr = &nn,
     .refused = "batched_matmul: rhs is i32, expected f32"},
};

const tutti_op tutti_op_batched_matmul = {
    .name = "batched_matmul",
    .summary = "matrix products over broadcast leading axes, either operand transposed or not",
    .shapes = "a (…xMxK), b (…xKxN) -> (…xMxN)",
    .options = "trans_a, trans_b",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_EPILOGUE,
    .typed = 3,
    .attr_size = sizeof(tutti_batched_matmul_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
