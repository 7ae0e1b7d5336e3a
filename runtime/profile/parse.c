#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "profile/entry.h"
#include "profile/profile.h"
#include "profile/read.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define MAX_KERNEL_DIRECTORIES 16

/* What the tables of keys write to: the profile, and room for what is only checked. */
typedef struct draft {
    tutti_profile profile;
    const char *text;
    uint32_t number;
} draft;

static double entry_parts(const tutti_profile_device *entry) {
    return entry->n_partitions > 0  ? entry->n_partitions
           : entry->equal_parts > 0 ? (double)entry->equal_parts
                                    : 1;
}

static tutti_status check_shares(const tutti_reader *r, const cJSON *value,
                                 const tutti_profile_device *entries, int count) {
    double sum = 0;
    bool some_auto = false;
    for (int i = 0; i < count; i++) {
        some_auto = some_auto || entries[i].share < 0;
        sum += entries[i].share < 0 ? 0 : entries[i].share * entry_parts(&entries[i]);
    }
    if (sum > 1 + TUTTI_SHARE_SLACK)
        return tutti_json_fail(
            r->json, value, "the shares sum to %.6g (each sub-device counts), expected at most 1",
            sum);
    if (sum <= 0 && !some_auto)
        return tutti_json_fail(r->json, value,
                               "every share is 0, expected one above 0 or \"auto\"");
    return TUTTI_OK;
}

static tutti_status read_devices(const tutti_reader *r, const cJSON *value, const void *detail,
                                 void *out) {
    (void)detail;
    draft *d = out;
    TUTTI_TRY(tutti_read_array_check(r, value, "devices", TUTTI_PROFILE_MAX_ENTRIES));
    int count = cJSON_GetArraySize(value);
    tutti_profile_device *entries = tutti_arena_array(r->arena, (size_t)count, sizeof *entries);
    if (entries == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int i = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next, i++) {
        entries[i] = tutti_entry_any();
        TUTTI_TRY(tutti_read_entry(r, item, NULL, &entries[i]));
    }
    TUTTI_TRY(check_shares(r, value, entries, count));
    d->profile.devices = entries;
    d->profile.n_devices = count;
    return TUTTI_OK;
}

static tutti_status read_kernel_path(const tutti_reader *r, const cJSON *value, const void *detail,
                                     void *out) {
    (void)detail;
    draft *d = out;
    TUTTI_TRY(tutti_read_array_check(r, value, "directories", MAX_KERNEL_DIRECTORIES));
    int count = cJSON_GetArraySize(value);
    const char **paths = tutti_arena_array(r->arena, (size_t)count, sizeof *paths);
    if (paths == NULL)
        return TUTTI_OUT_OF_MEMORY;
    int i = 0;
    for (const cJSON *item = value->child; item != NULL; item = item->next, i++)
        TUTTI_TRY(tutti_read_path(r, item, NULL, &paths[i]));
    d->profile.kernel_path = paths;
    d->profile.n_kernel_path = count;
    return TUTTI_OK;
}

#define CHOICE(name, ...)                                                                          \
    static const tutti_read_word name##_words[] = {__VA_ARGS__};                                   \
    static const tutti_read_words name = {name##_words, COUNT(name##_words)}

CHOICE(schedules, {"auto", TUTTI_SCHEDULE_AUTO}, {"single", TUTTI_SCHEDULE_SINGLE},
       {"data", TUTTI_SCHEDULE_DATA});
CHOICE(precisions, {"f32", TUTTI_F32});
CHOICE(matmul_precisions, {"highest", TUTTI_MATMUL_HIGHEST}, {"high", TUTTI_MATMUL_HIGH},
       {"medium", TUTTI_MATMUL_MEDIUM});
CHOICE(determinisms, {"fast", TUTTI_DETERMINISM_FAST},
       {"reproducible", TUTTI_DETERMINISM_REPRODUCIBLE});
CHOICE(failures, {"error", TUTTI_ON_FAILURE_ERROR}, {"continue", TUTTI_ON_FAILURE_CONTINUE});
CHOICE(cache_modes, {"auto", TUTTI_CACHE_AUTO}, {"disk", TUTTI_CACHE_DISK},
       {"off", TUTTI_CACHE_OFF});

/* Names of what results are stored in are looked for here. */
static tutti_status read_precision(const tutti_reader *r, const cJSON *value, const void *detail,
                                   void *out) {
    const char *text = cJSON_IsString(value) ? value->valuestring : "";
    if (strcmp(text, "bf16") == 0 || strcmp(text, "f16") == 0 || strcmp(text, "auto") == 0)
        return tutti_json_fail(r->json, value,
                               "is \"%s\", expected \"f32\": what results are stored in is said to "
                               "the program (--precision), what products round to by "
                               "\"matmul_precision\"",
                               text);
    return tutti_read_choice(r, value, detail, out);
}

_Static_assert(sizeof(tutti_schedule) == sizeof(uint32_t),
               "tutti_read_choice writes enums as uint32_t");
#define FIELD(field) offsetof(draft, profile.field)
static const tutti_read_key cache_keys[] = {
    {"mode", false, FIELD(cache_mode), tutti_read_choice, &cache_modes},
    {"dir", false, FIELD(cache_dir), tutti_read_path, NULL},
    {"limit", false, FIELD(cache_limit_bytes), tutti_read_size, NULL},
};
static const tutti_read_object cache_object = {cache_keys, COUNT(cache_keys)};

static const tutti_read_range version_range = {1, 1};
static const int long_text = TUTTI_PATH_MAX;

static const tutti_read_key profile_keys[] = {
    {"$schema", false, offsetof(draft, text), tutti_read_text, &long_text},
    {"version", false, offsetof(draft, number), tutti_read_u32, &version_range},
    {"name", false, FIELD(name), tutti_read_text, NULL},
    {"description", false, offsetof(draft, text), tutti_read_text, &long_text},
    {"devices", false, 0, read_devices, NULL},
    {"schedule", false, FIELD(schedule), tutti_read_choice, &schedules},
    {"precision", false, offsetof(draft, number), read_precision, &precisions},
    {"matmul_precision", false, FIELD(matmul_precision), tutti_read_choice, &matmul_precisions},
    {"determinism", false, FIELD(determinism), tutti_read_choice, &determinisms},
    {"on_missing", false, FIELD(on_missing), tutti_read_choice, &failures},
    {"on_failure", false, FIELD(on_failure), tutti_read_choice, &failures},
    {"kernel_path", false, 0, read_kernel_path, NULL},
    {"cache", false, 0, tutti_read_struct, &cache_object},
};
static const tutti_read_object profile_object = {profile_keys, COUNT(profile_keys)};

tutti_profile_full *tutti_profile_make(const char *source) {
    tutti_profile_full *full = calloc(1, sizeof *full);
    if (full == NULL) {
        (void)tutti_fail_memory(sizeof *full, "a profile");
        return NULL;
    }
    full->view.name = full->view.cache_dir = "";
    full->view.source = tutti_arena_strdup(&full->arena, source);
    if (full->view.source == NULL) {
        tutti_profile_free(&full->view);
        return NULL;
    }
    return full;
}

void tutti_profile_free(tutti_profile *profile) {
    tutti_profile_full *full = (tutti_profile_full *)profile;
    if (full == NULL)
        return;
    tutti_arena_free(&full->arena);
    free(full);
}

/* What stands for "devices" when the file says nothing: as the expression "auto". */
static tutti_status default_devices(tutti_profile_full *full) {
    tutti_profile_device *entry = tutti_arena_alloc(&full->arena, sizeof *entry);
    if (entry == NULL)
        return TUTTI_OUT_OF_MEMORY;
    *entry = tutti_entry_any();
    entry->match.types = TUTTI_TYPES_AUTO;
    full->view.devices = entry;
    full->view.n_devices = 1;
    return TUTTI_OK;
}

static tutti_status read_profile(const tutti_json *json, tutti_profile_full *full) {
    const char *slash = strrchr(tutti_json_name(json), '/');
    tutti_reader reader = {.json = json, .arena = &full->arena, .directory = ""};
    if (slash != NULL) {
        reader.directory = tutti_arena_printf(
            &full->arena, "%.*s",
            slash == tutti_json_name(json) ? 1 : (int)(slash - tutti_json_name(json)),
            tutti_json_name(json));
        if (reader.directory == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    draft d = {.profile = full->view};
    TUTTI_TRY(tutti_read_struct(&reader, tutti_json_root(json), &profile_object, &d));
    full->view = d.profile;
    return full->view.n_devices > 0 ? TUTTI_OK : default_devices(full);
}

tutti_status tutti_profile_parse(const char *name, const char *text, size_t size_bytes,
                                 tutti_profile **out) {
    *out = NULL;
    tutti_json *json = NULL;
    TUTTI_TRY(tutti_json_parse(name, text, size_bytes, &json));
    tutti_profile_full *full = tutti_profile_make(name);
    tutti_status status = full == NULL ? TUTTI_OUT_OF_MEMORY : read_profile(json, full);
    tutti_json_free(json);
    if (status == TUTTI_OK)
        *out = &full->view;
    else if (full != NULL)
        tutti_profile_free(&full->view);
    return status;
}

tutti_status tutti_profile_load(const char *path, tutti_profile **out) {
    *out = NULL;
    char *text = NULL;
    size_t size = 0;
    TUTTI_TRY(tutti_file_read(path, TUTTI_JSON_MAX_BYTES, &text, &size));
    tutti_status status = tutti_profile_parse(path, text, size, out);
    free(text);
    return status;
}
