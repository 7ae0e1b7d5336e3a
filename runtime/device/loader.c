#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "device/describe.h"
#include "device/environment.h"
#include "device/inventory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;

/* Whether the library is in this process as a driver: programs link libraries such as zlib, or the
 * loader itself, that a wrong .icd file may name. */
static bool driver_loaded(const char *library) {
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL)
        return false;
    void *entry = dlsym(handle, "clGetExtensionFunctionAddress");
    void *own = dlsym(RTLD_DEFAULT, "clGetPlatformIDs");
    Dl_info driver, loader;
    const bool yes = entry != NULL && dladdr(entry, &driver) != 0 && own != NULL &&
                     dladdr(own, &loader) != 0 && driver.dli_fbase != loader.dli_fbase;
    dlclose(handle);
    return yes;
}

bool tutti_loader_started(const tutti_icd *icds, int32_t count) {
    pthread_mutex_lock(&lock);
    bool yes = started;
    pthread_mutex_unlock(&lock);
    for (int32_t i = 0; i < count && !yes; i++)
        yes = icds[i].problem[0] == '\0' && driver_loaded(icds[i].library);
    return yes;
}

/* Lets the loader read OCL_ICD_VENDORS as a directory of the good ICDs only. */
static tutti_status load_good(const tutti_inventory_full *inventory) {
    bool take[TUTTI_MAX_ICDS] = {false};
    for (int32_t i = 0; i < inventory->n_icds; i++)
        take[i] = inventory->icds[i].problem[0] == '\0';
    tutti_icd_dir dir = {.path = ""};
    tutti_arena arena = {0};
    const char *vendors = NULL;
    tutti_status status =
        tutti_icd_dir_add(&dir, &arena, inventory->icds, take, inventory->n_icds, &vendors);
    const char *old = getenv("OCL_ICD_VENDORS");
    char *saved = old == NULL ? NULL : tutti_arena_strdup(&arena, old);
    if (status == TUTTI_OK && old != NULL && saved == NULL)
        status = TUTTI_OUT_OF_MEMORY;
    if (status == TUTTI_OK && setenv("OCL_ICD_VENDORS", vendors, 1) != 0)
        status = tutti_fail_memory(strlen(vendors), "the environment");
    if (status == TUTTI_OK) {
        cl_uint count;
        (void)clGetPlatformIDs(0, NULL, &count); /* the loader reads the variable here, once */
        if (saved != NULL)
            (void)setenv("OCL_ICD_VENDORS", saved, 1);
        else
            unsetenv("OCL_ICD_VENDORS");
    }
    tutti_icd_dir_remove(&dir);
    tutti_arena_free(&arena);
    return status;
}

tutti_status tutti_loader_start(const tutti_inventory_full *inventory) {
    bool bad = false;
    for (int32_t i = 0; i < inventory->n_icds; i++)
        bad = bad || inventory->icds[i].problem[0] != '\0';
    const bool outside = tutti_loader_started(inventory->icds, inventory->n_icds);
    pthread_mutex_lock(&lock);
    tutti_status status = TUTTI_OK;
    if (!started) {
        tutti_environment_prepare(); /* drivers read it when they are loaded */
        if (bad && !outside)
            status = load_good(inventory);
        started = status == TUTTI_OK;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

/* The place of platform i among those of a walk that come from the same library. */
static int32_t ordinal_of(const tutti_walk *walk, int32_t i) {
    int32_t ordinal = 0;
    for (int32_t k = 0; k < i; k++)
        if (strcmp(walk->platforms[k].library, walk->platforms[i].library) == 0 &&
            strcmp(walk->platforms[k].info.name, walk->platforms[i].info.name) == 0 &&
            walk->platforms[k].id != walk->platforms[i].id)
            ordinal++;
    return ordinal;
}

static tutti_status find(const tutti_inventory_full *inventory, int32_t device, tutti_arena *arena,
                         cl_platform_id *out_platform, cl_device_id *out_device) {
    const tutti_device_info *wanted = &inventory->view.devices[device];
    const tutti_inventory_source *source = &inventory->sources[wanted->platform];
    int32_t source_ordinal = 0; /* among those of its ICD with its name and library */
    for (int32_t p = 0; p < wanted->platform; p++)
        if (inventory->sources[p].icd == source->icd &&
            strcmp(inventory->sources[p].library, source->library) == 0 &&
            strcmp(inventory->view.platforms[p].name, wanted->platform_name) == 0)
            source_ordinal++;
    tutti_walk walk;
    TUTTI_TRY(tutti_walk_here(arena, false, &walk));
    for (int32_t i = 0; i < walk.n_platforms; i++) {
        const tutti_walk_platform *p = &walk.platforms[i];
        if (strcmp(p->library, source->library) != 0 ||
            strcmp(p->info.name, wanted->platform_name) != 0 ||
            strcmp(p->info.version, wanted->platform_version) != 0 ||
            ordinal_of(&walk, i) != source_ordinal)
            continue;
        cl_device_id *ids;
        uint32_t count;
        TUTTI_TRY(tutti_describe_list(p->id, &ids, &count));
        cl_device_id id = wanted->index < (int32_t)count ? ids[wanted->index] : NULL;
        free(ids);
        tutti_device_info now;
        if (id == NULL)
            continue;
        TUTTI_TRY(tutti_describe_device(arena, p->id, id, &now));
        if (strcmp(now.name, wanted->name) != 0 || strcmp(now.uuid, wanted->uuid) != 0)
            continue;
        *out_platform = p->id;
        *out_device = id;
        return TUTTI_OK;
    }
    return tutti_fail(
        TUTTI_NO_DEVICE,
        "%s (%s, platform %s) was found by discovery but this process does not see it", wanted->id,
        wanted->name, wanted->platform_name);
}

tutti_status tutti_loader_find(const tutti_inventory_full *inventory, int32_t device,
                               cl_platform_id *out_platform, cl_device_id *out_device) {
    tutti_arena arena = {0};
    tutti_status status = find(inventory, device, &arena, out_platform, out_device);
    tutti_arena_free(&arena);
    return status;
}
