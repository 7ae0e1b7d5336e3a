/* clCreateCommandQueue: drivers of OpenCL 1.2 have no other. */
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include "device/open.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/status.h"
#include "device/describe.h"
#include "device/inventory.h"
#include "device/quirks.h"

/* What tutti_devices_open returns a part of. */
typedef struct opened {
    tutti_arena arena;
    tutti_device devices[];
} opened;

typedef struct opening {
    const tutti_profile *profile;
    const tutti_inventory_full *inventory;
    opened *all;
    int32_t count;
} opening;

static void close_device(tutti_device *device) {
    if (device->queue != NULL) {
        (void)clFinish(device->queue);
        (void)clReleaseCommandQueue(device->queue);
    }
    if (device->context != NULL)
        (void)clReleaseContext(device->context);
    if (device->is_sub_device && device->id != NULL)
        (void)clReleaseDevice(device->id);
    *device = (tutti_device){0};
}

/* Context and queue; platform, id and info are set. */
static tutti_status start_device(tutti_device *device, const tutti_profile_device *entry) {
    cl_int code;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                                (cl_context_properties)device->platform, 0};
    device->context = clCreateContext(properties, 1, &device->id, NULL, NULL, &code);
    if (device->context == NULL || code != CL_SUCCESS)
        return tutti_cl_fail(code, "clCreateContext", device);
    device->queue = clCreateCommandQueue(
        device->context, device->id, entry->queue_profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
    if (device->queue == NULL || code != CL_SUCCESS)
        return tutti_cl_fail(code, "clCreateCommandQueue", device);
    return TUTTI_OK;
}

/* Room for more devices; those before may move. */
static tutti_status make_room(opening *o, size_t more) {
    const size_t size = sizeof *o->all + ((size_t)o->count + more) * sizeof o->all->devices[0];
    opened *grown = realloc(o->all, size);
    if (grown == NULL)
        return tutti_fail_memory(size, "devices");
    o->all = grown;
    return TUTTI_OK;
}

static tutti_device *next_device(opening *o, const tutti_profile_device *entry,
                                 cl_platform_id platform, cl_device_id id) {
    /* Counted from now on: the caller closes it whatever follows. */
    tutti_device *device = &o->all->devices[o->count++];
    *device =
        (tutti_device){.platform = platform,
                       .id = id,
                       .share = entry->share,
                       .build_options = entry->build_options == NULL ? "" : entry->build_options};
    return device;
}

static void limit_memory(tutti_device *device, const tutti_profile_device *entry,
                         uint64_t memory_bytes) {
    device->memory_limited =
        entry->memory_limit_bytes != 0 && entry->memory_limit_bytes < memory_bytes;
    device->memory_limit_bytes = device->memory_limited ? entry->memory_limit_bytes : memory_bytes;
}

static bool device_partitions(cl_device_id id, cl_device_partition_property wanted) {
    cl_device_partition_property kinds[16] = {0};
    size_t size = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_PARTITION_PROPERTIES, sizeof kinds, kinds, &size) !=
        CL_SUCCESS)
        return false;
    for (size_t i = 0; i < size / sizeof kinds[0]; i++)
        if (kinds[i] == wanted)
            return true;
    return false;
}

/* The properties for clCreateSubDevices: by counts, or equally where that comes to the same. */
static tutti_status partition_properties(const tutti_device_info *info, cl_device_id id,
                                         const uint32_t *units, int32_t count,
                                         cl_device_partition_property *out) {
    uint64_t sum = 0;
    bool equal = true;
    for (int32_t i = 0; i < count; i++) {
        sum += units[i];
        equal = equal && units[i] == units[0];
        if (units[i] == 0)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "%s (%s): a sub-device of 0 compute units is asked for", info->id,
                              info->name);
    }
    int32_t n = 0;
    if (device_partitions(id, CL_DEVICE_PARTITION_BY_COUNTS)) {
        out[n++] = CL_DEVICE_PARTITION_BY_COUNTS;
        for (int32_t i = 0; i < count; i++)
            out[n++] = (cl_device_partition_property)units[i];
        out[n++] = CL_DEVICE_PARTITION_BY_COUNTS_LIST_END;
    } else if (equal && sum == info->compute_units &&
               device_partitions(id, CL_DEVICE_PARTITION_EQUALLY)) {
        out[n++] = CL_DEVICE_PARTITION_EQUALLY;
        out[n++] = (cl_device_partition_property)units[0];
    } else {
        return tutti_fail(TUTTI_UNSUPPORTED,
                          "%s (%s): its driver cannot split it into sub-devices of these sizes",
                          info->id, info->name);
    }
    out[n] = 0;
    return TUTTI_OK;
}

static tutti_status open_sub_device(opening *o, const tutti_device_info *info,
                                    const tutti_profile_device *entry, tutti_device *device,
                                    int32_t number, int32_t count) {
    tutti_arena *arena = &o->all->arena;
    TUTTI_TRY(tutti_describe_device(arena, device->platform, device->id, &device->info));
    device->info.platform = info->platform;
    device->info.index = info->index;
    device->info.id = tutti_arena_printf(arena, "%s/%d", info->id, number);
    if (device->info.id == NULL)
        return TUTTI_OUT_OF_MEMORY;
    device->quirks = tutti_quirks_find(&device->info);
    /* The parts draw from one memory. */
    limit_memory(device, entry, device->info.memory_bytes / (uint64_t)count);
    return start_device(device, entry);
}

static tutti_status open_sub_devices(opening *o, const tutti_device_info *info,
                                     const tutti_profile_device *entry, cl_platform_id platform,
                                     cl_device_id parent, const uint32_t *units, int32_t count) {
    const size_t n = (size_t)count;
    cl_device_partition_property *properties =
        tutti_arena_array(&o->all->arena, n + 3, sizeof *properties);
    cl_device_id *ids = tutti_arena_array(&o->all->arena, n, sizeof(cl_device_id));
    if (properties == NULL || ids == NULL)
        return TUTTI_OUT_OF_MEMORY;
    TUTTI_TRY(partition_properties(info, parent, units, count, properties));
    TUTTI_TRY(make_room(o, n));
    cl_uint made = 0;
    const cl_int code = clCreateSubDevices(parent, properties, (cl_uint)n, ids, &made);
    if (code != CL_SUCCESS || made != n) {
        const tutti_device whole = {.info = *info};
        return tutti_cl_fail(code != CL_SUCCESS ? code : CL_DEVICE_PARTITION_FAILED,
                             "clCreateSubDevices", &whole);
    }
    const int32_t first = o->count;
    for (size_t i = 0; i < n; i++)
        next_device(o, entry, platform, ids[i])->is_sub_device = true;
    for (int32_t i = 0; i < count; i++)
        TUTTI_TRY(open_sub_device(o, info, entry, &o->all->devices[first + i], i, count));
    return TUTTI_OK;
}

static tutti_status open_selection(opening *o, const tutti_selection *selection) {
    const tutti_device_info *info = &o->inventory->view.devices[selection->device];
    const tutti_profile_device *entry = selection->entry;
    cl_platform_id platform;
    cl_device_id id;
    uint32_t *units;
    int32_t count;
    TUTTI_TRY(tutti_loader_find(o->inventory, selection->device, &platform, &id));
    TUTTI_TRY(tutti_profile_partition(entry, info, &units, &count));
    if (units != NULL) {
        const tutti_status status = open_sub_devices(o, info, entry, platform, id, units, count);
        free(units);
        return status;
    }
    TUTTI_TRY(make_room(o, 1));
    tutti_device *device = next_device(o, entry, platform, id);
    device->info = *info;
    device->quirks = tutti_quirks_find(info);
    limit_memory(device, entry, info->memory_bytes);
    return start_device(device, entry);
}

static tutti_status open_all(opening *o, const tutti_selection *selections, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        const int32_t before = o->count;
        const tutti_status status = open_selection(o, &selections[i]);
        if (status == TUTTI_OK)
            continue;
        while (o->count > before)
            close_device(&o->all->devices[--o->count]);
        if (o->profile->on_failure != TUTTI_ON_FAILURE_CONTINUE)
            return status;
        tutti_log_write(TUTTI_LOG_WARNING, "device left out: %s", tutti_error_message());
    }
    if (o->count == 0)
        return tutti_fail(TUTTI_NO_DEVICE, "none of the profile's devices could be opened");
    return TUTTI_OK;
}

tutti_status tutti_devices_open_selected(const tutti_profile *profile,
                                         const tutti_inventory *inventory,
                                         const tutti_selection *selections, int32_t n_selections,
                                         tutti_device **out, int32_t *out_count) {
    *out = NULL;
    *out_count = 0;
    opening o = {.profile = profile,
                 .inventory = (const tutti_inventory_full *)inventory,
                 .all = calloc(1, sizeof *o.all)};
    if (o.all == NULL)
        return tutti_fail_memory(sizeof *o.all, "devices");
    tutti_status status = tutti_loader_start(o.inventory);
    if (status == TUTTI_OK)
        status = open_all(&o, selections, n_selections);
    if (status != TUTTI_OK) {
        tutti_devices_close(o.all->devices, o.count);
        return status;
    }
    *out = o.all->devices;
    *out_count = o.count;
    return TUTTI_OK;
}

void tutti_devices_close(tutti_device *devices, int32_t count) {
    if (devices == NULL)
        return;
    opened *all = (opened *)((char *)devices - offsetof(opened, devices));
    for (int32_t i = 0; i < count; i++)
        close_device(&all->devices[i]);
    tutti_arena_free(&all->arena);
    free(all);
}
