#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device/print.h"
#include "profile/match.h"

/* Extensions that decide about kernels and their speed. */
static const char *const interesting[] = {
    "cl_khr_fp16",
    "cl_khr_fp64",
    "cl_khr_subgroups",
    "cl_intel_subgroups",
    "cl_khr_subgroup_shuffle",
    "cl_khr_subgroup_extended_types",
    "cl_khr_subgroup_non_uniform_arithmetic",
    "cl_khr_integer_dot_product",
    "cl_khr_cooperative_matrix",
    "cl_intel_subgroup_matrix_multiply_accumulate",
    "cl_ext_float_atomics",
    "cl_khr_int64_base_atomics",
    "cl_khr_int64_extended_atomics",
    "cl_khr_command_buffer",
    "cl_khr_il_program",
    "cl_khr_device_uuid",
    "cl_khr_pci_bus_info",
    "cl_khr_async_work_group_copy_fence",
    "cl_khr_external_memory",
    "cl_nv_device_attribute_query",
    "cl_amd_device_attribute_query",
    "cl_arm_matrix_multiply",
    "cl_arm_import_memory",
};

typedef struct tree {
    tutti_strbuf *out;
    bool colour;
    const char *margin;
} tree;

static const char *paint(const tree *t, const char *code) {
    return t->colour ? code : "";
}
#define BOLD  "\033[1m"
#define RED   "\033[31m"
#define GREEN "\033[32m"
#define PLAIN "\033[0m"

static void size_text(char *text, size_t capacity, uint64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(text, capacity,
             value < 10 && unit > 0 && value != (double)(uint64_t)value ? "%.2f %s" : "%.4g %s",
             value, units[unit]);
}

static void key(const tree *t, const char *name) {
    tutti_strbuf_printf(t->out, "%s    %-16s", t->margin, name);
}

static void put_extensions(const tree *t, const tutti_device_info *d) {
    key(t, "extensions");
    bool any = false;
    int others = d->extensions[0] != '\0';
    for (const char *at = d->extensions; *at != '\0'; at++)
        others += *at == ' ';
    for (size_t i = 0; i < sizeof interesting / sizeof interesting[0]; i++)
        if (tutti_has_extension(d->extensions, interesting[i])) {
            tutti_strbuf_printf(t->out, "%s%s", any ? " " : "", interesting[i]);
            any = true;
            others--;
        }
    if (others > 0)
        tutti_strbuf_printf(t->out, "%s%d other%s", any ? " and " : "", others,
                            others == 1 ? "" : "s");
    tutti_strbuf_puts(t->out, "\n");
}

static void put_memory(const tree *t, const tutti_device_info *d) {
    char memory[32], alloc[32], cache[32], local[32], constant[32];
    size_text(memory, sizeof memory, d->memory_bytes);
    size_text(alloc, sizeof alloc, d->max_alloc_bytes);
    size_text(cache, sizeof cache, d->cache_bytes);
    size_text(local, sizeof local, d->local_memory_bytes);
    size_text(constant, sizeof constant, d->constant_buffer_bytes);
    key(t, "memory");
    tutti_strbuf_printf(t->out, "%s, largest allocation %s, cache %s, %s\n", memory, alloc, cache,
                        d->unified_memory ? "unified with the host's" : "its own");
    key(t, "local memory");
    tutti_strbuf_printf(t->out, "%s, %s; constant buffer %s\n", local,
                        d->local_memory_dedicated ? "dedicated" : "emulated in global memory",
                        constant);
}

static void put_selftest(const tree *t, const tutti_device_report *r) {
    if (r->selftest_problem != NULL) {
        key(t, "self-test");
        tutti_strbuf_printf(t->out, "%sFAILED: %s%s\n", paint(t, RED), r->selftest_problem,
                            paint(t, PLAIN));
    }
    if (r->selftest == NULL)
        return;
    for (int32_t i = 0; i < r->selftest->n_items; i++) {
        const tutti_selftest_item *item = &r->selftest->items[i];
        key(t, i == 0 ? "self-test" : "");
        tutti_strbuf_printf(t->out, "%-13s %s%s%s%s%s\n", item->name,
                            paint(t, item->passed ? GREEN : RED), item->passed ? "ok" : "WRONG",
                            item->passed ? "" : ": ", item->detail, paint(t, PLAIN));
    }
}

static void put_bench(const tree *t, const tutti_device_report *r) {
    if (r->bench_problem != NULL) {
        key(t, "measured");
        tutti_strbuf_printf(t->out, "%sFAILED: %s%s\n", paint(t, RED), r->bench_problem,
                            paint(t, PLAIN));
    }
    const tutti_bench_result *b = r->bench;
    if (b == NULL)
        return;
    char size[32];
    size_text(size, sizeof size, b->buffer_bytes);
    key(t, "measured");
    tutti_strbuf_printf(t->out, "FP32 %.4g GFLOP/s (with float%d)\n", b->fp32_gflops,
                        b->fp32_width);
    key(t, "");
    tutti_strbuf_printf(t->out,
                        "copy on the device %.3g GB/s, from the host %.3g GB/s, back %.3g "
                        "GB/s (%s)\n",
                        b->copy_gbs, b->write_gbs, b->read_gbs, size);
    key(t, "");
    tutti_strbuf_printf(t->out, "kernel launch %.3g us with waiting, %.3g us in a row\n",
                        b->launch_us, b->repeat_us);
}

static void put_details(const tree *t, const tutti_device_info *d) {
    key(t, "type");
    tutti_strbuf_printf(t->out, "%s of %s (0x%04" PRIx32 ")%s%s%s%s\n",
                        tutti_device_type_name(d->type), d->vendor, d->vendor_id,
                        d->pci[0] != '\0' ? ", PCI " : "", d->pci,
                        d->uuid[0] != '\0' ? ", UUID " : "", d->uuid);
    key(t, "driver");
    tutti_strbuf_printf(t->out, "%s\n", d->driver_version);
    key(t, "version");
    tutti_strbuf_printf(t->out, "%s, %s%s%s\n", d->opencl_version, d->opencl_c_version,
                        strcmp(d->profile, "FULL_PROFILE") == 0 ? "" : ", ",
                        strcmp(d->profile, "FULL_PROFILE") == 0 ? "" : d->profile);
    key(t, "compute units");
    tutti_strbuf_printf(t->out,
                        "%" PRIu32 " at %" PRIu32 " MHz; work-groups up to %" PRIu32 " (%" PRIu32
                        ", %" PRIu32 ", %" PRIu32 ")",
                        d->compute_units, d->clock_mhz, d->max_work_group, d->max_work_item[0],
                        d->max_work_item[1], d->max_work_item[2]);
    if (d->max_sub_devices > 1)
        tutti_strbuf_printf(t->out, "; up to %" PRIu32 " sub-devices", d->max_sub_devices);
    tutti_strbuf_puts(t->out, "\n");
    put_memory(t, d);
    key(t, "numbers");
    tutti_strbuf_printf(
        t->out,
        "fp16 %s, fp64 %s; preferred widths: char %" PRIu32 ", short %" PRIu32 ", int %" PRIu32
        ", long %" PRIu32 ", half %" PRIu32 ", float %" PRIu32 ", double %" PRIu32 "\n",
        d->fp16 ? "yes" : "no", d->fp64 ? "yes" : "no", d->width_char, d->width_short, d->width_int,
        d->width_long, d->width_half, d->width_float, d->width_double);
    key(t, "sub-groups");
    if (d->sub_groups)
        tutti_strbuf_printf(t->out, "yes, up to %" PRIu32 " in a work-group\n", d->max_sub_groups);
    else
        tutti_strbuf_puts(t->out, "no\n");
    if (d->compute_capability != 0) {
        key(t, "capability");
        tutti_strbuf_printf(t->out, "%" PRIu32 ".%" PRIu32 "\n", d->compute_capability / 10,
                            d->compute_capability % 10);
    }
    if (d->bf16_dot) {
        key(t, "bf16 products");
        tutti_strbuf_puts(t->out, "AVX512_BF16\n");
    }
    put_extensions(t, d);
}

static void put_device(const tree *t, const tutti_inventory *inventory, const tutti_device_info *d,
                       const tutti_device_report *r, bool last) {
    const bool usable = d->unusable[0] == '\0';
    tutti_strbuf_printf(t->out, "%s-- %s%s%s%s%s\n", last ? "`" : "|", paint(t, BOLD), d->id,
                        d->id[0] != '\0' ? ": " : "", d->name, paint(t, PLAIN));
    if (!usable) {
        key(t, "not usable");
        tutti_strbuf_printf(t->out, "%s%s%s\n", paint(t, RED), d->unusable, paint(t, PLAIN));
    } else if (d->duplicate_of >= 0) {
        const tutti_device_info *first = &inventory->devices[d->duplicate_of];
        key(t, "duplicate");
        tutti_strbuf_printf(t->out, "the same hardware as %s of %s\n", first->id,
                            first->platform_name);
    } else if (r->skipped != NULL) {
        key(t, "not selected");
        tutti_strbuf_printf(t->out, "%s\n", r->skipped);
    } else if (r->n_parts > 0) {
        key(t, "used as");
        tutti_strbuf_printf(t->out, "%" PRId32 " sub-device%s of", r->n_parts,
                            r->n_parts == 1 ? "" : "s");
        for (int32_t i = 0; i < r->n_parts; i++)
            tutti_strbuf_printf(t->out, "%s %" PRIu32, i > 0 ? "," : "", r->parts[i]);
        tutti_strbuf_puts(t->out, " compute units\n");
    }
    put_details(t, d);
    put_selftest(t, r);
    put_bench(t, r);
}

void tutti_print_tree(tutti_strbuf *out, const tutti_inventory *inventory,
                      const tutti_device_report *reports, const char *select, bool colour) {
    tree t = {.out = out, .colour = colour};
    for (int32_t p = 0; p < inventory->n_platforms; p++) {
        const tutti_platform_info *platform = &inventory->platforms[p];
        const bool named = platform->name[0] != '\0';
        tutti_strbuf_printf(
            out, "%s%s%s%s%s%s%s%s%s\n", paint(&t, BOLD), named ? platform->name : platform->icd,
            paint(&t, PLAIN), named ? " (" : "", named ? platform->version : "", named ? ")" : "",
            named && platform->icd[0] != '\0' ? " [" : "", named ? platform->icd : "",
            named && platform->icd[0] != '\0' ? "]" : "");
        if (platform->problem[0] != '\0')
            tutti_strbuf_printf(out, "    %snot usable: %s%s\n", paint(&t, RED), platform->problem,
                                paint(&t, PLAIN));
        for (int32_t i = 0; i < platform->n_devices; i++) {
            const int32_t device = platform->first_device + i;
            const bool last = i + 1 == platform->n_devices;
            t.margin = last ? " " : "|";
            put_device(&t, inventory, &inventory->devices[device], &reports[device], last);
        }
    }
    int usable = 0, selected = 0;
    for (int32_t i = 0; i < inventory->n_devices; i++) {
        const tutti_device_info *d = &inventory->devices[i];
        const bool good = d->unusable[0] == '\0' && d->duplicate_of < 0;
        usable += good;
        selected += good && reports[i].skipped == NULL;
    }
    if (inventory->n_platforms == 0)
        return;
    tutti_strbuf_printf(out, "%d device%s, %d usable", inventory->n_devices,
                        inventory->n_devices == 1 ? "" : "s", usable);
    if (select != NULL)
        tutti_strbuf_printf(out, ", %d selected by \"%s\"", selected, select);
    tutti_strbuf_puts(out, "\n");
}
