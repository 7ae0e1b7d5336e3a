/* Plans of random graphs for devices that do not exist: their memory is simulated word by word, so
 * that every value a step reads must still be there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/random_graph.h"
#include "kernel/runtime.h"
#include "plan/make.h"
#include "seed.h"
#include "tutti/nn.h"

#define DEVICES 3
#define GRAPHS  150

static uint64_t first_seed;

typedef struct fake {
    tutti_profile profile;
    tutti_device devices[DEVICES];
    tutti_runtime runtime;
} fake;

static void fake_runtime(fake *f, int32_t count) {
    static const char *const ids[] = {"cpu.0", "gpu.0", "gpu.1"};
    *f = (fake){0};
    for (int32_t i = 0; i < count; i++) {
        tutti_device *d = &f->devices[i];
        d->info = (tutti_device_info){.id = ids[i],
                                      .name = "imagined",
                                      .type = i == 0 ? TUTTI_DEVICE_CPU : TUTTI_DEVICE_GPU,
                                      .compute_units = 4,
                                      .clock_mhz = 1000,
                                      .memory_bytes = 1 << 30,
                                      .max_alloc_bytes = i == 1 ? 4096 : 1 << 28,
                                      .base_align_bytes = i == 2 ? 512 : 16,
                                      .simd_floats = 8,
                                      .max_work_group = 256,
                                      .max_work_item = {256, 256, 256},
                                      .local_memory_bytes = 32768,
                                      .address_bits = 64};
        d->share = TUTTI_SHARE_AUTO;
    }
    f->runtime = (tutti_runtime){.profile = &f->profile, .devices = f->devices, .n_devices = count};
}

/* One device's memory: each word holds the number of the value written last. */
typedef struct memory {
    const tutti_plan *plan;
    const tutti_plan_device *device;
    uint32_t **words;
    uint32_t *value; /* by tensor: the number it should hold */
    uint32_t next;
} memory;

static bool inside(const memory *m, const tutti_region *r) {
    return r->chunk >= 0 && r->chunk < m->device->n_chunks &&
           r->offset_bytes + r->size_bytes <= m->device->chunk_bytes[r->chunk];
}

static void put(memory *m, const tutti_region *r, uint32_t value) {
    assert_true(inside(m, r));
    for (uint64_t i = 0; i < r->size_bytes / 4; i++)
        m->words[r->chunk][r->offset_bytes / 4 + i] = value;
}

static void expect(const memory *m, int mode, uint32_t id, const char *what) {
    const tutti_region *r = &m->device->modes[mode].regions[id];
    if (!inside(m, r))
        fail_msg("%s: tensor %u has no memory in mode %d", what, id, mode);
    for (uint64_t i = 0; i < r->size_bytes / 4; i++)
        if (m->words[r->chunk][r->offset_bytes / 4 + i] != m->value[id])
            fail_msg("%s: tensor %u was overwritten in mode %d", what, id, mode);
}

static void write_new(memory *m, int mode, uint32_t id) {
    m->value[id] = m->next++;
    put(m, &m->device->modes[mode].regions[id], m->value[id]);
}

static bool overlap(const tutti_region *a, const tutti_region *b) {
    return a->chunk == b->chunk && a->offset_bytes < b->offset_bytes + b->size_bytes &&
           b->offset_bytes < a->offset_bytes + a->size_bytes;
}

static bool same_place(const tutti_region *a, const tutti_region *b) {
    return a->chunk == b->chunk && a->offset_bytes == b->offset_bytes &&
           a->size_bytes == b->size_bytes;
}

static void run_node(memory *m, int mode, const tutti_plan_step *step) {
    const tutti_region *regions = m->device->modes[mode].regions;
    const tutti_node_info *node = &m->device->modes[mode].program.items[step->item].node;
    const bool update = (node->op->flags & TUTTI_OP_UPDATE) != 0;
    const bool elementwise =
        (node->op->flags & TUTTI_OP_ELEMENTWISE) != 0 || node->op == &tutti_op_prologue;
    for (int32_t i = 0; i < node->n_in; i++)
        expect(m, mode, node->in[i].id, node->op->name);
    if (m->device->modes[mode].program.items[step->item].alias) {
        assert_true(same_place(&regions[node->in[0].id], &regions[node->out[0].id]));
        m->value[node->out[0].id] = m->value[node->in[0].id];
        assert_null(step->candidate);
        return;
    }
    assert_non_null(step->candidate);
    assert_true(step->predicted_s > 0 && step->cost_fixed_s > 0 && step->cost_per_sample_s >= 0);
    for (int32_t k = 0; k < step->candidate->n_scratch; k++) {
        put(m, &step->scratch[k], m->next++);
        for (int32_t i = 0; i < node->n_out; i++)
            assert_false(overlap(&step->scratch[k], &regions[node->out[i].id]));
        for (int32_t j = 0; j < k; j++)
            assert_false(overlap(&step->scratch[k], &step->scratch[j]));
    }
    for (int32_t i = 0; i < node->n_in; i++)
        expect(m, mode, node->in[i].id, "scratch");
    for (int32_t i = 0; i < node->n_out && !update; i++) {
        const tutti_region *out = &regions[node->out[i].id];
        for (int32_t k = 0; k < node->n_in; k++) {
            const tutti_region *in = &regions[node->in[k].id];
            if (overlap(out, in))
                assert_true(elementwise && same_place(out, in));
        }
        for (int32_t k = 0; k < i; k++)
            assert_false(overlap(out, &regions[node->out[k].id]));
        write_new(m, mode, node->out[i].id);
    }
    int32_t n_members;
    const tutti_node_info *members = tutti_node_members(node, &n_members);
    for (int32_t k = 0; k < n_members; k++) {
        const tutti_node_info *member = &members[k];
        for (int32_t i = 0; i < member->n_in; i++)
            if ((member->op->mutates >> i & 1) != 0)
                write_new(m, mode, member->in[i].id);
        if (update && member->n_out > 0) {
            assert_true(same_place(&regions[member->in[0].id], &regions[member->out[0].id]));
            m->value[member->out[0].id] = m->value[member->in[0].id];
        }
    }
}

static void expect_outputs(const memory *m, int mode) {
    const tutti_graph *graph = m->plan->graph;
    const tutti_plan_mode *pm = &m->device->modes[mode];
    for (int32_t i = 0; i < pm->program.n_fetches; i++) {
        const uint32_t id = pm->program.fetches[i].id;
        if (m->device->owner || graph->tensors[id].type.shape.batched)
            expect(m, mode, id, "output");
    }
}

static void run_mode(memory *m, int mode) {
    const tutti_graph *graph = m->plan->graph;
    const tutti_plan_mode *pm = &m->device->modes[mode];
    for (int32_t i = 0; i < pm->program.n_inputs; i++)
        if (pm->regions[pm->program.inputs[i].id].chunk >= 0)
            write_new(m, mode, pm->program.inputs[i].id);
    bool committing = false;
    for (int32_t s = 0; s < pm->n_steps; s++) {
        const tutti_item *item = &pm->program.items[pm->steps[s].item];
        assert_true(s == 0 || pm->steps[s - 1].item < pm->steps[s].item);
        if (item->commit && !committing)
            expect_outputs(m, mode); /* they are read before anything is updated */
        committing |= item->commit;
        if (item->kind == TUTTI_ITEM_NODE) {
            assert_true(m->device->owner || item->place == TUTTI_PLACE_EACH);
            run_node(m, mode, &pm->steps[s]);
            continue;
        }
        assert_null(pm->steps[s].candidate);
        for (int32_t i = 0; i < item->n_tensors; i++) {
            if (item->kind == TUTTI_ITEM_REDUCE || pm->regions[item->tensors[i].id].chunk >= 0)
                expect(m, mode, item->tensors[i].id, "collective");
            if (item->kind == TUTTI_ITEM_REDUCE)
                write_new(m, mode, item->tensors[i].id);
        }
    }
    if (!committing)
        expect_outputs(m, mode);
    /* Parts of sums may still be read by the host. */
    for (int32_t k = 0; k < pm->program.n_items; k++)
        for (int32_t i = 0;
             pm->program.items[k].kind == TUTTI_ITEM_REDUCE && i < pm->program.items[k].n_tensors;
             i++)
            expect(m, mode, pm->program.items[k].tensors[i].id, "part of a sum");
    for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++)
        if (tutti_tensor_is_fixed(graph, id) && (m->device->owner || pm->program.on_each[id])) {
            expect(m, mode, id, "parameter");
            assert_true(same_place(&pm->regions[id], &m->device->modes[0].regions[id]));
        }
}

static void check_device(const tutti_plan *plan, const tutti_plan_device *device,
                         const tutti_device_info *info) {
    const tutti_graph *graph = plan->graph;
    const uint64_t align = info->base_align_bytes > 64 ? info->base_align_bytes : 64;
    uint64_t sum = 0;
    memory m = {.plan = plan, .device = device, .next = 1};
    m.words = calloc((size_t)device->n_chunks + 1, sizeof *m.words);
    m.value = calloc((size_t)graph->n_tensors, sizeof *m.value);
    assert_true(m.words != NULL && m.value != NULL);
    for (int32_t i = 0; i < device->n_chunks; i++) {
        assert_true(device->chunk_bytes[i] <= info->max_alloc_bytes);
        sum += device->chunk_bytes[i];
        m.words[i] = calloc(device->chunk_bytes[i] / 4 + 1, 4);
        assert_non_null(m.words[i]);
    }
    assert_int_equal(sum, device->peak_bytes);
    assert_int_equal(sum, tutti_plan_memory_bytes(plan, device->device));
    assert_true(device->peak_bytes <= device->unshared_bytes);
    assert_true(device->fixed_bytes <= device->peak_bytes);
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++) {
            const tutti_region *r = &device->modes[mode].regions[id];
            if (r->chunk < 0)
                continue;
            assert_int_equal(r->offset_bytes % align, 0);
            assert_int_equal(
                r->size_bytes,
                (uint64_t)tutti_shape_count(&graph->tensors[id].type.shape, device->capacity) * 4);
        }
    for (uint32_t id = 1; id < (uint32_t)graph->n_tensors; id++)
        if (device->modes[0].regions[id].chunk >= 0 && tutti_tensor_is_fixed(graph, id))
            write_new(&m, 0, id);
    static const int order[] = {0, 1, 0, 0, 2, 1, 2, 0};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        run_mode(&m, order[i]);
    for (int32_t i = 0; i < device->n_chunks; i++)
        free(m.words[i]);
    free(m.words);
    free(m.value);
}

/* False when the random graph is not one (nothing to train, say). */
static bool make_graph(random_graph *r, uint64_t seed) {
    static const tutti_optimizer_kind kinds[] = {TUTTI_SGD,     TUTTI_ADAM,    TUTTI_ADAMW,
                                                 TUTTI_RMSPROP, TUTTI_ADAGRAD, TUTTI_LAMB};
    rg_make(r, seed, false, 6 + (int32_t)(seed % 20));
    tutti_graph *g = r->graph;
    (void)tutti_graph_set_output(g, "some", rg_pick(r));
    (void)tutti_graph_set_output(g, "other", rg_pick(r));
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = kinds[seed / 2 % 6],
                                                     .momentum = seed % 2 ? 0.9F : 0,
                                                     .clip_norm = seed % 4 ? 0 : 1.0F,
                                                     .accumulate = seed % 5 ? 0 : 3,
                                                     .average_decay = seed % 7 ? 0 : 0.5F});
    return tutti_graph_freeze(g) == TUTTI_OK;
}

static tutti_plan *make_plan(const tutti_graph *graph, fake *f, int64_t batch,
                             tutti_status *status) {
    tutti_plan *plan = calloc(1, sizeof *plan);
    assert_non_null(plan);
    plan->graph = graph;
    plan->runtime = &f->runtime;
    plan->batch = batch;
    tutti_draft_device *drafts;
    if (tutti_plan_draft(plan, &(tutti_plan_options){0}, &drafts) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    *status = tutti_plan_finish(plan, drafts);
    return plan;
}

static void every_value_is_there(void **state) {
    (void)state;
    int32_t made = 0;
    uint64_t reused = 0, without = 0;
    for (int32_t i = 0; i < GRAPHS; i++) {
        random_graph r;
        const uint64_t seed = first_seed + (uint64_t)i;
        if (make_graph(&r, seed)) {
            fake f;
            fake_runtime(&f, 1 + i % DEVICES);
            tutti_status status;
            tutti_plan *plan = make_plan(r.graph, &f, 1 + (int64_t)(seed % 7), &status);
            if (status != TUTTI_OK)
                fail_msg("seed %llu: %s", (unsigned long long)seed, tutti_error_message());
            for (int32_t d = 0; d < plan->n_devices; d++) {
                assert_int_equal(plan->devices[d].capacity, plan->batch);
                check_device(plan, &plan->devices[d], &f.devices[d].info);
                reused += plan->devices[d].peak_bytes;
                without += plan->devices[d].unshared_bytes;
            }
            made++;
            tutti_plan_free(plan);
        }
        tutti_graph_free(r.graph);
    }
    assert_true(made > GRAPHS / 2);
    assert_true(reused < without * 3 / 4);
}

/* A network whose activations are large against its parameters. */
static tutti_graph *network(void) {
    tutti_graph *g;
    assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
    tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 256});
    const tutti_tensor t = tutti_graph_input(g, "t", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 256});
    const tutti_tensor w =
        tutti_graph_param(g, "w", 1, (int64_t[]){256}, (tutti_init){TUTTI_INIT_CONSTANT, 1, 0});
    for (int32_t i = 0; i < 4; i++)
        x = tutti_tanh(g, tutti_mul(g, tutti_mul(g, x, x), w));
    (void)tutti_graph_set_loss(g, tutti_mse(g, x, t));
    (void)tutti_graph_set_output(g, "y", x);
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM});
    assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
    return g;
}

static void capacity_follows_memory(void **state) {
    (void)state;
    tutti_graph *g = network();
    fake f;
    tutti_status status;
    fake_runtime(&f, 1);
    tutti_plan *plan = make_plan(g, &f, 1000, &status);
    assert_int_equal(status, TUTTI_OK);
    const uint64_t full = plan->devices[0].peak_bytes;
    tutti_plan_free(plan);

    /* Half the memory holds about half the samples: alone that is too few … */
    f.devices[0].memory_limit_bytes = full / 2;
    plan = make_plan(g, &f, 1000, &status);
    assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
    assert_non_null(strstr(tutti_error_message(), "1000"));
    assert_in_range(plan->devices[0].capacity, 400, 510);
    assert_true(plan->devices[0].peak_bytes <= full / 2);
    tutti_plan_free(plan);

    /* … but with a second device it is enough. */
    fake_runtime(&f, 3);
    f.devices[0].memory_limit_bytes = f.devices[1].memory_limit_bytes = full * 6 / 10;
    f.devices[1].info.max_alloc_bytes = 1 << 28;
    f.devices[2].memory_limit_bytes = full / 10;
    plan = make_plan(g, &f, 1000, &status);
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t d = 0; d < 3; d++) {
        assert_true(plan->devices[d].peak_bytes <= f.devices[d].memory_limit_bytes);
        check_device(plan, &plan->devices[d], &f.devices[d].info);
    }
    tutti_plan_free(plan);

    /* Not even one sample. */
    fake_runtime(&f, 2);
    f.devices[1].memory_limit_bytes = 4096;
    plan = make_plan(g, &f, 10, &status);
    assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
    assert_non_null(strstr(tutti_error_message(), "gpu.0"));
    assert_non_null(strstr(tutti_error_message(), "4096"));
    tutti_plan_free(plan);
    tutti_graph_free(g);
}

static void owner_is_the_fastest(void **state) {
    (void)state;
    tutti_graph *g = network();
    fake f;
    tutti_status status;
    fake_runtime(&f, 3);
    tutti_plan *plan = make_plan(g, &f, 8, &status);
    assert_int_equal(plan->owner, 1);
    tutti_plan_free(plan);
    f.devices[1].quirks = TUTTI_QUIRK_INTERPRETER;
    f.devices[2].share = 0;
    plan = make_plan(g, &f, 8, &status);
    assert_int_equal(plan->owner, 0);
    for (int32_t d = 0; d < 3; d++)
        assert_int_equal(plan->devices[d].owner, d == 0);
    /* Optimizer state lives there only. */
    assert_true(plan->devices[0].fixed_bytes > 2 * plan->devices[1].fixed_bytes);
    /* More samples take longer, and an interpreter takes much longer. */
    const double one = tutti_plan_predicted_s(plan, TUTTI_TRAIN, 0, 1);
    const double eight = tutti_plan_predicted_s(plan, TUTTI_TRAIN, 0, 8);
    assert_true(one > 0 && eight > one);
    assert_true(tutti_plan_predicted_s(plan, TUTTI_TRAIN, 1, 8) > 10 * eight);
    assert_true(tutti_plan_predicted_s(plan, TUTTI_PREDICT, 0, 8) < eight);
    assert_true(tutti_plan_predicted_s(plan, TUTTI_TRAIN, 0, 0) == 0);
    tutti_plan_free(plan);
    tutti_graph_free(g);
}

/* A known machine: what is predicted without any measurement is within twice of what was measured there. */
static void predictions_are_near(void **state) {
    (void)state;
    static const struct {
        double measured_s;
        int64_t channels, size; /* of a convolution; 0: a linear layer */
        int64_t n;
    } cases[] = {
        {877e-6, 16, 32, 64}, {558e-6, 32, 16, 64}, {523e-6, 64, 8, 64}, {505e-6, 0, 0, 128}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t c = cases[i].channels, size = cases[i].size;
        tutti_graph *g;
        fake f;
        tutti_status status;
        assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
        fake_runtime(&f, 1);
        f.devices[0].info.type = TUTTI_DEVICE_CPU;
        f.devices[0].info.compute_units = 2;
        f.devices[0].info.clock_mhz = 2596;
        f.devices[0].info.width_float = 16;
        f.devices[0].info.simd_floats = 16;
        f.devices[0].info.local_memory_bytes = 1 << 20;
        f.devices[0].info.max_alloc_bytes = 1 << 30;
        f.devices[0].memory_limit_bytes = 1 << 30;
        const tutti_tensor x =
            c > 0 ? tutti_graph_input(g, "x", TUTTI_F32, 4, (int64_t[]){TUTTI_BATCH, c, size, size})
                  : tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 784});
        const tutti_conv2d_options same = {.padding = {1, 1}};
        const tutti_tensor y = c > 0 ? tutti_nn_conv2d(g, x, c, 3, 3, "conv", &same, NULL)
                                     : tutti_nn_linear(g, x, 512, "fc", NULL);
        assert_int_equal(tutti_graph_set_output(g, "y", y), TUTTI_OK);
        assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
        tutti_plan *plan = make_plan(g, &f, cases[i].n, &status);
        assert_int_equal(status, TUTTI_OK);
        const double predicted_s = tutti_plan_predicted_s(plan, TUTTI_PREDICT, 0, cases[i].n);
        if (predicted_s < cases[i].measured_s / 2 || predicted_s > cases[i].measured_s * 2)
            fail_msg("case %zu: %g s predicted, %g s measured", i, predicted_s,
                     cases[i].measured_s);
        tutti_plan_free(plan);
        tutti_graph_free(g);
    }
}

/* An own op that names scalars beyond the graph's. */
static tutti_status scaled_expr(const tutti_node_info *node, const char *const *in, char *text,
                                size_t text_size) {
    (void)node;
    snprintf(text, text_size, "%s * S1", in[0]);
    return TUTTI_OK;
}

static void scalars_must_exist(void **state) {
    (void)state;
    tutti_op scaled = tutti_op_relu;
    scaled.name = "scaled";
    scaled.expr = scaled_expr;
    fake f;
    fake_runtime(&f, 1);
    for (int32_t n_scalars = 1; n_scalars <= 2; n_scalars++) {
        tutti_graph *g;
        tutti_tensor y;
        assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
        const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 3});
        (void)tutti_graph_scalar(g, "a", 1);
        if (n_scalars == 2)
            (void)tutti_graph_scalar(g, "b", 1);
        assert_int_equal(tutti_op_apply(g, &scaled, &x, 1, NULL, 0, &y), TUTTI_OK);
        assert_int_equal(tutti_graph_set_output(g, "y", y), TUTTI_OK);
        assert_int_equal(tutti_graph_freeze(g), TUTTI_OK);
        tutti_plan plan = {.graph = g, .runtime = &f.runtime, .batch = 4};
        tutti_draft_device *drafts;
        const tutti_status status = tutti_plan_draft(&plan, &(tutti_plan_options){0}, &drafts);
        assert_int_equal(status, n_scalars == 2 ? TUTTI_OK : TUTTI_INVALID_ARGUMENT);
        if (status != TUTTI_OK)
            assert_non_null(
                strstr(tutti_error_message(), "scaled: uses scalar 1, the graph has 1"));
        tutti_arena_free(&plan.arena);
        tutti_graph_free(g);
    }
}

int main(void) {
    first_seed = test_seed() % 1000000;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_there), cmocka_unit_test(capacity_follows_memory),
        cmocka_unit_test(owner_is_the_fastest), cmocka_unit_test(predictions_are_near),
        cmocka_unit_test(scalars_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
