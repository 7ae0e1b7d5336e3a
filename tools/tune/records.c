#include "records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/status.h"
#include "kernel/tunings.h"

/* Whether they have one file. */
static bool is_same(const tutti_device_info *a, const tutti_device_info *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->driver_version, b->driver_version) == 0 &&
           strcmp(a->platform_name, b->platform_name) == 0 &&
           strcmp(a->platform_version, b->platform_version) == 0;
}

/* Whether an earlier device of the runtime has the same file. */
static bool is_repeated(const tutti_runtime *runtime, int32_t index) {
    for (int32_t i = 0; i < index; i++)
        if (is_same(tutti_runtime_device(runtime, i), tutti_runtime_device(runtime, index)))
            return true;
    return false;
}

static const char *plural(int32_t count) {
    return count == 1 ? "" : "s";
}

static void print_record(const tutti_tuning *r) {
    printf("  %-28s n %-6lld %s\n", r->op, (long long)r->n, r->shapes);
    for (int32_t c = 0; c < r->n_candidates; c++) {
        const tutti_tuning_candidate *candidate = &r->candidate[c];
        char time[32] = "-";
        if (isfinite(candidate->time_s))
            snprintf(time, sizeof time, "%.1f us", 1e6 * candidate->time_s);
        const char *pack = c == r->winner && !r->verified ? "from a pack, to be checked" : "";
        printf("    %s %-20s %12s%s%s%s\n", c == r->winner ? "*" : " ", candidate->name, time,
               *candidate->note != '\0' || *pack != '\0' ? "  " : "", candidate->note, pack);
    }
}

/* One file serves a device and its parts, whose records differ in their keys only. */
static void print_known(const tutti_runtime *runtime, int32_t index, const tutti_tunings *known) {
    const tutti_device_info *device = tutti_runtime_device(runtime, index);
    int32_t foreign = 0;
    for (int32_t i = 0; i < known->n; i++)
        foreign += !known->items[i].verified;
    printf("%s", device->id);
    for (int32_t i = index + 1; i < tutti_runtime_device_count(runtime); i++)
        if (is_same(device, tutti_runtime_device(runtime, i)))
            printf(", %s", tutti_runtime_device(runtime, i)->id);
    printf(" %s, driver %s: %d measured", device->name, device->driver_version,
           (int)(known->n - foreign));
    if (foreign > 0)
        printf(", %d from a pack", (int)foreign);
    printf("%s\n",
           strchr(device->id, '/') != NULL ? ", on the whole device and on parts of it" : "");
    for (int32_t i = 0; i < known->n; i++)
        print_record(&known->items[i]);
}

/* Replaces the device's file, or says that it cannot be. */
static tutti_status keep(tutti_cache *cache, const tutti_device_info *device,
                         const tutti_tunings *tunings) {
    return tutti_tunings_store(cache, device, tunings)
               ? TUTTI_OK
               : tutti_fail(TUTTI_IO,
                            "%s: a file of %d measurement%s cannot be written to the cache",
                            device->id, (int)tunings->n, plural(tunings->n));
}

static tutti_status check_device(tutti_cache *cache, const tutti_device_info *device,
                                 int32_t *io_kept) {
    tutti_tunings known;
    const int lock = tutti_cache_lock(cache);
    tutti_status status = tutti_tunings_load(cache, device, &known);
    if (status == TUTTI_OK && !tutti_tunings_store(cache, device, &known))
        status = tutti_fail(TUTTI_IO, "%s: measurements cannot be kept: the cache takes no file",
                            device->id);
    tutti_cache_unlock(lock);
    *io_kept += known.n;
    tutti_tunings_free(&known);
    return status;
}

tutti_status tune_check(const tutti_runtime *runtime, tutti_cache *cache, int32_t measured) {
    int32_t kept = 0;
    for (int32_t i = 0; i < tutti_runtime_device_count(runtime); i++)
        if (!is_repeated(runtime, i))
            TUTTI_TRY(check_device(cache, tutti_runtime_device(runtime, i), &kept));
    return kept > 0 || measured == 0
               ? TUTTI_OK
               : tutti_fail(TUTTI_IO, "none of %d measurement%s could be kept", (int)measured,
                            plural(measured));
}

typedef struct import_count {
    int32_t devices, taken, passed;
} import_count;

static tutti_status import_device(tutti_cache *cache, const tutti_device_info *device,
                                  const tutti_tuning_pack *pack, import_count *count) {
    tutti_tunings known, both = {0};
    bool fits = false;
    TUTTI_TRY(tutti_tunings_load(cache, device, &known));
    tutti_status status = TUTTI_OK;
    for (int32_t d = 0; d < pack->n_devices; d++) {
        const tutti_tuning_pack_device *from = &pack->devices[d];
        if (strcmp(from->name, device->name) != 0 ||
            strcmp(from->platform, device->platform_name) != 0)
            continue;
        fits = true;
        for (int32_t r = 0; r < from->tunings.n && status == TUTTI_OK; r++) {
            const tutti_tuning *record = &from->tunings.items[r];
            const bool wanted =
                tutti_tunings_find(&known, record->key) == NULL && record->winner >= 0;
            count->taken += wanted;
            count->passed += !wanted;
            if (wanted)
                status = tutti_tunings_put(&both, record);
        }
    }
    /* What was measured here is better than what comes from elsewhere: it comes last, since the
     * first make room. */
    for (int32_t r = 0; r < known.n && status == TUTTI_OK; r++)
        status = tutti_tunings_put(&both, &known.items[r]);
    if (status == TUTTI_OK && both.n > known.n)
        status = keep(cache, device, &both);
    count->devices += fits;
    tutti_tunings_free(&known);
    tutti_tunings_free(&both);
    return status;
}

static tutti_status import_pack(const tutti_runtime *runtime, tutti_cache *cache,
                                const tutti_tuning_pack *pack) {
    import_count count = {0};
    for (int32_t i = 0; i < tutti_runtime_device_count(runtime); i++)
        if (!is_repeated(runtime, i)) {
            const int lock = tutti_cache_lock(cache);
            const tutti_status status =
                import_device(cache, tutti_runtime_device(runtime, i), pack, &count);
            tutti_cache_unlock(lock);
            TUTTI_TRY(status);
        }
    if (count.devices > 0) {
        printf("%d taken, each to be checked before its first use; %d known here already or "
               "without a winner\n",
               (int)count.taken, (int)count.passed);
        return TUTTI_OK;
    }
    return tutti_fail(TUTTI_NO_DEVICE,
                      "the pack has nothing for the selected devices: it is for \"%s\"%s",
                      pack->n_devices > 0 ? pack->devices[0].name : "no device",
                      pack->n_devices > 1 ? " and others" : "");
}

static tutti_status write_pack(const tutti_tuning_pack *pack, const char *path) {
    int32_t count = 0;
    for (int32_t i = 0; i < pack->n_devices; i++)
        count += pack->devices[i].tunings.n;
    char *text;
    TUTTI_TRY(tutti_tuning_pack_text(pack, &text));
    const bool standard = strcmp(path, "-") == 0;
    tutti_status status = TUTTI_OK;
    if (standard)
        fputs(text, stdout);
    else
        status = tutti_file_write(path, 0644, text, strlen(text));
    free(text);
    if (status == TUTTI_OK && !standard)
        printf("%s: %d measurement%s of %d device%s\n", path, (int)count, plural(count),
               (int)pack->n_devices, plural(pack->n_devices));
    if (status == TUTTI_OK && count == 0)
        fprintf(stderr, "tutti-tune: the pack is empty: nothing is known of the devices\n");
    return status;
}

static tutti_status clear(tutti_cache *cache, const tutti_device_info *device) {
    tutti_tunings known;
    const tutti_tunings none = {0};
    const int lock = tutti_cache_lock(cache);
    tutti_status status = tutti_tunings_load(cache, device, &known);
    if (status == TUTTI_OK && !tutti_tunings_store(cache, device, &none))
        status = tutti_fail(TUTTI_IO,
                            "%s: %d measurement%s cannot be forgotten: the cache cannot "
                            "be written",
                            device->id, (int)known.n, plural(known.n));
    tutti_cache_unlock(lock);
    if (status == TUTTI_OK)
        printf("%s %s: %d measurement%s forgotten\n", device->id, device->name, (int)known.n,
               plural(known.n));
    tutti_tunings_free(&known);
    return status;
}

tutti_status tune_records(const tutti_runtime *runtime, tutti_cache *cache,
                          const tune_request *wanted) {
    tutti_tuning_pack pack = {0};
    tutti_status status = TUTTI_OK;
    if (wanted->import != NULL) {
        const bool standard = strcmp(wanted->import, "-") == 0;
        TUTTI_TRY(tutti_tuning_pack_read(standard ? "/dev/stdin" : wanted->import, &pack));
        status = import_pack(runtime, cache, &pack);
        tutti_tuning_pack_free(&pack);
        return status;
    }
    if (wanted->export != NULL && strcmp(wanted->export, "-") != 0 && !wanted->force &&
        access(wanted->export, F_OK) == 0)
        return tutti_fail(TUTTI_IO, "%s exists already; --force replaces it", wanted->export);
    for (int32_t i = 0; i < tutti_runtime_device_count(runtime) && status == TUTTI_OK; i++) {
        const tutti_device_info *device = tutti_runtime_device(runtime, i);
        if (is_repeated(runtime, i))
            continue;
        if (wanted->clear) {
            status = clear(cache, device);
            continue;
        }
        tutti_tunings known;
        status = tutti_tunings_load(cache, device, &known);
        if (status != TUTTI_OK)
            break;
        if (wanted->export != NULL) {
            status = tutti_tuning_pack_add(&pack, device, &known);
        } else {
            print_known(runtime, i, &known);
        }
        tutti_tunings_free(&known);
    }
    if (status == TUTTI_OK && wanted->export != NULL)
        status = write_pack(&pack, wanted->export);
    tutti_tuning_pack_free(&pack);
    return status;
}
