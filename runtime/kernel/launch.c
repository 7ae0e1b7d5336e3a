#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kernel/programs.h"
#include "kernel/routine.h"

/* An argument whose value may differ from step to step. */
typedef struct changing_arg {
    const tutti_arg *arg;
    cl_uint index;
    bool set; /* at least once */
    uint32_t bits;
} changing_arg;

struct tutti_bound_launch {
    const tutti_device *device;
    const tutti_launch *launch;
    const void *attr;
    cl_kernel kernel;             /* or */
    const tutti_routine *routine; /* a library routine with its arguments, */
    tutti_routine_arg *routine_args;
    changing_arg *changing;
    int32_t n_changing;
    size_t local[3]; /* the launch's, made smaller where the device needs it */
};

static tutti_status set_arg(const tutti_bound_launch *bound, cl_uint index, size_t size,
                            const void *value) {
    cl_int code = clSetKernelArg(bound->kernel, index, size, value);
    if (code == CL_SUCCESS)
        return TUTTI_OK;
    return tutti_fail_context(tutti_cl_fail(code, "clSetKernelArg", bound->device),
                              "kernel %s, argument %u", bound->launch->entry, index);
}

static tutti_status i32_value(const tutti_bound_launch *bound, const tutti_arg *arg, int64_t n,
                              int32_t *out) {
    int64_t value = tutti_extent_value(arg->u.i32, n);
    if (value < INT32_MIN || value > INT32_MAX)
        return tutti_fail(TUTTI_UNSUPPORTED, "kernel %s: argument %lld does not fit 32 bits",
                          bound->launch->entry ? bound->launch->entry : bound->launch->routine,
                          (long long)value);
    *out = (int32_t)value;
    return TUTTI_OK;
}

static bool changes(const tutti_arg *arg) {
    switch (arg->kind) {
    case TUTTI_ARG_I32:
        return arg->u.i32.per_sample != 0;
    case TUTTI_ARG_SCALAR:
    case TUTTI_ARG_HOST_F32:
    case TUTTI_ARG_HOST_U32:
        return true;
    case TUTTI_ARG_TENSOR:
    case TUTTI_ARG_SCRATCH:
    case TUTTI_ARG_LOCAL:
    case TUTTI_ARG_F32:
        break;
    }
    return false;
}

static tutti_status set_constant(tutti_bound_launch *bound, cl_uint index, const tutti_arg *arg,
                                 tutti_resolve resolve, void *user) {
    cl_mem memory;
    int32_t i32 = 0;
    switch (arg->kind) {
    case TUTTI_ARG_TENSOR:
    case TUTTI_ARG_SCRATCH:
        TUTTI_TRY(resolve(user, arg, &memory));
        return set_arg(bound, index, sizeof memory, &memory);
    case TUTTI_ARG_LOCAL:
        return set_arg(bound, index, arg->u.local_bytes, NULL);
    case TUTTI_ARG_F32:
        return set_arg(bound, index, sizeof arg->u.f32, &arg->u.f32);
    case TUTTI_ARG_I32:
        TUTTI_TRY(i32_value(bound, arg, 0, &i32));
        return set_arg(bound, index, sizeof i32, &i32);
    case TUTTI_ARG_SCALAR:
    case TUTTI_ARG_HOST_F32:
    case TUTTI_ARG_HOST_U32:
        break;
    }
    return tutti_fail(TUTTI_INTERNAL, "kernel %s: argument %u has unknown kind %d",
                      bound->launch->entry, index, (int)arg->kind);
}

/* A work-group of at most max_items and max[] in each dimension, from one that may be larger. */
static void shrink_group(int64_t local[3], const uint32_t max[3], uint64_t max_items) {
    for (int32_t i = 0; i < 3; i++)
        while (local[i] > 1 && local[i] > (int64_t)max[i])
            local[i] /= 2;
    while ((uint64_t)(local[0] * local[1] * local[2]) > max_items && max_items > 0) {
        int32_t largest = 0;
        for (int32_t i = 1; i < 3; i++)
            if (local[i] > local[largest])
                largest = i;
        local[largest] /= 2;
    }
}

/* The work-group, and whether it can run. What can be known before the first step is an error here,
 * with the kernel's name, and not a code of the driver's later. */
static tutti_status choose_group(tutti_bound_launch *bound) {
    const tutti_launch *launch = bound->launch;
    const tutti_device *device = bound->device;
    int64_t local[3] = {1, 1, 1};
    for (int32_t i = 0; i < launch->rank; i++) {
        local[i] = launch->range[i].local;
        if (local[i] < 1 || launch->range[i].per_item < 1)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "kernel %s: local size %lld and items per work-item %lld must be at "
                              "least 1",
                              launch->entry, (long long)local[i],
                              (long long)launch->range[i].per_item);
    }
    size_t kernel_limit = 0, required[3] = {0, 0, 0};
    TUTTI_CL(device, clGetKernelWorkGroupInfo, bound->kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE,
             sizeof kernel_limit, &kernel_limit, NULL);
    TUTTI_CL(device, clGetKernelWorkGroupInfo, bound->kernel, device->id,
             CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof required, required, NULL);
    uint64_t limit = device->info.max_work_group;
    if (kernel_limit != 0 && kernel_limit < limit)
        limit = kernel_limit;
    bool any = required[0] == 0;
    for (int32_t i = 0; i < launch->n_args; i++)
        any = any && launch->args[i].kind != TUTTI_ARG_LOCAL;
    if (any)
        shrink_group(local, device->info.max_work_item, limit);
    for (int32_t i = 0; i < launch->rank; i++)
        if (local[i] > (int64_t)device->info.max_work_item[i])
            return tutti_fail(TUTTI_UNSUPPORTED,
                              "kernel %s on %s: local size %lld in dimension %d, the device's "
                              "largest is %u",
                              launch->entry, device->info.id, (long long)local[i], (int)i,
                              device->info.max_work_item[i]);
    if ((uint64_t)(local[0] * local[1] * local[2]) > limit)
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "kernel %s on %s: a work-group of %lldx%lldx%lld, the largest is %llu",
                          launch->entry, device->info.id, (long long)local[0], (long long)local[1],
                          (long long)local[2], (unsigned long long)limit);
    for (int32_t i = 0; i < 3; i++) {
        if (required[0] != 0 && (int64_t)required[i] != local[i])
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "kernel %s requires a work-group of %zux%zux%zu, its launch has "
                              "%lldx%lldx%lld",
                              launch->entry, required[0], required[1], required[2],
                              (long long)local[0], (long long)local[1], (long long)local[2]);
        bound->local[i] = (size_t)local[i];
    }
    return TUTTI_OK;
}

static tutti_status check_shape(tutti_bound_launch *bound) {
    const tutti_launch *launch = bound->launch;
    cl_uint n_args;
    TUTTI_CL(bound->device, clGetKernelInfo, bound->kernel, CL_KERNEL_NUM_ARGS, sizeof n_args,
             &n_args, NULL);
    if ((int64_t)n_args != launch->n_args)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "kernel %s takes %u arguments, but its launch has %d", launch->entry,
                          n_args, (int)launch->n_args);
    if (launch->rank < 1 || launch->rank > 3)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "kernel %s: a range of rank %d, expected 1 to 3",
                          launch->entry, (int)launch->rank);
    return choose_group(bound);
}

static tutti_status bind_kernel(tutti_bound_launch *bound, tutti_kernels *kernels, bool trial,
                                tutti_resolve resolve, void *user) {
    const tutti_launch *launch = bound->launch;
    tutti_unit *unit;
    TUTTI_TRY(tutti_unit_find(kernels, launch, trial, &unit));
    TUTTI_TRY(tutti_unit_kernel(kernels, unit, launch->entry, &bound->kernel));
    TUTTI_TRY(check_shape(bound));
    for (int32_t i = 0; i < launch->n_args; i++) {
        if (changes(&launch->args[i]))
            bound->changing[bound->n_changing++] =
                (changing_arg){.arg = &launch->args[i], .index = (cl_uint)i};
        else
            TUTTI_TRY(set_constant(bound, (cl_uint)i, &launch->args[i], resolve, user));
    }
    return TUTTI_OK;
}

static tutti_status bind_routine(tutti_bound_launch *bound, tutti_resolve resolve, void *user) {
    const tutti_launch *launch = bound->launch;
    bound->routine = tutti_routine_find(launch->routine);
    if (bound->routine == NULL)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "there is no routine \"%s\"", launch->routine);
    if ((bound->device->quirks & TUTTI_QUIRK_NO_ROUTINES) != 0)
        return tutti_fail(TUTTI_UNSUPPORTED, "routine %s: %s cannot run its library's kernels",
                          launch->routine, bound->device->info.platform_name);
    if (launch->n_args != bound->routine->n_args)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "routine %s takes %d arguments, but its launch has %d", launch->routine,
                          (int)bound->routine->n_args, (int)launch->n_args);
    for (int32_t i = 0; i < launch->n_args; i++) {
        const tutti_arg *arg = &launch->args[i];
        if (arg->kind == TUTTI_ARG_TENSOR || arg->kind == TUTTI_ARG_SCRATCH)
            TUTTI_TRY(resolve(user, arg, &bound->routine_args[i].memory));
        else if (arg->kind == TUTTI_ARG_F32)
            bound->routine_args[i].f32 = arg->u.f32;
        else if (arg->kind != TUTTI_ARG_I32)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "routine %s: argument %d is of a kind that only kernels take",
                              launch->routine, (int)i);
    }
    return TUTTI_OK;
}

static tutti_status bind(tutti_kernels *kernels, const tutti_launch *launch, const void *attr,
                         bool trial, tutti_resolve resolve, void *user, tutti_bound_launch **out) {
    tutti_bound_launch *bound = calloc(1, sizeof *bound);
    if (bound == NULL)
        return tutti_fail_memory(sizeof *bound, "a launch");
    bound->device = tutti_kernels_device(kernels);
    bound->launch = launch;
    bound->attr = launch->attr != NULL ? launch->attr : attr;
    bound->changing = calloc((size_t)launch->n_args + 1, sizeof *bound->changing);
    bound->routine_args = calloc((size_t)launch->n_args + 1, sizeof *bound->routine_args);
    tutti_status status = bound->changing != NULL && bound->routine_args != NULL
                              ? TUTTI_OK
                              : tutti_fail_memory((size_t)launch->n_args, "a launch");
    if (status == TUTTI_OK)
        status = launch->routine != NULL ? bind_routine(bound, resolve, user)
                                         : bind_kernel(bound, kernels, trial, resolve, user);
    if (status != TUTTI_OK) {
        tutti_bound_launch_free(bound);
        return status;
    }
    *out = bound;
    return TUTTI_OK;
}

tutti_status tutti_bound_launch_make(tutti_kernels *kernels, const tutti_launch *launch,
                                     const void *attr, tutti_resolve resolve, void *user,
                                     tutti_bound_launch **out) {
    return bind(kernels, launch, attr, false, resolve, user, out);
}

tutti_status tutti_bound_launch_make_trial(tutti_kernels *kernels, const tutti_launch *launch,
                                           const void *attr, tutti_resolve resolve, void *user,
                                           tutti_bound_launch **out) {
    return bind(kernels, launch, attr, true, resolve, user, out);
}

void tutti_bound_launch_free(tutti_bound_launch *bound) {
    if (bound == NULL)
        return;
    if (bound->kernel != NULL)
        clReleaseKernel(bound->kernel);
    free(bound->routine_args);
    free(bound->changing);
    free(bound);
}

static tutti_status call_routine(tutti_bound_launch *bound, const tutti_run_values *run,
                                 cl_event *event) {
    for (int32_t i = 0; i < bound->launch->n_args; i++)
        if (bound->launch->args[i].kind == TUTTI_ARG_I32)
            bound->routine_args[i].i32 = tutti_extent_value(bound->launch->args[i].u.i32, run->n);
    return bound->routine->call(bound->device, bound->routine_args, event);
}

static tutti_status current_bits(const tutti_bound_launch *bound, const tutti_arg *arg,
                                 const tutti_run_values *run, uint32_t *out) {
    float f32 = 0.0F;
    int32_t i32 = 0;
    switch (arg->kind) {
    case TUTTI_ARG_I32:
        TUTTI_TRY(i32_value(bound, arg, run->n, &i32));
        *out = (uint32_t)i32;
        return TUTTI_OK;
    case TUTTI_ARG_HOST_U32:
        *out = arg->u.host_u32(run, bound->attr);
        return TUTTI_OK;
    case TUTTI_ARG_SCALAR:
        f32 = run->scalars[arg->u.scalar];
        break;
    case TUTTI_ARG_HOST_F32:
        f32 = arg->u.host_f32(run, bound->attr);
        break;
    case TUTTI_ARG_TENSOR:
    case TUTTI_ARG_SCRATCH:
    case TUTTI_ARG_LOCAL:
    case TUTTI_ARG_F32:
        break;
    }
    memcpy(out, &f32, sizeof *out);
    return TUTTI_OK;
}

tutti_status tutti_bound_launch_enqueue(tutti_bound_launch *bound, const tutti_run_values *run,
                                        cl_event *event) {
    if (event != NULL)
        *event = NULL;
    if (bound->routine != NULL)
        return call_routine(bound, run, event);
    const tutti_launch *launch = bound->launch;
    size_t global[3];
    for (int32_t i = 0; i < launch->rank; i++) {
        const tutti_range *range = &launch->range[i];
        int64_t items = tutti_extent_value(range->items, run->n);
        if (items <= 0)
            return TUTTI_OK;
        int64_t work = (items + range->per_item - 1) / range->per_item;
        const int64_t local = (int64_t)bound->local[i];
        global[i] = (size_t)((work + local - 1) / local * local);
    }
    for (int32_t i = 0; i < bound->n_changing; i++) {
        changing_arg *c = &bound->changing[i];
        uint32_t bits = 0;
        TUTTI_TRY(current_bits(bound, c->arg, run, &bits));
        if (c->set && c->bits == bits)
            continue;
        c->set = false;
        TUTTI_TRY(set_arg(bound, c->index, sizeof bits, &bits));
        c->bits = bits;
        c->set = true;
    }
    cl_int code = clEnqueueNDRangeKernel(bound->device->queue, bound->kernel, (cl_uint)launch->rank,
                                         NULL, global, bound->local, 0, NULL, event);
    if (code == CL_SUCCESS)
        return TUTTI_OK;
    return tutti_fail_context(tutti_cl_fail(code, "clEnqueueNDRangeKernel", bound->device),
                              "kernel %s", launch->entry);
}
