/* The gradient that an op emits, evaluated with references, against differences of the op's own
 * reference. Header for test programs only. */
#ifndef TESTS_CONFORMANCE_GRADIENT_H
#define TESTS_CONFORMANCE_GRADIENT_H

#include "conformance/cases.h"

/* An input of the graph in the shape of an output. */
static inline tutti_tensor gradient_input(conf_case *c, int32_t output) {
    const tutti_shape *shape = &c->node.out_type[output].shape;
    int64_t dims[TUTTI_MAX_RANK + 1];
    int32_t rank = 0;
    char name[16];
    snprintf(name, sizeof name, "dy%d", (int)output);
    if (shape->batched)
        dims[rank++] = TUTTI_BATCH;
    for (int32_t d = shape->batched && shape->dim[0] == 1 ? 1 : 0; d < shape->rank; d++)
        dims[rank++] = shape->dim[d];
    return tutti_reshape_to(c->graph, tutti_graph_input(c->graph, name, TUTTI_F32, rank, dims),
                            shape);
}

/* Sum of weight * output for the inputs moved by h * direction; out_norm is its size. */
static inline double projected(const conf_case *c, const conf_run *run, void *const *in,
                               void *const *weight, float *const *direction, double h,
                               double *out_norm) {
    void *moved[OPERANDS], *out[OPERANDS];
    for (int32_t i = 0; i < c->node.n_in; i++) {
        const size_t size = type_bytes(&c->types[i], c->n);
        moved[i] = host_alloc(size);
        memcpy(moved[i], in[i], size);
        for (size_t k = 0; direction[i] != NULL && k < size / sizeof(float); k++)
            ((float *)moved[i])[k] =
                (float)((double)((float *)in[i])[k] + h * (double)direction[i][k]);
    }
    for (int32_t i = 0; i < c->node.n_out; i++)
        out[i] = host_alloc(type_bytes(&c->node.out_type[i], c->n));
    node_ref(&c->node, &run->values, moved, out);
    double sum = 0, norm = 0;
    for (int32_t i = 0; i < c->node.n_out; i++) {
        const size_t count = type_bytes(&c->node.out_type[i], c->n) / sizeof(float);
        for (size_t k = 0; k < count; k++) {
            const double term = (double)((float *)weight[i])[k] * (double)((float *)out[i])[k];
            sum += term;
            norm += term * term;
        }
        free(out[i]);
    }
    for (int32_t i = 0; i < c->node.n_in; i++)
        free(moved[i]);
    *out_norm = sqrt(norm);
    return sum;
}

/* Fourth-order central differences with a few steps: one of them must agree, since rounding spoils
 * short steps and long ones may cross a kink. A step whose own rounding could hide an error is not
 * taken into account. */
static inline bool difference_agrees(const conf_case *c, const conf_run *run, void *const *in,
                                     void *const *weight, float *const *direction, double expected,
                                     double norm, double largest, char text[256]) {
    static const double steps[] = {0x1p-6, 0x1p-9, 0x1p-12};
    const double epsilon = 6e-8;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        const double h = steps[s];
        double size;
        const double a = projected(c, run, in, weight, direction, h, &size);
        const double b = projected(c, run, in, weight, direction, -h, &size);
        const double d = projected(c, run, in, weight, direction, 2 * h, &size);
        const double e = projected(c, run, in, weight, direction, -2 * h, &size);
        const double found = (8 * (a - b) - (d - e)) / (12 * h);
        const double noise = epsilon * (4 * size + 2 * largest * norm) / h;
        if (s > 0 && noise > 0.02 * (norm + size))
            break;
        if (fabs(found - expected) <= 1e-3 * norm + noise + 1e-6)
            return true;
        snprintf(text, 256, "gradient %.6g, difference %.6g (step %g, rounding %.2g)", expected,
                 found, h, noise);
    }
    return false;
}

/* Directions: three of random signs everywhere, the rest along single elements. */
#define DIRECTIONS 8

/* One draw of inputs: false, with text, when a direction disagrees. */
static inline bool gradient_draw(const conf_case *c, const tutti_tensor *dy,
                                 const tutti_tensor *din, tutti_rng *rng, char text[256]) {
    const tutti_graph *graph = c->graph;
    void **memory = calloc((size_t)graph->n_tensors, sizeof *memory);
    void *in[OPERANDS], *weight[OPERANDS];
    float *direction[OPERANDS] = {NULL};
    conf_run run;
    run_draw(&run, c->n, rng);
    int64_t total = 0;
    for (int32_t i = 0; i < c->node.n_in; i++) {
        in[i] = memory[c->in[i].id] = case_draw(c, i, c->n, rng);
        if (din[i].id != 0)
            total += tutti_shape_count(&c->types[i].shape, c->n);
    }
    for (int32_t i = 0; i < c->node.n_out; i++) {
        const int64_t count = tutti_shape_count(&c->node.out_type[i].shape, c->n);
        float *values = host_alloc((size_t)count * sizeof *values);
        for (int64_t k = 0; k < count; k++)
            values[k] = tutti_rng_uniform(rng) * 2 - 1;
        /* dy may be a reshaped input: feed what it is made of. */
        const tutti_tensor_record *record = tutti_graph_record(graph, dy[i]);
        const tutti_tensor feed =
            record->kind == TUTTI_TENSOR_INPUT ? dy[i] : graph->nodes[record->node].in[0];
        weight[i] = memory[feed.id] = values;
    }
    graph_ref(graph, &run.values, memory);

    bool good = true;
    for (int32_t t = 0; t < DIRECTIONS && good; t++) {
        double expected = 0, norm = 0, largest = 0;
        const int64_t chosen = (int64_t)tutti_rng_below(rng, (uint64_t)total);
        int64_t at = 0;
        for (int32_t i = 0; i < c->node.n_in; i++) {
            if (din[i].id == 0)
                continue;
            const int64_t count = tutti_shape_count(&c->types[i].shape, c->n);
            const float *gradient = memory[din[i].id];
            direction[i] = host_alloc((size_t)count * sizeof(float));
            for (int64_t k = 0; k < count; k++, at++) {
                const float sign = (tutti_rng_u32(rng) & 1) != 0 ? 1 : -1;
                direction[i][k] = t < 3 || at == chosen ? sign : 0;
                const double part = (double)gradient[k] * (double)direction[i][k];
                expected += part;
                norm += part * part;
                largest = fmax(largest, fabs((double)((float *)in[i])[k]));
            }
        }
        good =
            difference_agrees(c, &run, in, weight, direction, expected, sqrt(norm), largest, text);
        for (int32_t i = 0; i < c->node.n_in; i++) {
            free(direction[i]);
            direction[i] = NULL;
        }
    }
    for (int32_t i = 0; i < graph->n_tensors; i++)
        free(memory[i]);
    free(memory);
    return good;
}

/* True when the example's gradient agrees with differences, or there is none to check. A draw that
 * falls on a kink (two maxima nearly equal, relu near 0) disagrees by bad luck; a wrong gradient
 * disagrees in every draw. */
static inline bool gradient_agrees(conf_case *c, tutti_rng *rng, char text[256]) {
    tutti_tensor dy[OPERANDS] = {{0}}, din[OPERANDS] = {{0}};
    bool want[OPERANDS] = {false}, any = false;
    for (int32_t i = 0; i < c->node.n_in; i++) {
        want[i] = c->types[i].dtype == TUTTI_F32 && !c->example->in[i].no_grad;
        any |= want[i];
    }
    if (!any || c->node.n_out == 0)
        return true;
    for (int32_t i = 0; i < c->node.n_out; i++)
        dy[i] = gradient_input(c, i);
    tutti_status status = c->op->grad(c->graph, &c->node, dy, want, din);
    if (status == TUTTI_OK)
        status = tutti_graph_status(c->graph);
    if (status != TUTTI_OK) {
        snprintf(text, 256, "grad: %.200s", tutti_error_message());
        return false;
    }
    for (int32_t i = 0; i < c->node.n_in; i++) {
        const tutti_type type = tutti_tensor_type(c->graph, din[i]);
        if (want[i] && din[i].id == 0) {
            snprintf(text, 256, "grad leaves input %d without a gradient", (int)i);
            return false;
        }
        if (!want[i]) {
            din[i].id = 0;
        } else if (!tutti_shape_equal(&type.shape, &c->types[i].shape)) {
            snprintf(text, 256, "grad gives input %d another shape", (int)i);
            return false;
        }
    }
    for (int32_t draw = 0; draw < 6; draw++)
        if (gradient_draw(c, dy, din, rng, text))
            return true;
    return false;
}

#endif
