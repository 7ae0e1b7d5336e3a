#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "device/print.h"
#include "device/quirks.h"
#include "profile/candidate.h"
#include "tutti/types.h"

/* Writes "key": value pairs, an indented line each. */
typedef struct writer {
    tutti_strbuf *out;
    int depth;
    bool first; /* nothing was written yet in the innermost object or array */
} writer;

static void line(writer *w, const char *name) {
    tutti_strbuf_printf(w->out, "%s\n%*s", w->first ? "" : ",", 2 * w->depth, "");
    w->first = false;
    if (name != NULL) {
        tutti_json_put_string(w->out, name);
        tutti_strbuf_puts(w->out, ": ");
    }
}

static void begin(writer *w, const char *name, const char *bracket) {
    if (w->depth > 0)
        line(w, name);
    tutti_strbuf_puts(w->out, bracket);
    w->depth++;
    w->first = true;
}

static void end(writer *w, const char *bracket) {
    w->depth--;
    if (!w->first)
        tutti_strbuf_printf(w->out, "\n%*s", 2 * w->depth, "");
    tutti_strbuf_puts(w->out, bracket);
    w->first = false;
}

static void put_text(writer *w, const char *name, const char *text) {
    line(w, name);
    if (text == NULL)
        tutti_strbuf_puts(w->out, "null");
    else
        tutti_json_put_string(w->out, text);
}

/* Empty means unknown or none: null. */
static void put_text_or_null(writer *w, const char *name, const char *text) {
    put_text(w, name, text == NULL || text[0] == '\0' ? NULL : text);
}

static void put_uint(writer *w, const char *name, uint64_t value) {
    line(w, name);
    tutti_strbuf_printf(w->out, "%" PRIu64, value);
}

/* Measured numbers, to five digits. */
static void put_number(writer *w, const char *name, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.5g", value);
    line(w, name);
    tutti_json_put_number(w->out, strtod(text, NULL));
}

static void put_bool(writer *w, const char *name, bool value) {
    line(w, name);
    tutti_strbuf_puts(w->out, value ? "true" : "false");
}

/* Words of a list separated by spaces. */
static void put_words(writer *w, const char *name, const char *words) {
    begin(w, name, "[");
    while (*words != '\0') {
        const size_t length = strcspn(words, " ");
        char *word = strndup(words, length);
        put_text(w, NULL, word == NULL ? "" : word);
        w->out->failed = w->out->failed || word == NULL;
        free(word);
        words += length + strspn(words + length, " ");
    }
    end(w, "]");
}

typedef enum kind { TEXT, TEXT_OR_NULL, U32, U64, BOOL } kind;

static const struct field {
    const char *name;
    kind kind;
    size_t offset;
} fields[] = {
#define FIELD(member, kind)                                                                        \
    { #member, kind, offsetof(tutti_device_info, member) }
    FIELD(name, TEXT),
    FIELD(vendor, TEXT),
    FIELD(vendor_id, U32),
    FIELD(driver_version, TEXT),
    FIELD(opencl_version, TEXT),
    FIELD(opencl_c_version, TEXT),
    FIELD(profile, TEXT),
    FIELD(uuid, TEXT_OR_NULL),
    FIELD(pci, TEXT_OR_NULL),
    FIELD(available, BOOL),
    FIELD(compiler, BOOL),
    FIELD(linker, BOOL),
    FIELD(little_endian, BOOL),
    FIELD(address_bits, U32),
    FIELD(compute_units, U32),
    FIELD(clock_mhz, U32),
    FIELD(max_sub_devices, U32),
    FIELD(max_work_group, U32),
    FIELD(memory_bytes, U64),
    FIELD(max_alloc_bytes, U64),
    FIELD(cache_bytes, U64),
    FIELD(local_memory_bytes, U64),
    FIELD(local_memory_dedicated, BOOL),
    FIELD(constant_buffer_bytes, U64),
    FIELD(base_align_bytes, U32),
    FIELD(unified_memory, BOOL),
    FIELD(fp16, BOOL),
    FIELD(fp64, BOOL),
    FIELD(images, BOOL),
    FIELD(native_kernel, BOOL),
    FIELD(out_of_order, BOOL),
    FIELD(sub_groups, BOOL),
    FIELD(max_sub_groups, U32),
    FIELD(sub_group_size, U32),
    FIELD(compute_capability, U32),
    FIELD(bf16_dot, BOOL),
    FIELD(simd_floats, U32),
    FIELD(timer_resolution_ns, U32),
#undef FIELD
};

static void put_fields(writer *w, const tutti_device_info *d) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const void *member = (const char *)d + fields[i].offset;
        switch (fields[i].kind) {
        case TEXT:
            put_text(w, fields[i].name, *(const char *const *)member);
            break;
        case TEXT_OR_NULL:
            put_text_or_null(w, fields[i].name, *(const char *const *)member);
            break;
        case U32:
            put_uint(w, fields[i].name, *(const uint32_t *)member);
            break;
        case U64:
            put_uint(w, fields[i].name, *(const uint64_t *)member);
            break;
        case BOOL:
            put_bool(w, fields[i].name, *(const bool *)member);
            break;
        }
    }
}

static void put_selftest(writer *w, const tutti_device_report *r) {
    if (r->selftest == NULL && r->selftest_problem == NULL)
        return;
    bool passed = r->selftest_problem == NULL;
    begin(w, "self_test", "{");
    put_text_or_null(w, "problem", r->selftest_problem);
    if (r->selftest != NULL) {
        put_uint(w, "seed", r->selftest->seed);
        begin(w, "tests", "[");
        for (int32_t i = 0; i < r->selftest->n_items; i++) {
            const tutti_selftest_item *item = &r->selftest->items[i];
            passed = passed && item->passed;
            begin(w, NULL, "{");
            put_text(w, "name", item->name);
            put_bool(w, "passed", item->passed);
            put_text_or_null(w, "detail", item->detail);
            end(w, "}");
        }
        end(w, "]");
    }
    put_bool(w, "passed", passed);
    end(w, "}");
}

static void put_bench(writer *w, const tutti_device_report *r) {
    if (r->bench == NULL && r->bench_problem == NULL)
        return;
    const tutti_bench_result *b = r->bench;
    begin(w, "bench", "{");
    put_text_or_null(w, "problem", r->bench_problem);
    if (b != NULL) {
        put_number(w, "fp32_gflops", b->fp32_gflops);
        put_uint(w, "fp32_width", (uint64_t)b->fp32_width);
        begin(w, "fp32_gflops_by_width", "{");
        for (int i = 0; i < TUTTI_BENCH_WIDTHS; i++) {
            char width[8];
            snprintf(width, sizeof width, "%d", 1 << i);
            put_number(w, width, b->width_gflops[i]);
        }
        end(w, "}");
        put_number(w, "copy_gb_per_s", b->copy_gbs);
        put_number(w, "host_to_device_gb_per_s", b->write_gbs);
        put_number(w, "device_to_host_gb_per_s", b->read_gbs);
        put_number(w, "launch_us", b->launch_us);
        put_number(w, "launch_in_a_row_us", b->repeat_us);
        put_uint(w, "buffer_bytes", b->buffer_bytes);
    }
    end(w, "}");
}

static void put_device(writer *w, const tutti_inventory *inventory, int32_t index,
                       const tutti_device_report *r, bool select) {
    const tutti_device_info *d = &inventory->devices[index];
    const bool usable = d->unusable[0] == '\0';
    begin(w, NULL, "{");
    put_text_or_null(w, "id", d->id);
    put_uint(w, "index", (uint64_t)d->index);
    put_bool(w, "usable", usable);
    put_text_or_null(w, "reason", d->unusable);
    put_text_or_null(w, "duplicate_of",
                     d->duplicate_of < 0 ? "" : inventory->devices[d->duplicate_of].id);
    if (select) {
        put_bool(w, "selected", r->skipped == NULL);
        put_text_or_null(w, "not_selected_because", r->skipped);
        begin(w, "sub_devices", "[");
        for (int32_t i = 0; i < r->n_parts; i++)
            put_uint(w, NULL, r->parts[i]);
        end(w, "]");
    }
    put_text(w, "type", tutti_device_type_name(d->type));
    put_fields(w, d);
    begin(w, "max_work_item", "[");
    for (int i = 0; i < 3; i++)
        put_uint(w, NULL, d->max_work_item[i]);
    end(w, "]");
    begin(w, "preferred_widths", "{");
    put_uint(w, "char", d->width_char);
    put_uint(w, "short", d->width_short);
    put_uint(w, "int", d->width_int);
    put_uint(w, "long", d->width_long);
    put_uint(w, "half", d->width_half);
    put_uint(w, "float", d->width_float);
    put_uint(w, "double", d->width_double);
    end(w, "}");
    const uint32_t quirks = tutti_quirks_find(d);
    begin(w, "quirks", "[");
    if (quirks & TUTTI_QUIRK_DRIVER_CACHE)
        put_text(w, NULL, "driver_cache");
    if (quirks & TUTTI_QUIRK_BINARY_SLOW)
        put_text(w, NULL, "binary_slow");
    if (quirks & TUTTI_QUIRK_INTERPRETER)
        put_text(w, NULL, "interpreter");
    if (quirks & TUTTI_QUIRK_NO_ROUTINES)
        put_text(w, NULL, "no_routines");
    end(w, "]");
    put_words(w, "extensions", d->extensions);
    put_selftest(w, r);
    put_bench(w, r);
    end(w, "}");
}

void tutti_print_json(tutti_strbuf *out, const tutti_inventory *inventory,
                      const tutti_device_report *reports, const char *select) {
    writer w = {.out = out};
    begin(&w, NULL, "{");
    put_uint(&w, "schema_version", TUTTI_PROBE_SCHEMA_VERSION);
    put_text(&w, "tutti_version", tutti_version());
    put_text(&w, "searched", inventory->searched);
    put_text(&w, "select", select);
    begin(&w, "platforms", "[");
    for (int32_t p = 0; p < inventory->n_platforms; p++) {
        const tutti_platform_info *platform = &inventory->platforms[p];
        begin(&w, NULL, "{");
        put_text_or_null(&w, "name", platform->name);
        put_text_or_null(&w, "vendor", platform->vendor);
        put_text_or_null(&w, "version", platform->version);
        put_text_or_null(&w, "profile", platform->profile);
        put_text_or_null(&w, "icd", platform->icd);
        put_text_or_null(&w, "problem", platform->problem);
        put_words(&w, "extensions", platform->extensions);
        begin(&w, "devices", "[");
        for (int32_t i = 0; i < platform->n_devices; i++)
            put_device(&w, inventory, platform->first_device + i,
                       &reports[platform->first_device + i], select != NULL);
        end(&w, "]");
        end(&w, "}");
    }
    end(&w, "]");
    end(&w, "}");
    tutti_strbuf_puts(out, "\n");
}

static bool takes_part(const tutti_inventory *inventory, const tutti_device_report *reports,
                       int32_t device) {
    return inventory->devices[device].unusable[0] == '\0' && reports[device].skipped == NULL;
}

static const char *or_null(const char *text) {
    return text[0] != '\0' ? text : NULL;
}

/* What tells the device apart best. */
static tutti_device_match match_of(const tutti_device_info *d) {
    return (tutti_device_match){.types = d->type,
                                .platform = or_null(d->platform_name),
                                .name = or_null(d->name),
                                .uuid = or_null(d->uuid),
                                .pci = or_null(d->pci),
                                .index = -1};
}

/* Whether every device that the match takes is to take part: twins share an entry then, else each
 * has its index. */
static bool takes_only_wanted(const tutti_inventory *inventory, const tutti_device_report *reports,
                              const tutti_device_match *match) {
    for (int32_t i = 0; i < inventory->n_devices; i++)
        if (tutti_candidate(inventory, match, i) && !takes_part(inventory, reports, i))
            return false;
    return true;
}

/* Whether an earlier entry takes the device. */
static bool taken_before(const tutti_inventory *inventory, const tutti_device_report *reports,
                         int32_t device) {
    for (int32_t k = 0; k < device; k++) {
        const tutti_device_match match = match_of(&inventory->devices[k]);
        if (takes_part(inventory, reports, k) && tutti_candidate(inventory, &match, device) &&
            takes_only_wanted(inventory, reports, &match))
            return true;
    }
    return false;
}

void tutti_print_profile(tutti_strbuf *out, const tutti_inventory *inventory,
                         const tutti_device_report *reports) {
    writer w = {.out = out};
    begin(&w, NULL, "{");
    put_uint(&w, "version", 1);
    put_text(&w, "name", "probe");
    put_text(&w, "description", "The devices that tutti-probe found");
    begin(&w, "devices", "[");
    for (int32_t i = 0; i < inventory->n_devices; i++) {
        const tutti_device_info *d = &inventory->devices[i];
        if (!takes_part(inventory, reports, i) || taken_before(inventory, reports, i))
            continue;
        const tutti_device_match match = match_of(d);
        char type[16] = "";
        const char *upper = tutti_device_type_name(d->type);
        for (size_t k = 0; upper[k] != '\0' && k + 1 < sizeof type; k++)
            type[k] = (char)tolower((unsigned char)upper[k]);
        begin(&w, NULL, "{");
        begin(&w, "match", "{");
        put_text(&w, "type", type);
        if (match.platform != NULL)
            put_text(&w, "platform", match.platform);
        if (match.name != NULL)
            put_text(&w, "name", match.name);
        if (match.uuid != NULL)
            put_text(&w, "uuid", match.uuid);
        if (match.pci != NULL)
            put_text(&w, "pci", match.pci);
        if (!takes_only_wanted(inventory, reports, &match))
            put_uint(&w, "index", (uint64_t)tutti_candidate_index(inventory, &match, i));
        end(&w, "}");
        put_text(&w, "share", "auto");
        end(&w, "}");
    }
    end(&w, "]");
    put_text(&w, "schedule", "auto");
    end(&w, "}");
    tutti_strbuf_puts(out, "\n");
}
