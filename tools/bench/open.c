#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "bench.h"

tutti_status bench_open(bench *b, bool profiling) {
    const char *select = b->options->select != NULL ? b->options->select : "auto";
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

void bench_close(bench *b) {
    tutti_runtime_close(b->runtime);
    tutti_profile_free(b->profile);
    free(b->entries);
    b->runtime = NULL;
    b->profile = NULL;
    b->entries = NULL;
}
