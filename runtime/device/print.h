/* An inventory as text: a tree for people, JSON for programs (docs/probe.md). */
#ifndef TUTTI_DEVICE_PRINT_H
#define TUTTI_DEVICE_PRINT_H

#include "base/strbuf.h"
#include "device/bench.h"
#include "device/selftest.h"

/* Bumped when a field changes its meaning or goes; new fields may come within a version. */
#define TUTTI_PROBE_SCHEMA_VERSION 1

/* What is known of a device beside the inventory. Zero: nothing was asked for. */
typedef struct tutti_device_report {
    const char *skipped;   /* why a selection left it out, NULL when it did not */
    const uint32_t *parts; /* compute units of the sub-devices that the selection makes of it */
    int32_t n_parts;       /* 0: it is used as a whole */
    const char *selftest_problem, *bench_problem; /* could not be run; NULL when it was or was not
                                                     asked for */
    const tutti_selftest_result *selftest;        /* NULL when there is none */
    const tutti_bench_result *bench;
} tutti_device_report;

/* reports: one per device. select: the expression, or NULL. */
void tutti_print_tree(tutti_strbuf *out, const tutti_inventory *inventory,
                      const tutti_device_report *reports, const char *select, bool colour);
void tutti_print_json(tutti_strbuf *out, const tutti_inventory *inventory,
                      const tutti_device_report *reports, const char *select);
/* A profile that takes the devices that were not left out, by what tells them apart best. */
void tutti_print_profile(tutti_strbuf *out, const tutti_inventory *inventory,
                         const tutti_device_report *reports);

#endif
