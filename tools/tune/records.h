/* tutti-tune: what is known of the devices listed, exported, imported and forgotten. */
#ifndef TUTTI_TOOLS_TUNE_RECORDS_H
#define TUTTI_TOOLS_TUNE_RECORDS_H

#include "kernel/cache.h"
#include "tutti/tutti.h"

/* The command line. */
typedef struct tune_request {
    const char *select, *models, *export, *import;
    int64_t batch;
    double seconds;
    bool again, list, clear, quiet, force;
} tune_request;

/* Fails where measurements cannot be kept: the cache takes no file, or none of the `measured` is in it. */
TUTTI_MUST_USE tutti_status tune_check(const tutti_runtime *runtime, tutti_cache *cache,
                                       int32_t measured);

/* What the options do with the files of the devices: imports, clears or exports, else lists. */
TUTTI_MUST_USE tutti_status tune_records(const tutti_runtime *runtime, tutti_cache *cache,
                                         const tune_request *wanted);

#endif
