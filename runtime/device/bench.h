/* What a device achieves: measured, medians of several runs. */
#ifndef TUTTI_DEVICE_BENCH_H
#define TUTTI_DEVICE_BENCH_H

#include "device/open.h"

#define TUTTI_BENCH_WIDTHS 5

/* Plain data, so that it passes through a pipe. */
typedef struct tutti_bench_result {
    double fp32_gflops; /* multiply-adds count two; the best vector width */
    int32_t fp32_width;
    double width_gflops[TUTTI_BENCH_WIDTHS]; /* for 1, 2, 4, 8, 16 floats */
    double copy_gbs;            /* on the device, reads and writes counted: 1e9 bytes/s */
    double write_gbs, read_gbs; /* host to device and back */
    double launch_us;           /* empty kernel, enqueued and waited for */
    double repeat_us;           /* per empty kernel, many in a row */
    uint64_t buffer_bytes;      /* of the copies */
} tutti_bench_result;

/* source is the text of cl/bench.cl. */
TUTTI_MUST_USE tutti_status tutti_bench_run(const tutti_device *device, const char *source,
                                            tutti_bench_result *out);

#endif
