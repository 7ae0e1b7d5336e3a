/* Shows every OpenCL device of this machine and what decides about its use; measures and tests it.
 * See docs/man/tutti-probe.1. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "device/child.h"
#include "device/print.h"
#include "kernel/embedded.h"
#include "shared/options.h"
#include "tutti/tutti.h"

#define SELFTEST_DEADLINE_MS 120000
#define BENCH_DEADLINE_MS    300000

enum { OPT_JSON = TOOL_FIRST, OPT_BENCH, OPT_SELF_TEST, OPT_EMIT, OPT_FORCE, OPT_SELECT };

static const tool_option options[] = {
    {"json", NULL, OPT_JSON, "print JSON instead of a tree"},
    {"bench", NULL, OPT_BENCH, "measure arithmetic, copies and kernel launches"},
    {"self-test", NULL, OPT_SELF_TEST, "run kernels with known answers; exit 4 when one is wrong"},
    {"select", "EXPR|FILE", OPT_SELECT, "only gpu, gpu.0, !cpu, nvidia:*, or a profile's devices"},
    {"emit-profile", "FILE", OPT_EMIT, "write a profile with the devices; - for standard output"},
    {"force", NULL, OPT_FORCE, "let --emit-profile replace a file"},
};

static void introduce(void) {
    printf("Usage: tutti-probe [OPTION]...\n"
           "Shows every OpenCL device of this machine and what decides about its use.\n\n");
}

static const tool probe_tool = {
    .name = "tutti-probe",
    .introduce = introduce,
    .exit_codes =
        "Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 no usable device, 4 self-test failed,\n"
        "5 bad input, 6 device lost, 7 out of memory.\n",
    .width = 22,
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

typedef struct request {
    bool json, bench, self_test, force;
    const char *select, *emit;
} request;

typedef struct probe {
    request wanted;
    tutti_arena arena;
    tutti_inventory *inventory;
    tutti_device_report *reports; /* one per device */
    tutti_status failed;          /* of the first device that failed, a wrong result first */
    char failure[512];            /* its message */
} probe;

/* -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, request *out) {
    const tool *t = &probe_tool;
    int value, code = 0;
    while ((value = tool_next(t, argc, argv, &code)) >= 0)
        switch (value) {
        case OPT_JSON:
            out->json = true;
            break;
        case OPT_BENCH:
            out->bench = true;
            break;
        case OPT_SELF_TEST:
            out->self_test = true;
            break;
        case OPT_EMIT:
            out->emit = optarg;
            break;
        case OPT_FORCE:
            out->force = true;
            break;
        case OPT_SELECT:
            out->select = optarg;
            break;
        }
    if (value == TOOL_EXIT)
        return code;
    if (optind < argc)
        return tool_usage(t, "unexpected argument '%s'", argv[optind]);
    if (out->force && out->emit == NULL)
        return tool_usage(t, "--force without --emit-profile");
    if (out->json && out->emit != NULL && strcmp(out->emit, "-") == 0)
        return tool_usage(t, "--json and --emit-profile - both write to standard output");
    return -1;
}

static bool takes_part(const probe *p, int32_t device) {
    return p->inventory->devices[device].unusable[0] == '\0' && p->reports[device].skipped == NULL;
}

/* What the selected devices are to be split in. */
static tutti_status note_parts(probe *p, const tutti_selection *chosen, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        uint32_t *units;
        tutti_device_report *report = &p->reports[chosen[i].device];
        TUTTI_TRY(tutti_profile_partition(chosen[i].entry, &p->inventory->devices[chosen[i].device],
                                          &units, &report->n_parts));
        report->parts = units == NULL ? NULL
                                      : tutti_arena_copy(&p->arena, units,
                                                         (size_t)report->n_parts * sizeof *units);
        const bool lost = units != NULL && report->parts == NULL;
        tutti_free(units);
        if (lost)
            return TUTTI_OUT_OF_MEMORY;
    }
    return TUTTI_OK;
}

/* Marks what --select, or without it being a duplicate, leaves out. */
static tutti_status apply_selection(probe *p) {
    if (p->wanted.select == NULL) {
        for (int32_t i = 0; i < p->inventory->n_devices; i++)
            if (p->inventory->devices[i].duplicate_of >= 0)
                p->reports[i].skipped = "it is a duplicate";
        return TUTTI_OK;
    }
    tutti_profile *profile;
    tutti_selection *chosen;
    int32_t n_chosen;
    char **reasons;
    TUTTI_TRY(tutti_profile_open(p->wanted.select, &profile));
    tutti_status status = tutti_profile_apply(profile, p->inventory, &chosen, &n_chosen, &reasons);
    for (int32_t i = 0; i < p->inventory->n_devices && reasons != NULL; i++) {
        if (reasons[i] == NULL)
            continue;
        p->reports[i].skipped = tutti_arena_strdup(&p->arena, reasons[i]);
        if (p->reports[i].skipped == NULL)
            status = TUTTI_OUT_OF_MEMORY;
    }
    if (status == TUTTI_OK)
        status = note_parts(p, chosen, n_chosen);
    tutti_free(chosen);
    tutti_free(reasons);
    tutti_profile_free(profile);
    return status;
}

static const char *embedded(const char *name) {
    for (int i = 0; i < tutti_embedded_kernel_count; i++)
        if (strcmp(tutti_embedded_kernels[i].name, name) == 0)
            return tutti_embedded_kernels[i].text;
    return "";
}

/* What a child needs to know: it opens the device itself, so that a driver that crashes or hangs
 * costs the child. */
typedef struct errand {
    const tutti_inventory *inventory;
    int32_t device;
    uint64_t seed;
} errand;

static tutti_status open_device(const errand *e, tutti_device **out) {
    static const tutti_profile profile = {.source = "tutti-probe"};
    static const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO, .build_options = ""};
    const tutti_selection selection = {e->device, &entry};
    int32_t count;
    return tutti_devices_open_selected(&profile, e->inventory, &selection, 1, out, &count);
}

static tutti_status selftest_work(void *user, tutti_strbuf *out) {
    const errand *e = user;
    tutti_device *device;
    tutti_selftest_result result;
    TUTTI_TRY(open_device(e, &device));
    TUTTI_TRY(tutti_selftest_run(device, embedded("selftest.cl"), e->seed, &result));
    tutti_strbuf_append(out, (const char *)&result, sizeof result);
    return TUTTI_OK;
}

static tutti_status bench_work(void *user, tutti_strbuf *out) {
    tutti_device *device;
    tutti_bench_result result;
    TUTTI_TRY(open_device(user, &device));
    TUTTI_TRY(tutti_bench_run(device, embedded("bench.cl"), &result));
    tutti_strbuf_append(out, (const char *)&result, sizeof result);
    return TUTTI_OK;
}

/* Remembers the first failure for the exit code; a self-test's before others. */
static void note_failure(probe *p, int32_t device, tutti_status status, const char *what,
                         const char *why) {
    const tutti_device_info *info = &p->inventory->devices[device];
    if (p->failed != TUTTI_OK && (p->failed == TUTTI_WRONG_RESULT || status != TUTTI_WRONG_RESULT))
        return;
    p->failed = status;
    snprintf(p->failure, sizeof p->failure, "%s (%s): %s: %s", info->id, info->name, what, why);
}

/* Runs one errand; *out stays NULL when it fails. */
static tutti_status send(probe *p, errand *e, tutti_status (*work)(void *, tutti_strbuf *),
                         uint32_t deadline_ms, size_t size, const void **out,
                         const char **out_problem, tutti_status *out_status) {
    tutti_child_job job = {.work = work, .user = e};
    TUTTI_TRY(tutti_child_run(&p->arena, &job, 1, deadline_ms));
    *out_status = job.status;
    if (job.status != TUTTI_OK)
        *out_problem = job.problem;
    else
        *out = job.bytes;
    if (job.status == TUTTI_OK && job.size_bytes != size)
        return tutti_fail(TUTTI_INTERNAL, "a child process answered %zu bytes instead of %zu",
                          job.size_bytes, size);
    return TUTTI_OK;
}

static tutti_status test_device(probe *p, int32_t device) {
    tutti_device_report *report = &p->reports[device];
    errand e = {p->inventory, device, (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32)};
    const void *answer = NULL;
    tutti_status status;
    TUTTI_TRY(send(p, &e, selftest_work, SELFTEST_DEADLINE_MS, sizeof(tutti_selftest_result),
                   &answer, &report->selftest_problem, &status));
    report->selftest = answer;
    if (answer == NULL)
        note_failure(p, device, TUTTI_WRONG_RESULT, "the self-test failed",
                     report->selftest_problem);
    for (int32_t i = 0; report->selftest != NULL && i < report->selftest->n_items; i++) {
        const tutti_selftest_item *item = &report->selftest->items[i];
        char what[64];
        snprintf(what, sizeof what, "the self-test \"%s\" failed", item->name);
        if (!item->passed)
            note_failure(p, device, TUTTI_WRONG_RESULT, what, item->detail);
    }
    return TUTTI_OK;
}

static tutti_status measure_device(probe *p, int32_t device) {
    tutti_device_report *report = &p->reports[device];
    errand e = {p->inventory, device, 0};
    const void *answer = NULL;
    tutti_status status;
    TUTTI_TRY(send(p, &e, bench_work, BENCH_DEADLINE_MS, sizeof(tutti_bench_result), &answer,
                   &report->bench_problem, &status));
    report->bench = answer;
    if (status != TUTTI_OK)
        note_failure(p, device, status, "it could not be measured", report->bench_problem);
    return TUTTI_OK;
}

/* One device after the other: they may share memory and cores. */
static tutti_status examine(probe *p) {
    for (int32_t i = 0; i < p->inventory->n_devices; i++) {
        if (!takes_part(p, i))
            continue;
        if (p->wanted.self_test)
            TUTTI_TRY(test_device(p, i));
        if (p->wanted.bench)
            TUTTI_TRY(measure_device(p, i));
    }
    return TUTTI_OK;
}

static tutti_status print(probe *p) {
    tutti_strbuf text = {0};
    if (p->wanted.json) {
        tutti_print_json(&text, p->inventory, p->reports, p->wanted.select);
    } else {
        const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
        const bool colour = isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
                            term != NULL && strcmp(term, "dumb") != 0;
        tutti_print_tree(&text, p->inventory, p->reports, p->wanted.select, colour);
    }
    char *all = tutti_strbuf_take(&text);
    if (all == NULL)
        return TUTTI_OUT_OF_MEMORY;
    fputs(all, stdout);
    free(all);
    return TUTTI_OK;
}

/* Known before anything is measured, which may take minutes. */
static tutti_status check_emit(const request *wanted) {
    if (wanted->emit != NULL && !wanted->force && strcmp(wanted->emit, "-") != 0 &&
        tutti_file_exists(wanted->emit))
        return tutti_fail(TUTTI_IO, "%s exists already; --force replaces it", wanted->emit);
    return TUTTI_OK;
}

static tutti_status emit_profile(probe *p) {
    tutti_strbuf buffer = {0};
    tutti_print_profile(&buffer, p->inventory, p->reports);
    char *text = tutti_strbuf_take(&buffer);
    if (text == NULL)
        return TUTTI_OUT_OF_MEMORY;
    /* A profile that does not parse must not leave this program. */
    tutti_profile *check = NULL;
    tutti_status status = tutti_profile_parse("the profile", text, strlen(text), &check);
    tutti_profile_free(check);
    if (status == TUTTI_OK && strcmp(p->wanted.emit, "-") == 0)
        fputs(text, stdout);
    else if (status == TUTTI_OK)
        status = tutti_file_write(p->wanted.emit, 0644, text, strlen(text));
    free(text);
    return status;
}

static tutti_status no_device(const probe *p) {
    const tutti_inventory *inventory = p->inventory;
    bool found = false;
    for (int32_t i = 0; i < inventory->n_platforms; i++)
        found = found || inventory->platforms[i].problem[0] == '\0';
    return tutti_fail(
        TUTTI_NO_DEVICE,
        "%s; searched: %s. Drivers in Debian: pocl-opencl-icd (any CPU), intel-opencl-icd (Intel "
        "GPUs), mesa-opencl-icd (AMD GPUs), nvidia-opencl-icd (NVIDIA GPUs)",
        found                        ? "no OpenCL device can be used"
        : inventory->n_platforms > 0 ? "no OpenCL driver works"
                                     : "no OpenCL platform was found",
        inventory->searched);
}

static tutti_status run(probe *p) {
    TUTTI_TRY(check_emit(&p->wanted));
    TUTTI_TRY(tutti_discover(NULL, &p->inventory));
    p->reports =
        tutti_arena_array(&p->arena, (size_t)p->inventory->n_devices + 1, sizeof *p->reports);
    if (p->reports == NULL)
        return TUTTI_OUT_OF_MEMORY;
    bool any = false;
    tutti_status status = apply_selection(p);
    for (int32_t i = 0; i < p->inventory->n_devices; i++)
        any = any || p->inventory->devices[i].unusable[0] == '\0';
    if (status != TUTTI_OK && (status != TUTTI_NO_DEVICE || any))
        return status;
    TUTTI_TRY(examine(p));
    if (p->wanted.emit == NULL || strcmp(p->wanted.emit, "-") != 0)
        TUTTI_TRY(print(p));
    if (!any)
        return no_device(p);
    if (p->wanted.emit != NULL)
        TUTTI_TRY(emit_profile(p));
    return p->failed == TUTTI_OK ? TUTTI_OK : tutti_fail(p->failed, "%s", p->failure);
}

int main(int argc, char **argv) {
    probe p = {0};
    const int code = parse_options(argc, argv, &p.wanted);
    if (code >= 0)
        return code;
    const tutti_status status = run(&p);
    if (status != TUTTI_OK)
        fprintf(stderr, "tutti-probe: %s\n", tutti_error_message());
    tutti_inventory_free(p.inventory);
    tutti_arena_free(&p.arena);
    return tool_finish(&probe_tool, tutti_status_exit_code(status));
}
