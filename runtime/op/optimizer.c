#include "op/optimizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

double tutti_decimal(float value) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            return strtod(text, NULL);
    }
    return (double)value;
}

tutti_status tutti_update_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_shape *param = &node->in_type[0].shape;
    for (int32_t i = 0; i < node->n_in; i++) {
        char a[TUTTI_SHAPE_TEXT], b[TUTTI_SHAPE_TEXT];
        const tutti_type *type = &node->in_type[i];
        if (type->dtype != TUTTI_F32)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s, expected f32", (int)i,
                                 tutti_dtype_name(type->dtype));
        if (type->shape.batched)
            return tutti_op_fail(node, TUTTI_SHAPE, "input %d is %s: batched", (int)i,
                                 tutti_shape_text(&type->shape, a));
        if (!tutti_shape_equal(&type->shape, param))
            return tutti_op_fail(node, TUTTI_SHAPE, "the parameter is %s, input %d is %s",
                                 tutti_shape_text(param, a), (int)i,
                                 tutti_shape_text(&type->shape, b));
    }
    out->type = node->in_type[0];
    return TUTTI_OK;
}

tutti_status tutti_optimizer_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_update_attr *attr = node->attr;
    if (!(attr->lr_factor >= 0) || !isfinite(attr->lr_factor) || attr->every == 0)
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "lr_factor is %g, an update every %u steps: must be at least 0 and 1",
                             attr->lr_factor, (unsigned)attr->every);
    return tutti_update_infer(node, out);
}

double tutti_update_lr(const tutti_run_values *run, const void *attr) {
    const tutti_update_attr *update = attr;
    return (double)run->scalars[update->lr] * update->lr_factor;
}

double tutti_update_number(const tutti_run_values *run, const void *attr) {
    return (double)(run->step / ((const tutti_update_attr *)attr)->every + 1);
}

float tutti_update_lr_f32(const tutti_run_values *run, const void *attr) {
    return (float)tutti_update_lr(run, attr);
}

tutti_cost tutti_update_cost(const tutti_node_info *node, double flops) {
    const double count = (double)tutti_shape_count(&node->in_type[0].shape, 0);
    int32_t passes = node->n_in;
    for (int32_t i = 0; i < node->n_in; i++)
        passes += tutti_op_mutates(node->op, i);
    return (tutti_cost){.flops = flops * count, .bytes = 4.0 * count * passes};
}

tutti_launch *tutti_update_launch(const tutti_node_info *node, tutti_lowering *out,
                                  tutti_candidate *candidate, const char *file, const char *entry,
                                  const char *options) {
    tutti_launch *launch = tutti_candidate_launch(out, candidate, file, entry, "%s", options);
    tutti_launch_slots(out, launch, node);
    return launch;
}

float tutti_adam_step_size(const tutti_run_values *run, const void *attr) {
    const tutti_adam_attr *adam = attr;
    return (float)(tutti_update_lr(run, attr) /
                   (1.0 - pow(adam->beta1, tutti_update_number(run, attr))));
}

float tutti_adam_root2(const tutti_run_values *run, const void *attr) {
    const tutti_adam_attr *adam = attr;
    return (float)sqrt(1.0 - pow(adam->beta2, tutti_update_number(run, attr)));
}

tutti_status tutti_adam_infer(const tutti_node_info *node, tutti_infer *out) {
    const tutti_adam_attr *attr = node->attr;
    if (!(attr->beta1 >= 0 && attr->beta1 < 1 && attr->beta2 >= 0 && attr->beta2 < 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "beta1 is %g, beta2 is %g, must be at least 0 and less than 1",
                             attr->beta1, attr->beta2);
    if (!(attr->eps > 0 && attr->weight_decay >= 0))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "eps is %g, weight_decay is %g, must be above 0 and at least 0",
                             attr->eps, attr->weight_decay);
    return tutti_optimizer_infer(node, out);
}

tutti_status tutti_adam_lower(const tutti_node_info *node, tutti_lowering *out, const char *file,
                              tutti_host_f32 decay) {
    const tutti_adam_attr *attr = node->attr;
    tutti_candidate *candidate = tutti_lowering_candidate(out, "plain");
    tutti_launch *launch = tutti_update_launch(node, out, candidate, file, node->op->name, "");
    tutti_launch_f32(out, launch, (float)attr->beta1);
    tutti_launch_f32(out, launch, (float)(1.0 - attr->beta1));
    tutti_launch_f32(out, launch, (float)attr->beta2);
    tutti_launch_f32(out, launch, (float)(1.0 - attr->beta2));
    tutti_launch_f32(out, launch, (float)attr->eps);
    tutti_launch_host_f32(out, launch, decay);
    tutti_launch_host_f32(out, launch, tutti_adam_step_size);
    tutti_launch_host_f32(out, launch, tutti_adam_root2);
    return tutti_lowering_status(out);
}

void tutti_adam_ref(const tutti_ref_call *call, bool decoupled) {
    const tutti_adam_attr *attr = call->node->attr;
    const double lr = tutti_update_lr(call->run, attr);
    const double t = tutti_update_number(call->run, attr);
    const double correction1 = 1.0 - pow(attr->beta1, t), correction2 = 1.0 - pow(attr->beta2, t);
    float *param = call->in[0], *m = call->in[2], *v = call->in[3];
    const float *grad = call->in[1];
    const int64_t count = tutti_shape_count(&call->node->in_type[0].shape, 0);
    for (int64_t i = 0; i < count; i++) {
        double w = (double)param[i], g = (double)grad[i];
        if (decoupled)
            w -= lr * attr->weight_decay * w;
        else
            g += attr->weight_decay * w;
        const double mi = attr->beta1 * (double)m[i] + (1.0 - attr->beta1) * g;
        const double vi = attr->beta2 * (double)v[i] + (1.0 - attr->beta2) * g * g;
        const double mean = mi / correction1, variance = vi / correction2;
        param[i] = (float)(w - lr * mean / (sqrt(variance) + attr->eps));
        m[i] = (float)mi;
        v[i] = (float)vi;
    }
}
