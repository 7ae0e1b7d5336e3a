#include "graph/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

/* Room for one more element in a doubling array: the array, or NULL (it is then unchanged). */
static void *reserve(void *array, int32_t count, int32_t *capacity, size_t size_bytes) {
    if (count < *capacity)
        return array;
    const int32_t grown = *capacity == 0 ? 16 : *capacity * 2;
    void *memory = *capacity > INT32_MAX / 2 ? NULL : realloc(array, (size_t)grown * size_bytes);
    if (memory == NULL)
        (void)tutti_fail_memory((size_t)grown * size_bytes, "a graph");
    else
        *capacity = grown;
    return memory;
}

tutti_status tutti_graph_make(tutti_graph **out) {
    tutti_graph *graph = calloc(1, sizeof *graph);
    if (graph == NULL)
        return tutti_fail_memory(sizeof *graph, "a graph");
    const tutti_type none = {.dtype = TUTTI_F32};
    (void)tutti_graph_add_tensor(graph, TUTTI_TENSOR_NONE, &none, "invalid");
    if (graph->status != TUTTI_OK) {
        tutti_graph_free(graph);
        return TUTTI_OUT_OF_MEMORY;
    }
    *out = graph;
    return TUTTI_OK;
}

void tutti_graph_free(tutti_graph *graph) {
    if (graph == NULL)
        return;
    free(graph->tensors);
    free(graph->nodes);
    free(graph->outputs);
    free(graph->scalars);
    free(graph->message);
    tutti_arena_free(&graph->arena);
    free(graph);
}

tutti_tensor tutti_graph_reject(tutti_graph *graph, tutti_status status) {
    if (graph->status == TUTTI_OK && !graph->frozen) {
        graph->status = status;
        graph->message = strdup(tutti_error_message());
    }
    return (tutti_tensor){0};
}

tutti_status tutti_graph_status(const tutti_graph *graph) {
    return graph->status;
}

const char *tutti_graph_message(const tutti_graph *graph) {
    if (graph->status == TUTTI_OK)
        return "";
    return graph->message != NULL ? graph->message : tutti_status_text(graph->status);
}

tutti_status tutti_graph_check_open(const tutti_graph *graph, const char *what) {
    if (graph->frozen)
        return tutti_fail(TUTTI_STATE, "%s: the graph is frozen", what);
    return TUTTI_OK;
}

bool tutti_graph_owns(const tutti_graph *graph, tutti_tensor tensor) {
    return tensor.id > 0 && tensor.id < (uint32_t)graph->n_tensors;
}

tutti_tensor tutti_graph_add_tensor(tutti_graph *graph, tutti_tensor_kind kind,
                                    const tutti_type *type, const char *name) {
    tutti_tensor_record *tensors =
        reserve(graph->tensors, graph->n_tensors, &graph->cap_tensors, sizeof *tensors);
    if (tensors == NULL)
        return tutti_graph_reject(graph, TUTTI_OUT_OF_MEMORY);
    graph->tensors = tensors;
    const tutti_tensor tensor = {(uint32_t)graph->n_tensors};
    tensors[graph->n_tensors++] =
        (tutti_tensor_record){.kind = kind, .type = *type, .name = name, .node = -1};
    return tensor;
}

tutti_node *tutti_graph_add_node(tutti_graph *graph) {
    tutti_node *nodes = reserve(graph->nodes, graph->n_nodes, &graph->cap_nodes, sizeof *nodes);
    if (nodes == NULL) {
        (void)tutti_graph_reject(graph, TUTTI_OUT_OF_MEMORY);
        return NULL;
    }
    graph->nodes = nodes;
    tutti_node *node = &nodes[graph->n_nodes++];
    *node = (tutti_node){0};
    return node;
}

static tutti_tensor find_tensor(const tutti_graph *graph, const char *name) {
    for (int32_t i = 1; i < graph->n_tensors; i++)
        if (graph->tensors[i].kind != TUTTI_TENSOR_RESULT &&
            strcmp(graph->tensors[i].name, name) == 0)
            return (tutti_tensor){(uint32_t)i};
    return (tutti_tensor){0};
}

static tutti_tensor find_output(const tutti_graph *graph, const char *name) {
    for (int32_t i = 0; i < graph->n_outputs; i++)
        if (strcmp(graph->outputs[i].name, name) == 0)
            return graph->outputs[i].tensor;
    return (tutti_tensor){0};
}

static bool find_scalar(const tutti_graph *graph, const char *name) {
    for (int32_t i = 0; i < graph->n_scalars; i++)
        if (strcmp(graph->scalars[i].name, name) == 0)
            return true;
    return false;
}

static tutti_status check_name(const char *what, const char *name) {
    if (name == NULL || name[0] == '\0')
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: the name is empty", what);
    if (strlen(name) > TUTTI_NAME_MAX)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "%s \"%.20s...\": the name is longer than %d bytes", what, name,
                          TUTTI_NAME_MAX);
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "%s: the name has a control character (0x%02x)", what,
                              (unsigned)(unsigned char)*c);
    return TUTTI_OK;
}

static tutti_status check_new_name(const tutti_graph *graph, const char *what, const char *name) {
    TUTTI_TRY(tutti_graph_check_open(graph, what));
    TUTTI_TRY(check_name(what, name));
    if (find_tensor(graph, name).id != 0 || find_scalar(graph, name) ||
        find_output(graph, name).id != 0)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s \"%s\": the name is taken", what, name);
    return TUTTI_OK;
}

static tutti_tensor add_named(tutti_graph *graph, tutti_tensor_kind kind, const char *what,
                              const char *name, tutti_dtype dtype, int32_t rank,
                              const int64_t *dims) {
    tutti_status status = check_new_name(graph, what, name);
    if (status != TUTTI_OK)
        return tutti_graph_reject(graph, status);
    if ((unsigned)dtype > TUTTI_BF16)
        return tutti_graph_reject(graph, tutti_fail(TUTTI_INVALID_ARGUMENT,
                                                    "%s \"%s\": %d is no element type", what, name,
                                                    (int)dtype));
    tutti_type type = {.dtype = dtype};
    status = tutti_shape_make(rank, dims, &type.shape);
    if (status != TUTTI_OK)
        return tutti_graph_reject(graph, tutti_fail_context(status, "%s \"%s\"", what, name));
    if (type.shape.batched && kind != TUTTI_TENSOR_INPUT)
        return tutti_graph_reject(
            graph,
            tutti_fail(TUTTI_SHAPE, "%s \"%s\": cannot have the batch as an extent", what, name));
    const char *copy = tutti_arena_strdup(&graph->arena, name);
    if (copy == NULL)
        return tutti_graph_reject(graph, TUTTI_OUT_OF_MEMORY);
    return tutti_graph_add_tensor(graph, kind, &type, copy);
}

tutti_tensor tutti_graph_input(tutti_graph *graph, const char *name, tutti_dtype dtype,
                               int32_t rank, const int64_t *dims) {
    return add_named(graph, TUTTI_TENSOR_INPUT, "input", name, dtype, rank, dims);
}

static tutti_tensor add_stored(tutti_graph *graph, tutti_tensor_kind kind, const char *what,
                               const char *name, int32_t rank, const int64_t *dims,
                               const tutti_init *init) {
    const tutti_tensor tensor = add_named(graph, kind, what, name, TUTTI_F32, rank, dims);
    if (tensor.id == 0)
        return tensor;
    tutti_tensor_record *record = &graph->tensors[tensor.id];
    const tutti_status status = tutti_init_check(init, &record->type.shape);
    if (status != TUTTI_OK)
        return tutti_graph_reject(graph, tutti_fail_context(status, "%s \"%s\"", what, name));
    record->init = *init;
    record->want_grad = kind == TUTTI_TENSOR_PARAM;
    return tensor;
}

tutti_tensor tutti_graph_param(tutti_graph *graph, const char *name, int32_t rank,
                               const int64_t *dims, tutti_init init) {
    return add_stored(graph, TUTTI_TENSOR_PARAM, "parameter", name, rank, dims, &init);
}

tutti_tensor tutti_graph_state(tutti_graph *graph, const char *name, int32_t rank,
                               const int64_t *dims, tutti_init init) {
    return add_stored(graph, TUTTI_TENSOR_STATE, "state", name, rank, dims, &init);
}

uint32_t tutti_graph_scalar(tutti_graph *graph, const char *name, float initial) {
    tutti_status status = check_new_name(graph, "scalar", name);
    if (status != TUTTI_OK) {
        (void)tutti_graph_reject(graph, status);
        return UINT32_MAX;
    }
    const char *copy = tutti_arena_strdup(&graph->arena, name);
    tutti_scalar_record *scalars =
        reserve(graph->scalars, graph->n_scalars, &graph->cap_scalars, sizeof *scalars);
    if (scalars != NULL)
        graph->scalars = scalars;
    if (copy == NULL || scalars == NULL) {
        (void)tutti_graph_reject(graph, TUTTI_OUT_OF_MEMORY);
        return UINT32_MAX;
    }
    scalars[graph->n_scalars] = (tutti_scalar_record){copy, initial};
    return (uint32_t)graph->n_scalars++;
}

/* For calls that take a tensor: fails quietly with the graph's own error when it has one. */
static tutti_status check_tensor(const tutti_graph *graph, const char *what, tutti_tensor tensor) {
    TUTTI_TRY(tutti_graph_check_open(graph, what));
    if (graph->status != TUTTI_OK)
        return tutti_fail_from(graph->status, tutti_graph_message(graph));
    if (tensor.id == 0)
        return tutti_fail(
            TUTTI_INVALID_ARGUMENT,
            "%s: the tensor is invalid: is it the gradient of something that the loss "
            "does not depend on, or was a name not found?",
            what);
    if (!tutti_graph_owns(graph, tensor))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "%s: tensor %" PRIu32 " is not of this graph",
                          what, tensor.id);
    return TUTTI_OK;
}

static tutti_status set_loss(tutti_graph *graph, tutti_tensor loss) {
    TUTTI_TRY(check_tensor(graph, "loss", loss));
    const tutti_tensor_record *record = tutti_graph_record(graph, loss);
    if (graph->has_backward)
        return tutti_fail(TUTTI_STATE, "loss: backward was already appended");
    if (record->type.dtype != TUTTI_F32 || record->type.shape.rank != 0) {
        char text[TUTTI_SHAPE_TEXT];
        return tutti_fail(TUTTI_SHAPE, "loss: %s is %s %s, must be a scalar f32", record->name,
                          tutti_dtype_name(record->type.dtype),
                          tutti_shape_text(&record->type.shape, text));
    }
    graph->loss = loss;
    return TUTTI_OK;
}

tutti_status tutti_graph_set_loss(tutti_graph *graph, tutti_tensor loss) {
    tutti_status status = set_loss(graph, loss);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}

static tutti_status set_output(tutti_graph *graph, const char *name, tutti_tensor tensor) {
    char what[TUTTI_NAME_MAX + 16];
    TUTTI_TRY(check_name("output", name));
    snprintf(what, sizeof what, "output \"%s\"", name);
    TUTTI_TRY(check_tensor(graph, what, tensor));
    const tutti_tensor other = find_tensor(graph, name);
    if (find_output(graph, name).id != 0 || find_scalar(graph, name) ||
        (other.id != 0 && other.id != tensor.id))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "output \"%s\": the name is taken", name);
    const char *copy = tutti_arena_strdup(&graph->arena, name);
    tutti_named *outputs =
        reserve(graph->outputs, graph->n_outputs, &graph->cap_outputs, sizeof *outputs);
    if (outputs != NULL)
        graph->outputs = outputs;
    if (copy == NULL || outputs == NULL)
        return TUTTI_OUT_OF_MEMORY;
    outputs[graph->n_outputs++] = (tutti_named){copy, tensor};
    return TUTTI_OK;
}

tutti_status tutti_graph_set_output(tutti_graph *graph, const char *name, tutti_tensor tensor) {
    tutti_status status = set_output(graph, name, tensor);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}

static tutti_status want_grad(tutti_graph *graph, tutti_tensor input) {
    TUTTI_TRY(check_tensor(graph, "want_grad", input));
    tutti_tensor_record *record = &graph->tensors[input.id];
    if (graph->has_backward)
        return tutti_fail(TUTTI_STATE, "want_grad: backward was already appended");
    if (record->kind != TUTTI_TENSOR_INPUT || record->type.dtype != TUTTI_F32)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "want_grad: %s is not an f32 input",
                          record->name);
    record->want_grad = true;
    return TUTTI_OK;
}

tutti_status tutti_graph_want_grad(tutti_graph *graph, tutti_tensor input) {
    tutti_status status = want_grad(graph, input);
    if (status != TUTTI_OK)
        (void)tutti_graph_reject(graph, status);
    return status;
}

tutti_tensor tutti_graph_grad(const tutti_graph *graph, tutti_tensor tensor) {
    return tutti_graph_owns(graph, tensor) ? graph->tensors[tensor.id].grad : (tutti_tensor){0};
}

int32_t tutti_graph_steps_per_update(const tutti_graph *graph) {
    return graph->accumulate > 1 ? graph->accumulate : 1;
}

tutti_tensor tutti_graph_average(const tutti_graph *graph, tutti_tensor param) {
    return tutti_graph_owns(graph, param) ? graph->tensors[param.id].average : (tutti_tensor){0};
}

tutti_tensor tutti_graph_find(const tutti_graph *graph, const char *name) {
    const tutti_tensor tensor = find_tensor(graph, name);
    return tensor.id != 0 ? tensor : find_output(graph, name);
}

tutti_tensor tutti_graph_loss(const tutti_graph *graph) {
    return graph->loss;
}

bool tutti_graph_has_optimizer(const tutti_graph *graph) {
    return graph->has_optimizer;
}

const char *tutti_graph_tensor_name(const tutti_graph *graph, tutti_tensor tensor) {
    return tutti_graph_owns(graph, tensor) ? graph->tensors[tensor.id].name : "invalid";
}

tutti_type tutti_tensor_type(const tutti_graph *graph, tutti_tensor tensor) {
    return tutti_graph_owns(graph, tensor) ? graph->tensors[tensor.id].type
                                           : (tutti_type){.dtype = TUTTI_F32};
}

tutti_shape tutti_graph_tensor_shape(const tutti_graph *graph, tutti_tensor tensor) {
    return tutti_tensor_type(graph, tensor).shape;
}

int32_t tutti_graph_param_count(const tutti_graph *graph) {
    int32_t count = 0;
    for (int32_t i = 1; i < graph->n_tensors; i++)
        count += graph->tensors[i].kind == TUTTI_TENSOR_PARAM;
    return count;
}

tutti_tensor tutti_graph_param_at(const tutti_graph *graph, int32_t index) {
    for (int32_t i = 1; i < graph->n_tensors; i++)
        if (graph->tensors[i].kind == TUTTI_TENSOR_PARAM && index-- == 0)
            return (tutti_tensor){(uint32_t)i};
    return (tutti_tensor){0};
}

tutti_tensor tutti_graph_next_learned(const tutti_graph *graph, tutti_tensor previous) {
    for (uint32_t id = previous.id + 1; id < (uint32_t)graph->n_tensors; id++)
        if (tutti_graph_is_shared(graph, (tutti_tensor){id}))
            return (tutti_tensor){id};
    return (tutti_tensor){0};
}

uint32_t tutti_graph_random_stream(tutti_graph *graph) {
    return graph->n_random++;
}
