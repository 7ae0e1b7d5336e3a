/* What a user needs to add an own op, with its own .cl file. Less stable than the rest of the API:
 * it may change in any minor version; TUTTI_EXT_VERSION tells.
 *
 * An op is one const table. The built-in ones are made in the same way, see docs/adding-an-op.md.
 *
 *     static const tutti_op my_op = {.name = "my_op", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
 *                                    .infer = infer, .cost = cost, .lower = lower, .ref = ref};
 *     tutti_tensor y;
 *     tutti_op_apply(graph, &my_op, &x, 1, NULL, 0, &y);
 */
#ifndef TUTTI_EXT_OP_H
#define TUTTI_EXT_OP_H

#include "tutti/device.h"
#include "tutti/graph.h"
#include "tutti/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_EXT_VERSION 3

typedef struct tutti_op tutti_op;

/* One use of an op in a graph, as its callbacks see it. All pointers are borrowed. */
typedef struct tutti_node_info {
    const tutti_op *op;
    const void *attr; /* op->attr_size bytes, or NULL */
    int32_t n_in, n_out;
    const tutti_tensor *in, *out;
    const tutti_type *in_type, *out_type; /* out_type is NULL during infer */
} tutti_node_info;

/* What infer says of each output. */
typedef struct tutti_infer {
    tutti_type type;
    /* The output is a sum over the samples that the device holds: when the batch is split, the
     * results of the devices must be added. Only for outputs that are not batched. */
    bool batch_sum;
    /* The node has neither this output nor later ones: the table's n_out is the most (split). */
    bool absent;
} tutti_infer;

/* Values known only when a step runs. */
typedef struct tutti_run_values {
    int64_t n;            /* samples that this device holds in this step */
    int64_t n_global;     /* samples of the whole batch, over all devices */
    int64_t sample_begin; /* index in the whole batch of this device's first sample */
    uint64_t seed;        /* of the run */
    uint64_t step;        /* training steps committed before this one */
    const float *scalars; /* values of the graph's scalars, in order of creation */
} tutti_run_values;

typedef struct tutti_cost {
    double flops;
    double bytes; /* read and written in global memory, each byte once */
} tutti_cost;

/* base + per_sample * n, n being the samples that the device holds. */
typedef struct tutti_extent {
    int64_t base;
    int64_t per_sample;
} tutti_extent;

typedef float (*tutti_host_f32)(const tutti_run_values *run, const void *attr);
typedef uint32_t (*tutti_host_u32)(const tutti_run_values *run, const void *attr);

typedef enum tutti_arg_kind {
    TUTTI_ARG_TENSOR,   /* __global pointer to an input or output of the node */
    TUTTI_ARG_SCRATCH,  /* __global pointer to the candidate's scratch memory */
    TUTTI_ARG_LOCAL,    /* __local pointer to local_bytes bytes */
    TUTTI_ARG_I32,      /* int: base + per_sample * n */
    TUTTI_ARG_F32,      /* float constant */
    TUTTI_ARG_SCALAR,   /* float: current value of the graph's scalar of that index */
    TUTTI_ARG_HOST_F32, /* float computed on the host at each step */
    TUTTI_ARG_HOST_U32  /* uint computed on the host at each step */
} tutti_arg_kind;

typedef struct tutti_arg {
    tutti_arg_kind kind;
    bool typed; /* the kernel takes the tensor's type in memory: see tutti_launch_operand */
    union {
        tutti_tensor tensor;
        uint32_t scratch; /* index given by tutti_candidate_scratch */
        uint32_t scalar;
        size_t local_bytes;
        tutti_extent i32;
        float f32;
        tutti_host_f32 host_f32;
        tutti_host_u32 host_u32;
    } u;
} tutti_arg;

/* One dimension of an NDRange: ceil(items / per_item) work-items, rounded up to whole groups of
 * `local`. Kernels guard against the excess. per_item and local are at least 1. A kernel that
 * relies on its local size declares it (reqd_work_group_size); for others it is made smaller where
 * the device or the kernel needs that. */
typedef struct tutti_range {
    tutti_extent items;
    int64_t per_item;
    int64_t local;
} tutti_range;

/* One kernel launch, as pure data. */
typedef struct tutti_launch {
    const char *file;    /* kernel source, looked up on the kernel search path; else NULL */
    const char *source;  /* or the source itself (generated kernels); else NULL */
    const char *entry;   /* the __kernel function */
    const char *options; /* build options such as "-DTILE=16"; "" for none */
    const char *routine; /* or the name of a library routine (kernel/routine.h); then args only */
    tutti_arg *args;
    int32_t n_args;
    int32_t rank; /* 1 to 3 */
    tutti_range range[3];
    bool epilogue;      /* has taken the epilogue */
    int32_t n_own_args; /* then: the arguments before those of either */
    /* What the functions get that compute arguments on the host; NULL: the node's attributes. */
    const void *attr;
    bool prologue; /* has taken the prologue */
} tutti_launch;

/* One way to compute the node: its launches run in order. */
typedef struct tutti_candidate {
    const char *name; /* such as "tile16", "cpu8x32", "clblast" */
    tutti_launch *launches;
    int32_t n_launches;
    tutti_extent *scratch_bytes; /* per scratch buffer */
    int32_t n_scratch;
    /* How far the result may be from the reference's, relative to the largest magnitude of an output, for
     * a candidate that rounds what it computes with, as the user allowed; 0: as others. */
    float tolerance;
    /* The part that it does of the operations that `cost` of the op says, for an algorithm that needs fewer;
     * 0: all. */
    double work;
    /* A literal: what made the op give this one alone, such as "by rule: 3x3 taps, stride 1"; NULL: there
     * is no other. */
    const char *rule;
} tutti_candidate;

/* The product of lower: candidates, the best guess without measurement first. */
typedef struct tutti_lowering tutti_lowering;

/* Adds a candidate; name is copied. NULL when memory runs out (lower then returns
 * TUTTI_OUT_OF_MEMORY by tutti_lowering_status). */
TUTTI_API tutti_candidate *tutti_lowering_candidate(tutti_lowering *lowering, const char *name);
/* The first error of the builder calls; lower ends with `return tutti_lowering_status(lowering)`.
 */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_lowering_status(const tutti_lowering *lowering);
/* What products may round their operands to: never DEFAULT. */
TUTTI_API tutti_matmul_precision tutti_lowering_matmul_precision(const tutti_lowering *lowering);
/* Scratch memory of that many bytes for the candidate; returns its index for
 * tutti_launch_scratch. */
TUTTI_API uint32_t tutti_candidate_scratch(tutti_lowering *lowering, tutti_candidate *candidate,
                                           tutti_extent size_bytes);
/* Adds a launch of `entry` in `file`; strings are copied. The launch is valid until the next is
 * added to the same candidate. options is a printf format. */
TUTTI_API tutti_launch *tutti_candidate_launch(tutti_lowering *lowering, tutti_candidate *candidate,
                                               const char *file, const char *entry,
                                               const char *options, ...) TUTTI_PRINTF(5, 6);
/* Adds a launch of `entry` in generated `source`. */
TUTTI_API tutti_launch *tutti_candidate_launch_source(tutti_lowering *lowering,
                                                      tutti_candidate *candidate,
                                                      const char *source, const char *entry,
                                                      const char *options);
/* Adds a call of a library routine. */
TUTTI_API tutti_launch *tutti_candidate_routine(tutti_lowering *lowering,
                                                tutti_candidate *candidate, const char *routine);
/* Arguments, in the kernel's order. NULL launches are ignored, so that calls need no checks. */
TUTTI_API void tutti_launch_tensor(tutti_lowering *lowering, tutti_launch *launch, tutti_tensor t);
/* A tensor that the kernel reads as it lies in memory, f32, f16 or bf16, by the macros of cl/operand.clh
 * for that letter, one of A and B; the launch gets the build options that say which type it is. Any other
 * tensor in f16 or bf16 is copied to f32 for the kernel. */
TUTTI_API void tutti_launch_operand(tutti_lowering *lowering, tutti_launch *launch, tutti_tensor t,
                                    tutti_dtype dtype, char letter);
TUTTI_API void tutti_launch_scratch(tutti_lowering *lowering, tutti_launch *launch, uint32_t index);
TUTTI_API void tutti_launch_local(tutti_lowering *lowering, tutti_launch *launch, size_t bytes);
TUTTI_API void tutti_launch_i32(tutti_lowering *lowering, tutti_launch *launch, tutti_extent value);
TUTTI_API void tutti_launch_f32(tutti_lowering *lowering, tutti_launch *launch, float value);
TUTTI_API void tutti_launch_scalar(tutti_lowering *lowering, tutti_launch *launch, uint32_t index);
TUTTI_API void tutti_launch_host_f32(tutti_lowering *lowering, tutti_launch *launch,
                                     tutti_host_f32 fn);
TUTTI_API void tutti_launch_host_u32(tutti_lowering *lowering, tutti_launch *launch,
                                     tutti_host_u32 fn);
/* For ops with the flag TUTTI_OP_EPILOGUE, on the last launch of a candidate, behind its arguments:
 * the kernel (of a file, see cl/epilogue.clh) takes the elementwise work that was fused into the
 * node. A candidate without this call is followed by a kernel for that work. */
TUTTI_API void tutti_launch_epilogue(tutti_lowering *lowering, tutti_launch *launch);
/* For ops with the flag TUTTI_OP_GROUP, before any other argument: the node's inputs and the number
 * of elements of the first, for each of the nodes that are computed together; then the range. The
 * kernel includes update.clh. */
TUTTI_API void tutti_launch_slots(tutti_lowering *lowering, tutti_launch *launch,
                                  const tutti_node_info *node);
/* For ops with the flag TUTTI_OP_PROLOGUE, on the only launch of a candidate that reads input 0,
 * behind its arguments: the kernel (of a file, see cl/prologue.clh) takes the elementwise work that
 * was fused into the node, in place of the argument for input 0. A candidate without this call comes
 * after a kernel for that work. */
TUTTI_API void tutti_launch_prologue(tutti_lowering *lowering, tutti_launch *launch);
/* The same for an input that the op's `loads` names: the launch is the only one that reads it, the
 * kernel (cl/load.clh) finds another pointer in place of it, and the call comes behind that of
 * tutti_launch_epilogue, if there is one. */
TUTTI_API void tutti_launch_loads(tutti_lowering *lowering, tutti_launch *launch);
/* Appends a dimension to the launch's NDRange, fastest first. */
TUTTI_API void tutti_launch_range(tutti_launch *launch, tutti_extent items, int64_t per_item,
                                  int64_t local);

/* {value, 0} */
static inline tutti_extent tutti_extent_const(int64_t value) {
    tutti_extent e = {value, 0};
    return e;
}
/* All elements of the shape, as a function of n. */
TUTTI_API tutti_extent tutti_extent_count(const tutti_shape *shape);
/* The extent of one axis, as a function of n. */
TUTTI_API tutti_extent tutti_extent_dim(const tutti_shape *shape, int32_t axis);
/* The value for n samples. */
static inline int64_t tutti_extent_value(tutti_extent e, int64_t n) {
    return e.base + e.per_sample * n;
}

/* A call of the reference: plain C, accumulating in double, storing float. Inputs and outputs are
 * dense row-major host arrays for run->n samples. An op that mutates inputs finds them writable. */
typedef struct tutti_ref_call {
    const tutti_node_info *node;
    const tutti_run_values *run;
    void *const *in;
    void *const *out;
} tutti_ref_call;

enum {
    /* One output element depends on the same element of the (broadcast) inputs: `expr` gives it. */
    TUTTI_OP_ELEMENTWISE = 1 << 0,
    /* Has no gradient by nature; without this flag and without grad, the op fails the tests. */
    TUTTI_OP_NO_GRAD = 1 << 1,
    /* Linear in its inputs taken together (add, scale, reshape, …): a sum of partial results over
     * devices may be taken after it instead of before. */
    TUTTI_OP_LINEAR = 1 << 2,
    /* The output is the first input under another shape; no kernel runs. lower is NULL. */
    TUTTI_OP_ALIAS = 1 << 3,
    /* Outside training the output is the last input, and nothing else of the node is needed there:
     * dropout passes its only input through. With ALIAS the op chooses between two tensors: the
     * first input when training, the last otherwise (by_mode). */
    TUTTI_OP_TRAIN_ONLY = 1 << 4,
    /* Changes the inputs named in `mutates`; runs after all their readers, once per step, on the
     * owner device (optimizers). Output 0, when there is one, aliases input 0. */
    TUTTI_OP_UPDATE = 1 << 5,
    /* Elementwise op whose expr draws random numbers. RANDOM(stream), stream a decimal number, is a
     * uint of the element: of Philox4x32-10 (Salmon et al., SC 2011), from the run's seed, the step,
     * the stream and the element's place in the WHOLE batch. Or it may use the uint identifiers
     * SEED_LO, SEED_HI (the run's seed), STEP (training steps committed), and ELEM_LO, ELEM_HI
     * (index of the element in the WHOLE batch), so that the split cannot be seen in the numbers.
     */
    TUTTI_OP_RANDOM = 1 << 6,
    /* Elementwise op whose expr uses the float identifier INV_BATCH: 1 / n_global, computed on the
     * host in double and rounded once. */
    TUTTI_OP_INV_BATCH = 1 << 7,
    /* Elementwise work on the only output may be fused into the op: see tutti_launch_epilogue. No
     * launch has an argument that the host computes. */
    TUTTI_OP_EPILOGUE = 1 << 8,
    /* Takes f16 and bf16 (infer decides which); any other op is refused such inputs. Its reference
     * and its kernels find f32 in their place. */
    TUTTI_OP_NARROW = 1 << 9,
    /* An update, element by element, that several nodes with equal attributes may do in one launch:
     * lower adds one candidate with one launch, by tutti_launch_slots. */
    TUTTI_OP_GROUP = 1 << 10,
    /* Elementwise work on input 0 may be fused into the op: see tutti_launch_prologue. No launch has
     * an argument that the host computes. */
    TUTTI_OP_PROLOGUE = 1 << 11,
    /* With TUTTI_OP_GROUP: input 1 is a gradient, which the kernel reads by GRADIENT of update.clh, so
     * that a factor for all gradients may be fused into the op. */
    TUTTI_OP_GRADIENT = 1 << 12
};

#define TUTTI_EXAMPLE_IN 8

/* An input of an example: dims as for tutti_graph_input (TUTTI_BATCH first when batched). f32
 * values are drawn uniformly from [lo, hi), i32 values from the integers lo to hi - 1; lo == hi ==
 * 0 means [-1, 1); where lo alone is NaN, some values are and the others are drawn from [-hi, hi). */
typedef struct tutti_example_in {
    tutti_dtype dtype;
    int32_t rank;
    int64_t dim[TUTTI_MAX_RANK];
    float lo, hi;
    /* Excluded from the finite-difference check (kinks are avoided by lo and hi instead). */
    bool no_grad;
} tutti_example_in;

/* One use of the op for the conformance test. An attr that names graph scalars by index finds eight
 * of them (0 to 7), with values in (0, 0.1). */
typedef struct tutti_op_example {
    const char *label;
    int64_t n; /* samples of the batch; 0 counts as 5 */
    int32_t n_in;
    tutti_example_in in[TUTTI_EXAMPLE_IN];
    const void *attr;
    float tolerance; /* relative to the largest magnitude of the output; 0 means 1e-5 */
    /* Non-NULL: the op must refuse these inputs with a message containing this text. */
    const char *refused;
} tutti_op_example;

struct tutti_op {
    const char *name;
    const char *summary; /* one line: what it computes */
    /* For docs/operators.md, one line each. shapes: of inputs and outputs, such as "a (MxK), b (KxN) ->
     * (MxN)"; NULL for elementwise ops, whose inputs broadcast. options: attributes with their
     * ranges; NULL for none. source: paper or standard; NULL where the summary is the definition. */
    const char *shapes, *options, *source;
    int32_t n_in_min, n_in_max, n_out; /* n_out: see also `absent` of tutti_infer */
    uint32_t flags;
    uint32_t mutates; /* bit i: input i is changed in place (of the first 32) */
    uint32_t typed;   /* bit i: most kernels take input i by tutti_launch_operand */
    /* Bit i: elementwise work on input i, which nothing else reads, may be fused into the op, whose
     * kernels may read an element several times: see tutti_launch_loads. No launch has an argument
     * that the host computes. */
    uint32_t loads;
    size_t attr_size; /* plain data without pointers, copied into the node */
    /* Checks shapes and types and says those of the outputs. On refusal calls tutti_op_fail with a
     * message that shows the shapes, and returns its status. */
    tutti_status (*infer)(const tutti_node_info *node, tutti_infer *out);
    /* Work for n samples. */
    tutti_cost (*cost)(const tutti_node_info *node, int64_t n);
    /* Adds candidates for the device. NULL for aliases and elementwise ops. */
    tutti_status (*lower)(const tutti_node_info *node, const tutti_device_info *device,
                          tutti_lowering *out);
    /* Emits graph nodes. dout[i] is the gradient of output i, or invalid when there is none.
     * Sets din[i] for inputs that have a gradient (others stay invalid); may skip the work for
     * inputs with want[i] false. */
    tutti_status (*grad)(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din);
    void (*ref)(const tutti_ref_call *call);
    /* Elementwise ops: writes an OpenCL C expression over the input expressions in[0..n_in-1],
     * each a float identifier or parenthesised, into text; fails when it does not fit. Scalars of
     * the graph appear as identifiers S<index>. */
    tutti_status (*expr)(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size);
    /* OpenCL C functions that expr needs, or NULL. */
    const char *expr_prelude;
    const tutti_op_example *examples;
    int32_t n_examples;
};

/* Sets the thread's error message as "<op>: <message>" and returns status. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_op_fail(const tutti_node_info *node,
                                                    tutti_status status, const char *format, ...)
    TUTTI_PRINTF(3, 4);

/* Adds a node: in[0..n_in-1] to out[0..op->n_out-1]. attr_size must be op->attr_size. Invalid
 * inputs give invalid outputs silently (the graph kept the first error). Returns the graph's
 * status. The op table must outlive the graph. */
TUTTI_API tutti_status tutti_op_apply(tutti_graph *graph, const tutti_op *op,
                                      const tutti_tensor *in, int32_t n_in, const void *attr,
                                      size_t attr_size, tutti_tensor *out);

/* The same for an op of one output, which it returns. */
TUTTI_API tutti_tensor tutti_op_apply1(tutti_graph *graph, const tutti_op *op,
                                       const tutti_tensor *in, int32_t n_in, const void *attr,
                                       size_t attr_size);

/* What elementwise ops share, of at most TUTTI_EXAMPLE_IN inputs: such an op gives its expression,
 * its double-precision function and its gradient, and takes the rest from here. */
/* infer: all inputs f32; the output is their common broadcast shape. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_elementwise_infer(const tutti_node_info *node,
                                                              tutti_infer *out);
/* cost: one operation per element, or about sixteen for exp, log, tanh and the like. */
TUTTI_API tutti_cost tutti_elementwise_cost(const tutti_node_info *node, int64_t n);
TUTTI_API tutti_cost tutti_elementwise_cost_special(const tutti_node_info *node, int64_t n);
/* Output element `index` of this device from the input elements x[0..n_in-1]. */
typedef double (*tutti_ref_fn)(const tutti_ref_call *call, const double *x, int64_t index);
/* ref: applies fn to every element, with the inputs broadcast. */
TUTTI_API void tutti_elementwise_ref(const tutti_ref_call *call, tutti_ref_fn fn);
/* expr: prints into text; TUTTI_INTERNAL when it does not fit. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_expr(char *text, size_t text_size, const char *format,
                                                 ...) TUTTI_PRINTF(3, 4);
#define TUTTI_F32_TEXT 24
/* The OpenCL C literal of a value, parenthesised when negative; exact. Returns text. */
TUTTI_API const char *tutti_f32_text(float value, char text[TUTTI_F32_TEXT]);

/* For gradients: x summed over the axes along which `shape` was broadcast to x's, so that a gradient
 * gets its operand's shape. A sum over the batch covers the whole batch. */
TUTTI_API tutti_tensor tutti_reduce_to(tutti_graph *graph, tutti_tensor x,
                                       const tutti_shape *shape);
/* For means over the batch: x * value / (samples of the whole batch, over all devices). Linear. */
TUTTI_API tutti_tensor tutti_scale_over_batch(tutti_graph *graph, tutti_tensor x, float value);

/* The type of a tensor of the graph; rank 0 f32 when it is invalid. */
TUTTI_API tutti_type tutti_tensor_type(const tutti_graph *graph, tutti_tensor tensor);

/* The built-in ops, in the order of ops.def; `*count` receives their number. */
TUTTI_API const tutti_op *const *tutti_op_list(int32_t *count);

#ifdef __cplusplus
}
#endif
#endif
