#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "bench.h"

static tutti_status open_on(bench *b, const char *select, bool profiling) {
    TUTTI_TRY(tutti_profile_open(select, &b->profile));
    b->used = *b->profile;
    b->entries = calloc((size_t)b->used.n_devices + 1, sizeof *b->entries);
    if (b->entries == NULL)
        return tutti_fail_memory(sizeof *b->entries, "a profile");
    memcpy(b->entries, b->used.devices, (size_t)b->used.n_devices * sizeof *b->entries);
    for (int32_t i = 0; i < b->used.n_devices; i++)
        b->entries[i].queue_profiling |= profiling;
    b->used.devices = b->entries;
    return tutti_runtime_open(&b->used, &b->runtime);
}

tutti_status bench_open(bench *b, bool profiling) {
    return open_on(b, b->options->select != NULL ? b->options->select : "auto", profiling);
}

tutti_status bench_open_first(bench *b) {
    char id[64];
    TUTTI_TRY(bench_open(b, false));
    if (tutti_runtime_device_count(b->runtime) == 1)
        return TUTTI_OK;
    snprintf(id, sizeof id, "%s", tutti_runtime_device(b->runtime, 0)->id);
    if (strchr(id, '/') != NULL)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s has several sub-devices, and this measures one device: select it "
                          "without \"partition\", or with \"compute_units\"",
                          b->options->select);
    bench_close(b);
    return open_on(b, id, false);
}

void bench_close(bench *b) {
    tutti_runtime_close(b->runtime);
    tutti_profile_free(b->profile);
    free(b->entries);
    b->runtime = NULL;
    b->profile = NULL;
    b->entries = NULL;
}
