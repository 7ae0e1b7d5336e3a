#include "op/recurrent.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"

#define GPU_SAMPLES 2
#define CPU_SAMPLES 4 /* with 16 sums of 16 floats in 32 registers */

tutti_shape tutti_recurrent_shape(const tutti_shape *like, bool steps, int64_t width) {
    tutti_shape shape = *like;
    shape.rank = steps ? 3 : 2;
    shape.dim[1] = steps ? like->dim[1] : width;
    shape.dim[2] = steps ? width : 0;
    return shape;
}

tutti_status tutti_recurrent_check(const tutti_node_info *node, int32_t i, const char *what,
                                   const tutti_shape *expected) {
    const tutti_type *type = &node->in_type[i];
    char text[TUTTI_SHAPE_TEXT], text_expected[TUTTI_SHAPE_TEXT];
    if (type->dtype == TUTTI_F32 && tutti_shape_equal(&type->shape, expected))
        return TUTTI_OK;
    return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s %s, expected f32 %s", what,
                         tutti_dtype_name(type->dtype), tutti_shape_text(&type->shape, text),
                         tutti_shape_text(expected, text_expected));
}

tutti_status tutti_recurrent_steps(const tutti_node_info *node, int32_t i, const char *what,
                                   int64_t parts, int64_t *out_h) {
    const tutti_type *type = &node->in_type[i];
    char text[TUTTI_SHAPE_TEXT];
    if (type->dtype != TUTTI_F32 || type->shape.rank != 3 || type->shape.dim[2] % parts != 0)
        return tutti_op_fail(node, TUTTI_SHAPE, "%s is %s %s, expected f32 (N, T, %" PRId64 " H)",
                             what, tutti_dtype_name(type->dtype),
                             tutti_shape_text(&type->shape, text), parts);
    *out_h = type->shape.dim[2] / parts;
    return TUTTI_OK;
}

tutti_status tutti_recurrent_optional(const tutti_node_info *node, int32_t first, uint32_t flags,
                                      const tutti_shape *const *shapes, const char *const *names) {
    const tutti_recurrent_attr *attr = node->attr;
    int32_t expected = first;
    for (uint32_t bit = 0; flags >> bit != 0; bit++)
        expected += (attr->has & flags & 1U << bit) != 0;
    if (node->n_in != expected)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT, "%" PRId32 " inputs, expected %" PRId32,
                             node->n_in, expected);
    for (uint32_t bit = 0; flags >> bit != 0; bit++) {
        const int32_t i = tutti_recurrent_index(node, first, flags & 1U << bit);
        if (i >= 0)
            TUTTI_TRY(tutti_recurrent_check(node, i, names[bit], shapes[bit]));
    }
    return TUTTI_OK;
}

int32_t tutti_recurrent_index(const tutti_node_info *node, int32_t first, uint32_t flag) {
    const tutti_recurrent_attr *attr = node->attr;
    if ((attr->has & flag) == 0)
        return -1;
    for (uint32_t before = 1; before < flag; before <<= 1)
        first += (attr->has & before) != 0;
    return first;
}

/* Samples per work-group: as many as the registers hold the sums of, fewer where local memory is
 * small; 0 when not even one fits. */
static int64_t samples_of(const tutti_device_info *device, int64_t h, int64_t rows) {
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const uint64_t row_bytes = 4 * (uint64_t)((h + 15) / 16 * 16);
    int64_t samples = !is_cpu ? GPU_SAMPLES : device->simd_floats >= 16 ? CPU_SAMPLES : 1;
    while (samples > 0 && (uint64_t)(rows * samples) * row_bytes > device->local_memory_bytes)
        samples /= 2;
    return samples;
}

static int64_t local_of(const tutti_device_info *device, int64_t h) {
    int64_t local = 64;
    if ((device->type & TUTTI_DEVICE_CPU) != 0)
        return 1;
    while (local < h && local < 256 && local * 2 <= device->max_work_group)
        local *= 2;
    return local <= device->max_work_group ? local : 1;
}

tutti_status tutti_recurrent_lower(const tutti_node_info *node, const tutti_device_info *device,
                                   tutti_lowering *out, const tutti_shape *states, int64_t rows,
                                   int32_t n_fixed, uint32_t flags, bool pairs) {
    const tutti_recurrent_attr *attr = node->attr;
    const bool is_cpu = (device->type & TUTTI_DEVICE_CPU) != 0;
    const int64_t h = states->dim[2], padded = (h + 15) / 16 * 16;
    const int64_t samples = samples_of(device, h, rows), local = local_of(device, h);
    const tutti_extent batch = tutti_extent_dim(states, 0);
    char file[64];
    if (samples == 0)
        return tutti_op_fail(node, TUTTI_UNSUPPORTED,
                             "%" PRId64 " units need %" PRId64 " bytes of local memory, %s has "
                             "%" PRIu64,
                             h, 4 * rows * padded, device->name, device->local_memory_bytes);
    snprintf(file, sizeof file, "%s.cl", node->op->name);
    tutti_launch *launch = tutti_candidate_launch(
        out, tutti_lowering_candidate(out, is_cpu ? "vector" : "group"), file, node->op->name,
        "-DVECTOR=%d -DSAMPLES=%" PRId64 " -DLOCAL=%" PRId64, is_cpu, samples, local);
    for (int32_t i = 0; i < n_fixed; i++)
        tutti_launch_tensor(out, launch, node->in[i]);
    for (uint32_t flag = 1; flag <= flags; flag <<= 1) {
        const int32_t i = tutti_recurrent_index(node, n_fixed, flag);
        for (int32_t k = 0; k < (pairs ? 2 : 1) && (flags & flag) != 0; k++)
            tutti_launch_tensor(out, launch, node->in[i >= 0 ? i + k : 0]);
    }
    for (int32_t i = 0; i < node->n_out; i++)
        tutti_launch_tensor(out, launch, node->out[i]);
    tutti_launch_local(out, launch, (size_t)(4 * rows * samples * padded));
    tutti_launch_i32(out, launch, batch);
    tutti_launch_i32(out, launch, tutti_extent_const(states->dim[1]));
    tutti_launch_i32(out, launch, tutti_extent_const(h));
    for (uint32_t flag = 1; flag <= flags; flag <<= 1)
        if ((flags & flag) != 0)
            tutti_launch_i32(out, launch, tutti_extent_const((attr->has & flag) != 0));
    tutti_launch_range(launch, (tutti_extent){batch.base * local, batch.per_sample * local},
                       samples, local);
    return tutti_lowering_status(out);
}

tutti_cost tutti_recurrent_cost(const tutti_node_info *node, int64_t n, const tutti_shape *states,
                                int64_t parts) {
    const double units = (double)tutti_shape_count(states, n), h = (double)states->dim[2];
    double elements = 0;
    for (int32_t i = 0; i < node->n_in; i++)
        elements += (double)tutti_shape_count(&node->in_type[i].shape, n);
    for (int32_t i = 0; i < node->n_out; i++)
        elements += (double)tutti_shape_count(&node->out_type[i].shape, n);
    return (tutti_cost){.flops = units * (2 * (double)parts * h + 60), .bytes = 4 * elements};
}

tutti_tensor tutti_recurrent_before(tutti_graph *graph, tutti_tensor y, tutti_tensor h0) {
    const tutti_shape shape = tutti_tensor_type(graph, y).shape;
    tutti_shape first = shape;
    if (y.id == 0)
        return y;
    first.dim[1] = 1;
    const tutti_tensor start =
        h0.id != 0 ? tutti_reshape_to(graph, h0, &first) : tutti_constant(graph, &first, 0);
    if (shape.dim[1] == 1)
        return start;
    const tutti_tensor rest = tutti_slice(graph, y, 1, 0, shape.dim[1] - 1, 1);
    return tutti_concat(graph, 2, (tutti_tensor[]){start, rest}, 1);
}

tutti_tensor tutti_recurrent_rows(tutti_graph *graph, tutti_tensor x) {
    const tutti_shape shape = tutti_tensor_type(graph, x).shape;
    if (x.id == 0)
        return x;
    return tutti_reshape(graph, x, 2, (int64_t[]){shape.batched ? TUTTI_BATCH : 0, shape.dim[2]});
}

tutti_tensor tutti_recurrent_project(tutti_graph *graph, tutti_tensor x, tutti_tensor weight,
                                     tutti_tensor bias) {
    tutti_shape shape = tutti_tensor_type(graph, x).shape;
    tutti_tensor y = tutti_matmul(graph, tutti_recurrent_rows(graph, x), weight, false, true);
    if (bias.id != 0)
        y = tutti_add(graph, y, bias);
    if (y.id == 0)
        return y;
    shape.dim[2] = tutti_tensor_type(graph, y).shape.dim[1];
    return tutti_reshape_to(graph, y, &shape);
}

tutti_tensor tutti_recurrent_last(tutti_graph *graph, tutti_tensor states) {
    const tutti_shape shape = tutti_tensor_type(graph, states).shape;
    if (states.id == 0)
        return states;
    const tutti_tensor last = tutti_slice(graph, states, 1, shape.dim[1] - 1, shape.dim[1], 1);
    const tutti_shape flat = tutti_recurrent_shape(&shape, false, shape.dim[2]);
    return tutti_reshape_to(graph, last, &flat);
}

bool tutti_recurrent_weights_fit(tutti_graph *graph, const char *name, tutti_tensor x,
                                 const tutti_recurrent_weights *weights, int64_t parts) {
    const tutti_tensor bias[2] = {weights->bias_ih, weights->bias_hh};
    if (x.id == 0 || weights->weight_ih.id == 0 || weights->weight_hh.id == 0 ||
        tutti_graph_status(graph) != TUTTI_OK)
        return false;
    const tutti_shape steps = tutti_tensor_type(graph, x).shape;
    const tutti_shape ih = tutti_tensor_type(graph, weights->weight_ih).shape;
    const tutti_shape hh = tutti_tensor_type(graph, weights->weight_hh).shape;
    char text_x[TUTTI_SHAPE_TEXT], text_ih[TUTTI_SHAPE_TEXT], text_hh[TUTTI_SHAPE_TEXT];
    bool fits = steps.rank == 3 && ih.rank == 2 && hh.rank == 2 && !ih.batched && !hh.batched &&
                ih.dim[1] == steps.dim[2] && ih.dim[0] == hh.dim[0] &&
                hh.dim[0] == parts * hh.dim[1];
    for (int i = 0; i < 2 && fits; i++) {
        const tutti_shape shape = tutti_tensor_type(graph, bias[i]).shape;
        fits = bias[i].id == 0 || (shape.rank == 1 && !shape.batched && shape.dim[0] == hh.dim[0]);
    }
    if (!fits)
        (void)tutti_graph_reject(
            graph,
            tutti_fail(TUTTI_SHAPE,
                       "%s: x is %s, weight_ih %s, weight_hh %s: expected (N, T, C), "
                       "(%" PRId64 " H, C), (%" PRId64 " H, H), biases (%" PRId64 " H)",
                       name, tutti_shape_text(&steps, text_x), tutti_shape_text(&ih, text_ih),
                       tutti_shape_text(&hh, text_hh), parts, parts, parts));
    return fits;
}
