/* A profile: which devices take part and how. Read from JSON (docs/profile.md,
 * docs/profile.schema.json) or from a short expression such as "gpu.0", "!cpu", "nvidia:*".
 */
#ifndef TUTTI_PROFILE_H
#define TUTTI_PROFILE_H

#include "tutti/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of device types. */
enum {
    TUTTI_DEVICE_CPU = 1 << 0,
    TUTTI_DEVICE_GPU = 1 << 1,
    TUTTI_DEVICE_ACCELERATOR = 1 << 2,
    TUTTI_DEVICE_CUSTOM = 1 << 3,
    TUTTI_DEVICE_ANY = 15
};

#define TUTTI_SHARE_AUTO (-1.0)

/* What a device must be. NULL, 0 and empty mean "any". Strings are globs (* and ?), compared
 * without case. */
typedef struct tutti_device_match {
    uint32_t types;       /* bits of TUTTI_DEVICE_* */
    const char *vendor;   /* substring or glob of the vendor's name; "nvidia", "amd", "intel" also
                             match the vendor's other names */
    const char *name;     /* glob of the device's name */
    const char *platform; /* glob of the platform's name */
    const char *uuid;     /* 32 hexadecimal digits, dashes allowed */
    const char *pci;      /* "0000:01:00.0" */
    uint64_t min_memory_bytes;
    const char *const *extensions;
    int32_t n_extensions;
    int32_t index; /* only the index-th of the devices that match the rest; -1 for all of them */
} tutti_device_match;

/* One entry of "devices": every device that it matches and that no earlier entry took. */
typedef struct tutti_profile_device {
    tutti_device_match match;
    const tutti_device_match *excludes;
    int32_t n_excludes;
    double share;                /* of the batch, 0 to 1, or TUTTI_SHARE_AUTO */
    uint64_t memory_limit_bytes; /* 0: no limit of ours */
    /* Sub-devices, each a device of its own; shares apply to each. At most one of the three is set;
     * none uses the whole device. tutti_profile_partition turns them into counts for a device. */
    const uint32_t *partitions; /* compute units of each, e.g. {1, 1} */
    int32_t n_partitions;
    uint32_t equal_parts;       /* so many sub-devices of equal size */
    uint32_t use_compute_units; /* one sub-device of so many compute units; the rest stays idle */
    const char *build_options;  /* "" for none; only options on the allow-list pass the parser */
    bool queue_profiling;
    bool optional; /* when nothing matches: skipped instead of an error */
    int32_t line;  /* of the entry in the file, 0 for expressions */
} tutti_profile_device;

typedef enum tutti_schedule {
    TUTTI_SCHEDULE_AUTO,
    TUTTI_SCHEDULE_SINGLE,
    TUTTI_SCHEDULE_DATA
} tutti_schedule;
typedef enum tutti_determinism {
    TUTTI_DETERMINISM_FAST,        /* shares and kernels follow measurement */
    TUTTI_DETERMINISM_REPRODUCIBLE /* same devices and profile: same bits; nothing is measured */
} tutti_determinism;
typedef enum tutti_on_failure {
    TUTTI_ON_FAILURE_ERROR,   /* default */
    TUTTI_ON_FAILURE_CONTINUE /* go on with the devices that are left, with a warning */
} tutti_on_failure;
typedef enum tutti_cache_mode {
    TUTTI_CACHE_AUTO,
    TUTTI_CACHE_DISK,
    TUTTI_CACHE_OFF
} tutti_cache_mode;

/* Validated plain data, owned by the profile; never changes after loading. */
typedef struct tutti_profile {
    const char *source; /* file name or expression, for messages */
    const char *name;   /* "" when unnamed */
    const tutti_profile_device *devices;
    int32_t n_devices;
    tutti_schedule schedule;
    tutti_determinism determinism;
    tutti_matmul_precision matmul_precision;
    tutti_on_failure on_missing;    /* a device entry that matches nothing */
    tutti_on_failure on_failure;    /* a device that fails to open or while running */
    const char *const *kernel_path; /* directories searched before the embedded kernels */
    int32_t n_kernel_path;
    tutti_cache_mode cache_mode;
    const char *cache_dir;      /* "" for the default */
    uint64_t cache_limit_bytes; /* 0: 256 MiB */
} tutti_profile;

/* Loads a profile file. The caller owns it: tutti_profile_free. Errors: TUTTI_IO with the path;
 * TUTTI_BAD_INPUT with "file:line:col: key: problem, expected …". */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_load(const char *path, tutti_profile **out);
/* Parses profile text; `name` stands for the file in messages. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_parse(const char *name, const char *text,
                                                          size_t size_bytes, tutti_profile **out);
/* Makes a profile from an expression: terms joined by commas, a device taking part when a positive
 * term matches it (or there is none) and no negated term does. Terms: auto, all, cpu, gpu,
 * accelerator, custom, vendor:glob, each with an optional .index, negated by "!". */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_select(const char *expression,
                                                           tutti_profile **out);
/* tutti_profile_load for an argument that names an existing file or contains '/' or ends in
 * ".json", else tutti_profile_select. NULL means "auto". */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_profile_open(const char *file_or_expression,
                                                         tutti_profile **out);
TUTTI_API void tutti_profile_free(tutti_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
