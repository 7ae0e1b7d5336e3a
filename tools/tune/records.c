#include "records.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "kernel/tunings.h"

/* Whether an earlier device of the runtime has the same file. */
static bool is_repeated(const tutti_runtime *runtime, int32_t index) {
    const tutti_device_info *b = tutti_runtime_device(runtime, index);
    for (int32_t i = 0; i < index; i++) {
        const tutti_device_info *a = tutti_runtime_device(runtime, i);
        if (strcmp(a->name, b->name) == 0 && strcmp(a->driver_version, b->driver_version) == 0 &&
            strcmp(a->platform_name, b->platform_name) == 0 &&
            strcmp(a->platform_version, b->platform_version) == 0)
            return true;
    }
    return false;
}

static void print_record(const tutti_tuning *r) {
    printf("  %-28s n %-6lld %s\n", r->op, (long long)r->n, r->shapes);
    for (int32_t c = 0; c < r->n_candidates; c++) {
        const tutti_tuning_candidate *candidate = &r->candidate[c];
        char time[32] = "-";
        if (isfinite(candidate->time_s))
            snprintf(time, sizeof time, "%.1f us", 1e6 * candidate->time_s);
        printf("    %s %-20s %12s  %s%s\n", c == r->winner ? "*" : " ", candidate->name, time,
               candidate->note, c == r->winner && !r->verified ? "from a pack, to be checked" : "");
    }
}

static void print_known(const tutti_device_info *device, const tutti_tunings *known) {
    printf("%s %s, driver %s: %d measured\n", device->id, device->name, device->driver_version,
           (int)known->n);
    for (int32_t i = 0; i < known->n; i++)
        print_record(&known->items[i]);
}

/* Replaces the device's file, or says that it cannot be. */
static tutti_status keep(tutti_cache *cache, const tutti_device_info *device,
                         const tutti_tunings *tunings) {
    return tutti_tunings_store(cache, device, tunings)
               ? TUTTI_OK
               : tutti_fail(TUTTI_IO,
                            "%s: a file of %d measurements cannot be written to the cache",
                            device->id, (int)tunings->n);
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
    printf("%d taken, each to be checked before its first use; %d known here already or without a "
           "winner\n",
           (int)count.taken, (int)count.passed);
    if (count.devices > 0)
        return TUTTI_OK;
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
        printf("%s: %d measurements of %d devices\n", path, (int)count, (int)pack->n_devices);
    return status;
}

static tutti_status clear(tutti_cache *cache, const tutti_device_info *device) {
    tutti_tunings known;
    const tutti_tunings none = {0};
    const int lock = tutti_cache_lock(cache);
    tutti_status status = tutti_tunings_load(cache, device, &known);
    if (status == TUTTI_OK)
        status = keep(cache, device, &none);
    tutti_cache_unlock(lock);
    if (status == TUTTI_OK)
        printf("%s %s: %d measurements forgotten\n", device->id, device->name, (int)known.n);
    tutti_tunings_free(&known);
    return status;
}

tutti_status tune_records(const tutti_runtime *runtime, tutti_cache *cache,
                          const tune_request *wanted) {
    tutti_tuning_pack pack = {0};
    tutti_status status = TUTTI_OK;
    if (wanted->import != NULL) {
        TUTTI_TRY(tutti_tuning_pack_read(wanted->import, &pack));
        status = import_pack(runtime, cache, &pack);
        tutti_tuning_pack_free(&pack);
        return status;
    }
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
            print_known(device, &known);
        }
        tutti_tunings_free(&known);
    }
    if (status == TUTTI_OK && wanted->export != NULL)
        status = write_pack(&pack, wanted->export);
    tutti_tuning_pack_free(&pack);
    return status;
}
