#include "device/describe.h"

#include <ctype.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "device/open.h"
#include "profile/match.h"

/* From cl_ext.h of newer headers, so that older ones build. */
#define DEVICE_UUID          0x106A /* cl_khr_device_uuid: 16 bytes */
#define DEVICE_PCI_BUS_INFO  0x410F /* cl_khr_pci_bus_info: 4 words */
#define DEVICE_NV_MAJOR      0x4000 /* cl_nv_device_attribute_query: compute capability */
#define DEVICE_NV_MINOR      0x4001
#define DEVICE_NV_WARP       0x4003
#define DEVICE_NV_PCI_BUS    0x4008 /* cl_nv_device_attribute_query */
#define DEVICE_NV_PCI_SLOT   0x4009
#define DEVICE_NV_PCI_DOMAIN 0x400A
#define DEVICE_AMD_WAVEFRONT 0x4043 /* cl_amd_device_attribute_query */
#define DEVICE_INTEL_SIZES   0x4108 /* cl_intel_required_subgroup_size: an array of size_t */
#define DEVICE_AMD_TOPOLOGY  0x4037 /* cl_amd_device_attribute_query: 24 bytes, type 1 is PCIe */

typedef enum kind { U32, U64, SIZE_U32, BOOL, TEXT } kind;

static const struct field {
    cl_device_info param;
    kind kind;
    size_t offset;
} fields[] = {
#define FIELD(param, kind, member)                                                                 \
    { param, kind, offsetof(tutti_device_info, member) }
    FIELD(CL_DEVICE_NAME, TEXT, name),
    FIELD(CL_DEVICE_VENDOR, TEXT, vendor),
    FIELD(CL_DRIVER_VERSION, TEXT, driver_version),
    FIELD(CL_DEVICE_VERSION, TEXT, opencl_version),
    FIELD(CL_DEVICE_OPENCL_C_VERSION, TEXT, opencl_c_version),
    FIELD(CL_DEVICE_PROFILE, TEXT, profile),
    FIELD(CL_DEVICE_EXTENSIONS, TEXT, extensions),
    FIELD(CL_DEVICE_VENDOR_ID, U32, vendor_id),
    FIELD(CL_DEVICE_MAX_COMPUTE_UNITS, U32, compute_units),
    FIELD(CL_DEVICE_MAX_CLOCK_FREQUENCY, U32, clock_mhz),
    FIELD(CL_DEVICE_GLOBAL_MEM_SIZE, U64, memory_bytes),
    FIELD(CL_DEVICE_MAX_MEM_ALLOC_SIZE, U64, max_alloc_bytes),
    FIELD(CL_DEVICE_LOCAL_MEM_SIZE, U64, local_memory_bytes),
    FIELD(CL_DEVICE_MAX_CONSTANT_BUFFER_SIZE, U64, constant_buffer_bytes),
    FIELD(CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, U64, cache_bytes),
    FIELD(CL_DEVICE_HOST_UNIFIED_MEMORY, BOOL, unified_memory),
    FIELD(CL_DEVICE_IMAGE_SUPPORT, BOOL, images),
    FIELD(CL_DEVICE_AVAILABLE, BOOL, available),
    FIELD(CL_DEVICE_COMPILER_AVAILABLE, BOOL, compiler),
    FIELD(CL_DEVICE_LINKER_AVAILABLE, BOOL, linker),
    FIELD(CL_DEVICE_ENDIAN_LITTLE, BOOL, little_endian),
    FIELD(CL_DEVICE_ADDRESS_BITS, U32, address_bits),
    FIELD(CL_DEVICE_MAX_WORK_GROUP_SIZE, SIZE_U32, max_work_group),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_CHAR, U32, width_char),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_SHORT, U32, width_short),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_INT, U32, width_int),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_LONG, U32, width_long),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_HALF, U32, width_half),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_FLOAT, U32, width_float),
    FIELD(CL_DEVICE_PREFERRED_VECTOR_WIDTH_DOUBLE, U32, width_double),
    FIELD(CL_DEVICE_MAX_NUM_SUB_GROUPS, U32, max_sub_groups),
    FIELD(CL_DEVICE_PARTITION_MAX_SUB_DEVICES, U32, max_sub_devices),
    FIELD(CL_DEVICE_PROFILING_TIMER_RESOLUTION, SIZE_U32, timer_resolution_ns),
#undef FIELD
};

/* One line, outer blanks cut, runs of blanks made one, control characters replaced. */
static char *clean(tutti_arena *arena, char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        const unsigned char c = (unsigned char)*from;
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            if (to != text && to[-1] != ' ')
                *to++ = ' ';
        } else {
            *to++ = c < 0x20 || c == 0x7f ? '?' : (char)c;
        }
    }
    if (to != text && to[-1] == ' ')
        to--;
    *to = '\0';
    return tutti_arena_strdup(arena, text);
}

/* A missing answer is an empty string: drivers need not know every query. NULL: out of memory. */
static char *device_text(tutti_arena *arena, cl_device_id device, cl_device_info param) {
    size_t size = 0;
    if (clGetDeviceInfo(device, param, 0, NULL, &size) != CL_SUCCESS || size == 0 ||
        size > (1 << 20))
        return tutti_arena_strdup(arena, "");
    char *text = calloc(1, size + 1);
    if (text == NULL) {
        (void)tutti_fail_memory(size, "a device's description");
        return NULL;
    }
    char *out;
    if (clGetDeviceInfo(device, param, size, text, NULL) != CL_SUCCESS)
        out = tutti_arena_strdup(arena, "");
    else
        out = clean(arena, text);
    free(text);
    return out;
}

static char *platform_text(tutti_arena *arena, cl_platform_id platform, cl_platform_info param) {
    size_t size = 0;
    if (clGetPlatformInfo(platform, param, 0, NULL, &size) != CL_SUCCESS || size == 0 ||
        size > (1 << 20))
        return tutti_arena_strdup(arena, "");
    char *text = calloc(1, size + 1);
    if (text == NULL) {
        (void)tutti_fail_memory(size, "a platform's description");
        return NULL;
    }
    char *out;
    if (clGetPlatformInfo(platform, param, size, text, NULL) != CL_SUCCESS)
        out = tutti_arena_strdup(arena, "");
    else
        out = clean(arena, text);
    free(text);
    return out;
}

/* Some drivers answer in another width than asked: the answer's size decides. */
static uint64_t device_number(cl_device_id device, cl_device_info param) {
    unsigned char bytes[8] = {0};
    size_t size = 0;
    if (clGetDeviceInfo(device, param, sizeof bytes, bytes, &size) != CL_SUCCESS)
        return 0;
    uint32_t narrow;
    uint64_t wide;
    memcpy(&narrow, bytes, sizeof narrow);
    memcpy(&wide, bytes, sizeof wide);
    return size == 8 ? wide : narrow;
}

static uint32_t clamp_u32(uint64_t value) {
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static const char *uuid_text(tutti_arena *arena, cl_device_id device, const char *extensions) {
    unsigned char uuid[16] = {0};
    char text[33] = "";
    bool any = false;
    if (tutti_has_extension(extensions, "cl_khr_device_uuid") &&
        clGetDeviceInfo(device, DEVICE_UUID, sizeof uuid, uuid, NULL) == CL_SUCCESS)
        for (int i = 0; i < 16; i++) {
            any = any || uuid[i] != 0;
            snprintf(text + 2 * i, 3, "%02x", uuid[i]);
        }
    return tutti_arena_strdup(arena, any ? text : "");
}

static const char *pci_text(tutti_arena *arena, cl_device_id device, const char *extensions) {
    uint32_t words[4] = {0}; /* domain, bus, device, function */
    unsigned char topology[24] = {0};
    bool known = false;
    if (tutti_has_extension(extensions, "cl_khr_pci_bus_info") &&
        clGetDeviceInfo(device, DEVICE_PCI_BUS_INFO, sizeof words, words, NULL) == CL_SUCCESS) {
        known = true;
    } else if (tutti_has_extension(extensions, "cl_nv_device_attribute_query") &&
               clGetDeviceInfo(device, DEVICE_NV_PCI_BUS, sizeof words[1], &words[1], NULL) ==
                   CL_SUCCESS) {
        const uint32_t slot = clamp_u32(device_number(device, DEVICE_NV_PCI_SLOT));
        words[0] = clamp_u32(device_number(device, DEVICE_NV_PCI_DOMAIN));
        words[2] = slot >> 3;
        words[3] = slot & 7;
        known = true;
    } else if (tutti_has_extension(extensions, "cl_amd_device_attribute_query") &&
               clGetDeviceInfo(device, DEVICE_AMD_TOPOLOGY, sizeof topology, topology, NULL) ==
                   CL_SUCCESS &&
               topology[0] == 1) {
        words[1] = topology[21];
        words[2] = topology[22];
        words[3] = topology[23];
        known = true;
    }
    /* Software devices answer with zeros, which is the host bridge's address. */
    if (!known || (words[0] | words[1] | words[2] | words[3]) == 0)
        return tutti_arena_strdup(arena, "");
    return tutti_arena_printf(arena, "%04x:%02x:%02x.%x", words[0], words[1], words[2], words[3]);
}

/* Where sizes may be required, the largest up to 16, with which a work-item has registers enough. */
static uint32_t sub_group_size(cl_device_id device, const char *extensions) {
    if (tutti_has_extension(extensions, "cl_nv_device_attribute_query"))
        return clamp_u32(device_number(device, DEVICE_NV_WARP));
    if (tutti_has_extension(extensions, "cl_amd_device_attribute_query"))
        return clamp_u32(device_number(device, DEVICE_AMD_WAVEFRONT));
    size_t sizes[8] = {0}, bytes = 0;
    uint32_t best = 0;
    if (tutti_has_extension(extensions, "cl_intel_required_subgroup_size") &&
        clGetDeviceInfo(device, DEVICE_INTEL_SIZES, sizeof sizes, sizes, &bytes) == CL_SUCCESS)
        for (size_t i = 0; i < 8 && i < bytes / sizeof sizes[0]; i++)
            if (sizes[i] <= 16 && sizes[i] > best)
                best = (uint32_t)sizes[i];
    return best;
}

static uint32_t compute_capability(cl_device_id device, const char *extensions) {
    if (!tutti_has_extension(extensions, "cl_nv_device_attribute_query"))
        return 0;
    const uint64_t minor = device_number(device, DEVICE_NV_MINOR);
    return clamp_u32(10 * device_number(device, DEVICE_NV_MAJOR) + (minor < 10 ? minor : 9));
}

/* PoCL names its device after the target of its compiler, which may be older than the CPU: kernels then
 * keep to functions of their own what that target lacks (cl/matmul_cpu_bf16.cl). Where such a function
 * is inlined all the same the compiler ends the process, so of those that do not know the CPU only the
 * version that was tried is trusted. Where it does, nothing is foreign to the target. */
static bool bf16_dot(const tutti_device_info *device) {
#ifdef __x86_64__
    static const char *const targets[] = {"-znver4",         "-znver5",        "-cooperlake",
                                          "-sapphirerapids", "-emeraldrapids", "-graniterapids"};
    if (device->type != TUTTI_DEVICE_CPU || !__builtin_cpu_supports("avx512bf16") ||
        strcmp(device->platform_name, "Portable Computing Language") != 0)
        return false;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strstr(device->name, targets[i]) != NULL)
            return true;
    return strncmp(device->driver_version, "3.1", 3) == 0 &&
           !isdigit((unsigned char)device->driver_version[3]) &&
           strstr(device->name, "avx512") != NULL;
#else
    (void)device;
    return false;
#endif
}

static uint32_t type_bit(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU)
        return TUTTI_DEVICE_GPU;
    if (type & CL_DEVICE_TYPE_ACCELERATOR)
        return TUTTI_DEVICE_ACCELERATOR;
    if (type & CL_DEVICE_TYPE_CPU)
        return TUTTI_DEVICE_CPU;
    return TUTTI_DEVICE_CUSTOM;
}

const char *tutti_device_type_name(uint32_t type) {
    switch (type) {
    case TUTTI_DEVICE_CPU:
        return "CPU";
    case TUTTI_DEVICE_GPU:
        return "GPU";
    case TUTTI_DEVICE_ACCELERATOR:
        return "ACCELERATOR";
    default:
        return "CUSTOM";
    }
}

static bool host_is_little_endian(void) {
    const uint32_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

/* Why a device cannot be used, as far as it tells itself; "" when it can. */
static const char *find_problem(tutti_arena *arena, cl_device_id device,
                                const tutti_device_info *info) {
    int major = 0, minor = 0;
    if (!info->available)
        return "not available (CL_DEVICE_AVAILABLE is false)";
    if (!info->compiler)
        return "no compiler for OpenCL C (CL_DEVICE_COMPILER_AVAILABLE is false)";
    if (info->little_endian != host_is_little_endian())
        return "its byte order differs from the host's";
    if (sscanf(info->opencl_version, "OpenCL %d.%d", &major, &minor) != 2 ||
        (major == 1 && minor < 2) || major < 1)
        return tutti_arena_printf(arena, "its version is \"%.60s\", OpenCL 1.2 is needed",
                                  info->opencl_version);
    if (info->compute_units == 0 || info->memory_bytes == 0 || info->max_alloc_bytes == 0)
        return "reports no compute units or no memory";
    if (info->max_work_group == 0)
        return "reports a largest work-group of 0";
    if (strcmp(info->profile, "FULL_PROFILE") != 0) {
        /* The embedded profile makes these optional; losses and reductions need them. */
        const uint64_t config = device_number(device, CL_DEVICE_SINGLE_FP_CONFIG);
        if (!tutti_has_extension(info->extensions, "cles_khr_int64"))
            return "embedded profile without 64-bit integers (cles_khr_int64)";
        if ((config & CL_FP_INF_NAN) == 0 || (config & CL_FP_ROUND_TO_NEAREST) == 0)
            return "embedded profile without infinities, NaN or rounding to nearest";
    }
    return "";
}

static tutti_status read_fields(tutti_arena *arena, cl_device_id device, tutti_device_info *out) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        unsigned char *member = (unsigned char *)out + fields[i].offset;
        if (fields[i].kind == TEXT) {
            const char *text = device_text(arena, device, fields[i].param);
            if (text == NULL)
                return TUTTI_OUT_OF_MEMORY;
            memcpy(member, &text, sizeof text);
            continue;
        }
        const uint64_t value = device_number(device, fields[i].param);
        const uint32_t narrow = clamp_u32(value);
        const bool flag = value != 0;
        if (fields[i].kind == U64)
            memcpy(member, &value, sizeof value);
        else if (fields[i].kind == BOOL)
            memcpy(member, &flag, sizeof flag);
        else
            memcpy(member, &narrow, sizeof narrow);
    }
    return TUTTI_OK;
}

tutti_status tutti_describe_device(tutti_arena *arena, cl_platform_id platform, cl_device_id device,
                                   tutti_device_info *out) {
    *out = (tutti_device_info){.id = "", .duplicate_of = -1, .unusable = ""};
    TUTTI_TRY(read_fields(arena, device, out));
    out->platform_name = platform_text(arena, platform, CL_PLATFORM_NAME);
    out->platform_version = platform_text(arena, platform, CL_PLATFORM_VERSION);
    if (out->platform_name == NULL || out->platform_version == NULL)
        return TUTTI_OUT_OF_MEMORY;

    out->type = type_bit(device_number(device, CL_DEVICE_TYPE));
    out->local_memory_dedicated = device_number(device, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    if (out->type ==
        TUTTI_DEVICE_CPU) /* drivers of OpenCL 2 and later may have dropped the query */
        out->unified_memory = true;
    out->fp16 = tutti_has_extension(out->extensions, "cl_khr_fp16");
    out->fp64 = tutti_has_extension(out->extensions, "cl_khr_fp64");
    out->sub_groups = out->max_sub_groups > 0 ||
                      tutti_has_extension(out->extensions, "cl_khr_subgroups") ||
                      tutti_has_extension(out->extensions, "cl_intel_subgroups");
    out->sub_group_size = sub_group_size(device, out->extensions);
    out->compute_capability = compute_capability(device, out->extensions);
    out->bf16_dot = bf16_dot(out);
    const uint32_t native = clamp_u32(device_number(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT));
    out->simd_floats = native > out->width_float ? native : out->width_float;
    out->native_kernel =
        (device_number(device, CL_DEVICE_EXECUTION_CAPABILITIES) & CL_EXEC_NATIVE_KERNEL) != 0;
    out->out_of_order = (device_number(device, CL_DEVICE_QUEUE_PROPERTIES) &
                         CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    out->base_align_bytes = clamp_u32(device_number(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8);
    if (out->base_align_bytes == 0)
        out->base_align_bytes = 128; /* the size of the largest type: always enough */

    size_t sizes[16] = {0};
    if (clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL) ==
        CL_SUCCESS)
        for (int i = 0; i < 3; i++)
            out->max_work_item[i] = clamp_u32(sizes[i]);

    out->uuid = uuid_text(arena, device, out->extensions);
    out->pci = pci_text(arena, device, out->extensions);
    out->unusable = find_problem(arena, device, out);
    return out->uuid == NULL || out->pci == NULL || out->unusable == NULL ? TUTTI_OUT_OF_MEMORY
                                                                          : TUTTI_OK;
}

tutti_status tutti_describe_platform(tutti_arena *arena, cl_platform_id platform,
                                     tutti_platform_info *out) {
    *out = (tutti_platform_info){
        .name = platform_text(arena, platform, CL_PLATFORM_NAME),
        .vendor = platform_text(arena, platform, CL_PLATFORM_VENDOR),
        .version = platform_text(arena, platform, CL_PLATFORM_VERSION),
        .profile = platform_text(arena, platform, CL_PLATFORM_PROFILE),
        .extensions = platform_text(arena, platform, CL_PLATFORM_EXTENSIONS),
        .icd = "",
        .problem = "",
    };
    return out->name == NULL || out->vendor == NULL || out->version == NULL ||
                   out->profile == NULL || out->extensions == NULL
               ? TUTTI_OUT_OF_MEMORY
               : TUTTI_OK;
}

tutti_status tutti_describe_library(tutti_arena *arena, cl_platform_id platform, const char **out) {
    /* Every object behind the ICD loader starts with a pointer to its driver's table of functions
     * (cl_khr_icd); clGetPlatformInfo is the second of them. */
    void *const *table;
    Dl_info where;
    char path[PATH_MAX];
    memcpy(&table, platform, sizeof table);
    const char *found = "";
    if (table != NULL && dladdr(table[1], &where) != 0 && where.dli_fname != NULL)
        found = realpath(where.dli_fname, path) != NULL ? path : where.dli_fname;
    *out = tutti_arena_strdup(arena, found);
    return *out == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

tutti_status tutti_describe_list(cl_platform_id platform, cl_device_id **out, uint32_t *out_count) {
    *out = NULL;
    *out_count = 0;
    static const cl_device_type types[] = {CL_DEVICE_TYPE_ALL, CL_DEVICE_TYPE_CUSTOM};
    cl_device_id *devices = NULL;
    uint32_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        cl_uint more = 0;
        cl_int code = clGetDeviceIDs(platform, types[pass], 0, NULL, &more);
        /* Drivers that know no CUSTOM devices may refuse the type. */
        if (code == CL_DEVICE_NOT_FOUND || (pass == 1 && code != CL_SUCCESS) ||
            (code == CL_SUCCESS && more == 0))
            continue;
        if (code != CL_SUCCESS) {
            free(devices);
            return tutti_cl_fail(code, "clGetDeviceIDs", NULL);
        }
        cl_device_id *grown = realloc(devices, (count + (size_t)more) * sizeof *grown);
        if (grown == NULL) {
            free(devices);
            return tutti_fail_memory(more * sizeof *grown, "a list of devices");
        }
        devices = grown;
        code = clGetDeviceIDs(platform, types[pass], more, devices + count, NULL);
        if (code != CL_SUCCESS) {
            free(devices);
            return tutti_cl_fail(code, "clGetDeviceIDs", NULL);
        }
        for (uint32_t i = 0, old = count; i < more; i++) {
            bool seen = false;
            for (uint32_t k = 0; k < old; k++)
                seen = seen || devices[k] == devices[old + i];
            if (!seen)
                devices[count++] = devices[old + i];
        }
    }
    *out = devices;
    *out_count = count;
    return TUTTI_OK;
}
