#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/status.h"
#include "train/trainer.h"

static const tutti_tensor none;

static size_t count_of(const tutti_graph *graph, tutti_tensor tensor) {
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    return (size_t)tutti_shape_count(&shape, 0);
}

void tutti_weights_free(tutti_weights *weights) {
    if (weights == NULL)
        return;
    free(weights->values);
    free(weights);
}

tutti_status tutti_weights_make(const tutti_graph *graph, tutti_weights **out) {
    size_t count = 0;
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor))
        count += count_of(graph, tensor);
    tutti_weights *weights = calloc(1, sizeof *weights);
    if (weights != NULL) {
        weights->count = count;
        weights->values = malloc(count * sizeof(float) + 1);
    }
    if (weights == NULL || weights->values == NULL) {
        tutti_weights_free(weights);
        return tutti_fail_memory(count * sizeof(float), "weights");
    }
    *out = weights;
    return TUTTI_OK;
}

tutti_status tutti_weights_keep(tutti_weights *weights, tutti_trainer *trainer) {
    const tutti_graph *graph = trainer->graph;
    float *to = weights->values;
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor)) {
        const size_t count = count_of(graph, tensor);
        TUTTI_TRY(tutti_run_read(trainer->run, tensor, to, count * sizeof(float)));
        to += count;
    }
    return TUTTI_OK;
}

tutti_status tutti_weights_restore(const tutti_weights *weights, tutti_trainer *trainer) {
    const tutti_graph *graph = trainer->graph;
    const float *from = weights->values;
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor)) {
        const size_t count = count_of(graph, tensor);
        TUTTI_TRY(tutti_run_write(trainer->run, tensor, from, count * sizeof(float)));
        from += count;
    }
    return TUTTI_OK;
}

static void add_u64(tutti_hash *hash, uint64_t value) {
    value = htole64(value);
    tutti_hash_add(hash, &value, sizeof value);
}

void tutti_weights_swap(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits = htole32(bits);
        memcpy(values + i, &bits, sizeof bits);
    }
}

void tutti_weights_digest(const tutti_weights *weights, const tutti_graph *graph,
                          char out_hex[65]) {
    tutti_hash hash;
    tutti_hash_begin(&hash);
    float *from = weights->values;
    for (tutti_tensor tensor = tutti_graph_next_learned(graph, none); tensor.id != 0;
         tensor = tutti_graph_next_learned(graph, tensor)) {
        const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
        tutti_hash_add_text(&hash, tutti_graph_tensor_name(graph, tensor));
        add_u64(&hash, (uint64_t)shape.rank);
        for (int32_t d = 0; d < shape.rank; d++)
            add_u64(&hash, (uint64_t)shape.dim[d]);
        const size_t count = count_of(graph, tensor);
        tutti_weights_swap(from, count);
        tutti_hash_add(&hash, from, count * sizeof(float));
        tutti_weights_swap(from, count);
        from += count;
    }
    unsigned char digest[TUTTI_DIGEST_BYTES];
    tutti_hash_end(&hash, digest);
    tutti_hash_hex(digest, out_hex);
}

tutti_status tutti_trainer_digest(tutti_trainer *trainer, char out_hex[65]) {
    tutti_weights *weights;
    TUTTI_TRY(tutti_weights_make(trainer->graph, &weights));
    const tutti_status status = tutti_weights_keep(weights, trainer);
    if (status == TUTTI_OK)
        tutti_weights_digest(weights, trainer->graph, out_hex);
    tutti_weights_free(weights);
    return status;
}
