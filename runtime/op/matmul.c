/* C = op(A) op(B). Candidates: a CPU-shaped kernel, a GPU-shaped one (also with K split), one
 * output per work-item, and CLBlast. */
#include <inttypes.h>

#include "graph/lowering.h"
#include "op/matmul.h"
#include "op/permute.h"

typedef struct matmul {
    tutti_extent m, n, k;
    bool trans_a, trans_b;
} matmul;

static matmul view(const tutti_node_info *node) {
    const tutti_matmul_attr *attr = node->attr;
    const tutti_shape *a = &node->in_type[0].shape, *b = &node->in_type[1].shape;
    return (matmul){.m = tutti_extent_dim(a, attr->trans_a ? 1 : 0),
                    .n = tutti_extent_dim(b, attr->trans_b ? 0 : 1),
                    .k = tutti_extent_dim(a, attr->trans_a ? 0 : 1),
                    .trans_a = attr->trans_a != 0,
                    .trans_b = attr->trans_b != 0};
}

/* A matrix b that serves all of a's leading axes: they are rows of one product. */
static tutti_tensor fold(tutti_graph *g, tutti_tensor a, tutti_tensor b,
                         const tutti_matmul_attr *attr) {
    tutti_shape shape = tutti_tensor_type(g, a).shape;
    tutti_shape rows = {.rank = 2, .batched = shape.batched, .dim = {1, shape.dim[shape.rank - 1]}};
    for (int32_t d = 0; d < shape.rank - 1; d++)
        rows.dim[0] *= shape.dim[d];
    const tutti_tensor y =
        tutti_op_apply1(g, &tutti_op_matmul, (tutti_tensor[]){tutti_reshape_to(g, a, &rows), b}, 2,
                        attr, sizeof *attr);
    shape.dim[shape.rank - 1] = tutti_tensor_type(g, y).shape.dim[1];
    return y.id == 0 ? y : tutti_reshape_to(g, y, &shape);
}

/* The tensor that an operand is a permutation of, where the products can read it as it lies. */
static tutti_tensor look_through(const tutti_graph *g, tutti_tensor x,
                                 int32_t perm[TUTTI_MAX_RANK]) {
    const int32_t rank = tutti_tensor_type(g, x).shape.rank;
    const tutti_tensor source = tutti_permute_source(g, x, perm);
    if (rank >= 2 && (perm[rank - 1] == rank - 1 || perm[rank - 2] == rank - 1))
        return source;
    for (int32_t i = 0; i < TUTTI_MAX_RANK; i++)
        perm[i] = i;
    return x;
}

tutti_tensor tutti_matmul(tutti_graph *g, tutti_tensor a, tutti_tensor b, bool trans_a,
                          bool trans_b) {
    tutti_batched_matmul_attr attr = {.of = {trans_a, trans_b}};
    const tutti_shape shape_a = tutti_tensor_type(g, a).shape;
    const tutti_shape shape_b = tutti_tensor_type(g, b).shape;
    const tutti_tensor in[2] = {look_through(g, a, attr.perm[0]), look_through(g, b, attr.perm[1])};
    const bool folds =
        a.id != 0 && shape_a.rank > 2 && shape_b.rank == 2 && !shape_b.batched && !trans_a;
    if (!folds && (shape_a.rank > 2 || shape_b.rank > 2))
        return tutti_op_apply1(g, &tutti_op_batched_matmul, in, 2, &attr, sizeof attr);
    /* Of a matrix there is one other order. */
    attr.of.trans_a ^= shape_a.rank == 2 && attr.perm[0][0] == 1;
    attr.of.trans_b ^= shape_b.rank == 2 && attr.perm[1][0] == 1;
    if (folds)
        return fold(g, a, in[1], &attr.of);
    return tutti_op_apply1(g, &tutti_op_matmul, in, 2, &attr.of, sizeof attr.of);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_matmul_attr *attr = node->attr;
    const tutti_shape *a = &node->in_type[0].shape, *b = &node->in_type[1].shape;
    char text_a[TUTTI_SHAPE_TEXT], text_b[TUTTI_SHAPE_TEXT];
    tutti_shape_text(a, text_a);
    tutti_shape_text(b, text_b);
    const char *mark_a = attr->trans_a ? " transposed" : "",
               *mark_b = attr->trans_b ? " transposed" : "";
    for (int32_t i = 0; i < 2; i++)
        if (node->in_type[i].dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s, expected f32",
                                 i == 0 ? "lhs" : "rhs", tutti_dtype_name(node->in_type[i].dtype));
    if (a->rank != 2 || b->rank != 2)
        return tutti_op_fail(node, TUTTI_SHAPE, "lhs is %s, rhs is %s: expected two matrices",
                             text_a, text_b);
    const bool m_batched = a->batched && !attr->trans_a;
    const bool k_batched_a = a->batched && attr->trans_a;
    const bool k_batched_b = b->batched && !attr->trans_b;
    if (b->batched && attr->trans_b)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s%s, rhs is %s%s: the batch cannot be the last extent of the "
                             "result",
                             text_a, mark_a, text_b, mark_b);
    const int64_t k_a = a->dim[attr->trans_a ? 0 : 1], k_b = b->dim[attr->trans_b ? 1 : 0];
    if (k_batched_a != k_batched_b)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s%s, rhs is %s%s: only one of the inner sizes is the batch",
                             text_a, mark_a, text_b, mark_b);
    if (k_a != k_b)
        return tutti_op_fail(node, TUTTI_SHAPE,
                             "lhs is %s%s, rhs is %s%s: inner sizes %" PRId64 " and %" PRId64
                             " differ",
                             text_a, mark_a, text_b, mark_b, k_a, k_b);
    out->type =
        (tutti_type){TUTTI_F32,
                     {.rank = 2,
                      .batched = m_batched,
                      .dim = {a->dim[attr->trans_a ? 1 : 0], b->dim[attr->trans_b ? 0 : 1]}}};
    out->batch_sum = k_batched_a;
    return TUTTI_OK;
}

static tutti_cost cost(const tutti_node_info *node, int64_t n) {
    const matmul p = view(node);
    const double rows = (double)tutti_extent_value(p.m, n);
    const double columns = (double)tutti_extent_value(p.n, n);
    const double inner = (double)tutti_extent_value(p.k, n);
    return (tutti_cost){.flops = 2 * rows * columns * inner,
                        .bytes = 4 * (rows * inner + inner * columns + rows * columns)};
}

void tutti_matmul_operands(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch) {
    /* Kernels for CPUs read an element of A many times: f16 is converted once, in a copy. */
    if (node->in_type[0].dtype == TUTTI_F16 && out->device != NULL &&
        (out->device->type & TUTTI_DEVICE_CPU) != 0)
        tutti_launch_tensor(out, launch, node->in[0]);
    else
        tutti_launch_operand(out, launch, node->in[0], node->in_type[0].dtype, 'A');
    tutti_launch_operand(out, launch, node->in[1], node->in_type[1].dtype, 'B');
}

tutti_matmul_rounding tutti_matmul_rounding_of(const tutti_node_info *node,
                                               const tutti_lowering *lowering) {
    const tutti_matmul_precision allowed = tutti_lowering_matmul_precision(lowering);
    if (node->in_type[0].dtype == TUTTI_BF16 && node->in_type[1].dtype == TUTTI_BF16)
        return (tutti_matmul_rounding){.bf16 = true};
    return (tutti_matmul_rounding){.tf32 = allowed >= TUTTI_MATMUL_HIGH,
                                   .bf16 = allowed >= TUTTI_MATMUL_MEDIUM,
                                   .bf16_tolerance = TUTTI_MATMUL_BF16_TOLERANCE};
}

static void add_operands(const tutti_node_info *node, tutti_lowering *out, tutti_launch *launch,
                         const matmul *p) {
    if (launch != NULL && launch->routine != NULL) {
        tutti_launch_tensor(out, launch, node->in[0]);
        tutti_launch_tensor(out, launch, node->in[1]);
    } else {
        tutti_matmul_operands(node, out, launch);
    }
    tutti_launch_tensor(out, launch, node->out[0]);
    tutti_launch_i32(out, launch, p->m);
    tutti_launch_i32(out, launch, p->n);
    tutti_launch_i32(out, launch, p->k);
}

static void lower_small(const tutti_node_info *node, tutti_lowering *out, const matmul *p) {
    tutti_candidate *candidate = tutti_lowering_candidate(out, "small");
    tutti_launch *launch =
        tutti_candidate_launch(out, candidate, "matmul_small.cl", "matmul_small",
                               "-DTRANS_A=%d -DTRANS_B=%d", p->trans_a, p->trans_b);
    add_operands(node, out, launch, p);
    tutti_launch_epilogue(out, launch);
    tutti_launch_loads(out, launch);
    tutti_launch_range(launch, tutti_extent_count(&node->out_type[0].shape), 1, 64);
}

/* And lower_small's and CLBlast's. */
_Static_assert(TUTTI_MATMUL_GPU_MAX + 2 <= TUTTI_CANDIDATES_MAX, "");

static tutti_status lower(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out) {
    const matmul p = view(node);
    const double work = (double)tutti_extent_value(p.m, TUTTI_TYPICAL_BATCH) * (double)p.n.base *
                        (double)tutti_extent_value(p.k, TUTTI_TYPICAL_BATCH);
    const bool is_tiny = work <= 64 * 64 * 64;
    /* On CPUs the register tiles win down to the smallest products (5x3x7: a tie, 32x10x64: 4.8
     * against 7.2 microseconds). */
    const bool has_cpu = (device->type & TUTTI_DEVICE_CPU) != 0 &&
                         tutti_matmul_lower_cpu(node, device, out, p.m, p.n, p.k);
    if (!has_cpu && is_tiny)
        lower_small(node, out, &p);
    if (!has_cpu)
        tutti_matmul_lower_gpu(node, device, out, p.m, p.n, p.k);
    /* The one kernel that needs neither local memory nor large work-groups. */
    if (!has_cpu && !is_tiny)
        lower_small(node, out, &p);
    /* A library call is not worth measuring where a launch costs as much as the product. */
    if (work > 2e3) {
        tutti_launch *launch =
            tutti_candidate_routine(out, tutti_lowering_candidate(out, "clblast"), "clblast_sgemm");
        add_operands(node, out, launch, &p);
        tutti_launch_i32(out, launch, tutti_extent_const(p.trans_a));
        tutti_launch_i32(out, launch, tutti_extent_const(p.trans_b));
    }
    return tutti_lowering_status(out);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    const tutti_matmul_attr *attr = node->attr;
    const tutti_tensor a = node->in[0], b = node->in[1], d = dout[0];
    if (want[0])
        din[0] = attr->trans_a ? tutti_matmul(graph, b, d, attr->trans_b, true)
                               : tutti_matmul(graph, d, b, false, !attr->trans_b);
    if (want[1])
        din[1] = attr->trans_b ? tutti_matmul(graph, d, a, true, attr->trans_a)
                               : tutti_matmul(graph, a, d, !attr->trans_a, false);
    return tutti_graph_status(graph);
}

static void ref(const tutti_ref_call *call) {
    const matmul p = view(call->node);
    const int64_t rows = tutti_extent_value(p.m, call->run->n);
    const int64_t columns = tutti_extent_value(p.n, call->run->n);
    const int64_t inner = tutti_extent_value(p.k, call->run->n);
    const float *a = call->in[0], *b = call->in[1];
    float *c = call->out[0];
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double sum = 0;
            for (int64_t k = 0; k < inner; k++)
                sum += (double)a[p.trans_a ? k * rows + i : i * inner + k] *
                       (double)b[p.trans_b ? j * inner + k : k * columns + j];
            c[i * columns + j] = (float)sum;
        }
}

static const tutti_matmul_attr nn = {0, 0}, nt = {0, 1}, tn = {1, 0}, tt = {1, 1};
#define CASE(text, count, tag, a0, a1, b0, b1)                                                     \
    {                                                                                              \
        .label = text, .n = count, .n_in = 2,                                                      \
        .in = {{.rank = 2, .dim = {a0, a1}}, {.rank = 2, .dim = {b0, b1}}}, .attr = &(tag)         \
    }
static const tutti_op_example examples[] = {
    CASE("one number", 0, nn, 1, 1, 1, 1),
    /* Positive: a single sum does not cancel to nothing, where only noise is left to compare. */
    {.label = "row times column",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {1, 19}, .lo = 0.25F, .hi = 1},
            {.rank = 2, .dim = {19, 1}, .lo = 0.25F, .hi = 1}},
     .attr = &nn},
    CASE("column times row", 0, nn, 17, 1, 1, 33),
    CASE("primes", 0, nn, 7, 13, 13, 5),
    CASE("primes NT", 0, nt, 7, 13, 5, 13),
    CASE("primes TN", 0, tn, 13, 7, 13, 5),
    CASE("primes TT", 0, tt, 13, 7, 5, 13),
    CASE("whole tiles", 0, nn, 48, 64, 64, 64),
    CASE("over the tiles", 0, nn, 67, 71, 71, 69),
    CASE("over the tiles NT", 0, nt, 67, 71, 69, 71),
    CASE("over the tiles TN", 0, tn, 71, 67, 71, 69),
    CASE("over the tiles TT", 0, tt, 71, 67, 69, 71),
    CASE("long inner", 0, nn, 5, 1031, 1031, 18),
    CASE("long inner NT", 0, nt, 13, 777, 33, 777),
    CASE("long inner TN", 0, tn, 530, 14, 530, 35),
    CASE("long inner TT", 0, tt, 530, 14, 35, 530),
    CASE("inner in parts TN", 0, tn, 1500, 20, 1500, 18),
    CASE("large", 0, nn, 131, 40, 40, 145),
    CASE("several panels", 0, nn, 523, 3, 3, 507),
    {.label = "several panels and blocks",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {259, 270}, .no_grad = true},
            {.rank = 2, .dim = {1025, 270}, .no_grad = true}},
     .attr = &nt},
    CASE("batched rows", 37, nn, TUTTI_BATCH, 64, 64, 10),
    CASE("batched rows NT", 33, nt, TUTTI_BATCH, 64, 32, 64),
    CASE("summed batch", 37, tn, TUTTI_BATCH, 11, TUTTI_BATCH, 35),
    CASE("few columns", 37, nt, TUTTI_BATCH, 83, 10, 83),
    CASE("one column", 0, nt, 5, 65, 1, 65),
    CASE("few rows", 37, tn, TUTTI_BATCH, 10, TUTTI_BATCH, 64),
    CASE("short inner", 0, nn, 9, 3, 3, 16),
    {.label = "inner sizes",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {128, 64}}, {.rank = 2, .dim = {32, 10}}},
     .attr = &nn,
     .refused = "matmul: lhs is 128x64, rhs is 32x10: inner sizes 64 and 32 differ"},
    {.label = "inner sizes TN",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {8, 4}}, {.rank = 2, .dim = {4, 8}}},
     .attr = &tn,
     .refused = "matmul: lhs is 8x4 transposed, rhs is 4x8: inner sizes 8 and 4 differ"},
    {.label = "vector",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {8, 4}}, {.rank = 1, .dim = {4}}},
     .attr = &nn,
     .refused = "matmul: lhs is 8x4, rhs is 4: expected two matrices"},
    {.label = "batched columns",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {8, 4}}, {.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &nt,
     .refused = "matmul: lhs is 8x4, rhs is Nx4 transposed: the batch cannot be the last extent"},
    {.label = "half a batch",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {8, 4}}, {.rank = 2, .dim = {TUTTI_BATCH, 4}}},
     .attr = &nn,
     .refused = "matmul: lhs is 8x4, rhs is Nx4: only one of the inner sizes is the batch"},
    {.label = "labels",
     .n_in = 2,
     .in = {{.rank = 2, .dim = {8, 4}},
            {.dtype = TUTTI_I32, .rank = 2, .dim = {4, 2}, .lo = 0, .hi = 3}},
     .attr = &nn,
     .refused = "matmul: rhs is i32, expected f32"},
};

const tutti_op tutti_op_matmul = {
    .name = "matmul",
    .summary = "matrix product, either operand transposed or not",
    .shapes = "a (MxK), b (KxN) -> (MxN)",
    .options = "trans_a, trans_b",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .flags = TUTTI_OP_EPILOGUE,
    .typed = 3,
    .loads = 1U << 0 | 1U << 1,
    .attr_size = sizeof(tutti_matmul_attr),
    .infer = infer,
    .cost = cost,
    .lower = lower,
    .grad = grad,
    .ref = ref,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
