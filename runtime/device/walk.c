#include "device/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "device/describe.h"
#include "device/open.h"

#define MAX_COUNT              4096
#define PLATFORM_NOT_FOUND_KHR (-1001)

static tutti_status walk_devices(tutti_arena *arena, tutti_walk *walk, int32_t platform) {
    tutti_walk_platform *p = &walk->platforms[platform];
    cl_device_id *ids;
    uint32_t count;
    if (tutti_describe_list(p->id, &ids, &count) != TUTTI_OK) {
        /* Costs this platform, not the others. */
        p->info.first_device = walk->n_devices;
        p->info.problem = tutti_arena_strdup(arena, tutti_error_message());
        return p->info.problem == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
    }
    if (count > MAX_COUNT)
        count = MAX_COUNT;
    const size_t old = (size_t)walk->n_devices;
    tutti_device_info *devices = tutti_arena_array(arena, old + count + 1, sizeof *devices);
    if (devices == NULL) {
        free(ids);
        return TUTTI_OUT_OF_MEMORY;
    }
    if (old > 0)
        memcpy(devices, walk->devices, old * sizeof *devices);
    walk->devices = devices;
    p->info.first_device = walk->n_devices;
    p->info.n_devices = (int32_t)count;
    tutti_status status = TUTTI_OK;
    for (uint32_t i = 0; i < count && status == TUTTI_OK; i++) {
        tutti_device_info *device = &devices[walk->n_devices++];
        status = tutti_describe_device(arena, p->id, ids[i], device);
        device->platform = platform;
        device->index = (int32_t)i;
    }
    free(ids);
    return status;
}

tutti_status tutti_walk_here(tutti_arena *arena, bool devices, tutti_walk *out) {
    *out = (tutti_walk){0};
    cl_uint count = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &count);
    if (code == PLATFORM_NOT_FOUND_KHR || count == 0)
        return TUTTI_OK;
    if (code != CL_SUCCESS)
        return tutti_cl_fail(code, "clGetPlatformIDs", NULL);
    if (count > MAX_COUNT)
        count = MAX_COUNT;
    cl_platform_id *ids = tutti_arena_array(arena, count, sizeof(cl_platform_id));
    out->platforms = tutti_arena_array(arena, count, sizeof *out->platforms);
    if (ids == NULL || out->platforms == NULL)
        return TUTTI_OUT_OF_MEMORY;
    TUTTI_CL(NULL, clGetPlatformIDs, count, ids, NULL);
    for (; out->n_platforms < (int32_t)count; out->n_platforms++) {
        tutti_walk_platform *p = &out->platforms[out->n_platforms];
        p->id = ids[out->n_platforms];
        TUTTI_TRY(tutti_describe_platform(arena, p->id, &p->info));
        TUTTI_TRY(tutti_describe_library(arena, p->id, &p->library));
        if (devices)
            TUTTI_TRY(walk_devices(arena, out, out->n_platforms));
    }
    return TUTTI_OK;
}

/* The strings of each struct, which follow it on the pipe. */
static const size_t platform_texts[] = {
    offsetof(tutti_walk_platform, info.name),       offsetof(tutti_walk_platform, info.vendor),
    offsetof(tutti_walk_platform, info.version),    offsetof(tutti_walk_platform, info.profile),
    offsetof(tutti_walk_platform, info.extensions), offsetof(tutti_walk_platform, info.icd),
    offsetof(tutti_walk_platform, info.problem),    offsetof(tutti_walk_platform, library)};
static const size_t device_texts[] = {
    offsetof(tutti_device_info, id),
    offsetof(tutti_device_info, name),
    offsetof(tutti_device_info, vendor),
    offsetof(tutti_device_info, platform_name),
    offsetof(tutti_device_info, platform_version),
    offsetof(tutti_device_info, driver_version),
    offsetof(tutti_device_info, opencl_version),
    offsetof(tutti_device_info, opencl_c_version),
    offsetof(tutti_device_info, profile),
    offsetof(tutti_device_info, extensions),
    offsetof(tutti_device_info, uuid),
    offsetof(tutti_device_info, pci),
    offsetof(tutti_device_info, unusable),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void put(tutti_strbuf *out, const void *object, size_t size, const size_t *texts, size_t n) {
    tutti_strbuf_append(out, object, size);
    for (size_t i = 0; i < n; i++) {
        const char *text;
        memcpy(&text, (const char *)object + texts[i], sizeof text);
        const uint32_t length = (uint32_t)strlen(text);
        tutti_strbuf_append(out, (const char *)&length, sizeof length);
        tutti_strbuf_append(out, text, length);
    }
}

void tutti_walk_put(tutti_strbuf *out, const tutti_walk *walk) {
    const int32_t counts[2] = {walk->n_platforms, walk->n_devices};
    tutti_strbuf_append(out, (const char *)counts, sizeof counts);
    for (int32_t i = 0; i < walk->n_platforms; i++)
        put(out, &walk->platforms[i], sizeof walk->platforms[i], platform_texts,
            COUNT(platform_texts));
    for (int32_t i = 0; i < walk->n_devices; i++)
        put(out, &walk->devices[i], sizeof walk->devices[i], device_texts, COUNT(device_texts));
}

typedef struct reader {
    tutti_arena *arena;
    const char *at;
    size_t left;
    bool failed;
} reader;

static const char *take(reader *r, size_t size) {
    if (r->failed || size > r->left) {
        r->failed = true;
        return NULL;
    }
    const char *bytes = r->at;
    r->at += size;
    r->left -= size;
    return bytes;
}

static void get(reader *r, void *object, size_t size, const size_t *texts, size_t n) {
    const char *bytes = take(r, size);
    if (bytes != NULL)
        memcpy(object, bytes, size);
    for (size_t i = 0; i < n && !r->failed; i++) {
        uint32_t length = 0;
        bytes = take(r, sizeof length);
        if (bytes == NULL)
            return;
        memcpy(&length, bytes, sizeof length);
        bytes = take(r, length);
        char *text = bytes == NULL ? NULL : tutti_arena_alloc(r->arena, (size_t)length + 1);
        if (text == NULL) {
            r->failed = true;
            return;
        }
        memcpy(text, bytes, length);
        memcpy((char *)object + texts[i], &text, sizeof text);
    }
}

/* What others use as an index. */
static bool device_is_sane(const tutti_device_info *device, int32_t n_platforms) {
    const bool one_type = device->type == TUTTI_DEVICE_CPU || device->type == TUTTI_DEVICE_GPU ||
                          device->type == TUTTI_DEVICE_ACCELERATOR ||
                          device->type == TUTTI_DEVICE_CUSTOM;
    return one_type && device->platform >= 0 && device->platform < n_platforms &&
           device->index >= 0 && device->duplicate_of == -1;
}

bool tutti_walk_get(tutti_arena *arena, const char *bytes, size_t size_bytes, tutti_walk *out) {
    reader r = {.arena = arena, .at = bytes, .left = size_bytes};
    int32_t counts[2] = {0, 0};
    *out = (tutti_walk){0};
    const char *head = take(&r, sizeof counts);
    if (head == NULL)
        return false;
    memcpy(counts, head, sizeof counts);
    if (counts[0] < 0 || counts[0] > MAX_COUNT || counts[1] < 0 ||
        counts[1] > MAX_COUNT * MAX_COUNT || (size_t)counts[1] * sizeof(tutti_device_info) > r.left)
        return false;
    out->n_platforms = counts[0];
    out->n_devices = counts[1];
    out->platforms = tutti_arena_array(arena, (size_t)counts[0] + 1, sizeof *out->platforms);
    out->devices = tutti_arena_array(arena, (size_t)counts[1] + 1, sizeof *out->devices);
    if (out->platforms == NULL || out->devices == NULL)
        return false;
    int32_t owned = 0; /* devices of the platforms so far: each has its own */
    for (int32_t i = 0; i < counts[0]; i++) {
        get(&r, &out->platforms[i], sizeof out->platforms[i], platform_texts,
            COUNT(platform_texts));
        const tutti_platform_info *p = &out->platforms[i].info;
        if (r.failed || p->first_device != owned || p->n_devices < 0 ||
            p->n_devices > counts[1] - owned)
            return false;
        owned += p->n_devices;
        out->platforms[i].id = NULL;
    }
    for (int32_t i = 0; i < counts[1]; i++) {
        get(&r, &out->devices[i], sizeof out->devices[i], device_texts, COUNT(device_texts));
        if (r.failed || !device_is_sane(&out->devices[i], counts[0]))
            return false;
    }
    return r.left == 0 && owned == counts[1];
}
