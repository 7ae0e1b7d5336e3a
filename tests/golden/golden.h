/* Reading *.safetensors, and running a graph on the host through the ops' references. */
#ifndef TUTTI_TESTS_GOLDEN_GOLDEN_H
#define TUTTI_TESTS_GOLDEN_GOLDEN_H

#include <glob.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/reference.h"
#include "graph/graph.h"
#include "op/ops.h"
#include "tutti/nn.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        const tutti_status ok_status = (expr);                                                     \
        if (ok_status != TUTTI_OK)                                                                 \
            fail_msg("%s: %s: %s", #expr, tutti_status_name(ok_status), tutti_error_message());    \
    } while (0)

#define GOLDEN_FILES_MAX 16

/* All *.safetensors of this directory. */
typedef struct golden_file {
    int32_t count;
    struct golden_part {
        char *bytes;
        const char *data; /* behind the header */
        tutti_json *header;
    } part[GOLDEN_FILES_MAX];
} golden_file;

typedef struct golden {
    tutti_dtype dtype;
    int32_t rank;
    int64_t dim[TUTTI_MAX_RANK];
    int64_t count;
    const void *data;
} golden;

static inline void golden_open_part(const char *path, struct golden_part *part) {
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        fail_msg("cannot open %s", path);
    fseek(in, 0, SEEK_END);
    const long size = ftell(in);
    rewind(in);
    part->bytes = malloc((size_t)size);
    assert_non_null(part->bytes);
    assert_int_equal(fread(part->bytes, 1, (size_t)size, in), size);
    fclose(in);
    uint64_t length;
    memcpy(&length, part->bytes, 8);
    part->data = part->bytes + 8 + length;
    OK(tutti_json_parse(path, part->bytes + 8, length, &part->header));
}

static inline void golden_open_files(golden_file *file, const char *pattern) {
    glob_t found;
    if (glob(pattern, 0, NULL, &found) != 0)
        fail_msg("no file %s", pattern);
    assert_in_range(found.gl_pathc, 1, GOLDEN_FILES_MAX);
    for (size_t i = 0; i < found.gl_pathc; i++)
        golden_open_part(found.gl_pathv[i], &file->part[i]);
    file->count = (int32_t)found.gl_pathc;
    globfree(&found);
}

static inline void golden_open(golden_file *file) {
    const char *root = getenv("TUTTI_SOURCE_DIR");
    char pattern[4096];
    snprintf(pattern, sizeof pattern, "%s/tests/golden/*.safetensors", root != NULL ? root : ".");
    golden_open_files(file, pattern);
}

static inline void golden_close(golden_file *file) {
    for (int32_t i = 0; i < file->count; i++) {
        tutti_json_free(file->part[i].header);
        free(file->part[i].bytes);
    }
}

/* False when there is no such tensor. */
static inline bool golden_find(const golden_file *file, golden *out, const char *format, ...) {
    char name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    const cJSON *entry = NULL, *extent;
    const struct golden_part *part = NULL;
    for (int32_t i = 0; i < file->count && entry == NULL; i++) {
        part = &file->part[i];
        entry = tutti_json_member(tutti_json_root(part->header), name);
    }
    if (entry == NULL)
        return false;
    *out = (golden){.count = 1};
    const char *dtype = tutti_json_member(entry, "dtype")->valuestring;
    out->dtype = strcmp(dtype, "I32") == 0 ? TUTTI_I32 : TUTTI_F32;
    cJSON_ArrayForEach(extent, tutti_json_member(entry, "shape")) {
        out->dim[out->rank++] = (int64_t)extent->valuedouble;
        out->count *= (int64_t)extent->valuedouble;
    }
    const cJSON *offsets = tutti_json_member(entry, "data_offsets");
    out->data = part->data + (size_t)cJSON_GetArrayItem(offsets, 0)->valuedouble;
    return true;
}

static inline golden golden_get(const golden_file *file, const char *group, const char *name) {
    golden g = {0};
    if (!golden_find(file, &g, "%s/%s", group, name))
        fail_msg("no golden %s/%s", group, name);
    return g;
}

/* Fails unless got equals expected to `tolerance` of the largest expected magnitude. */
static inline void golden_check(const char *group, const char *name, const float *expected,
                                const float *got, int64_t count, double tolerance) {
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    const double limit = tolerance * fmax(largest, 1e-6);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)expected[i]) <= limit))
            fail_msg("%s/%s[%d] is %.9g, PyTorch has %.9g", group, name, (int)i, (double)got[i],
                     (double)expected[i]);
}

/* A graph on the host: memory for every tensor, nodes run in order through their references. */
typedef struct host {
    const tutti_graph *graph;
    void **data; /* by tensor id */
    float *scalars;
    tutti_run_values run;
} host;

static inline void host_open(host *h, const tutti_graph *graph, int64_t n) {
    *h = (host){.graph = graph, .run = {.n = n, .n_global = n}};
    h->data = calloc((size_t)graph->n_tensors, sizeof *h->data);
    h->scalars = calloc((size_t)graph->n_scalars + 1, sizeof *h->scalars);
    for (int32_t i = 1; i < graph->n_tensors; i++) {
        const int64_t count = tutti_shape_count(&graph->tensors[i].type.shape, n);
        h->data[i] = malloc((size_t)count * 4);
        memset(h->data[i], 0xFF, (size_t)count * 4); /* NaN: every read must follow a write */
        if (graph->tensors[i].kind == TUTTI_TENSOR_STATE)
            memset(h->data[i], 0, (size_t)count * 4); /* the states of all optimizers start so */
    }
    for (int32_t i = 0; i < graph->n_scalars; i++)
        h->scalars[i] = graph->scalars[i].initial;
    h->run.scalars = h->scalars;
}

static inline void host_close(host *h) {
    for (int32_t i = 1; i < h->graph->n_tensors; i++) {
        const tutti_tensor_record *record = &h->graph->tensors[i];
        const bool update = record->kind == TUTTI_TENSOR_RESULT && record->output == 0 &&
                            (h->graph->nodes[record->node].op->flags & TUTTI_OP_UPDATE) != 0;
        if (!update)
            free(h->data[i]);
    }
    free(h->data);
    free(h->scalars);
}

static inline void host_write(host *h, tutti_tensor tensor, const void *data) {
    const tutti_shape *shape = &h->graph->tensors[tensor.id].type.shape;
    memcpy(h->data[tensor.id], data, (size_t)tutti_shape_count(shape, h->run.n) * 4);
}

/* Updates come last, as in a step on a device. */
static inline void host_step(host *h) {
    /* Updates, and what reads their results. */
    bool *late = calloc((size_t)h->graph->n_nodes + 1, sizeof *late);
    for (int32_t i = 0; i < h->graph->n_nodes; i++) {
        const tutti_node *node = &h->graph->nodes[i];
        late[i] = (node->op->flags & TUTTI_OP_UPDATE) != 0;
        for (int32_t k = 0; k < node->n_in; k++) {
            const int32_t producer = h->graph->tensors[node->in[k].id].node;
            late[i] |= producer >= 0 && late[producer];
        }
    }
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; i < h->graph->n_nodes; i++) {
            const tutti_node *node = &h->graph->nodes[i];
            if (late[i] != (pass == 1) ||
                (node->every > 1 && (h->run.step + 1) % (uint64_t)node->every != 0))
                continue;
            tutti_type types[32];
            void *in[16], *out[16];
            const tutti_node_info info = tutti_node_view(h->graph, node, types);
            for (int32_t k = 0; k < node->n_in; k++)
                in[k] = h->data[node->in[k].id];
            for (int32_t k = 0; k < node->n_out; k++)
                out[k] = h->data[node->out[k].id];
            /* The result of an update is its first input. */
            if ((node->op->flags & TUTTI_OP_UPDATE) != 0 && node->n_out > 0 &&
                h->data[node->out[0].id] != in[0]) {
                free(h->data[node->out[0].id]);
                h->data[node->out[0].id] = in[0];
            }
            tutti_reference(&(tutti_ref_call){.node = &info, .run = &h->run, .in = in, .out = out});
        }
    free(late);
    h->run.step++;
}

#endif
