/* Discovery: every platform and device behind the ICD loader, as plain data, with the reason for
 * each that cannot be used.
 */
#ifndef TUTTI_DEVICE_H
#define TUTTI_DEVICE_H

#include "tutti/profile.h"
#include "tutti/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What decides about a device's use. Strings are owned by the inventory. */
typedef struct tutti_device_info {
    const char *id;   /* stable within one inventory: "cpu.0", "gpu.1" (type and index among usable
                         devices of that type); sub-devices "cpu.0/1"; duplicates "gpu.0@2" with
                         the platform's index; "" for those that are unusable */
    int32_t platform; /* index in the inventory */
    int32_t index;    /* of the device in its platform */
    uint32_t type;    /* one bit of TUTTI_DEVICE_* */
    const char *name, *vendor, *platform_name, *platform_version, *driver_version;
    const char *opencl_version;   /* CL_DEVICE_VERSION */
    const char *opencl_c_version; /* CL_DEVICE_OPENCL_C_VERSION */
    const char *profile;          /* FULL_PROFILE or EMBEDDED_PROFILE */
    const char *extensions;       /* all, separated by single spaces */
    const char *uuid;             /* 32 hexadecimal digits, or "" */
    const char *pci;              /* "0000:01:00.0", or "" */
    uint32_t vendor_id;
    uint32_t compute_units, clock_mhz;
    uint64_t memory_bytes, max_alloc_bytes, local_memory_bytes, constant_buffer_bytes, cache_bytes;
    bool local_memory_dedicated; /* else it is emulated in global memory */
    bool unified_memory, fp16, fp64, images, available, compiler, linker, little_endian,
        native_kernel, out_of_order;
    uint32_t address_bits, base_align_bytes, max_work_group, max_work_item[3];
    uint32_t width_char, width_short, width_int, width_long, width_half, width_float,
        width_double;     /* preferred */
    uint32_t simd_floats; /* in a vector register, as far as is known: the preferred or the native
                             width, whichever is larger (drivers that vectorise prefer 1) */
    bool sub_groups;
    uint32_t max_sub_groups;
    uint32_t sub_group_size;     /* work-items that run together, or the size that kernels should
                                    require where they may choose; 0 when unknown */
    uint32_t compute_capability; /* of NVIDIA's devices, 80 for 8.0; else 0 */
    bool bf16_dot;               /* of CPUs: kernels can use the instructions of AVX512_BF16 */
    uint32_t max_sub_devices;
    uint32_t timer_resolution_ns;
    int32_t duplicate_of; /* index in the inventory of the same hardware behind another platform, or
                             -1; taken only when a profile asks for this one and not for that */
    const char *unusable; /* "" when usable, else the reason */
} tutti_device_info;

typedef struct tutti_platform_info {
    const char *name, *vendor, *version, *profile, *extensions;
    const char *icd;     /* .icd file it came from, "" when unknown */
    const char *problem; /* "" or why nothing of it can be used: crashed, hung, failed to load … */
    int32_t first_device, n_devices; /* range in devices */
} tutti_platform_info;

typedef struct tutti_inventory {
    const tutti_platform_info *platforms;
    int32_t n_platforms;
    const tutti_device_info *devices;
    int32_t n_devices;
    const char *searched; /* where ICDs were looked for, for messages */
} tutti_inventory;

typedef struct tutti_discover_options {
    uint32_t deadline_ms; /* per ICD; 0: TUTTI_DISCOVER_DEADLINE_MS or 10000 */
} tutti_discover_options;

/* Walks every platform and device of every type in child processes with a deadline, so that a
 * driver that crashes or hangs while loading costs that driver only, and keeps such drivers from
 * loading when devices of the inventory are opened. Where the process has loaded its drivers
 * before, it shows those. No platform at all is not an error: the inventory is empty. options may
 * be NULL. The caller owns the inventory: tutti_inventory_free. Before the
 * drivers are loaded, POCL_AFFINITY, and where it is needed POCL_CACHE_DIR and HWLOC_SYNTHETIC, are
 * set unless they are (docs/environment.md); when a driver is bad, the first tutti_runtime_open
 * changes OCL_ICD_VENDORS for a moment: call it before other threads read the environment. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_discover(const tutti_discover_options *options,
                                                     tutti_inventory **out);
TUTTI_API void tutti_inventory_free(tutti_inventory *inventory);

/* One device that a profile takes. */
typedef struct tutti_selection {
    int32_t device;                    /* index in the inventory */
    const tutti_profile_device *entry; /* borrowed from the profile */
} tutti_selection;

/* Compute units of each sub-device that the entry asks for on this device: counts as
 * clCreateSubDevices takes them (malloc'd, tutti_free). A count of 0 and NULL mean the whole
 * device. Errors: TUTTI_UNSUPPORTED when the device has too few compute units or cannot be
 * partitioned. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_partition(const tutti_profile_device *entry,
                                                              const tutti_device_info *device,
                                                              uint32_t **out_units,
                                                              int32_t *out_count);

/* Applies the profile: the chosen devices in order (malloc'd, tutti_free), and for each device of
 * the inventory that was not chosen the reason in out_reasons (n_devices strings; NULL for chosen
 * ones; one allocation, tutti_free; may be NULL). Of the same hardware behind several platforms one
 * is chosen: of those that an entry matches the one that is no duplicate, else the first. Errors:
 * TUTTI_NO_DEVICE naming what matched nothing (the reasons are filled then too); TUTTI_BAD_INPUT
 * when the chosen devices' shares sum to more than 1; TUTTI_UNSUPPORTED as
 * tutti_profile_partition. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_apply(const tutti_profile *profile,
                                                          const tutti_inventory *inventory,
                                                          tutti_selection **out, int32_t *out_count,
                                                          char ***out_reasons);

/* "CPU", "GPU", "ACCELERATOR" or "CUSTOM". */
TUTTI_API const char *tutti_device_type_name(uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
