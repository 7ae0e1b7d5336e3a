/* The device's limits, measured in the same run as what is compared with them. */
#include <string.h>

#include "base/status.h"
#include "bench.h"
#include "device/bench.h"
#include "kernel/embedded.h"
#include "kernel/runtime.h"

static const char *embedded(const char *name) {
    for (int i = 0; i < tutti_embedded_kernel_count; i++)
        if (strcmp(tutti_embedded_kernels[i].name, name) == 0)
            return tutti_embedded_kernels[i].text;
    return "";
}

tutti_status bench_limits_run(bench *b, bench_limits *out, cJSON *device) {
    tutti_bench_result result;
    TUTTI_TRY(bench_open(b, false));
    const tutti_device_info *info = tutti_runtime_device(b->runtime, 0);
    TUTTI_TRY(tutti_bench_run(&b->runtime->devices[0], embedded("bench.cl"), &result));
    *out = (bench_limits){result.fp32_gflops, result.copy_gbs};
    bench_text(device, "id", info->id);
    bench_text(device, "name", info->name);
    bench_text(device, "platform", info->platform_name);
    bench_text(device, "driver", info->driver_version);
    bench_number(device, "compute_units", info->compute_units);
    bench_number(device, "devices", tutti_runtime_device_count(b->runtime));
    return TUTTI_OK;
}
