#include "device/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/log.h"

static bool is_set(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

/* PoCL's rule (lib/CL/pocl_cache.c): it takes a relative XDG_CACHE_HOME, too. */
static bool pocl_cache_path(char *path, size_t size) {
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length;
    if (xdg != NULL && xdg[0] != '\0')
        length = snprintf(path, size, "%s/pocl/kcache", xdg);
    else if (home != NULL)
        length = snprintf(path, size, "%s/.cache/pocl/kcache", home);
    else
        length = snprintf(path, size, "/tmp/pocl/kcache");
    return length > 0 && (size_t)length < size;
}

/* Whether directories can be made at a path, or in what there is of it. Permissions alone do not
 * tell: /proc and read-only file systems refuse root as well. */
static bool can_make(const char *wanted) {
    char path[PATH_MAX];
    if (strlen(wanted) >= sizeof path - sizeof "/.tutti-XXXXXX")
        return false;
    strcpy(path, wanted);
    struct stat info;
    while (stat(path, &info) != 0) {
        char *slash = errno == ENOENT ? strrchr(path, '/') : NULL;
        if (slash == NULL) {
            if (errno != ENOENT)
                return false;
            strcpy(path, ".");
        } else {
            slash[slash == path] = '\0';
        }
    }
    strcat(path, "/.tutti-XXXXXX");
    return mkdtemp(path) != NULL && rmdir(path) == 0;
}

/* Ours alone: PoCL loads and runs what it finds there. */
static const char *make_private(const char *path) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return strerror(errno);
    const int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0)
        return strerror(errno);
    struct stat info;
    const char *problem = NULL;
    if (fstat(directory, &info) != 0)
        problem = strerror(errno);
    else if (info.st_uid != geteuid())
        problem = "owned by another user";
    else if ((info.st_mode & 077) != 0)
        problem = "open to others";
    close(directory);
    return problem != NULL || can_make(path) ? problem : "cannot be written";
}

static void place_pocl_cache(void) {
    char usual[PATH_MAX], own[PATH_MAX];
    if (is_set("POCL_CACHE_DIR") || (pocl_cache_path(usual, sizeof usual) && can_make(usual)))
        return;
    const char *temp = getenv("TMPDIR");
    if (temp == NULL || temp[0] != '/')
        temp = "/tmp";
    const int length = snprintf(own, sizeof own, "%s/tutti-pocl-%ld", temp, (long)geteuid());
    const char *problem =
        length < 0 || (size_t)length >= sizeof own ? "TMPDIR is too long" : make_private(own);
    if (problem == NULL && setenv("POCL_CACHE_DIR", own, 1) != 0)
        problem = strerror(errno);
    if (problem == NULL)
        tutti_log_write(TUTTI_LOG_INFO, "PoCL cannot write %s: its cache is in %s", usual, own);
    else
        tutti_log_write(TUTTI_LOG_WARNING,
                        "PoCL, if it is installed, finds no device: it cannot write its cache at "
                        "%s, nor can %s be used (%s); name a directory in POCL_CACHE_DIR",
                        usual, own, problem);
}

static void describe_machine(const char *cpus) {
    struct stat info;
    struct sysinfo memory;
    char text[128];
    if (stat(cpus, &info) == 0 || is_set("HWLOC_SYNTHETIC") || is_set("HWLOC_XMLFILE") ||
        sysinfo(&memory) != 0)
        return;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(text, sizeof text, "node:1(memory=%llu) core:%ld pu:1",
             (unsigned long long)memory.totalram * memory.mem_unit, cores > 0 ? cores : 1);
    if (setenv("HWLOC_SYNTHETIC", text, 1) == 0)
        tutti_log_write(TUTTI_LOG_INFO, "there is no %s: HWLOC_SYNTHETIC is \"%s\"", cpus, text);
}

void tutti_environment_prepare_at(const char *cpus) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    (void)setenv("POCL_AFFINITY", "1", 0);
    place_pocl_cache();
    describe_machine(cpus);
    pthread_mutex_unlock(&lock);
}

void tutti_environment_prepare(void) {
    tutti_environment_prepare_at("/sys/devices/system/cpu");
}
