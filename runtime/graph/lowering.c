#include "graph/lowering.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/narrow.h"
#include "base/status.h"
#include "graph/fuse.h"

#define OPTIONS_MAX 1024

tutti_status tutti_lowering_status(const tutti_lowering *lowering) {
    return lowering->status;
}

tutti_matmul_precision tutti_lowering_matmul_precision(const tutti_lowering *lowering) {
    return lowering->matmul_precision == TUTTI_MATMUL_DEFAULT ? TUTTI_MATMUL_HIGHEST
                                                              : lowering->matmul_precision;
}

static void keep(tutti_lowering *lowering, tutti_status status) {
    if (lowering->status == TUTTI_OK)
        lowering->status = status;
}

static char *copy_text(tutti_lowering *lowering, const char *text) {
    char *copy = tutti_arena_strdup(lowering->arena, text);
    if (copy == NULL)
        keep(lowering, TUTTI_OUT_OF_MEMORY);
    return copy;
}

/* Makes room for one more element: arrays grow at powers of two, so that no capacity is kept. The
 * arena keeps the smaller copies, which are few and small. */
static void *grow(tutti_lowering *lowering, void *array, int32_t count, size_t size_bytes) {
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    void *grown =
        tutti_arena_array(lowering->arena, count == 0 ? 1 : (size_t)count * 2, size_bytes);
    if (grown == NULL)
        keep(lowering, TUTTI_OUT_OF_MEMORY);
    else if (count != 0)
        memcpy(grown, array, (size_t)count * size_bytes);
    return grown;
}

tutti_candidate *tutti_lowering_candidate(tutti_lowering *lowering, const char *name) {
    if (lowering->n_candidates == TUTTI_CANDIDATES_MAX) {
        keep(lowering, tutti_fail(TUTTI_INTERNAL, "candidate %s: there are already %d", name,
                                  TUTTI_CANDIDATES_MAX));
        return NULL;
    }
    const char *copy = copy_text(lowering, name);
    if (copy == NULL)
        return NULL;
    tutti_candidate *candidate = &lowering->candidates[lowering->n_candidates++];
    *candidate = (tutti_candidate){.name = copy};
    return candidate;
}

uint32_t tutti_candidate_scratch(tutti_lowering *lowering, tutti_candidate *candidate,
                                 tutti_extent size_bytes) {
    if (candidate == NULL)
        return 0;
    tutti_extent *sizes =
        grow(lowering, candidate->scratch_bytes, candidate->n_scratch, sizeof *sizes);
    if (sizes == NULL)
        return 0;
    candidate->scratch_bytes = sizes;
    sizes[candidate->n_scratch] = size_bytes;
    return (uint32_t)candidate->n_scratch++;
}

static tutti_launch *add_launch(tutti_lowering *lowering, tutti_candidate *candidate) {
    if (candidate == NULL)
        return NULL;
    tutti_launch *launches =
        grow(lowering, candidate->launches, candidate->n_launches, sizeof *launches);
    if (launches == NULL)
        return NULL;
    candidate->launches = launches;
    tutti_launch *launch = &launches[candidate->n_launches++];
    *launch = (tutti_launch){.options = ""};
    return launch;
}

tutti_launch *tutti_candidate_launch(tutti_lowering *lowering, tutti_candidate *candidate,
                                     const char *file, const char *entry, const char *options,
                                     ...) {
    tutti_launch *launch = add_launch(lowering, candidate);
    if (launch == NULL)
        return NULL;
    char text[OPTIONS_MAX];
    va_list args;
    va_start(args, options);
    const int length = vsnprintf(text, sizeof text, options, args);
    va_end(args);
    if (length < 0 || (size_t)length >= sizeof text)
        keep(lowering, tutti_fail(TUTTI_INTERNAL, "%s in %s: build options exceed %d bytes", entry,
                                  file, OPTIONS_MAX));
    launch->file = copy_text(lowering, file);
    launch->entry = copy_text(lowering, entry);
    launch->options = copy_text(lowering, text);
    return launch;
}

tutti_launch *tutti_candidate_launch_source(tutti_lowering *lowering, tutti_candidate *candidate,
                                            const char *source, const char *entry,
                                            const char *options) {
    tutti_launch *launch = add_launch(lowering, candidate);
    if (launch == NULL)
        return NULL;
    launch->source = copy_text(lowering, source);
    launch->entry = copy_text(lowering, entry);
    launch->options = copy_text(lowering, options == NULL ? "" : options);
    return launch;
}

tutti_launch *tutti_candidate_routine(tutti_lowering *lowering, tutti_candidate *candidate,
                                      const char *routine) {
    tutti_launch *launch = add_launch(lowering, candidate);
    if (launch != NULL)
        launch->routine = copy_text(lowering, routine);
    return launch;
}

static void add_arg(tutti_lowering *lowering, tutti_launch *launch, tutti_arg arg) {
    if (launch == NULL)
        return;
    tutti_arg *args = grow(lowering, launch->args, launch->n_args, sizeof *args);
    if (args == NULL)
        return;
    launch->args = args;
    args[launch->n_args++] = arg;
}

void tutti_launch_tensor(tutti_lowering *lowering, tutti_launch *launch, tutti_tensor t) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_TENSOR, .u.tensor = t});
}

static void add_options(tutti_lowering *lowering, tutti_launch *launch, const char *more) {
    launch->options = tutti_arena_printf(lowering->arena, "%s%s%s", launch->options,
                                         launch->options[0] != '\0' ? " " : "", more);
    if (launch->options == NULL)
        keep(lowering, TUTTI_OUT_OF_MEMORY);
}

void tutti_launch_operand(tutti_lowering *lowering, tutti_launch *launch, tutti_tensor t,
                          tutti_dtype dtype, char letter) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_TENSOR, .typed = true, .u.tensor = t});
    if (launch == NULL || launch->options == NULL || !tutti_dtype_is_narrow(dtype))
        return;
    const bool is_cpu =
        lowering->device != NULL && (lowering->device->type & TUTTI_DEVICE_CPU) != 0;
    char options[32];
    snprintf(options, sizeof options, "-D%c_%s%s", letter, dtype == TUTTI_F16 ? "F16" : "BF16",
             is_cpu && dtype == TUTTI_F16 && strstr(launch->options, "-DF16_BITS") == NULL
                 ? " -DF16_BITS"
                 : "");
    add_options(lowering, launch, options);
}

void tutti_launch_scratch(tutti_lowering *lowering, tutti_launch *launch, uint32_t index) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_SCRATCH, .u.scratch = index});
}

void tutti_launch_local(tutti_lowering *lowering, tutti_launch *launch, size_t bytes) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_LOCAL, .u.local_bytes = bytes});
}

void tutti_launch_i32(tutti_lowering *lowering, tutti_launch *launch, tutti_extent value) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_I32, .u.i32 = value});
}

void tutti_launch_f32(tutti_lowering *lowering, tutti_launch *launch, float value) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_F32, .u.f32 = value});
}

void tutti_launch_scalar(tutti_lowering *lowering, tutti_launch *launch, uint32_t index) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_SCALAR, .u.scalar = index});
}

void tutti_launch_host_f32(tutti_lowering *lowering, tutti_launch *launch, tutti_host_f32 fn) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_HOST_F32, .u.host_f32 = fn});
}

void tutti_launch_host_u32(tutti_lowering *lowering, tutti_launch *launch, tutti_host_u32 fn) {
    add_arg(lowering, launch, (tutti_arg){.kind = TUTTI_ARG_HOST_U32, .u.host_u32 = fn});
}

/* True when there is code, and a launch of a file's kernel to take it. */
static bool can_take(const tutti_launch *launch, const tutti_attached_code *code) {
    return code != NULL && launch != NULL && (launch->file != NULL || launch->epilogue);
}

/* Makes the code part of the launch. */
static void take(tutti_lowering *lowering, tutti_launch *launch, const tutti_attached_code *code) {
    launch->source =
        launch->epilogue
            ? tutti_arena_printf(lowering->arena, "%s%s", code->text, launch->source)
            : tutti_arena_printf(lowering->arena, "%s#include \"%s\"\n", code->text, launch->file);
    if (launch->source == NULL)
        keep(lowering, TUTTI_OUT_OF_MEMORY);
    launch->file = NULL;
    if (!launch->epilogue)
        launch->n_own_args = launch->n_args;
    for (int32_t i = 0; i < code->parameters.n_args; i++)
        add_arg(lowering, launch, code->parameters.args[i]);
}

void tutti_launch_epilogue(tutti_lowering *lowering, tutti_launch *launch) {
    if (!can_take(launch, lowering->epilogue))
        return;
    take(lowering, launch, lowering->epilogue);
    launch->epilogue = true;
}

void tutti_launch_prologue(tutti_lowering *lowering, tutti_launch *launch) {
    const tutti_attached_code *code = lowering->prologue;
    if (!can_take(launch, code))
        return;
    int32_t n = 0;
    for (int32_t i = 0; i < launch->n_args; i++)
        if (launch->args[i].kind != TUTTI_ARG_TENSOR ||
            launch->args[i].u.tensor.id != code->loaded.id)
            launch->args[n++] = launch->args[i];
    launch->n_args = n;
    take(lowering, launch, code);
    launch->prologue = true;
}

void tutti_launch_loads(tutti_lowering *lowering, tutti_launch *launch) {
    const tutti_attached_code *code = lowering->prologue;
    if (!can_take(launch, code))
        return;
    const tutti_arg *other = NULL;
    for (int32_t i = 0; i < launch->n_args && other == NULL; i++)
        if (launch->args[i].kind == TUTTI_ARG_TENSOR &&
            launch->args[i].u.tensor.id != code->loaded.id)
            other = &launch->args[i];
    for (int32_t i = 0; i < launch->n_args && other != NULL; i++)
        if (launch->args[i].kind == TUTTI_ARG_TENSOR &&
            launch->args[i].u.tensor.id == code->loaded.id)
            launch->args[i] = *other;
    take(lowering, launch, code);
    launch->prologue = true;
}

void tutti_launch_slots(tutti_lowering *lowering, tutti_launch *launch,
                        const tutti_node_info *node) {
    const tutti_group *group = lowering->group;
    const tutti_node_info *members = group != NULL ? group->members : node;
    const int32_t n_members = group != NULL ? group->n_members : 1;
    const int32_t n_slots = group != NULL ? TUTTI_GROUP_SLOTS : 1;
    if (launch == NULL)
        return;
    int64_t items = 0;
    for (int32_t s = 0; s < n_slots; s++) {
        /* A slot that is left over has no elements, but arguments like any other. */
        const tutti_node_info *member = &members[s < n_members ? s : 0];
        const int64_t count = s < n_members ? tutti_shape_count(&member->in_type[0].shape, 0) : 0;
        for (int32_t i = 0; i < member->n_in; i++)
            tutti_launch_tensor(lowering, launch, member->in[i]);
        tutti_launch_i32(lowering, launch, tutti_extent_const(count));
        items += (count + TUTTI_GROUP_ITEMS - 1) / TUTTI_GROUP_ITEMS * TUTTI_GROUP_ITEMS;
    }
    tutti_launch_range(launch, tutti_extent_const(items), 1, TUTTI_GROUP_ITEMS);
    if (group == NULL)
        return;
    if (group->factor.id != 0)
        tutti_launch_tensor(lowering, launch, group->factor);
    char options[32];
    snprintf(options, sizeof options, "-DSLOTS=%d%s", TUTTI_GROUP_SLOTS,
             group->factor.id != 0 ? " -DSCALED" : "");
    add_options(lowering, launch, options);
}

void tutti_launch_range(tutti_launch *launch, tutti_extent items, int64_t per_item, int64_t local) {
    /* A fourth dimension is caught by tutti_node_lower. */
    if (launch == NULL)
        return;
    if (launch->rank < 3)
        launch->range[launch->rank] = (tutti_range){items, per_item, local};
    launch->rank++;
}

static tutti_status check_index(const tutti_node_info *node, int64_t n_max) {
    for (int32_t i = 0; i < node->n_in + node->n_out; i++) {
        const bool is_in = i < node->n_in;
        const tutti_shape *shape =
            is_in ? &node->in_type[i].shape : &node->out_type[i - node->n_in].shape;
        const int64_t count = tutti_shape_sample_count(shape);
        char text[TUTTI_SHAPE_TEXT];
        if (count > INT32_MAX / (shape->batched ? n_max : 1))
            return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                                 "%s %" PRId32 " (%s) for N = %" PRId64
                                 " has more elements than a 32-bit index addresses",
                                 is_in ? "input" : "output", is_in ? i : i - node->n_in,
                                 tutti_shape_text(shape, text), n_max);
    }
    return TUTTI_OK;
}

static tutti_status check_candidates(const tutti_node_info *node, const tutti_lowering *lowering) {
    if (lowering->n_candidates == 0)
        return tutti_op_fail(node, TUTTI_INTERNAL, "lower added no candidate");
    for (int32_t c = 0; c < lowering->n_candidates; c++) {
        const tutti_candidate *candidate = &lowering->candidates[c];
        if (candidate->n_launches == 0)
            return tutti_op_fail(node, TUTTI_INTERNAL, "candidate %s has no launch",
                                 candidate->name);
        /* The first is taken unseen where nothing is measured. */
        if (candidate->tolerance > 0 &&
            (c == 0 || tutti_lowering_matmul_precision(lowering) == TUTTI_MATMUL_HIGHEST))
            return tutti_op_fail(node, TUTTI_INTERNAL, "candidate %s has a tolerance of %g, %s",
                                 candidate->name, (double)candidate->tolerance,
                                 c == 0 ? "but is the first" : "but nothing may be rounded");
        for (int32_t l = 0; l < candidate->n_launches; l++) {
            const tutti_launch *launch = &candidate->launches[l];
            if (launch->routine != NULL)
                continue;
            if (launch->rank < 1 || launch->rank > 3)
                return tutti_op_fail(node, TUTTI_INTERNAL, "%s has an NDRange of rank %" PRId32,
                                     launch->entry, launch->rank);
            for (int32_t r = 0; r < launch->rank; r++)
                if (launch->range[r].per_item < 1 || launch->range[r].local < 1)
                    return tutti_op_fail(node, TUTTI_INTERNAL,
                                         "%s: per_item and local of dimension %" PRId32
                                         " must be at least 1",
                                         launch->entry, r);
        }
    }
    return TUTTI_OK;
}

tutti_status tutti_op_lower(const tutti_node_info *node, const tutti_device_info *device,
                            tutti_lowering *out) {
    out->device = device;
    TUTTI_TRY(node->op->lower(node, device, out));
    /* Generated kernels convert where they load and store. */
    if (node->op == &tutti_op_fused || node->op == &tutti_op_epilogue ||
        node->op == &tutti_op_prologue)
        return TUTTI_OK;
    return tutti_widen_operands(node, device, out);
}

tutti_status tutti_node_lower(const tutti_node_info *node, const tutti_device_info *device,
                              int64_t n_max, tutti_arena *arena, tutti_lowering *out) {
    return tutti_node_lower_rounding(node, device, n_max, TUTTI_MATMUL_HIGHEST, arena, out);
}

tutti_status tutti_node_lower_rounding(const tutti_node_info *node, const tutti_device_info *device,
                                       int64_t n_max, tutti_matmul_precision matmul_precision,
                                       tutti_arena *arena, tutti_lowering *out) {
    *out = (tutti_lowering){.arena = arena, .matmul_precision = matmul_precision};
    TUTTI_TRY(check_index(node, n_max));
    if (node->op->lower != NULL)
        TUTTI_TRY(tutti_op_lower(node, device, out));
    else if ((node->op->flags & TUTTI_OP_ELEMENTWISE) != 0)
        TUTTI_TRY(tutti_elementwise_lower(node, device, out));
    else
        return tutti_op_fail(node, TUTTI_INTERNAL, "the op has no lower");
    TUTTI_TRY(out->status);
    return check_candidates(node, out);
}

void tutti_candidate_redirect(tutti_candidate *candidate, tutti_tensor tensor, tutti_arg to,
                              bool own_only) {
    for (int32_t l = 0; l < candidate->n_launches; l++) {
        tutti_launch *launch = &candidate->launches[l];
        const bool shares = own_only && (launch->epilogue || launch->prologue);
        const int32_t n_args = shares ? launch->n_own_args : launch->n_args;
        for (int32_t i = 0; i < n_args; i++)
            if (launch->args[i].kind == TUTTI_ARG_TENSOR &&
                launch->args[i].u.tensor.id == tensor.id && !(own_only && launch->args[i].typed))
                launch->args[i] = to;
    }
}

void tutti_candidate_last_first(tutti_candidate *candidate) {
    const int32_t last = candidate->n_launches - 1;
    const tutti_launch launch = candidate->launches[last];
    memmove(candidate->launches + 1, candidate->launches, (size_t)last * sizeof launch);
    candidate->launches[0] = launch;
}
