#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "device/child.h"
#include "device/environment.h"
#include "device/inventory.h"
#include "device/quirks.h"

#define DEFAULT_DEADLINE_MS 10000

static uint32_t find_deadline(const tutti_discover_options *options) {
    if (options != NULL && options->deadline_ms > 0)
        return options->deadline_ms;
    const char *text = getenv("TUTTI_DISCOVER_DEADLINE_MS");
    if (text == NULL || text[0] == '\0')
        return DEFAULT_DEADLINE_MS;
    char *end;
    const long value = strtol(text, &end, 10);
    if (*end != '\0' || value < 1 || value > 600000) {
        tutti_log_write(TUTTI_LOG_WARNING,
                        "TUTTI_DISCOVER_DEADLINE_MS is \"%s\", expected 1 to 600000: %d is used",
                        text, DEFAULT_DEADLINE_MS);
        return DEFAULT_DEADLINE_MS;
    }
    return (uint32_t)value;
}

typedef struct discovery {
    tutti_inventory_full *inventory;
    tutti_arena *arena;
    uint32_t deadline_ms;
    tutti_icd_dir dir;
    bool no_dir;       /* none could be made: .icd files are named to the loader directly */
    tutti_walk *walks; /* one per ICD */
} discovery;

/* OCL_ICD_VENDORS for some of the ICDs; NULL when several cannot be named. */
static const char *name_icds(discovery *d, const bool *take) {
    const tutti_inventory_full *inv = d->inventory;
    const char *name = NULL;
    if (!d->no_dir) {
        if (tutti_icd_dir_add(&d->dir, d->arena, inv->icds, take, inv->n_icds, &name) == TUTTI_OK)
            return name;
        d->no_dir = true;
        tutti_log_write(TUTTI_LOG_WARNING, "discovery: %s", tutti_error_message());
    }
    int32_t taken = 0;
    for (int32_t i = 0; i < inv->n_icds; i++)
        if (take[i] && taken++ == 0)
            name = inv->icds[i].path;
    return taken == 1 ? name : NULL;
}

/* Why a library gives no platform; in the child. */
static tutti_status explain(const char *library) {
    if (library == NULL)
        return tutti_fail(TUTTI_NO_DEVICE, "no platforms");
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *error = dlerror();
        return tutti_fail(TUTTI_NO_DEVICE, "library %s cannot be loaded: %s", library,
                          error == NULL ? "unknown reason" : error);
    }
    if (dlsym(handle, "clGetExtensionFunctionAddress") == NULL)
        return tutti_fail(TUTTI_NO_DEVICE,
                          "library %s is no OpenCL driver: it has no clGetExtensionFunctionAddress",
                          library);
    return tutti_fail(TUTTI_NO_DEVICE, "no platforms: the driver found no hardware of its own, or "
                                       "the loader refused it");
}

/* Walks everything; in the child. user is the library's name, or NULL for several. */
static tutti_status walk_work(void *user, tutti_strbuf *out) {
    tutti_arena arena = {0}; /* ends with the process */
    tutti_walk walk;
    TUTTI_TRY(tutti_walk_here(&arena, true, &walk));
    if (walk.n_platforms == 0)
        return explain(user);
    tutti_walk_put(out, &walk);
    return TUTTI_OK;
}

/* Loads several drivers into one child: "" in *problem when they get along. Copies of one library
 * in two drivers, LLVM above all, may abort only then. */
static tutti_status try_together(discovery *d, const bool *take, const char **problem) {
    tutti_child_job job = {.work = walk_work, .vendors = name_icds(d, take)};
    *problem = "";
    if (job.vendors == NULL)
        return TUTTI_OK;
    TUTTI_TRY(tutti_child_run(d->arena, &job, 1, d->deadline_ms));
    *problem = job.problem;
    return TUTTI_OK;
}

static bool has_hardware(const tutti_walk *walk) {
    for (int32_t i = 0; i < walk->n_devices; i++)
        if (walk->devices[i].type != TUTTI_DEVICE_CPU)
            return true;
    return false;
}

/* Adds drivers one by one, those with more than CPUs first, and drops each that fails beside the
 * ones before it. */
static tutti_status keep_compatible(discovery *d) {
    tutti_inventory_full *inv = d->inventory;
    bool *take = tutti_arena_array(d->arena, (size_t)inv->n_icds, sizeof *take);
    if (take == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int32_t taken = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < inv->n_icds; i++) {
            if (inv->icds[i].problem[0] != '\0' || has_hardware(&d->walks[i]) != (pass == 0))
                continue;
            const char *problem = "";
            take[i] = true;
            if (taken++ > 0)
                TUTTI_TRY(try_together(d, take, &problem));
            if (problem[0] == '\0')
                continue;
            take[i] = false;
            taken--;
            inv->icds[i].problem = tutti_arena_printf(
                d->arena, "works alone but not in one process with the other drivers: %s", problem);
            if (inv->icds[i].problem == NULL)
                return TUTTI_OUT_OF_MEMORY;
        }
    return TUTTI_OK;
}

/* Each driver in a child of its own, and all of them in one more. */
static tutti_status walk_in_children(discovery *d) {
    tutti_inventory_full *inv = d->inventory;
    const size_t n = (size_t)inv->n_icds;
    tutti_child_job *jobs = tutti_arena_array(d->arena, n + 1, sizeof *jobs);
    int32_t *icd_of = tutti_arena_array(d->arena, n + 1, sizeof *icd_of);
    bool *all = tutti_arena_array(d->arena, n, sizeof *all);
    if (jobs == NULL || icd_of == NULL || all == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (inv->icds[i].problem[0] != '\0')
            continue;
        bool *one = tutti_arena_array(d->arena, n, sizeof *one);
        if (one == NULL)
            return TUTTI_OUT_OF_MEMORY;
        all[i] = one[i] = true;
        icd_of[count] = (int32_t)i;
        jobs[count].work = walk_work;
        jobs[count].user = tutti_arena_strdup(d->arena, inv->icds[i].library);
        if (jobs[count].user == NULL)
            return TUTTI_OUT_OF_MEMORY;
        jobs[count].vendors = name_icds(d, one);
        count++;
    }
    const char *together = count > 1 ? name_icds(d, all) : NULL;
    if (together != NULL)
        jobs[count] = (tutti_child_job){.work = walk_work, .vendors = together};
    TUTTI_TRY(
        tutti_child_run(d->arena, jobs, together != NULL ? count + 1 : count, d->deadline_ms));

    int32_t good = 0;
    for (int32_t k = 0; k < count; k++) {
        const char **fault = &inv->icds[icd_of[k]].problem;
        *fault = jobs[k].problem;
        if (jobs[k].problem[0] == '\0' &&
            !tutti_walk_get(d->arena, jobs[k].bytes, jobs[k].size_bytes, &d->walks[icd_of[k]])) {
            *fault = "the driver damaged its own description";
            d->walks[icd_of[k]] = (tutti_walk){0};
        }
        all[icd_of[k]] = (*fault)[0] == '\0';
        good += all[icd_of[k]];
    }
    const char *problem = together != NULL ? jobs[count].problem : "";
    if (good < 2)
        return TUTTI_OK;
    if (good < count) /* the joint walk may have failed for the bad ones' sake */
        TUTTI_TRY(try_together(d, all, &problem));
    return problem[0] == '\0' ? TUTTI_OK : keep_compatible(d);
}

/* The real path of a library that is loaded, "" when it is not. */
static const char *loaded_path(const char *library, char path[PATH_MAX]) {
    const char *found = "";
    struct link_map *map = NULL;
    void *handle = dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (handle == NULL)
        return "";
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL)
        found = realpath(map->l_name, path) != NULL ? path : "";
    dlclose(handle);
    return found;
}

/* This process has its drivers already: shows them, each under the ICD that names its library. */
static tutti_status walk_this_process(discovery *d, tutti_walk *walk, int32_t *icd_of) {
    tutti_inventory_full *inv = d->inventory;
    bool *used = tutti_arena_array(d->arena, (size_t)inv->n_icds + 1, sizeof *used);
    if (used == NULL)
        return TUTTI_OUT_OF_MEMORY;
    for (int32_t p = 0; p < walk->n_platforms; p++) {
        icd_of[p] = -1;
        /* A platform seen twice comes from a second .icd that names the same library. */
        bool again = false;
        for (int32_t k = 0; k < p; k++)
            again = again || walk->platforms[k].id == walk->platforms[p].id;
        for (int32_t i = 0; i < inv->n_icds; i++) {
            char path[PATH_MAX];
            if (inv->icds[i].problem[0] != '\0' || (again && used[i]) ||
                strcmp(loaded_path(inv->icds[i].library, path), walk->platforms[p].library) != 0)
                continue;
            icd_of[p] = i;
            used[i] = true;
            break;
        }
    }
    for (int32_t i = 0; i < inv->n_icds; i++)
        if (!used[i] && inv->icds[i].problem[0] == '\0')
            inv->icds[i].problem = "not among the drivers that this process has loaded before";
    return TUTTI_OK;
}

typedef struct builder {
    tutti_inventory_full *inv;
    tutti_platform_info *platforms;
    tutti_device_info *devices;
} builder;

static void add_platform(builder *b, const tutti_walk *walk, int32_t p, int32_t icd) {
    tutti_inventory *view = &b->inv->view;
    const int32_t at = view->n_platforms++;
    tutti_platform_info *platform = &b->platforms[at];
    tutti_inventory_source *source = &b->inv->sources[at];
    *platform = walk->platforms[p].info;
    platform->icd = icd < 0 ? "" : b->inv->icds[icd].path;
    platform->first_device = view->n_devices;
    *source = (tutti_inventory_source){.icd = icd, .library = walk->platforms[p].library};
    for (int32_t k = 0; k < at; k++)
        if (b->inv->sources[k].icd == icd &&
            strcmp(b->inv->sources[k].library, source->library) == 0)
            source->ordinal++;
    if (platform->n_devices == 0 && platform->problem[0] == '\0')
        platform->problem = "no devices";
    for (int32_t i = 0; i < platform->n_devices; i++) {
        tutti_device_info *device = &b->devices[view->n_devices++];
        *device = walk->devices[walk->platforms[p].info.first_device + i];
        device->platform = at;
        const char *bad = tutti_quirks_bad_driver(device);
        if (device->unusable[0] == '\0' && bad[0] != '\0')
            device->unusable = bad;
    }
}

static void add_problem(builder *b, int32_t icd) {
    tutti_inventory *view = &b->inv->view;
    b->inv->sources[view->n_platforms] = (tutti_inventory_source){.icd = icd, .library = ""};
    b->platforms[view->n_platforms++] = (tutti_platform_info){
        .name = "",
        .vendor = "",
        .version = "",
        .profile = "",
        .extensions = "",
        .icd = b->inv->icds[icd].path,
        .problem = b->inv->icds[icd].problem,
        .first_device = view->n_devices,
    };
}

static tutti_status discover(discovery *d) {
    tutti_inventory_full *inv = d->inventory;
    TUTTI_TRY(tutti_icd_find(d->arena, &inv->icds, &inv->n_icds, &inv->view.searched));
    const bool here = tutti_loader_started(inv->icds, inv->n_icds);
    tutti_walk own = {0};
    size_t n_platforms, n_devices;
    int32_t *icd_of = NULL;
    d->walks = tutti_arena_array(d->arena, (size_t)inv->n_icds + 1, sizeof *d->walks);
    if (d->walks == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (here) {
        TUTTI_TRY(tutti_walk_here(d->arena, true, &own));
        icd_of = tutti_arena_array(d->arena, (size_t)own.n_platforms + 1, sizeof *icd_of);
        if (icd_of == NULL)
            return TUTTI_OUT_OF_MEMORY;
        TUTTI_TRY(walk_this_process(d, &own, icd_of));
    } else {
        tutti_environment_prepare();
        TUTTI_TRY(walk_in_children(d));
    }
    n_platforms = (size_t)own.n_platforms + (size_t)inv->n_icds;
    n_devices = (size_t)own.n_devices;
    for (int32_t i = 0; i < inv->n_icds; i++) {
        n_platforms += (size_t)d->walks[i].n_platforms;
        n_devices += (size_t)d->walks[i].n_devices;
    }
    builder b = {.inv = inv,
                 .platforms = tutti_arena_array(d->arena, n_platforms + 1, sizeof *b.platforms),
                 .devices = tutti_arena_array(d->arena, n_devices + 1, sizeof *b.devices)};
    inv->sources = tutti_arena_array(d->arena, n_platforms + 1, sizeof *inv->sources);
    if (b.platforms == NULL || b.devices == NULL || inv->sources == NULL)
        return TUTTI_OUT_OF_MEMORY;
    inv->view.platforms = b.platforms;
    inv->view.devices = b.devices;
    for (int32_t p = 0; p < own.n_platforms; p++)
        add_platform(&b, &own, p, icd_of[p]);
    for (int32_t i = 0; i < inv->n_icds; i++) {
        if (inv->icds[i].problem[0] != '\0')
            add_problem(&b, i);
        else
            for (int32_t p = 0; p < d->walks[i].n_platforms; p++)
                add_platform(&b, &d->walks[i], p, i);
    }
    return tutti_inventory_name(inv, b.devices);
}

tutti_status tutti_discover(const tutti_discover_options *options, tutti_inventory **out) {
    *out = NULL;
    tutti_inventory_full *inventory = calloc(1, sizeof *inventory);
    if (inventory == NULL)
        return tutti_fail_memory(sizeof *inventory, "an inventory");
    discovery d = {
        .inventory = inventory, .arena = &inventory->arena, .deadline_ms = find_deadline(options)};
    const tutti_status status = discover(&d);
    tutti_icd_dir_remove(&d.dir);
    if (status != TUTTI_OK) {
        tutti_inventory_free(&inventory->view);
        return status;
    }
    tutti_log_write(TUTTI_LOG_DEBUG, "discovery: %d platforms, %d devices",
                    inventory->view.n_platforms, inventory->view.n_devices);
    *out = &inventory->view;
    return TUTTI_OK;
}

void tutti_inventory_free(tutti_inventory *inventory) {
    if (inventory == NULL)
        return;
    tutti_inventory_full *full = (tutti_inventory_full *)inventory;
    tutti_arena arena = full->arena;
    tutti_arena_free(&arena);
    free(full);
}
