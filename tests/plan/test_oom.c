/* Every allocation of a plan's draft, layout and explanation fails in turn, for a device that does
 * not exist. */
#include "oom.h"

#include "kernel/runtime.h"
#include "plan/make.h"
#include "tutti/nn.h"

static tutti_graph *graph;
static tutti_profile profile;
static tutti_device device;
static tutti_runtime runtime = {.profile = &profile, .devices = &device, .n_devices = 1};

static tutti_status use_plan(void) {
    tutti_plan plan = {.graph = graph, .runtime = &runtime, .batch = 9};
    tutti_draft_device *drafts;
    tutti_status status = tutti_plan_draft(&plan, &(tutti_plan_options){0}, &drafts);
    if (status == TUTTI_OK)
        status = tutti_plan_finish(&plan, drafts);
    char *text = NULL;
    if (status == TUTTI_OK)
        status = tutti_plan_explain(&plan, &text);
    tutti_free(text);
    tutti_arena_free(&plan.arena);
    return status;
}

static void each_allocation(void **state) {
    (void)state;
    device.info = (tutti_device_info){.id = "gpu.0",
                                      .name = "imagined",
                                      .type = TUTTI_DEVICE_GPU,
                                      .compute_units = 4,
                                      .memory_bytes = 1 << 30,
                                      .max_alloc_bytes = 1 << 28,
                                      .max_work_group = 256,
                                      .max_work_item = {256, 256, 256},
                                      .local_memory_bytes = 32768,
                                      .address_bits = 64};
    device.share = TUTTI_SHARE_AUTO;
    assert_int_equal(tutti_graph_make(&graph), TUTTI_OK);
    tutti_tensor x = tutti_graph_input(graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 300});
    tutti_tensor y =
        tutti_softmax(graph, tutti_nn_linear(graph, tutti_relu(graph, x), 5, "a", NULL));
    (void)tutti_graph_set_loss(graph, tutti_sum(graph, tutti_mul(graph, y, y), 0, NULL, false));
    (void)tutti_graph_optimize(graph, &(tutti_optimizer){.kind = TUTTI_ADAMW});
    assert_int_equal(tutti_graph_freeze(graph), TUTTI_OK);
    oom_each(use_plan);
    tutti_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
