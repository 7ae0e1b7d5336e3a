#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "kernel/runtime.h"
#include "plan/make.h"

#define ALIGN_MIN 64 /* a cache line, and the widest vector */

/* The blocks of one device: of all modes, one after the other in time, so that modes share
 * memory. */
typedef struct layout {
    const tutti_plan *plan;
    tutti_plan_device *device;
    uint64_t align, max_chunk, limit;
    tutti_arena scratch;
    tutti_liveness live[TUTTI_MODE_COUNT];
    tutti_region *regions[TUTTI_MODE_COUNT];    /* by tensor */
    tutti_region **scratches[TUTTI_MODE_COUNT]; /* by step */
    tutti_lifetime *blocks;
    tutti_placement *places;
    tutti_region **targets; /* by block: what it places */
    int32_t n_blocks;
} layout;

static uint64_t up(const layout *l, uint64_t value) {
    return (value + l->align - 1) / l->align * l->align;
}

static uint64_t tensor_bytes(const layout *l, int mode, uint32_t id, int64_t n) {
    return (uint64_t)tutti_shape_count(&l->plan->graph->tensors[id].type.shape, n) *
           tutti_dtype_size_bytes(l->device->modes[mode].program.dtype[id]);
}

/* True when the tensor lives on this device through all steps. */
static bool is_fixed_here(const layout *l, uint32_t id) {
    return tutti_tensor_is_fixed(l->plan->graph, id) &&
           (l->device->owner || l->device->modes[0].program.on_each[id]);
}

/* Parameters and states one behind the other, in as many chunks as it takes. Returns the number of
 * chunks; sizes go to chunk_bytes when it is not NULL. */
static int32_t place_fixed(layout *l, uint64_t *chunk_bytes, uint64_t *out_total) {
    int32_t chunk = -1;
    uint64_t used = 0;
    *out_total = 0;
    for (uint32_t id = 1; id < (uint32_t)l->plan->graph->n_tensors; id++) {
        const uint64_t size = tensor_bytes(l, 0, id, 1);
        if (!is_fixed_here(l, id) || size == 0)
            continue;
        if (chunk < 0 || up(l, used) + size > l->max_chunk) {
            chunk++;
            used = 0;
        }
        const uint64_t offset = up(l, used);
        *out_total += offset + size - used;
        used = offset + size;
        for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
            l->regions[mode][id] = (tutti_region){chunk, offset, size};
        if (chunk_bytes != NULL)
            chunk_bytes[chunk] = used;
    }
    return chunk + 1;
}

static void add_block(layout *l, uint64_t size, int32_t first, int32_t last, tutti_region *target) {
    target->size_bytes = size;
    l->blocks[l->n_blocks] = (tutti_lifetime){size, first, last};
    l->targets[l->n_blocks++] = target;
}

static void collect_blocks(layout *l, int64_t n) {
    const tutti_graph *graph = l->plan->graph;
    int32_t begin = 0;
    l->n_blocks = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_plan_mode *m = &l->device->modes[mode];
        const tutti_liveness *live = &l->live[mode];
        for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++) {
            if (live->first[id] > live->last[id] || tutti_tensor_is_fixed(graph, id))
                continue;
            add_block(l, tensor_bytes(l, mode, id, n), begin + live->first[id],
                      begin + live->last[id], &l->regions[mode][id]);
        }
        for (int32_t s = 0; s < m->n_steps; s++) {
            const tutti_candidate *candidate = m->steps[s].candidate;
            for (int32_t k = 0; candidate != NULL && k < candidate->n_scratch; k++) {
                const int64_t size = tutti_extent_value(candidate->scratch_bytes[k], n);
                add_block(l, size > 4 ? (uint64_t)size : 4, begin + m->steps[s].item,
                          begin + m->steps[s].item, &l->scratches[mode][s][k]);
            }
        }
        begin += m->program.n_items + 1;
    }
}

/* Places everything for n samples and writes the plan's device; TUTTI_OUT_OF_MEMORY when that is
 * more than the device has. */
static tutti_status place(layout *l, int64_t n) {
    tutti_plan_device *device = l->device;
    uint64_t fixed_bytes, *chunks = NULL, total;
    int32_t n_chunks = 0;
    const int32_t n_fixed = place_fixed(l, NULL, &fixed_bytes);
    collect_blocks(l, n);
    TUTTI_TRY(tutti_memory_plan(l->blocks, l->n_blocks, l->align, l->max_chunk, l->places, &chunks,
                                &n_chunks));
    total = fixed_bytes;
    for (int32_t i = 0; i < n_chunks; i++)
        total += chunks[i];
    if (total > l->limit) {
        free(chunks);
        return tutti_fail(TUTTI_OUT_OF_MEMORY,
                          "%" PRId64 " samples need %" PRIu64 " bytes, %" PRIu64 " are available",
                          n, total, l->limit);
    }
    uint64_t *all = tutti_arena_array(&((tutti_plan *)l->plan)->arena,
                                      (size_t)(n_fixed + n_chunks) + 1, sizeof *all);
    if (all == NULL) {
        free(chunks);
        return TUTTI_OUT_OF_MEMORY;
    }
    place_fixed(l, all, &fixed_bytes);
    if (n_chunks > 0)
        memcpy(all + n_fixed, chunks, (size_t)n_chunks * sizeof *all);
    free(chunks);
    for (int32_t b = 0; b < l->n_blocks; b++) {
        const tutti_placement *at = &l->places[b];
        l->targets[b]->chunk = at->chunk < 0 ? -1 : n_fixed + at->chunk;
        l->targets[b]->offset_bytes = at->offset_bytes;
    }
    device->capacity = n;
    device->chunk_bytes = all;
    device->n_chunks = n_fixed + n_chunks;
    device->fixed_bytes = fixed_bytes;
    device->peak_bytes = total;
    return TUTTI_OK;
}

/* Those who share memory get the region of the one that has it, with their own size. */
static void share_regions(layout *l) {
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (uint32_t id = 1; id < (uint32_t)l->plan->graph->n_tensors; id++) {
            const uint32_t root = l->live[mode].root[id];
            if (root != id && l->regions[mode][root].chunk >= 0)
                l->regions[mode][id] = l->regions[mode][root];
        }
}

/* Bytes if nothing shared memory: every input, every result of a kernel and all scratch memory of
 * the largest mode. */
static uint64_t unshared(const layout *l) {
    uint64_t most = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        const tutti_plan_mode *m = &l->device->modes[mode];
        uint64_t sum = 0;
        for (int32_t i = 0; i < m->program.n_inputs; i++) {
            const tutti_region *region = &l->regions[mode][m->program.inputs[i].id];
            sum += region->chunk >= 0 ? up(l, region->size_bytes) : 0;
        }
        for (int32_t s = 0; s < m->n_steps; s++) {
            const tutti_node_info *node = &m->program.items[m->steps[s].item].node;
            const tutti_candidate *candidate = m->steps[s].candidate;
            if (candidate == NULL)
                continue;
            for (int32_t k = 0; k < candidate->n_scratch; k++)
                sum += up(l, l->scratches[mode][s][k].size_bytes);
            for (int32_t k = 0; (node->op->flags & TUTTI_OP_UPDATE) == 0 && k < node->n_out; k++)
                sum += up(l, l->regions[mode][node->out[k].id].size_bytes);
        }
        most = sum > most ? sum : most;
    }
    return l->device->fixed_bytes + most;
}

static tutti_status prepare(layout *l) {
    const tutti_graph *graph = l->plan->graph;
    tutti_arena *arena = &((tutti_plan *)l->plan)->arena;
    const size_t n_tensors = (size_t)graph->n_tensors;
    size_t n_blocks = 0;
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++) {
        tutti_plan_mode *m = &l->device->modes[mode];
        TUTTI_TRY(
            tutti_liveness_make(graph, &m->program, l->device->owner, &l->scratch, &l->live[mode]));
        l->regions[mode] = tutti_arena_array(arena, n_tensors, sizeof(tutti_region));
        l->scratches[mode] =
            tutti_arena_array(&l->scratch, (size_t)m->n_steps + 1, sizeof(tutti_region *));
        if (l->regions[mode] == NULL || l->scratches[mode] == NULL)
            return TUTTI_OUT_OF_MEMORY;
        for (size_t id = 0; id < n_tensors; id++)
            l->regions[mode][id].chunk = -1;
        m->regions = l->regions[mode];
        n_blocks += n_tensors;
        for (int32_t s = 0; s < m->n_steps; s++) {
            tutti_plan_step *step = (tutti_plan_step *)&m->steps[s];
            const int32_t n = step->candidate != NULL ? step->candidate->n_scratch : 0;
            if (n == 0)
                continue;
            l->scratches[mode][s] = tutti_arena_array(arena, (size_t)n, sizeof(tutti_region));
            if (l->scratches[mode][s] == NULL)
                return TUTTI_OUT_OF_MEMORY;
            step->scratch = l->scratches[mode][s];
            n_blocks += (size_t)n;
        }
    }
    l->blocks = tutti_arena_array(&l->scratch, n_blocks, sizeof *l->blocks);
    l->places = tutti_arena_array(&l->scratch, n_blocks, sizeof *l->places);
    l->targets = tutti_arena_array(&l->scratch, n_blocks, sizeof *l->targets);
    return l->blocks && l->places && l->targets ? TUTTI_OK : TUTTI_OUT_OF_MEMORY;
}

/* The most samples that fit, by bisection. */
static tutti_status fit(layout *l) {
    const tutti_device *hardware = &l->plan->runtime->devices[l->device->device];
    tutti_status status = place(l, l->plan->batch);
    if (status != TUTTI_OUT_OF_MEMORY)
        return status;
    status = l->plan->batch > 1 ? place(l, 1) : status;
    if (status != TUTTI_OK)
        return tutti_fail_context(status, "%s (%s)%s", hardware->info.id, hardware->info.name,
                                  hardware->memory_limited ? " under the profile's memory_limit"
                                                           : "");
    int64_t fits = 1, too_many = l->plan->batch;
    while (too_many - fits > 1) {
        const int64_t middle = fits + (too_many - fits) / 2;
        status = place(l, middle);
        if (status == TUTTI_OK)
            fits = middle;
        else if (status == TUTTI_OUT_OF_MEMORY)
            too_many = middle;
        else
            return status;
    }
    return place(l, fits);
}

tutti_status tutti_plan_layout(tutti_plan *plan, tutti_plan_device *device) {
    const tutti_device *hardware = &plan->runtime->devices[device->device];
    layout l = {.plan = plan, .device = device};
    l.align =
        hardware->info.base_align_bytes > ALIGN_MIN ? hardware->info.base_align_bytes : ALIGN_MIN;
    l.limit = hardware->memory_limit_bytes > 0 ? hardware->memory_limit_bytes
                                               : hardware->info.memory_bytes;
    l.max_chunk = hardware->info.max_alloc_bytes > 0 ? hardware->info.max_alloc_bytes : l.limit;
    if (l.max_chunk > l.limit)
        l.max_chunk = l.limit;
    tutti_status status = prepare(&l);
    if (status == TUTTI_OK)
        status = fit(&l);
    if (status == TUTTI_OK) {
        share_regions(&l);
        device->unshared_bytes = unshared(&l);
    }
    tutti_arena_free(&l.scratch);
    return status;
}
