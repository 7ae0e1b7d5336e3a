#include "device/quirks.h"

#include <stdlib.h>
#include <string.h>

#include "device/open.h"

typedef struct quirk {
    const char *platform; /* start of CL_PLATFORM_NAME */
    uint32_t flags;
} quirk;

static const quirk quirks[] = {
    {"Portable Computing Language", TUTTI_QUIRK_DRIVER_CACHE | TUTTI_QUIRK_BINARY_SLOW},
    {"NVIDIA CUDA", TUTTI_QUIRK_DRIVER_CACHE},
    /* Oclgrind 21.10 damages the heap of the process when it runs CLBlast's kernels. */
    {"Oclgrind", TUTTI_QUIRK_INTERPRETER | TUTTI_QUIRK_NO_ROUTINES},
};

typedef struct bad_driver {
    const char *platform; /* start of CL_PLATFORM_NAME */
    /* Driver versions below this, compared number by number; NULL for every version. */
    const char *below;
    const char *reason;
} bad_driver;

/* Sources: Clover was deprecated for and removed in Mesa 25.2 and crashes in its compiler; Beignet
 * was given up in 2018 and fails the self-tests of John the Ripper (issue 3749); hashcat 6.1
 * refuses PoCL before 1.5 as likely to fail in compilation or to compute wrong results. */
static const bad_driver bad_drivers[] = {
    {"Clover", NULL, "known-bad driver: Mesa's Clover is no longer maintained, use Rusticl"},
    {"Intel Gen OCL Driver", NULL,
     "known-bad driver: Beignet is no longer maintained, use Intel's compute runtime"},
    {"Portable Computing Language", "1.5",
     "known-bad driver: PoCL before 1.5 fails or miscompiles kernels, update it"},
};

static const char *const generic_platforms[] = {"rusticl", "Clover", "Portable Computing Language",
                                                "clvk", "Oclgrind"};

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

uint32_t tutti_quirks_find(const tutti_device_info *info) {
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof quirks / sizeof quirks[0]; i++)
        if (starts_with(info->platform_name, quirks[i].platform))
            flags |= quirks[i].flags;
    return flags;
}

/* Compares "3.1+debian" with "3.10" number by number; text between numbers does not count. */
static bool version_below(const char *version, const char *limit) {
    for (;;) {
        version += strcspn(version, "0123456789");
        limit += strcspn(limit, "0123456789");
        if (*limit == '\0' || *version == '\0')
            return *limit != '\0' && *version == '\0';
        char *version_end, *limit_end;
        const unsigned long v = strtoul(version, &version_end, 10);
        const unsigned long l = strtoul(limit, &limit_end, 10);
        if (v != l)
            return v < l;
        version = version_end;
        limit = limit_end;
    }
}

const char *tutti_quirks_bad_driver(const tutti_device_info *info) {
    const char *allow = getenv("TUTTI_ALLOW_BAD_DRIVERS");
    if (allow != NULL && strcmp(allow, "1") == 0)
        return "";
    for (size_t i = 0; i < sizeof bad_drivers / sizeof bad_drivers[0]; i++) {
        const bad_driver *bad = &bad_drivers[i];
        if (starts_with(info->platform_name, bad->platform) &&
            (bad->below == NULL || version_below(info->driver_version, bad->below)))
            return bad->reason;
    }
    return "";
}

bool tutti_quirks_generic_platform(const char *platform_name) {
    for (size_t i = 0; i < sizeof generic_platforms / sizeof generic_platforms[0]; i++)
        if (starts_with(platform_name, generic_platforms[i]))
            return true;
    return false;
}
