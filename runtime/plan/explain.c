#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "kernel/runtime.h"
#include "plan/plan.h"

#define TEXT        64
#define REGION_TEXT 128

static const char *mode_name(int mode) {
    static const char *const names[] = {"train", "eval", "predict"};
    return names[mode];
}

static const char *bytes_text(uint64_t bytes, char text[TEXT]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    snprintf(text, TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static const char *time_text(double time_s, char text[TEXT]) {
    if (time_s < 1e-3)
        snprintf(text, TEXT, "%.1f us", time_s * 1e6);
    else
        snprintf(text, TEXT, "%.2f ms", time_s * 1e3);
    return text;
}

static const char *region_text(const tutti_region *region, char text[REGION_TEXT]) {
    char size[TEXT];
    if (region->chunk < 0)
        return "-";
    snprintf(text, REGION_TEXT, "%" PRId32 ":0x%06" PRIx64 " %s", region->chunk,
             region->offset_bytes, bytes_text(region->size_bytes, size));
    return text;
}

/* "Nx64", or "Nx64 bf16" for what lies in 2 bytes. */
static const char *type_text(const tutti_type *type, char text[TUTTI_SHAPE_TEXT]) {
    tutti_shape_text(&type->shape, text);
    const size_t length = strlen(text);
    if (tutti_dtype_size_bytes(type->dtype) == 2)
        snprintf(text + length, TUTTI_SHAPE_TEXT - length, " %s", tutti_dtype_name(type->dtype));
    return text;
}

static uint64_t sum_bytes(const tutti_graph *graph, const tutti_item *item) {
    uint64_t bytes = 0;
    for (int32_t i = 0; i < item->n_tensors; i++) {
        const tutti_type *type = &graph->tensors[item->tensors[i].id].type;
        bytes += (uint64_t)tutti_shape_count(&type->shape, 1) * tutti_dtype_size_bytes(type->dtype);
    }
    return bytes;
}

static bool text_equal(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Sources with options. Fewer programs are compiled where several sources share one. */
static int32_t count_sources(const tutti_plan_mode *m) {
    int32_t count = 0, n = 0;
    for (int32_t s = 0; s < m->n_steps; s++)
        n += m->steps[s].candidate != NULL ? m->steps[s].candidate->n_launches : 0;
    const tutti_launch **seen = calloc((size_t)n + 1, sizeof *seen);
    for (int32_t s = 0; seen != NULL && s < m->n_steps; s++) {
        const tutti_candidate *candidate = m->steps[s].candidate;
        for (int32_t i = 0; candidate != NULL && i < candidate->n_launches; i++) {
            const tutti_launch *launch = &candidate->launches[i];
            bool known = launch->routine != NULL;
            for (int32_t k = 0; k < count && !known; k++)
                known = text_equal(seen[k]->file, launch->file) &&
                        text_equal(seen[k]->source, launch->source) &&
                        text_equal(seen[k]->options, launch->options);
            if (!known)
                seen[count++] = launch;
        }
    }
    free(seen);
    return count;
}

static void put_collective(tutti_strbuf *text, const tutti_plan *plan, const tutti_item *item,
                           int32_t index) {
    char size[TEXT];
    const bool reduce = item->kind == TUTTI_ITEM_REDUCE;
    tutti_strbuf_printf(text, "  %4" PRId32 "  %s %" PRId32 " tensors, %s, %s: ", index,
                        reduce ? "sum over devices:" : "send to devices:", item->n_tensors,
                        bytes_text(sum_bytes(plan->graph, item), size),
                        !reduce                           ? "from the owner"
                        : item->place == TUTTI_PLACE_EACH ? "to all"
                                                          : "to the owner");
    for (int32_t i = 0; i < item->n_tensors; i++)
        tutti_strbuf_printf(text, "%s%s", i > 0 ? ", " : "",
                            tutti_graph_tensor_name(plan->graph, item->tensors[i]));
    tutti_strbuf_puts(text, "\n");
}

static void put_step(tutti_strbuf *text, const tutti_plan *plan, const tutti_plan_mode *m,
                     const tutti_plan_step *step) {
    const tutti_item *item = &m->program.items[step->item];
    if (item->kind != TUTTI_ITEM_NODE) {
        if (plan->n_devices > 1)
            put_collective(text, plan, item, step->item);
        return;
    }
    const tutti_node_info *node = &item->node;
    char shape[TUTTI_SHAPE_TEXT] = "", time[TEXT + 1] = "-", region[REGION_TEXT];
    char kernel[TEXT] = "alias";
    const char *at = "-";
    if (node->n_out > 0) {
        type_text(&node->out_type[0], shape);
        at = region_text(&m->regions[node->out[0].id], region);
    } else if (node->n_in > 0) {
        tutti_shape_text(&node->in_type[0].shape, shape);
        at = region_text(&m->regions[node->in[0].id], region);
    }
    if (step->candidate != NULL) {
        time[0] = '~';
        time_text(step->predicted_s, step->measured ? time : time + 1);
        snprintf(kernel, sizeof kernel, "%s", step->candidate->name);
        if (step->candidate->n_launches != 1)
            snprintf(kernel, sizeof kernel, "%s x%" PRId32, step->candidate->name,
                     step->candidate->n_launches);
    }
    tutti_strbuf_printf(text, "  %4" PRId32 "  %-32s %-12s %-12s %10s  %-22s %s\n", step->item,
                        tutti_fused_label(node), shape, kernel, time, at,
                        step->candidate != NULL ? step->reason : "shares its input's memory");
    for (int32_t k = 1; k < node->n_out; k++)
        tutti_strbuf_printf(text, "  %4s  %-32s %-12s %-12s %10s  %s\n", "", "  and",
                            type_text(&node->out_type[k], shape), "", "",
                            region_text(&m->regions[node->out[k].id], region));
    for (int32_t k = 0; step->candidate != NULL && k < step->candidate->n_scratch; k++)
        tutti_strbuf_printf(text, "  %4s  %-32s %-12s %-12s %10s  %s\n", "", "  scratch", "", "",
                            "", region_text(&step->scratch[k], region));
}

static const char *op_name(const tutti_graph *graph, int32_t id) {
    return graph->nodes[graph->tensors[id].node].op->name;
}

/* "3 relu" of what is computed again by the op of that tensor, unless an earlier tensor is by it. */
static int32_t count_again(const tutti_graph *graph, int32_t id) {
    int32_t count = 0;
    for (int32_t k = 1; k < graph->n_tensors; k++) {
        if (!graph->tensors[k].again || strcmp(op_name(graph, k), op_name(graph, id)) != 0)
            continue;
        if (k < id)
            return 0;
        count++;
    }
    return count;
}

/* What the backward pass computes again has no memory between the passes: what it would take there, in
 * the type of other results. Fusion may leave no memory to the copy either. */
static void put_again(tutti_strbuf *text, const tutti_plan *plan, const tutti_plan_device *device) {
    const size_t size_bytes = tutti_dtype_size_bytes(tutti_precision_dtype(device->precision));
    const tutti_graph *graph = plan->graph;
    uint64_t bytes = 0;
    char size[TEXT];
    for (int32_t id = 1; id < graph->n_tensors; id++) {
        const tutti_tensor_record *record = &graph->tensors[id];
        if (!record->again)
            continue;
        const int32_t count = count_again(graph, id);
        if (count > 0)
            tutti_strbuf_printf(text, "%s %" PRId32 " %s",
                                bytes == 0 ? "  computed in the backward pass again, not kept:"
                                           : ",",
                                count, op_name(graph, id));
        bytes += (uint64_t)tutti_shape_count(&record->type.shape, device->capacity) * size_bytes;
    }
    if (bytes > 0)
        tutti_strbuf_printf(text, "; together %s\n", bytes_text(bytes, size));
}

/* Which part of a step of training an item belongs to; what the backward pass computes again is its own. */
static const char *part_of(const tutti_graph *graph, const tutti_item *item, const char *last) {
    static const char *const forward = "forward", *const backward = "backward",
                             *const update = "update";
    if (item->kind != TUTTI_ITEM_NODE || item->node.n_out == 0)
        return last;
    const int32_t node = graph->tensors[item->node.out[0].id].node;
    if (node < 0 || !graph->nodes[node].backward)
        return last != NULL ? last : forward;
    return item->place == TUTTI_PLACE_OWNER ? update : backward;
}

static void put_mode(tutti_strbuf *text, const tutti_plan *plan, const tutti_plan_device *device,
                     int mode) {
    const tutti_plan_mode *m = &device->modes[mode];
    int32_t launches = 0;
    for (int32_t s = 0; s < m->n_steps; s++)
        launches += m->steps[s].candidate != NULL ? m->steps[s].candidate->n_launches : 0;
    char time[TEXT];
    tutti_strbuf_printf(
        text,
        " %s: %" PRId32 " launches of %" PRId32 " different sources, predicted %s for %" PRId64
        " samples\n",
        mode_name(mode), launches, count_sources(m),
        time_text(tutti_plan_predicted_s(plan, (tutti_mode)mode, device->device, device->capacity),
                  time),
        device->capacity);
    if (m->n_steps > 0)
        tutti_strbuf_printf(text, "  %4s  %-32s %-12s %-12s %10s  %-22s %s\n", "item", "op",
                            "shape", "kernel", "predicted", "memory", "why");
    const char *part = NULL;
    for (int32_t s = 0; s < m->n_steps; s++) {
        const char *now = part_of(plan->graph, &m->program.items[m->steps[s].item], part);
        if (mode == TUTTI_TRAIN && now != part)
            tutti_strbuf_printf(text, "        -- %s\n", now);
        part = now;
        put_step(text, plan, m, &m->steps[s]);
    }
    if (mode == TUTTI_TRAIN)
        put_again(text, plan, device);
}

tutti_status tutti_plan_explain(const tutti_plan *plan, char **out_text) {
    tutti_strbuf text = {0};
    tutti_strbuf_printf(&text,
                        "plan: batches of up to %" PRId64 " samples on %" PRId32
                        " device%s, memory as chunk:offset size\n",
                        plan->batch, plan->n_devices, plan->n_devices == 1 ? "" : "s");
    if (plan->matmul_precision != TUTTI_MATMUL_HIGHEST)
        tutti_strbuf_printf(&text, "products of matrices may round their operands to %s\n",
                            plan->matmul_precision == TUTTI_MATMUL_HIGH ? "tf32" : "tf32 or bf16");
    for (int32_t i = 0; i < plan->n_devices; i++) {
        const tutti_plan_device *device = &plan->devices[i];
        const tutti_device_info *info = &plan->runtime->devices[device->device].info;
        const tutti_dtype dtype = tutti_precision_dtype(device->precision);
        char fixed[TEXT], peak[TEXT], unshared[TEXT];
        tutti_strbuf_printf(&text,
                            "\n%s (%s)%s: up to %" PRId64 " samples; parameters and states %s, "
                            "peak %s, %s without reuse, in %" PRId32 " allocation%s%s%s\n",
                            info->id, info->name,
                            device->owner && plan->n_devices > 1 ? ", owner of the weights" : "",
                            device->capacity, bytes_text(device->fixed_bytes, fixed),
                            bytes_text(device->peak_bytes, peak),
                            bytes_text(device->unshared_bytes, unshared), device->n_chunks,
                            device->n_chunks == 1 ? "" : "s",
                            dtype != TUTTI_F32 ? "; results for each sample stored as " : "",
                            dtype != TUTTI_F32 ? tutti_dtype_name(dtype) : "");
        for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
            put_mode(&text, plan, device, mode);
    }
    tutti_strbuf_puts(&text, "~: estimated, other times rest on a measurement of the kernel; "
                             "x2: launches of the item\n");
    *out_text = tutti_strbuf_take(&text);
    return *out_text == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}
