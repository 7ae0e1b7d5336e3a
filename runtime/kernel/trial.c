#include "kernel/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/narrow.h"
#include "base/reference.h"
#include "base/rng.h"
#include "base/status.h"
#include "kernel/programs.h"

#define POISON UINT32_C(0xFFFFFFFF) /* NaN as float, -1 as int */

/* A tensor of the node, or several that share memory. */
typedef struct slot {
    tutti_tensor tensor;
    tutti_dtype dtype;
    size_t count, bytes;
    void *fresh;    /* before a run; NULL for outputs */
    void *expected; /* after it; for inputs that stay, what is in fresh */
    bool checked;   /* written by the op */
    cl_mem memory;
} slot;

struct tutti_trial {
    tutti_kernels *kernels;
    const tutti_device *device;
    const tutti_node_info *node;
    slot *slots;
    int32_t n_slots;
    tutti_run_values values;
    float scalars[TUTTI_TRIAL_SCALARS];
};

struct tutti_trial_run {
    tutti_trial *trial;
    tutti_bound_launch **launches;
    int32_t n_launches;
    cl_mem *scratch;
    size_t *scratch_bytes;
    int32_t n_scratch;
};

static slot *find_slot(tutti_trial *trial, tutti_tensor tensor) {
    for (int32_t i = 0; i < trial->n_slots; i++)
        if (trial->slots[i].tensor.id == tensor.id)
            return &trial->slots[i];
    return NULL;
}

/* The range of input i: that of the op's first example that has it. Integers stay within two
 * values, since what they index is not known here. */
static void input_range(const tutti_op *op, int32_t i, tutti_dtype dtype, float *lo, float *hi) {
    *lo = dtype != TUTTI_I32 ? -1.0F : 0.0F;
    *hi = dtype != TUTTI_I32 ? 1.0F : 2.0F;
    for (int32_t e = 0; e < op->n_examples; e++) {
        const tutti_op_example *example = &op->examples[e];
        if (example->refused != NULL || i >= example->n_in ||
            example->in[i].dtype != (dtype == TUTTI_I32 ? TUTTI_I32 : TUTTI_F32))
            continue;
        if (example->in[i].lo != 0.0F || example->in[i].hi != 0.0F) {
            *lo = example->in[i].lo;
            *hi = example->in[i].hi;
        }
        break;
    }
    if (dtype == TUTTI_I32 && *hi > *lo + 2.0F)
        *hi = *lo + 2.0F;
}

static void draw(slot *s, const tutti_op *op, int32_t input) {
    tutti_rng rng;
    float lo, hi;
    tutti_rng_begin(&rng, 0x7475747469, (uint64_t)input);
    input_range(op, input, s->dtype, &lo, &hi);
    for (size_t i = 0; i < s->count; i++) {
        if (s->dtype == TUTTI_F32)
            ((float *)s->fresh)[i] = lo + (hi - lo) * tutti_rng_uniform(&rng);
        else if (tutti_dtype_is_narrow(s->dtype))
            ((uint16_t *)s->fresh)[i] =
                tutti_narrow(s->dtype, lo + (hi - lo) * tutti_rng_uniform(&rng));
        else
            ((int32_t *)s->fresh)[i] =
                (int32_t)lo + (int32_t)tutti_rng_below(&rng, hi > lo ? (uint64_t)(hi - lo) : 1);
    }
}

static tutti_status add_slot(tutti_trial *trial, tutti_tensor tensor, const tutti_type *type,
                             int32_t input) {
    int64_t count = tutti_shape_count(&type->shape, trial->values.n);
    if (count < 1)
        count = 1;
    slot *s = &trial->slots[trial->n_slots++];
    s->tensor = tensor;
    s->dtype = type->dtype;
    s->count = (size_t)count;
    s->bytes = s->count * tutti_dtype_size_bytes(type->dtype);
    s->expected = malloc(s->bytes);
    s->fresh = input >= 0 ? malloc(s->bytes) : NULL;
    if (s->expected == NULL || (input >= 0 && s->fresh == NULL))
        return tutti_fail_memory(s->bytes, "measuring candidates");
    memset(s->expected, 0xFF, s->bytes);
    if (input >= 0) {
        draw(s, trial->node->op, input);
        memcpy(s->expected, s->fresh, s->bytes);
    }
    s->checked = input < 0 || (trial->node->op->mutates >> input & 1) != 0;
    /* Fills come in words. */
    return tutti_buffer_make(trial->device, (s->bytes + 3) / 4 * 4, &s->memory);
}

/* Output 0 of an op that changes its inputs is input 0. */
static bool aliases_input(const tutti_op *op, int32_t output) {
    return output == 0 && (op->flags & TUTTI_OP_UPDATE) != 0;
}

static tutti_status add_slots(tutti_trial *trial) {
    const tutti_node_info *node = trial->node;
    for (int32_t i = 0; i < node->n_in; i++)
        if (find_slot(trial, node->in[i]) == NULL)
            TUTTI_TRY(add_slot(trial, node->in[i], &node->in_type[i], i));
    for (int32_t i = 0; i < node->n_out; i++)
        if (!aliases_input(node->op, i) && find_slot(trial, node->out[i]) == NULL)
            TUTTI_TRY(add_slot(trial, node->out[i], &node->out_type[i], -1));
    return TUTTI_OK;
}

static slot *output_slot(tutti_trial *trial, int32_t output) {
    const tutti_node_info *node = trial->node;
    return find_slot(trial, aliases_input(node->op, output) ? node->in[0] : node->out[output]);
}

static tutti_status run_reference(tutti_trial *trial) {
    const tutti_node_info *node = trial->node;
    void **in = calloc((size_t)(node->n_in + node->n_out) + 1, sizeof(void *));
    if (in == NULL)
        return tutti_fail_memory(0, "measuring candidates");
    void **out = in + node->n_in;
    for (int32_t i = 0; i < node->n_in; i++)
        in[i] = find_slot(trial, node->in[i])->expected;
    for (int32_t i = 0; i < node->n_out; i++)
        out[i] = output_slot(trial, i)->expected;
    const tutti_ref_call call = {.node = node, .run = &trial->values, .in = in, .out = out};
    tutti_reference(&call);
    free(in);
    return TUTTI_OK;
}

tutti_status tutti_trial_make(tutti_kernels *kernels, const tutti_node_info *node, int64_t n,
                              bool reference, tutti_trial **out) {
    tutti_trial *trial = calloc(1, sizeof *trial);
    if (trial == NULL)
        return tutti_fail_memory(sizeof *trial, "measuring candidates");
    trial->kernels = kernels;
    trial->device = tutti_kernels_device(kernels);
    trial->node = node;
    for (int32_t i = 0; i < TUTTI_TRIAL_SCALARS; i++)
        trial->scalars[i] = 0.01F * (float)(i + 1);
    trial->values =
        (tutti_run_values){.n = n, .n_global = n, .seed = 1, .step = 1, .scalars = trial->scalars};
    trial->slots = calloc((size_t)(node->n_in + node->n_out) + 1, sizeof *trial->slots);
    tutti_status status =
        trial->slots != NULL ? add_slots(trial) : tutti_fail_memory(0, "measuring candidates");
    if (status == TUTTI_OK && reference)
        status = run_reference(trial);
    if (status != TUTTI_OK) {
        tutti_trial_free(trial);
        return status;
    }
    *out = trial;
    return TUTTI_OK;
}

void tutti_trial_free(tutti_trial *trial) {
    if (trial == NULL)
        return;
    for (int32_t i = 0; i < trial->n_slots; i++) {
        if (trial->slots[i].memory != NULL)
            clReleaseMemObject(trial->slots[i].memory);
        free(trial->slots[i].fresh);
        free(trial->slots[i].expected);
    }
    free(trial->slots);
    free(trial);
}

static tutti_status resolve(void *user, const tutti_arg *arg, cl_mem *out) {
    tutti_trial_run *run = user;
    if (arg->kind == TUTTI_ARG_SCRATCH) {
        TUTTI_ASSERT(arg->u.scratch < (uint32_t)run->n_scratch);
        *out = run->scratch[arg->u.scratch];
        return TUTTI_OK;
    }
    const tutti_node_info *node = run->trial->node;
    for (int32_t i = 0; i < node->n_out; i++)
        if (node->out[i].id == arg->u.tensor.id) {
            *out = output_slot(run->trial, i)->memory;
            return TUTTI_OK;
        }
    const slot *s = find_slot(run->trial, arg->u.tensor);
    if (s == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "%s: a launch has a tensor that is neither input nor output",
                          node->op->name);
    *out = s->memory;
    return TUTTI_OK;
}

static tutti_status bind_scratch(tutti_trial_run *run, const tutti_candidate *candidate) {
    for (int32_t i = 0; i < candidate->n_scratch; i++) {
        int64_t bytes = tutti_extent_value(candidate->scratch_bytes[i], run->trial->values.n);
        run->scratch_bytes[i] = bytes < 4 ? 4 : (size_t)(bytes + 3) / 4 * 4;
        TUTTI_TRY(tutti_buffer_make(run->trial->device, run->scratch_bytes[i], &run->scratch[i]));
        run->n_scratch++;
    }
    return TUTTI_OK;
}

static tutti_status bind_launches(tutti_trial_run *run, const tutti_candidate *candidate) {
    tutti_trial *trial = run->trial;
    for (int32_t i = 0; i < candidate->n_launches; i++) {
        const tutti_launch *launch = &candidate->launches[i];
        for (int32_t k = 0; k < launch->n_args; k++)
            if (launch->args[k].kind == TUTTI_ARG_SCALAR &&
                launch->args[k].u.scalar >= TUTTI_TRIAL_SCALARS)
                return tutti_fail(TUTTI_UNSUPPORTED, "%s: more than %d scalars",
                                  trial->node->op->name, TUTTI_TRIAL_SCALARS);
        TUTTI_TRY(tutti_bound_launch_make_trial(trial->kernels, launch, trial->node->attr, resolve,
                                                run, &run->launches[i]));
        run->n_launches++;
    }
    return TUTTI_OK;
}

tutti_status tutti_trial_bind(tutti_trial *trial, const tutti_candidate *candidate,
                              tutti_trial_run **out) {
    tutti_trial_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return tutti_fail_memory(sizeof *run, "measuring candidates");
    run->trial = trial;
    run->launches = calloc((size_t)candidate->n_launches + 1, sizeof(tutti_bound_launch *));
    run->scratch = calloc((size_t)candidate->n_scratch + 1, sizeof(cl_mem));
    run->scratch_bytes = calloc((size_t)candidate->n_scratch + 1, sizeof(size_t));
    tutti_status status = TUTTI_OK;
    if (run->launches == NULL || run->scratch == NULL || run->scratch_bytes == NULL)
        status = tutti_fail_memory(0, "measuring candidates");
    if (status == TUTTI_OK)
        status = bind_scratch(run, candidate);
    if (status == TUTTI_OK)
        status = bind_launches(run, candidate);
    if (status != TUTTI_OK) {
        tutti_trial_unbind(run);
        return status;
    }
    *out = run;
    return TUTTI_OK;
}

void tutti_trial_unbind(tutti_trial_run *run) {
    if (run == NULL)
        return;
    for (int32_t i = 0; i < run->n_launches; i++)
        tutti_bound_launch_free(run->launches[i]);
    for (int32_t i = 0; i < run->n_scratch; i++)
        clReleaseMemObject(run->scratch[i]);
    free(run->launches);
    free(run->scratch);
    free(run->scratch_bytes);
    free(run);
}

tutti_status tutti_trial_reset(tutti_trial_run *run) {
    const tutti_device *device = run->trial->device;
    for (int32_t i = 0; i < run->trial->n_slots; i++) {
        const slot *s = &run->trial->slots[i];
        if (s->fresh != NULL)
            TUTTI_TRY(tutti_buffer_write(device, s->memory, 0, s->fresh, s->bytes));
        else
            TUTTI_TRY(tutti_buffer_fill(device, s->memory, 0, (s->bytes + 3) / 4 * 4, POISON));
    }
    for (int32_t i = 0; i < run->n_scratch; i++)
        TUTTI_TRY(tutti_buffer_fill(device, run->scratch[i], 0, run->scratch_bytes[i], POISON));
    TUTTI_CL(device, clFinish, device->queue);
    return TUTTI_OK;
}

tutti_status tutti_trial_time(tutti_trial_run *run, int32_t times, double *out_seconds) {
    const tutti_device *device = run->trial->device;
    double begin = tutti_clock_s();
    for (int32_t k = 0; k < times; k++)
        for (int32_t i = 0; i < run->n_launches; i++)
            TUTTI_TRY(tutti_bound_launch_enqueue(run->launches[i], &run->trial->values, NULL));
    TUTTI_CL(device, clFinish, device->queue);
    *out_seconds = (tutti_clock_s() - begin) / times;
    return TUTTI_OK;
}

static double value_at(tutti_dtype dtype, const void *values, size_t i) {
    return dtype == TUTTI_F32 ? (double)((const float *)values)[i]
                              : (double)tutti_widen(dtype, ((const uint16_t *)values)[i]);
}

/* Not finite on both sides in the same way is agreement: the op is undefined there. A step of f16 or
 * bf16 counts as none, since a small error may lead to the other neighbour. */
static double compare(tutti_dtype dtype, const void *got, const void *expected, size_t count) {
    const double step = dtype == TUTTI_F32 ? 0 : tutti_narrow_step(dtype);
    double largest = 0, difference = 0;
    for (size_t i = 0; i < count; i++) {
        double g = value_at(dtype, got, i), e = value_at(dtype, expected, i);
        if (!isfinite(g) || !isfinite(e)) {
            if ((isnan(g) && isnan(e)) || g == e)
                continue;
            return INFINITY;
        }
        largest = fmax(largest, fabs(e));
        difference = fmax(difference, fabs(g - e) - step * fabs(e));
    }
    return largest > 0 ? difference / largest : difference;
}

tutti_status tutti_trial_error(tutti_trial_run *run, double *out_error) {
    *out_error = 0;
    for (int32_t i = 0; i < run->trial->n_slots; i++) {
        const slot *s = &run->trial->slots[i];
        if (!s->checked)
            continue;
        void *got = malloc(s->bytes);
        if (got == NULL)
            return tutti_fail_memory(s->bytes, "measuring candidates");
        tutti_status status = tutti_buffer_read(run->trial->device, s->memory, 0, got, s->bytes);
        double error = INFINITY;
        if (status == TUTTI_OK && s->dtype != TUTTI_I32)
            error = compare(s->dtype, got, s->expected, s->count);
        else if (status == TUTTI_OK && memcmp(got, s->expected, s->bytes) == 0)
            error = 0;
        free(got);
        TUTTI_TRY(status);
        *out_error = fmax(*out_error, error);
    }
    return TUTTI_OK;
}
