#include "profile/entry.h"

#include <ctype.h>
#include <string.h>

#include "base/status.h"
#include "profile/profile.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

tutti_device_match tutti_match_any(void) {
    return (tutti_device_match){.index = -1};
}

tutti_profile_device tutti_entry_any(void) {
    return (tutti_profile_device){
        .match = tutti_match_any(), .share = TUTTI_SHARE_AUTO, .build_options = ""};
}

static tutti_status read_types(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out) {
    (void)detail;
    static const tutti_read_word words[] = {{"cpu", TUTTI_DEVICE_CPU},
                                            {"gpu", TUTTI_DEVICE_GPU},
                                            {"accelerator", TUTTI_DEVICE_ACCELERATOR},
                                            {"custom", TUTTI_DEVICE_CUSTOM},
                                            {"any", TUTTI_DEVICE_ANY}};
    static const tutti_read_words types = {words, COUNT(words)};
    if (!cJSON_IsArray(value))
        return tutti_read_choice(r, value, &types, out);
    TUTTI_TRY(tutti_read_array_check(r, value, "types", (int)COUNT(words)));
    uint32_t all = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        uint32_t one = 0;
        TUTTI_TRY(tutti_read_choice(r, item, &types, &one));
        all |= one;
    }
    *(uint32_t *)out = all;
    return TUTTI_OK;
}

/* Kept as 32 lower-case digits. */
static tutti_status read_uuid(const tutti_reader *r, const cJSON *value, const void *detail,
                              void *out) {
    (void)detail;
    char digits[33];
    size_t n = 0;
    bool good = cJSON_IsString(value), after_digit = false;
    for (const char *at = good ? value->valuestring : ""; good && *at != '\0'; at++) {
        bool digit = isxdigit((unsigned char)*at) != 0;
        good = digit ? n < 32 : *at == '-' && after_digit && n < 32;
        if (good && digit)
            digits[n++] = (char)tolower((unsigned char)*at);
        after_digit = digit;
    }
    char shown[TUTTI_READ_SHOWN];
    if (!good || n != 32)
        return tutti_json_fail(
            r->json, value,
            "%s, expected a UUID of 32 hexadecimal digits, single dashes between them allowed",
            tutti_read_show(value, shown));
    digits[n] = '\0';
    const char *copy = tutti_arena_strdup(r->arena, digits);
    if (copy == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *(const char **)out = copy;
    return TUTTI_OK;
}

/* "01:00.0", or with the domain "0000:01:00.0"; kept with it and in lower case. */
static tutti_status read_pci(const tutti_reader *r, const cJSON *value, const void *detail,
                             void *out) {
    (void)detail;
    static const char pattern[] = "xxxx:xx:xx.o";
    char full[sizeof pattern];
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    size_t length = strlen(text);
    bool good = length == sizeof pattern - 1 || length == sizeof pattern - 6;
    if (good) {
        memcpy(full, "0000:", 5);
        memcpy(full + (sizeof pattern - 1 - length), text, length + 1);
    }
    for (size_t i = 0; good && i < sizeof pattern - 1; i++) {
        char c = full[i] = (char)tolower((unsigned char)full[i]);
        good = pattern[i] == 'x'   ? isxdigit((unsigned char)c) != 0
               : pattern[i] == 'o' ? c >= '0' && c <= '7'
                                   : c == pattern[i];
    }
    char shown[TUTTI_READ_SHOWN];
    if (!good)
        return tutti_json_fail(r->json, value,
                               "%s, expected a PCI address such as \"0000:01:00.0\" or \"01:00.0\"",
                               tutti_read_show(value, shown));
    const char *copy = tutti_arena_strdup(r->arena, full);
    if (copy == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *(const char **)out = copy;
    return TUTTI_OK;
}

static tutti_status read_extensions(const tutti_reader *r, const cJSON *value, const void *detail,
                                    void *out) {
    (void)detail;
    tutti_device_match *match = out;
    TUTTI_TRY(tutti_read_array_check(r, value, "extensions", TUTTI_PROFILE_MAX_EXTENSIONS));
    int count = cJSON_GetArraySize(value);
    const char **names = tutti_arena_array(r->arena, (size_t)count, sizeof *names);
    if (names == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int i = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next, i++) {
        TUTTI_TRY(tutti_read_text(r, item, NULL, &names[i]));
        char shown[TUTTI_READ_SHOWN];
        for (const char *at = names[i]; *at != '\0'; at++)
            if (*at != '_' && (((unsigned char)*at & 0x80) != 0 || !isalnum((unsigned char)*at)))
                return tutti_json_fail(r->json, item,
                                       "%s, expected an extension's name such as \"cl_khr_fp16\"",
                                       tutti_read_show(item, shown));
    }
    match->extensions = names;
    match->n_extensions = count;
    return TUTTI_OK;
}

static const tutti_read_range index_range = {0, 255};
#define MATCH(field) offsetof(tutti_device_match, field)
static const tutti_read_key match_keys[] = {
    {"type", false, MATCH(types), read_types, NULL},
    {"vendor", false, MATCH(vendor), tutti_read_text, NULL},
    {"name", false, MATCH(name), tutti_read_text, NULL},
    {"platform", false, MATCH(platform), tutti_read_text, NULL},
    {"uuid", false, MATCH(uuid), read_uuid, NULL},
    {"pci", false, MATCH(pci), read_pci, NULL},
    {"min_memory", false, MATCH(min_memory_bytes), tutti_read_size, NULL},
    {"extensions", false, 0, read_extensions, NULL},
    {"index", false, MATCH(index), tutti_read_u32, &index_range},
};
static const tutti_read_object match_object = {match_keys, COUNT(match_keys)};

static tutti_status read_excludes(const tutti_reader *r, const cJSON *value, const void *detail,
                                  void *out) {
    (void)detail;
    tutti_profile_device *entry = out;
    TUTTI_TRY(tutti_read_array_check(r, value, "exclusions", TUTTI_PROFILE_MAX_EXCLUDES));
    int count = cJSON_GetArraySize(value);
    tutti_device_match *matches = tutti_arena_array(r->arena, (size_t)count, sizeof *matches);
    if (matches == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int i = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next, i++) {
        matches[i] = tutti_match_any();
        TUTTI_TRY(tutti_read_struct(r, item, &match_object, &matches[i]));
        if (item->child == NULL)
            return tutti_json_fail(r->json, item,
                                   "excludes every device, expected at least one key");
    }
    entry->excludes = matches;
    entry->n_excludes = count;
    return TUTTI_OK;
}

static tutti_status read_share(const tutti_reader *r, const cJSON *value, const void *detail,
                               void *out) {
    (void)detail;
    char shown[TUTTI_READ_SHOWN];
    if (cJSON_IsString(value) && strcmp(value->valuestring, "auto") == 0)
        *(double *)out = TUTTI_SHARE_AUTO;
    else if (cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 1)
        *(double *)out = value->valuedouble;
    else
        return tutti_json_fail(r->json, value, "%s, expected \"auto\" or a number from 0 to 1",
                               tutti_read_show(value, shown));
    return TUTTI_OK;
}

static const tutti_read_range units_range = {1, 65536};

/* A number of equal parts, or the compute units of each. */
static tutti_status read_partition(const tutti_reader *r, const cJSON *value, const void *detail,
                                   void *out) {
    (void)detail;
    tutti_profile_device *entry = out;
    static const tutti_read_range parts_range = {2, TUTTI_PROFILE_MAX_PARTS};
    if (cJSON_IsNumber(value))
        return tutti_read_u32(r, value, &parts_range, &entry->equal_parts);
    char shown[TUTTI_READ_SHOWN];
    if (!cJSON_IsArray(value))
        return tutti_json_fail(r->json, value,
                               "%s, expected a number of equal parts, or an array with the compute "
                               "units of each part",
                               tutti_read_show(value, shown));
    TUTTI_TRY(tutti_read_array_check(r, value, "parts", TUTTI_PROFILE_MAX_PARTS));
    int count = cJSON_GetArraySize(value);
    uint32_t *units = tutti_arena_array(r->arena, (size_t)count, sizeof *units);
    if (units == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int i = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next, i++)
        TUTTI_TRY(tutti_read_u32(r, item, &units_range, &units[i]));
    entry->partitions = units;
    entry->n_partitions = count;
    return TUTTI_OK;
}

/* Options that change speed or rounding of one device's kernels. Not those that name files, define
 * macros or turn warnings into errors: a profile may come from elsewhere. */
static tutti_status read_build_options(const tutti_reader *r, const cJSON *value,
                                       const void *detail, void *out) {
    (void)detail;
    static const tutti_read_word words[] = {
        {"-cl-opt-disable", 0},
        {"-cl-single-precision-constant", 0},
        {"-cl-denorms-are-zero", 0},
        {"-cl-fp32-correctly-rounded-divide-sqrt", 0},
        {"-cl-uniform-work-group-size", 0},
        {"-cl-mad-enable", 0},
        {"-cl-no-signed-zeros", 0},
        {"-cl-unsafe-math-optimizations", 0},
        {"-cl-finite-math-only", 0},
        {"-cl-fast-relaxed-math", 0},
        {"-cl-std=CL1.2", 0},
        {"-cl-std=CL2.0", 0},
        {"-cl-std=CL3.0", 0},
        {"-w", 0},
    };
    static const tutti_read_words allowed = {words, COUNT(words)};
    TUTTI_TRY(tutti_read_array_check(r, value, "build options", (int)COUNT(words)));
    const char *all = "";
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        uint32_t ignored;
        TUTTI_TRY(tutti_read_choice(r, item, &allowed, &ignored));
        all =
            tutti_arena_printf(r->arena, "%s%s%s", all, *all != '\0' ? " " : "", item->valuestring);
        if (all == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    *(const char **)out = all;
    return TUTTI_OK;
}

#define ENTRY(field) offsetof(tutti_profile_device, field)
/* Read in place: the offsets are those of the entry. */
static const tutti_read_key queue_keys[] = {
    {"profiling", false, ENTRY(queue_profiling), tutti_read_bool, NULL},
};
static const tutti_read_object queue_object = {queue_keys, COUNT(queue_keys)};

static const tutti_read_key entry_keys[] = {
    {"match", true, ENTRY(match), tutti_read_struct, &match_object},
    {"exclude", false, 0, read_excludes, NULL},
    {"share", false, ENTRY(share), read_share, NULL},
    {"memory_limit", false, ENTRY(memory_limit_bytes), tutti_read_size, NULL},
    {"partition", false, 0, read_partition, NULL},
    {"compute_units", false, ENTRY(use_compute_units), tutti_read_u32, &units_range},
    {"build_options", false, ENTRY(build_options), read_build_options, NULL},
    {"queue", false, 0, tutti_read_struct, &queue_object},
    {"optional", false, ENTRY(optional), tutti_read_bool, NULL},
};
static const tutti_read_object entry_object = {entry_keys, COUNT(entry_keys)};

tutti_status tutti_read_entry(const tutti_reader *r, const cJSON *value, const void *detail,
                              void *out) {
    (void)detail;
    tutti_profile_device *entry = out;
    TUTTI_TRY(tutti_read_struct(r, value, &entry_object, entry));
    if (entry->use_compute_units > 0 && tutti_json_member(value, "partition") != NULL)
        return tutti_json_fail(r->json, tutti_json_member(value, "compute_units"),
                               "beside \"partition\", expected one of the two");
    int32_t column;
    tutti_json_position(r->json, value, &entry->line, &column);
    return TUTTI_OK;
}
