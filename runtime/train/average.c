/* Averages of the parameters: copies of them, and putting them in the place of the parameters. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "train/trainer.h"

static size_t count_of(const tutti_graph *graph, tutti_tensor tensor) {
    const tutti_shape shape = tutti_graph_tensor_shape(graph, tensor);
    return (size_t)tutti_shape_count(&shape, 0);
}

/* Elements of all averages. */
static size_t count_all(const tutti_graph *graph) {
    size_t count = 0;
    for (int32_t i = 0; i < tutti_graph_param_count(graph); i++) {
        const tutti_tensor average = tutti_graph_average(graph, tutti_graph_param_at(graph, i));
        count += average.id != 0 ? count_of(graph, average) : 0;
    }
    return count;
}

tutti_status tutti_averages_make(const tutti_graph *graph, float **out) {
    const size_t size = count_all(graph) * sizeof **out;
    *out = malloc(size + 1);
    return *out != NULL ? TUTTI_OK : tutti_fail_memory(size, "averages of weights");
}

tutti_status tutti_averages_keep(float *values, tutti_trainer *trainer) {
    const tutti_graph *graph = trainer->graph;
    for (int32_t i = 0; i < tutti_graph_param_count(graph); i++) {
        const tutti_tensor average = tutti_graph_average(graph, tutti_graph_param_at(graph, i));
        if (average.id == 0)
            continue;
        const size_t count = count_of(graph, average);
        TUTTI_TRY(tutti_run_read(trainer->run, average, values, count * sizeof *values));
        values += count;
    }
    return TUTTI_OK;
}

/* To the averages, or to the parameters themselves. */
static tutti_status put(const float *values, tutti_trainer *trainer, bool in_place) {
    const tutti_graph *graph = trainer->graph;
    for (int32_t i = 0; i < tutti_graph_param_count(graph); i++) {
        const tutti_tensor param = tutti_graph_param_at(graph, i);
        const tutti_tensor average = tutti_graph_average(graph, param);
        if (average.id == 0)
            continue;
        const size_t count = count_of(graph, average);
        TUTTI_TRY(tutti_run_write(trainer->run, in_place ? param : average, values,
                                  count * sizeof *values));
        values += count;
    }
    return TUTTI_OK;
}

tutti_status tutti_averages_restore(const float *values, tutti_trainer *trainer) {
    return put(values, trainer, false);
}

static tutti_status put_averages(tutti_trainer *trainer) {
    float *values;
    TUTTI_TRY(tutti_averages_make(trainer->graph, &values));
    tutti_status status = tutti_averages_keep(values, trainer);
    if (status == TUTTI_OK)
        status = put(values, trainer, true);
    free(values);
    return status;
}

static tutti_status begin(tutti_trainer *trainer) {
    if (count_all(trainer->graph) == 0)
        return tutti_fail(TUTTI_STATE, "average: the optimizer has no average_decay");
    tutti_weights *raw;
    TUTTI_TRY(tutti_weights_make(trainer->graph, &raw));
    tutti_status status = tutti_weights_keep(raw, trainer);
    /* Before the first update a parameter is its own average. */
    const uint64_t first = (uint64_t)tutti_graph_steps_per_update(trainer->graph);
    if (status == TUTTI_OK && tutti_run_steps(trainer->run) >= first) {
        status = put_averages(trainer);
        if (status != TUTTI_OK) {
            char message[TUTTI_MESSAGE_MAX];
            strcpy(message, tutti_error_message());
            if (tutti_weights_restore(raw, trainer) != TUTTI_OK)
                tutti_log_write(TUTTI_LOG_WARNING, "average: %s", tutti_error_message());
            (void)tutti_fail_from(status, message);
        }
    }
    if (status == TUTTI_OK)
        trainer->raw = raw;
    else
        tutti_weights_free(raw);
    return status;
}

tutti_status tutti_trainer_use_average(tutti_trainer *trainer, bool average) {
    if (average == (trainer->raw != NULL))
        return TUTTI_OK;
    if (average)
        return begin(trainer);
    TUTTI_TRY(tutti_weights_restore(trainer->raw, trainer));
    tutti_weights_free(trainer->raw);
    trainer->raw = NULL;
    return TUTTI_OK;
}

tutti_status tutti_trainer_evaluate_average(tutti_trainer *trainer, const tutti_dataset *set,
                                            tutti_metrics *out) {
    TUTTI_TRY(tutti_trainer_use_average(trainer, true));
    char message[TUTTI_MESSAGE_MAX];
    const tutti_status status = tutti_trainer_evaluate(trainer, set, out);
    strcpy(message, tutti_error_message());
    const tutti_status after = tutti_trainer_use_average(trainer, false);
    return status != TUTTI_OK ? tutti_fail_from(status, message) : after;
}
