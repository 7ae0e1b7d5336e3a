/* Weights as safetensors: 8 bytes with the length of a JSON header, the header, and the bytes of the
 * tensors, all little endian. */
#include <cjson/cJSON.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/narrow.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "train/trainer.h"

#define LIMIT_BYTES (UINT64_C(1) << 40)
#define METADATA    "__metadata__"

static const tutti_tensor none;

static void put_tensor(tutti_strbuf *header, const tutti_graph *graph, tutti_tensor tensor,
                       size_t *offset) {
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    const size_t size = (size_t)tutti_shape_count(&shape, 0) * sizeof(float);
    tutti_strbuf_puts(header, ",");
    tutti_json_put_string(header, tutti_graph_tensor_name(graph, tensor));
    tutti_strbuf_puts(header, ":{\"dtype\":\"F32\",\"shape\":[");
    for (int32_t d = 0; d < shape.rank; d++)
        tutti_strbuf_printf(header, "%s%" PRId64, d > 0 ? "," : "", shape.dim[d]);
    tutti_strbuf_printf(header, "],\"data_offsets\":[%zu,%zu]}", *offset, *offset + size);
    *offset += size;
}

static tutti_status save(tutti_weights *weights, tutti_trainer *trainer, const char *path) {
    const tutti_graph *graph = trainer->graph;
    char digest[65];
    TUTTI_TRY(tutti_weights_keep(weights, trainer));
    tutti_weights_digest(weights, graph, digest);
    tutti_strbuf file = {0};
    size_t offset = 0;
    const uint64_t reserved = 0;
    tutti_strbuf_append(&file, (const char *)&reserved, sizeof reserved);
    tutti_strbuf_printf(&file, "{\"" METADATA "\":{\"made_with\":\"Tutti %s\",\"blake2b\":\"%s\"}",
                        tutti_version(), digest);
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor))
        put_tensor(&file, graph, tensor, &offset);
    tutti_strbuf_puts(&file, "}");
    while (!file.failed && file.length % 8 != 0) /* so that mapped tensors are aligned */
        tutti_strbuf_puts(&file, " ");
    const uint64_t length = htole64(file.length - sizeof length);
    if (!file.failed)
        memcpy(file.text, &length, sizeof length);
    tutti_weights_swap(weights->values, weights->count);
    tutti_strbuf_append(&file, (const char *)weights->values, weights->count * sizeof(float));
    const size_t size = file.length;
    char *bytes = tutti_strbuf_take(&file);
    if (bytes == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const tutti_status status = tutti_file_write(path, 0644, bytes, size);
    free(bytes);
    return status;
}

tutti_status tutti_weights_save(tutti_trainer *trainer, const char *path) {
    tutti_weights *weights;
    TUTTI_TRY(tutti_weights_make(trainer->graph, &weights));
    const tutti_status status = save(weights, trainer, path);
    tutti_weights_free(weights);
    return status;
}

/* A file being read. */
typedef struct reader {
    const char *path;
    const char *data; /* of the tensors */
    size_t size;
    const cJSON *root;
} reader;

/* False unless the array holds `count` whole numbers from 0 on. */
static bool read_numbers(const cJSON *array, int32_t count, int64_t *out) {
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != count)
        return false;
    for (int32_t i = 0; i < count; i++) {
        const cJSON *item = cJSON_GetArrayItem(array, i);
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 1e15 ||
            item->valuedouble != (double)(int64_t)item->valuedouble)
            return false;
        out[i] = (int64_t)item->valuedouble;
    }
    return true;
}

static bool has_type(const cJSON *entry, const char *name) {
    const cJSON *dtype = tutti_json_member(entry, "dtype");
    return cJSON_IsString(dtype) && strcmp(dtype->valuestring, name) == 0;
}

/* False for a type that weights cannot have. */
static bool find_type(const cJSON *entry, tutti_dtype *out) {
    *out = has_type(entry, "F16") ? TUTTI_F16 : has_type(entry, "BF16") ? TUTTI_BF16 : TUTTI_F32;
    return *out != TUTTI_F32 || has_type(entry, "F32");
}

/* The shape as the file gives it, for messages. */
static const char *shape_text(const cJSON *entry, char text[TUTTI_SHAPE_TEXT]) {
    const cJSON *array = tutti_json_member(entry, "shape");
    tutti_shape shape = {.rank = cJSON_IsArray(array) ? cJSON_GetArraySize(array) : -1};
    if (shape.rank < 0 || shape.rank > TUTTI_MAX_RANK ||
        !read_numbers(array, shape.rank, shape.dim))
        return "no shape that Tutti knows";
    return tutti_shape_text(&shape, text);
}

static tutti_status read_tensor(const reader *in, const tutti_graph *graph, tutti_tensor tensor,
                                float *out) {
    const char *name = tutti_graph_tensor_name(graph, tensor);
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    const size_t count = (size_t)tutti_shape_count(&shape, 0);
    const cJSON *entry = tutti_json_member(in->root, name);
    char expected[TUTTI_SHAPE_TEXT], text[TUTTI_SHAPE_TEXT];
    tutti_shape_text(&shape, expected);
    if (entry == NULL)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: there is no tensor \"%s\", expected F32 %s",
                          in->path, name, expected);
    tutti_dtype dtype;
    if (!find_type(entry, &dtype))
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: tensor \"%s\" is not F32, F16 or BF16, expected F32 %s", in->path,
                          name, expected);
    const int64_t size = (int64_t)(count * tutti_dtype_size_bytes(dtype));
    int64_t dims[TUTTI_MAX_RANK], offsets[2];
    if (!read_numbers(tutti_json_member(entry, "shape"), shape.rank, dims) ||
        memcmp(dims, shape.dim, (size_t)shape.rank * sizeof *dims) != 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: tensor \"%s\" is %s, expected %s", in->path, name,
                          shape_text(entry, text), expected);
    if (!read_numbers(tutti_json_member(entry, "data_offsets"), 2, offsets) ||
        offsets[1] < offsets[0] || offsets[1] > (int64_t)in->size ||
        offsets[1] - offsets[0] != size)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: tensor \"%s\": data_offsets are not two numbers that %" PRId64
                          " bytes lie between, within the %zu of all tensors",
                          in->path, name, size, in->size);
    const char *bytes = in->data + offsets[0];
    if (dtype == TUTTI_F32) {
        memcpy(out, bytes, (size_t)size);
        tutti_weights_swap(out, count);
        return TUTTI_OK;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, bytes + 2 * i, sizeof bits);
        out[i] = tutti_widen(dtype, le16toh(bits));
    }
    return TUTTI_OK;
}

static tutti_status check_extra(const reader *in, const tutti_graph *graph) {
    const cJSON *entry;
    cJSON_ArrayForEach(entry, in->root) {
        bool known = strcmp(entry->string, METADATA) == 0 || !has_type(entry, "F32");
        for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0 && !known;
             tensor = tutti_graph_next_learned(graph, tensor))
            known = strcmp(entry->string, tutti_graph_tensor_name(graph, tensor)) == 0;
        if (!known)
            return tutti_fail(TUTTI_BAD_INPUT, "%s: the graph has nothing that is named \"%s\"",
                              in->path, entry->string);
    }
    return TUTTI_OK;
}

/* Everything is checked before anything is written to the devices. */
static tutti_status load(const reader *in, tutti_weights *weights, tutti_trainer *trainer) {
    const tutti_graph *graph = trainer->graph;
    float *to = weights->values;
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor)) {
        const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
        TUTTI_TRY(read_tensor(in, graph, tensor, to));
        to += tutti_shape_count(&shape, 0);
    }
    TUTTI_TRY(check_extra(in, graph));
    const cJSON *said = tutti_json_member(tutti_json_member(in->root, METADATA), "blake2b");
    char digest[65];
    tutti_weights_digest(weights, graph, digest);
    if (said != NULL && (!cJSON_IsString(said) || strcmp(said->valuestring, digest) != 0))
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: the file is damaged: the digest of its weights is %.16s…, expected "
                          "%.16s…",
                          in->path, digest, cJSON_IsString(said) ? said->valuestring : "a text");
    return tutti_weights_restore(weights, trainer);
}

static tutti_status parse(reader *in, const char *bytes, size_t size, tutti_json **out) {
    uint64_t length = 0;
    if (size >= sizeof length)
        memcpy(&length, bytes, sizeof length);
    length = le64toh(length);
    if (size < sizeof length || length > size - sizeof length)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: no safetensors file: its %zu bytes do not hold the header", in->path,
                          size);
    const tutti_status status = tutti_json_parse(in->path, bytes + sizeof length, length, out);
    if (status != TUTTI_OK)
        return tutti_fail_context(status, "the safetensors header");
    in->root = tutti_json_root(*out);
    in->data = bytes + sizeof length + length;
    in->size = size - sizeof length - length;
    if (!cJSON_IsObject(in->root))
        return tutti_json_fail(*out, in->root, "no safetensors file: expected an object");
    return TUTTI_OK;
}

tutti_status tutti_weights_load(tutti_trainer *trainer, const char *path) {
    char *bytes;
    size_t size;
    tutti_json *json = NULL;
    tutti_weights *weights = NULL;
    reader in = {.path = path};
    if (trainer->raw != NULL)
        return tutti_fail(TUTTI_STATE,
                          "%s: not loaded: the averages are in the place of the "
                          "parameters",
                          path);
    TUTTI_TRY(tutti_file_read(path, LIMIT_BYTES, &bytes, &size));
    tutti_status status = parse(&in, bytes, size, &json);
    if (status == TUTTI_OK)
        status = tutti_weights_make(trainer->graph, &weights);
    if (status == TUTTI_OK)
        status = load(&in, weights, trainer);
    tutti_weights_free(weights);
    tutti_json_free(json);
    free(bytes);
    return status;
}
