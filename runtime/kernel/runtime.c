#include "kernel/runtime.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "kernel/library.h"

/* The message names each device and why it is not taken; here follow where was looked, the
 * platforms that gave no devices, and what to do when there is nothing at all. */
static tutti_status explain_none(tutti_status status, const tutti_inventory *inventory) {
    tutti_strbuf text = {0};
    tutti_strbuf_puts(&text, tutti_error_message());
    if (text.text != NULL && strstr(text.text, inventory->searched) == NULL)
        tutti_strbuf_printf(&text, "; searched: %s", inventory->searched);
    for (int32_t i = 0; i < inventory->n_platforms; i++) {
        const tutti_platform_info *platform = &inventory->platforms[i];
        if (platform->problem[0] != '\0')
            tutti_strbuf_printf(&text, "; platform %s: %s",
                                platform->name[0] != '\0' ? platform->name : platform->icd,
                                platform->problem);
    }
    if (inventory->n_devices == 0)
        tutti_strbuf_puts(&text, "; install an OpenCL driver, such as pocl-opencl-icd for CPUs");
    char *message = tutti_strbuf_take(&text);
    if (message != NULL)
        (void)tutti_fail_from(status, message);
    free(message);
    return status;
}

static tutti_status open_runtime(tutti_runtime *runtime) {
    TUTTI_TRY(tutti_discover(NULL, &runtime->inventory));
    tutti_status status = tutti_devices_open(runtime->profile, runtime->inventory,
                                             &runtime->devices, &runtime->n_devices);
    if (status == TUTTI_NO_DEVICE)
        return explain_none(status, runtime->inventory);
    TUTTI_TRY(status);
    runtime->kernels = calloc((size_t)runtime->n_devices + 1, sizeof(struct tutti_kernels *));
    if (runtime->kernels == NULL)
        return tutti_fail_memory((size_t)runtime->n_devices * sizeof(void *), "the runtime");
    for (int32_t i = 0; i < runtime->n_devices; i++)
        TUTTI_TRY(tutti_kernels_make(runtime->profile, &runtime->devices[i], &runtime->kernels[i]));
    return TUTTI_OK;
}

tutti_status tutti_runtime_open(const tutti_profile *profile, tutti_runtime **out) {
    tutti_runtime *runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL)
        return tutti_fail_memory(sizeof *runtime, "the runtime");
    runtime->profile = profile;
    runtime->opened_s = tutti_clock_s();
    tutti_status status = open_runtime(runtime);
    if (status != TUTTI_OK) {
        tutti_runtime_close(runtime);
        return status;
    }
    *out = runtime;
    return TUTTI_OK;
}

void tutti_runtime_close(tutti_runtime *runtime) {
    if (runtime == NULL)
        return;
    for (int32_t i = 0; runtime->kernels != NULL && i < runtime->n_devices; i++)
        tutti_kernels_free(runtime->kernels[i]);
    free(runtime->kernels);
    tutti_devices_close(runtime->devices, runtime->n_devices);
    tutti_inventory_free(runtime->inventory);
    free(runtime);
}

int32_t tutti_runtime_device_count(const tutti_runtime *runtime) {
    return runtime->n_devices;
}

const tutti_device_info *tutti_runtime_device(const tutti_runtime *runtime, int32_t index) {
    return index >= 0 && index < runtime->n_devices ? &runtime->devices[index].info : NULL;
}

const tutti_inventory *tutti_runtime_inventory(const tutti_runtime *runtime) {
    return runtime->inventory;
}

tutti_kernel_stats tutti_runtime_kernel_stats(const tutti_runtime *runtime) {
    tutti_kernel_stats sum = {0};
    for (int32_t i = 0; i < runtime->n_devices; i++) {
        tutti_kernel_stats one = tutti_kernels_stats(runtime->kernels[i]);
        sum.programs += one.programs;
        sum.compiled += one.compiled;
        sum.from_disk += one.from_disk;
        sum.from_driver += one.from_driver;
        /* Devices build at the same time. */
        if (one.build_s > sum.build_s)
            sum.build_s = one.build_s;
    }
    return sum;
}
