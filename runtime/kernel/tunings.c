#include "kernel/tunings.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"

#define VERSION 1

static void record_free(tutti_tuning *record) {
    free((char *)record->op);
    free((char *)record->shapes);
    for (int32_t c = 0; c < record->n_candidates; c++) {
        free((char *)record->candidate[c].name);
        free((char *)record->candidate[c].note);
    }
}

void tutti_tunings_free(tutti_tunings *tunings) {
    for (int32_t i = 0; i < tunings->n; i++)
        record_free(&tunings->items[i]);
    free(tunings->items);
    *tunings = (tutti_tunings){0};
}

static tutti_tuning *find(const tutti_tunings *tunings, const char *key) {
    for (int32_t i = 0; i < tunings->n; i++)
        if (strcmp(tunings->items[i].key, key) == 0)
            return &tunings->items[i];
    return NULL;
}

const tutti_tuning *tutti_tunings_find(const tutti_tunings *tunings, const char *key) {
    return find(tunings, key);
}

static bool record_copy(const tutti_tuning *from, tutti_tuning *to) {
    *to = *from;
    to->op = strdup(from->op);
    to->shapes = strdup(from->shapes);
    bool good = to->op != NULL && to->shapes != NULL;
    for (int32_t c = 0; c < from->n_candidates; c++) {
        to->candidate[c].name = strdup(from->candidate[c].name);
        to->candidate[c].note = strdup(from->candidate[c].note);
        good = good && to->candidate[c].name != NULL && to->candidate[c].note != NULL;
    }
    if (!good)
        record_free(to);
    return good;
}

tutti_status tutti_tunings_put(tutti_tunings *tunings, const tutti_tuning *record) {
    tutti_tuning copy, *old = find(tunings, record->key);
    if (old == NULL && tunings->n == tunings->capacity) {
        const int32_t capacity = tunings->capacity == 0 ? 32 : 2 * tunings->capacity;
        tutti_tuning *grown = realloc(tunings->items, (size_t)capacity * sizeof *grown);
        if (grown == NULL)
            return tutti_fail_memory((size_t)capacity * sizeof *grown, "tunings");
        tunings->items = grown;
        tunings->capacity = capacity;
    }
    if (!record_copy(record, &copy))
        return tutti_fail_memory(sizeof copy, "tunings");
    if (old != NULL) {
        record_free(old);
        tunings->n--;
        memmove(old, old + 1, (size_t)(tunings->items + tunings->n - old) * sizeof *old);
    }
    tunings->items[tunings->n++] = copy;
    return TUTTI_OK;
}

static void put_text(tutti_strbuf *out, const char *key, const char *text) {
    tutti_strbuf_printf(out, "\"%s\": ", key);
    tutti_json_put_string(out, text);
}

static void put_record(tutti_strbuf *out, const tutti_tuning *r) {
    tutti_strbuf_printf(out, "   {\"key\": \"%s\", ", r->key);
    put_text(out, "op", r->op);
    tutti_strbuf_puts(out, ", ");
    put_text(out, "shapes", r->shapes);
    tutti_strbuf_printf(out, ", \"n\": %lld, \"winner\": %d, \"verified\": %s, \"candidates\": [",
                        (long long)r->n, (int)r->winner, r->verified ? "true" : "false");
    for (int32_t c = 0; c < r->n_candidates; c++) {
        tutti_strbuf_puts(out, c > 0 ? ",\n    {" : "\n    {");
        put_text(out, "name", r->candidate[c].name);
        tutti_strbuf_puts(out, ", \"time_s\": ");
        tutti_json_put_number(out, r->candidate[c].time_s);
        tutti_strbuf_puts(out, ", ");
        put_text(out, "note", r->candidate[c].note);
        tutti_strbuf_puts(out, "}");
    }
    tutti_strbuf_puts(out, "]}");
}

static void put_device(tutti_strbuf *out, const char *name, const char *driver,
                       const char *platform, const tutti_tunings *tunings, int32_t first) {
    tutti_strbuf_puts(out, "{\"device\": {");
    put_text(out, "name", name);
    tutti_strbuf_puts(out, ", ");
    put_text(out, "driver", driver);
    tutti_strbuf_puts(out, ", ");
    put_text(out, "platform", platform);
    tutti_strbuf_puts(out, "},\n  \"records\": [\n");
    for (int32_t i = first; i < tunings->n; i++) {
        put_record(out, &tunings->items[i]);
        tutti_strbuf_puts(out, i + 1 < tunings->n ? ",\n" : "\n");
    }
    tutti_strbuf_puts(out, "  ]}");
}

static tutti_status get_text(const tutti_json *json, const cJSON *object, const char *key,
                             const char **out) {
    const cJSON *value = tutti_json_member(object, key);
    if (!cJSON_IsString(value))
        return tutti_json_fail(json, value != NULL ? value : object, "\"%s\" must be a text", key);
    *out = strdup(value->valuestring);
    return *out != NULL ? TUTTI_OK : tutti_fail_memory(strlen(value->valuestring), "tunings");
}

static tutti_status get_number(const tutti_json *json, const cJSON *object, const char *key,
                               double low, double high, double *out) {
    const cJSON *value = tutti_json_member(object, key);
    if (!cJSON_IsNumber(value) || value->valuedouble < low || value->valuedouble > high ||
        value->valuedouble != floor(value->valuedouble))
        return tutti_json_fail(json, value != NULL ? value : object,
                               "\"%s\" must be a whole number from %g to %g", key, low, high);
    *out = value->valuedouble;
    return TUTTI_OK;
}

static tutti_status get_candidates(const tutti_json *json, const cJSON *object, tutti_tuning *out) {
    const cJSON *list = tutti_json_member(object, "candidates"), *item;
    const int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > TUTTI_TUNING_CANDIDATES_MAX)
        return tutti_json_fail(json, object, "\"candidates\" must be a list of 1 to %d",
                               TUTTI_TUNING_CANDIDATES_MAX);
    cJSON_ArrayForEach(item, list) {
        tutti_tuning_candidate *c = &out->candidate[out->n_candidates++];
        const cJSON *time = tutti_json_member(item, "time_s");
        if (!cJSON_IsNull(time) && !(cJSON_IsNumber(time) && time->valuedouble >= 0))
            return tutti_json_fail(json, item, "\"time_s\" must be null or seconds");
        c->time_s = cJSON_IsNull(time) ? (double)NAN : time->valuedouble;
        TUTTI_TRY(get_text(json, item, "name", &c->name));
        TUTTI_TRY(get_text(json, item, "note", &c->note));
    }
    return TUTTI_OK;
}

static tutti_status get_record(const tutti_json *json, const cJSON *object, tutti_tuning *out) {
    const cJSON *key = tutti_json_member(object, "key");
    if (!cJSON_IsString(key) || strlen(key->valuestring) != TUTTI_DIGEST_HEX - 1 ||
        strspn(key->valuestring, "0123456789abcdef") != TUTTI_DIGEST_HEX - 1)
        return tutti_json_fail(json, object, "\"key\" must have %d hexadecimal digits",
                               TUTTI_DIGEST_HEX - 1);
    memcpy(out->key, key->valuestring, TUTTI_DIGEST_HEX);
    TUTTI_TRY(get_text(json, object, "op", &out->op));
    TUTTI_TRY(get_text(json, object, "shapes", &out->shapes));
    TUTTI_TRY(get_candidates(json, object, out));
    double n = 0, winner = 0;
    TUTTI_TRY(get_number(json, object, "n", 1, 1e15, &n));
    TUTTI_TRY(get_number(json, object, "winner", -1, out->n_candidates - 1, &winner));
    out->n = (int64_t)n;
    out->winner = (int32_t)winner;
    out->verified = cJSON_IsTrue(tutti_json_member(object, "verified"));
    return TUTTI_OK;
}

static tutti_status get_records(const tutti_json *json, const cJSON *object, tutti_tunings *out) {
    const cJSON *list = tutti_json_member(object, "records"), *item;
    if (!cJSON_IsArray(list))
        return tutti_json_fail(json, object, "\"records\" must be a list");
    cJSON_ArrayForEach(item, list) {
        tutti_tuning record = {0};
        tutti_status status = get_record(json, item, &record);
        if (status == TUTTI_OK)
            status = tutti_tunings_put(out, &record);
        record_free(&record);
        TUTTI_TRY(status);
    }
    return TUTTI_OK;
}

static void device_key(const tutti_device_info *device, unsigned char key[TUTTI_DIGEST_BYTES]) {
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, "tunings 1");
    tutti_hash_add_text(&hash, device->name);
    tutti_hash_add_text(&hash, device->driver_version);
    tutti_hash_add_text(&hash, device->platform_name);
    tutti_hash_add_text(&hash, device->platform_version);
    tutti_hash_end(&hash, key);
}

tutti_status tutti_tunings_load(tutti_cache *cache, const tutti_device_info *device,
                                tutti_tunings *out) {
    unsigned char key[TUTTI_DIGEST_BYTES];
    char *text;
    size_t size;
    *out = (tutti_tunings){0};
    device_key(device, key);
    if (!tutti_cache_load(cache, key, TUTTI_CACHE_TUNED, &text, &size))
        return TUTTI_OK;
    tutti_json *json = NULL;
    tutti_status status = tutti_json_parse("tunings", text, size, &json);
    free(text);
    if (status == TUTTI_OK)
        status = get_records(json, tutti_json_root(json), out);
    tutti_json_free(json);
    if (status == TUTTI_OK)
        return TUTTI_OK;
    tutti_tunings_free(out);
    if (status == TUTTI_OUT_OF_MEMORY)
        return status;
    tutti_cache_reject(cache, key, TUTTI_CACHE_TUNED, tutti_error_message());
    return TUTTI_OK;
}

bool tutti_tunings_store(tutti_cache *cache, const tutti_device_info *device,
                         const tutti_tunings *tunings) {
    unsigned char key[TUTTI_DIGEST_BYTES];
    tutti_strbuf text = {0};
    int32_t first = 0;
    device_key(device, key);
    put_device(&text, device->name, device->driver_version, device->platform_name, tunings, 0);
    while (text.length > TUTTI_JSON_MAX_BYTES) {
        /* Some at a time, so that the next records find room too. */
        first += (tunings->n - first + 7) / 8;
        tutti_strbuf_free(&text);
        put_device(&text, device->name, device->driver_version, device->platform_name, tunings,
                   first);
    }
    if (first > 0)
        tutti_log_write(TUTTI_LOG_INFO,
                        "%s: %d measurements are more than a file of %d bytes holds; the %d oldest "
                        "are forgotten",
                        device->id, (int)tunings->n, TUTTI_JSON_MAX_BYTES, (int)first);
    if (text.failed)
        tutti_log_write(TUTTI_LOG_WARNING, "%s: no memory to keep %d measurements", device->id,
                        (int)tunings->n);
    const bool kept =
        !text.failed && tutti_cache_store(cache, key, TUTTI_CACHE_TUNED, text.text, text.length);
    tutti_strbuf_free(&text);
    return kept;
}

void tutti_tuning_pack_free(tutti_tuning_pack *pack) {
    for (int32_t i = 0; i < pack->n_devices; i++) {
        free((char *)pack->devices[i].name);
        free((char *)pack->devices[i].driver);
        free((char *)pack->devices[i].platform);
        tutti_tunings_free(&pack->devices[i].tunings);
    }
    free(pack->devices);
    *pack = (tutti_tuning_pack){0};
}

static tutti_status add_device(tutti_tuning_pack *pack, tutti_tuning_pack_device **out) {
    tutti_tuning_pack_device *grown =
        realloc(pack->devices, (size_t)(pack->n_devices + 1) * sizeof *grown);
    if (grown == NULL)
        return tutti_fail_memory(sizeof *grown, "a pack");
    pack->devices = grown;
    *out = &grown[pack->n_devices++];
    **out = (tutti_tuning_pack_device){0};
    return TUTTI_OK;
}

tutti_status tutti_tuning_pack_add(tutti_tuning_pack *pack, const tutti_device_info *device,
                                   const tutti_tunings *tunings) {
    tutti_tuning_pack_device *d = NULL;
    TUTTI_TRY(add_device(pack, &d));
    d->name = strdup(device->name);
    d->driver = strdup(device->driver_version);
    d->platform = strdup(device->platform_name);
    if (d->name == NULL || d->driver == NULL || d->platform == NULL)
        return tutti_fail_memory(sizeof *d, "a pack");
    for (int32_t i = 0; i < tunings->n; i++)
        TUTTI_TRY(tutti_tunings_put(&d->tunings, &tunings->items[i]));
    return TUTTI_OK;
}

/* The devices as text, in one form whatever the file looks like: what the digest is of. */
static void put_devices(tutti_strbuf *out, const tutti_tuning_pack *pack) {
    for (int32_t i = 0; i < pack->n_devices; i++) {
        const tutti_tuning_pack_device *d = &pack->devices[i];
        tutti_strbuf_puts(out, i > 0 ? ",\n " : " ");
        put_device(out, d->name, d->driver, d->platform, &d->tunings, 0);
    }
}

static void digest_of(const tutti_strbuf *text, char hex[TUTTI_DIGEST_HEX]) {
    unsigned char digest[TUTTI_DIGEST_BYTES];
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, text->text != NULL ? text->text : "");
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, hex);
}

tutti_status tutti_tuning_pack_text(const tutti_tuning_pack *pack, char **out_text) {
    tutti_strbuf devices = {0}, text = {0};
    char hex[TUTTI_DIGEST_HEX];
    put_devices(&devices, pack);
    digest_of(&devices, hex);
    tutti_strbuf_printf(&text, "{\"tutti_tunings\": %d, \"digest\": \"%s\", \"devices\": [\n",
                        VERSION, hex);
    tutti_strbuf_puts(&text, devices.text != NULL ? devices.text : "");
    tutti_strbuf_puts(&text, "\n]}\n");
    text.failed |= devices.failed;
    tutti_strbuf_free(&devices);
    if (text.length > TUTTI_JSON_MAX_BYTES) {
        const size_t size = text.length;
        tutti_strbuf_free(&text);
        return tutti_fail(
            TUTTI_UNSUPPORTED,
            "the pack would have %zu bytes, at most %d are read: select fewer devices", size,
            TUTTI_JSON_MAX_BYTES);
    }
    *out_text = tutti_strbuf_take(&text);
    return *out_text != NULL ? TUTTI_OK : TUTTI_OUT_OF_MEMORY;
}

/* A pack comes from outside, and its texts are shown: what steers a terminal has no place in them. */
static void make_plain(const char *text) {
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)) {
            if (*p == 0xc2) /* U+0080 to U+009F */
                p[1] = '?';
            *p = '?';
        }
}

static void make_foreign(tutti_tuning *record) {
    record->verified = false;
    make_plain(record->op);
    make_plain(record->shapes);
    for (int32_t c = 0; c < record->n_candidates; c++) {
        make_plain(record->candidate[c].name);
        make_plain(record->candidate[c].note);
    }
}

static tutti_status get_pack(const tutti_json *json, tutti_tuning_pack *out) {
    const cJSON *root = tutti_json_root(json), *version, *devices, *item, *digest;
    version = cJSON_IsObject(root) ? tutti_json_member(root, "tutti_tunings") : NULL;
    if (!cJSON_IsNumber(version))
        return tutti_json_fail(json, root, "no pack of tutti-tune: \"tutti_tunings\" is missing");
    if (version->valuedouble != VERSION)
        return tutti_json_fail(json, version, "version %g, expected %d", version->valuedouble,
                               VERSION);
    devices = tutti_json_member(root, "devices");
    digest = tutti_json_member(root, "digest");
    if (!cJSON_IsArray(devices) || !cJSON_IsString(digest))
        return tutti_json_fail(json, root, "\"devices\" must be a list and \"digest\" a text");
    cJSON_ArrayForEach(item, devices) {
        tutti_tuning_pack_device *d = NULL;
        const cJSON *device = tutti_json_member(item, "device");
        if (!cJSON_IsObject(device))
            return tutti_json_fail(json, item, "\"device\" must be an object");
        TUTTI_TRY(add_device(out, &d));
        TUTTI_TRY(get_text(json, device, "name", &d->name));
        TUTTI_TRY(get_text(json, device, "driver", &d->driver));
        TUTTI_TRY(get_text(json, device, "platform", &d->platform));
        TUTTI_TRY(get_records(json, item, &d->tunings));
    }
    tutti_strbuf text = {0};
    char hex[TUTTI_DIGEST_HEX];
    put_devices(&text, out);
    digest_of(&text, hex);
    const bool failed = text.failed;
    tutti_strbuf_free(&text);
    if (failed)
        return tutti_fail_memory(0, "a pack");
    if (strcmp(hex, digest->valuestring) != 0)
        return tutti_json_fail(json, digest, "does not fit the contents: damaged, or changed");
    for (int32_t i = 0; i < out->n_devices; i++) {
        make_plain(out->devices[i].name);
        make_plain(out->devices[i].driver);
        make_plain(out->devices[i].platform);
        for (int32_t r = 0; r < out->devices[i].tunings.n; r++)
            make_foreign(&out->devices[i].tunings.items[r]);
    }
    return TUTTI_OK;
}

tutti_status tutti_tuning_pack_read(const char *path, tutti_tuning_pack *out) {
    char *text;
    size_t size;
    *out = (tutti_tuning_pack){0};
    TUTTI_TRY(tutti_file_read(path, TUTTI_JSON_MAX_BYTES, &text, &size));
    tutti_json *json = NULL;
    tutti_status status = tutti_json_parse(path, text, size, &json);
    free(text);
    if (status == TUTTI_OK)
        status = get_pack(json, out);
    tutti_json_free(json);
    if (status != TUTTI_OK)
        tutti_tuning_pack_free(out);
    return status;
}
