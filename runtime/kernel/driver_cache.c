#include "kernel/driver_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct driver_cache {
    const char *platform;             /* start of CL_PLATFORM_NAME */
    const char *off_name, *off_value; /* environment that switches it off */
    const char *path_name;            /* environment that names the directory */
    const char *below_xdg;            /* else below XDG_CACHE_HOME or ~/.cache, */
    const char *below_home;           /* or below the home directory */
} driver_cache;

/* Documented by PoCL (doc/sphinx/source/env_variables.rst) and NVIDIA (CUDA C Programming Guide,
 * environment variables). */
static const driver_cache caches[] = {
    {"Portable Computing Language", "POCL_KERNEL_CACHE", "0", "POCL_CACHE_DIR", "pocl/kcache",
     NULL},
    {"NVIDIA CUDA", "CUDA_CACHE_DISABLE", "1", "CUDA_CACHE_PATH", NULL, ".nv/ComputeCache"},
};

static const driver_cache *find(const tutti_device *device) {
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        if (strncmp(device->info.platform_name, caches[i].platform, strlen(caches[i].platform)) ==
            0)
            return &caches[i];
    return NULL;
}

bool tutti_driver_cache_on(const tutti_device *device) {
    if ((device->quirks & TUTTI_QUIRK_DRIVER_CACHE) == 0)
        return false;
    const driver_cache *cache = find(device);
    const char *off = cache != NULL ? getenv(cache->off_name) : NULL;
    return off == NULL || strcmp(off, cache->off_value) != 0;
}

static bool cache_path(const driver_cache *cache, char *path, size_t size) {
    const char *named = getenv(cache->path_name), *home = getenv("HOME");
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (named != NULL)
        snprintf(path, size, "%s", named);
    else if (cache->below_xdg != NULL && xdg != NULL && xdg[0] != '\0')
        snprintf(path, size, "%s/%s", xdg, cache->below_xdg);
    else if (home == NULL)
        return false;
    else if (cache->below_xdg != NULL)
        snprintf(path, size, "%s/.cache/%s", home, cache->below_xdg);
    else
        snprintf(path, size, "%s/%s", home, cache->below_home);
    return true;
}

bool tutti_driver_cache_identity(const tutti_device *device, char text[TUTTI_DRIVER_CACHE_TEXT]) {
    if (!tutti_driver_cache_on(device))
        return false;
    const driver_cache *cache = find(device);
    if (cache == NULL) { /* a driver that says it has one, somewhere */
        snprintf(text, TUTTI_DRIVER_CACHE_TEXT, "unknown");
        return true;
    }
    char path[400];
    struct statx info;
    if (!cache_path(cache, path, sizeof path) ||
        statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &info) != 0 || !S_ISDIR(info.stx_mode))
        return false;
    bool born = (info.stx_mask & STATX_BTIME) != 0;
    snprintf(text, TUTTI_DRIVER_CACHE_TEXT, "%s %x:%x %llu %lld.%u", path, info.stx_dev_major,
             info.stx_dev_minor, (unsigned long long)info.stx_ino,
             born ? (long long)info.stx_btime.tv_sec : 0, born ? info.stx_btime.tv_nsec : 0);
    return true;
}
