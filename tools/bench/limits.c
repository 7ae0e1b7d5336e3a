/* The device's limits, measured in the same run as what is compared with them. */
#include "base/status.h"
#include "bench.h"
#include "limit_kernels.h"

#define COPY_BYTES ((size_t)64 << 20)

/* A limit is what was reached once: the best round counts. */
static tutti_status measure(const bench *b, bench_limit *fma, bench_limit *copy,
                            bench_limits *out) {
    bench_rival rivals[] = {bench_limit_rival(fma, "fma"), bench_limit_rival(copy, "copy")};
    TUTTI_TRY(bench_compete(b, rivals, 2));
    out->fma_gflops = fma->work / rivals[0].best_s * 1e-9;
    out->copy_gbs = copy->work / rivals[1].best_s * 1e-9;
    return TUTTI_OK;
}

tutti_status bench_limits_run(bench *b, bench_limits *out, cJSON *device) {
    bench_limit fma = {0}, copy = {0};
    TUTTI_TRY(bench_open(b, false));
    const tutti_device_info *info = tutti_runtime_device(b->runtime, 0);
    tutti_status status = bench_limit_fma(b, &fma);
    if (status == TUTTI_OK)
        status = bench_limit_copy(b, bench_quick() ? COPY_BYTES / 64 : COPY_BYTES, &copy);
    if (status == TUTTI_OK)
        status = measure(b, &fma, &copy, out);
    bench_limit_close(&fma);
    bench_limit_close(&copy);
    TUTTI_TRY(status);
    bench_text(device, "id", info->id);
    bench_text(device, "name", info->name);
    bench_text(device, "platform", info->platform_name);
    bench_text(device, "driver", info->driver_version);
    bench_number(device, "compute_units", info->compute_units);
    return TUTTI_OK;
}
