/* A plan: what each device will do in a step, with kernels chosen, memory laid out and times
 * predicted. Immutable and printable. One plan serves any share of the batch up to `batch`.
 *
 * A run: the plan bound to memory and kernels on the devices, replayed every step.
 *
 *     TRY(tutti_plan_make(graph, runtime, &(tutti_plan_options){.batch = 32}, &plan));
 *     TRY(tutti_run_open(plan, &(tutti_run_options){.seed = 1}, &run));
 *     TRY(tutti_run_step(run, TUTTI_TRAIN, 32, feeds, 2, fetches, 1));
 */
#ifndef TUTTI_PLAN_H
#define TUTTI_PLAN_H

#include "tutti/graph.h"
#include "tutti/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_plan tutti_plan;
typedef struct tutti_run tutti_run;

/* What a step does: TRAIN runs forward, backward and updates; EVAL runs what the loss and the
 * outputs need, with dropout off; PREDICT runs what predictions need: outputs with a row per sample
 * (batched ones) that do not depend on labels, so that labels need not be fed. Numbers about the
 * whole batch, such as an accuracy, are not predictions. A graph without a loss predicts all its
 * outputs. */
typedef enum tutti_mode { TUTTI_TRAIN, TUTTI_EVAL, TUTTI_PREDICT, TUTTI_MODE_COUNT } tutti_mode;

/* What a plan stores intermediate results in. Arithmetic, parameters, states, inputs, outputs and all
 * that devices exchange are f32 whatever it is; where a batch is split over devices of different
 * precision, results depend on who computes which share. */
typedef enum tutti_precision {
    TUTTI_PRECISION_F32,
    /* Results for each sample that the forward pass keeps for the backward pass, and those between
     * generated kernels, lie in memory as bf16 (2 bytes, the range of f32, 3 digits). */
    TUTTI_PRECISION_BF16,
    /* The same as f16 (up to 65504, 4 digits above 6e-5). A graph with an optimizer needs its loss_scale. */
    TUTTI_PRECISION_F16,
    /* Each device as a measurement says: not of a plan, see tutti_precision_choose. */
    TUTTI_PRECISION_AUTO
} tutti_precision;

typedef struct tutti_plan_options {
    int64_t batch; /* largest batch of a step, in samples, over all devices; at least 1 */
    /* Choosing among candidates by measurement. What is remembered is taken unless measure_again.
     * With a limit (seconds, building included; 0: none) no measurement begins behind it but the
     * first of each device, and what is left takes its first candidate; one that is under way
     * ends. */
    double measure_limit_s;
    bool measure_again;
    /* Called before each measurement and once at the end (done == count, what is ""), by one thread
     * at a time, not always the same; may be NULL. */
    void (*progress)(void *user, int32_t done, int32_t count, const char *what);
    void *progress_user;
    tutti_precision precision;
    const tutti_precision *device_precision; /* one per device of the runtime instead; or NULL */
    /* Lets products of matrices round their operands where that is measured to be faster. */
    tutti_matmul_precision matmul_precision;
} tutti_plan_options;

/* Lowers the frozen graph for every device of the runtime, compiles what it needs, measures
 * candidates where the profile allows, and lays out memory. graph and runtime must outlive the
 * plan. The caller owns it: tutti_plan_free. Errors: TUTTI_BUILD_FAILED with op, device, kernel
 * file and line; TUTTI_OUT_OF_MEMORY when a device cannot hold its part. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_plan_make(const tutti_graph *graph,
                                                      tutti_runtime *runtime,
                                                      const tutti_plan_options *options,
                                                      tutti_plan **out);
/* Tries options->precision against f32 in steps on a made-up batch, on each device of the runtime;
 * products round as options->matmul_precision allows in both. The loss must come out within 2 %, gradients (together,
 * as one vector) within 25 %. BF16 and F16 are then written to `out`
 * for every device, or refused (TUTTI_WRONG_RESULT, with the device and both losses). AUTO tries BF16,
 * and F16 where the optimizer has a loss_scale, and writes the faster one for devices on which a step then takes at most
 * 97 % of the time in f32, and F32 for others (for all when the run is to be reproducible). F32 tries nothing. Where
 * memory does not hold both plans, even with one sample, AUTO writes F32, and BF16 and F16 are written with a warning.
 * Devices to which the profile gives a share of 0 are not tried and get F32. out: one per device, for device_precision. *out_text tells what was found, a line per try; malloc'd, tutti_free. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_precision_choose(const tutti_graph *graph,
                                                             tutti_runtime *runtime,
                                                             const tutti_plan_options *options,
                                                             uint64_t seed, tutti_precision *out,
                                                             char **out_text);
TUTTI_API void tutti_plan_free(tutti_plan *plan);
/* The plan as text: per mode and device its ops, kernel candidates, predicted times, memory.
 * malloc'd: tutti_free. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_plan_explain(const tutti_plan *plan, char **out_text);
/* Bytes that a run of the plan allocates on the device: exactly, chunk by chunk. */
TUTTI_API uint64_t tutti_plan_memory_bytes(const tutti_plan *plan, int32_t device);
/* Predicted duration of one step of the mode with n samples on the device, without collectives. */
TUTTI_API double tutti_plan_predicted_s(const tutti_plan *plan, tutti_mode mode, int32_t device,
                                        int64_t n);

typedef struct tutti_run_options {
    uint64_t seed;        /* of initial weights and dropout */
    const double *shares; /* of the batch per device, summing to 1; NULL: from the profile */
} tutti_run_options;

/* Allocates, binds and warms up: after it, no step allocates or builds. The plan must outlive the
 * run. The caller owns it: tutti_run_close. One thread at a time uses a run; it has a thread per
 * device of its own. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_open(tutti_plan *plan,
                                                     const tutti_run_options *options,
                                                     tutti_run **out);
TUTTI_API void tutti_run_close(tutti_run *run);

/* Data of one input: n rows (n * rows per sample for batched inputs), host memory, borrowed for the
 * call. */
typedef struct tutti_feed {
    tutti_tensor tensor;
    const void *data;
} tutti_feed;

/* Where to put one output: host memory for n rows when batched, else the whole tensor. */
typedef struct tutti_fetch {
    tutti_tensor tensor;
    void *data;
} tutti_fetch;

/* One step on n samples (1 to the plan's batch), split over the devices. Every input that the mode
 * needs must be fed once. Fetches must be outputs or the loss. The step computes, then commits: on
 * an error no parameter has changed. Errors: TUTTI_DEVICE_LOST naming the device (according to the
 * profile's on_failure the step is redone without it); TUTTI_INVALID_ARGUMENT naming the input. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_step(tutti_run *run, tutti_mode mode, int64_t n,
                                                     const tutti_feed *feeds, int32_t n_feeds,
                                                     const tutti_fetch *fetches, int32_t n_fetches);

/* Copies a parameter or state from or to every device; size_bytes must be the tensor's. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_read(tutti_run *run, tutti_tensor tensor,
                                                     void *data, size_t size_bytes);
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_write(tutti_run *run, tutti_tensor tensor,
                                                      const void *data, size_t size_bytes);
/* Sets a scalar of the graph (such as "lr") from the next step on. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_set_scalar(tutti_run *run, const char *name,
                                                           float value);
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_get_scalar(tutti_run *run, const char *name,
                                                           float *out);
/* Sets the shares by hand (summing to 1) until the run closes; NULL returns to the profile's. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_run_set_shares(tutti_run *run, const double *shares);

/* What a device did since the run was opened. */
typedef struct tutti_run_device_stats {
    double share;          /* of all training samples so far; the planned share before the first */
    int64_t samples;       /* training samples computed */
    double busy_s;         /* time spent in steps, waiting for other devices excluded */
    uint64_t memory_bytes; /* allocated now */
    bool lost;
} tutti_run_device_stats;
TUTTI_API tutti_run_device_stats tutti_run_device(const tutti_run *run, int32_t device);
/* Training steps committed. */
TUTTI_API uint64_t tutti_run_steps(const tutti_run *run);
/* Training steps that changed nothing, since a gradient was not finite (loss_scale of the optimizer). */
TUTTI_API uint64_t tutti_run_skipped(const tutti_run *run);
/* Seconds from tutti_runtime_open to the end of the first step; 0 before. */
TUTTI_API double tutti_run_first_step_s(const tutti_run *run);

#ifdef __cplusplus
}
#endif
#endif
