/* Plans on the devices that are here: what explain says, choices, errors. */
#include <math.h>
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
#include "plan/plan.h"
#include "seed.h"
#include "tutti/tutti.h"

static uint64_t first_seed;

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != TUTTI_OK)                                                                    \
            fail_msg("%s: %s", #expr, tutti_error_message());                                      \
    } while (0)

typedef struct place {
    tutti_profile *profile;
    tutti_runtime *runtime;
} place;

static void open_place(place *p, const char *json) {
    if (json[0] == '{')
        OK(tutti_profile_parse("test", json, strlen(json), &p->profile));
    else
        OK(tutti_profile_open(json, &p->profile));
    OK(tutti_runtime_open(p->profile, &p->runtime));
}

static void close_place(place *p) {
    tutti_runtime_close(p->runtime);
    tutti_profile_free(p->profile);
}

static const char split_cpu[] =
    "{\"version\": 1, \"schedule\": \"data\", \"devices\": [{\"match\": {\"type\": \"cpu\"}, "
    "\"partition\": 2}]}";

static tutti_graph *network(void) {
    tutti_graph *g;
    OK(tutti_graph_make(&g));
    const tutti_tensor x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, 64});
    const tutti_tensor t = tutti_graph_input(g, "t", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor y = tutti_dropout(g, tutti_relu(g, tutti_nn_linear(g, x, 48, "a", NULL)), 0.1F);
    y = tutti_nn_linear(g, y, 10, "b", NULL);
    (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, y, t));
    (void)tutti_graph_set_output(g, "logits", y);
    (void)tutti_graph_optimize(g, &(tutti_optimizer){.kind = TUTTI_ADAM});
    OK(tutti_graph_freeze(g));
    return g;
}

/* Every op of every program, with its candidate, is in the text. */
static void check_explained(const tutti_plan *plan) {
    char *text;
    OK(tutti_plan_explain(plan, &text));
    for (int32_t d = 0; d < plan->n_devices; d++) {
        const tutti_plan_device *device = &plan->devices[d];
        const char *at = strstr(text, plan->runtime->devices[device->device].info.id);
        assert_non_null(at);
        for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
            for (int32_t s = 0; s < device->modes[mode].n_steps; s++) {
                const tutti_plan_step *step = &device->modes[mode].steps[s];
                const tutti_item *item = &device->modes[mode].program.items[step->item];
                if (item->kind != TUTTI_ITEM_NODE && plan->n_devices == 1)
                    continue;
                const char *label = item->kind == TUTTI_ITEM_REDUCE ? "sum over devices"
                                    : item->kind == TUTTI_ITEM_BROADCAST
                                        ? "send to devices"
                                        : tutti_fused_label(&item->node);
                /* In order: the search goes on behind what was found. */
                at = strstr(at, label);
                if (at == NULL)
                    fail_msg("explain lacks %s of mode %d:\n%s", label, mode, text);
                at += strlen(label);
                if (step->candidate == NULL)
                    continue;
                at = strstr(at, step->candidate->name);
                assert_non_null(at);
                assert_true(isfinite(step->predicted_s) && step->predicted_s > 0);
                assert_true(step->reason[0] != '\0');
            }
    }
    tutti_free(text);
}

static void random_graphs(void **state) {
    (void)state;
    place p;
    open_place(&p, "cpu");
    int32_t made = 0;
    for (uint64_t seed = first_seed; made < 2; seed++) {
        random_graph r;
        rg_make(&r, seed, false, 10);
        (void)tutti_graph_set_output(r.graph, "some", rg_pick(&r));
        (void)tutti_graph_optimize(r.graph, &(tutti_optimizer){.kind = TUTTI_SGD});
        if (tutti_graph_freeze(r.graph) == TUTTI_OK) {
            tutti_plan *plan;
            const tutti_status status =
                tutti_plan_make(r.graph, p.runtime, &(tutti_plan_options){.batch = 5}, &plan);
            if (status != TUTTI_OK)
                fail_msg("seed %llu: %s", (unsigned long long)seed, tutti_error_message());
            check_explained(plan);
            tutti_plan_free(plan);
            made++;
        }
        tutti_graph_free(r.graph);
    }
    close_place(&p);
}

static void check_parts(const tutti_plan *plan) {
    static const char *const parts[] = {"-- forward", "-- backward", "-- update", " ~",
                                        "~: estimated"};
    char *text;
    OK(tutti_plan_explain(plan, &text));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(text, parts[i]) == NULL)
            fail_msg("explain lacks \"%s\":\n%s", parts[i], text);
    tutti_free(text);
}

/* What is measured once is known in the next plan, and the choice is the same. */
static void choices(void **state) {
    (void)state;
    tutti_graph *g = network();
    char names[2][64][32] = {{{0}}};
    for (int32_t start = 0; start < 2; start++) {
        place p;
        open_place(&p, "cpu");
        tutti_plan *plan;
        OK(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 32}, &plan));
        check_explained(plan);
        check_parts(plan);
        const tutti_plan_mode *m = &plan->devices[0].modes[TUTTI_TRAIN];
        int32_t measured = 0;
        for (int32_t s = 0; s < m->n_steps && s < 64; s++) {
            if (m->steps[s].candidate == NULL)
                continue;
            snprintf(names[start][s], 32, "%s", m->steps[s].candidate->name);
            const bool matmul = strncmp(tutti_fused_label(&m->program.items[m->steps[s].item].node),
                                        "matmul", 6) == 0;
            if (!matmul)
                continue;
            measured++;
            assert_non_null(
                strstr(m->steps[s].reason, start == 0 ? "measured" : "measured before"));
            assert_non_null(strstr(m->steps[s].reason, "("));
        }
        assert_true(measured >= 4);
        tutti_plan_free(plan);
        close_place(&p);
    }
    assert_memory_equal(names[0], names[1], sizeof names[0]);
    tutti_graph_free(g);
}

static void reproducible_measures_nothing(void **state) {
    (void)state;
    tutti_graph *g = network();
    place p;
    open_place(&p, "{\"version\": 1, \"determinism\": \"reproducible\", \"devices\": "
                   "[{\"match\": {\"type\": \"cpu\"}}]}");
    tutti_plan *plan;
    OK(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 32}, &plan));
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < plan->devices[0].modes[mode].n_steps; s++)
            if (plan->devices[0].modes[mode].steps[s].candidate != NULL)
                assert_null(strstr(plan->devices[0].modes[mode].steps[s].reason, "measured"));
    check_explained(plan);
    tutti_plan_free(plan);
    close_place(&p);
    tutti_graph_free(g);
}

static void two_devices(void **state) {
    (void)state;
    tutti_graph *g = network();
    place p;
    open_place(&p, split_cpu);
    assert_int_equal(tutti_runtime_device_count(p.runtime), 2);
    tutti_plan *plan;
    OK(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 32}, &plan));
    check_explained(plan);
    assert_int_equal(plan->owner, 0);
    assert_true(tutti_plan_memory_bytes(plan, 1) < tutti_plan_memory_bytes(plan, 0));
    tutti_plan_free(plan);
    close_place(&p);
    tutti_graph_free(g);
}

static void fails(tutti_status got, tutti_status wanted, const char *text) {
    if (got != wanted || strstr(tutti_error_message(), text) == NULL)
        fail_msg("%s: \"%s\", expected %s with \"%s\"", tutti_status_name(got),
                 tutti_error_message(), tutti_status_name(wanted), text);
}

static void errors(void **state) {
    (void)state;
    tutti_graph *g = network(), *soft;
    place p;
    open_place(&p, "cpu");
    tutti_plan *plan = (tutti_plan *)&p;
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){0}, &plan), TUTTI_INVALID_ARGUMENT,
          "batch of 0");
    assert_null(plan);
    fails(tutti_plan_make(g, p.runtime, NULL, &plan), TUTTI_INVALID_ARGUMENT, "NULL");
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = INT64_C(1) << 40}, &plan),
          TUTTI_UNSUPPORTED, "cpu.0");
    OK(tutti_graph_make(&soft));
    fails(tutti_plan_make(soft, p.runtime, &(tutti_plan_options){.batch = 1}, &plan), TUTTI_STATE,
          "freeze");
    tutti_graph_free(soft);
    close_place(&p);

    open_place(&p, "{\"version\": 1, \"devices\": [{\"match\": {\"type\": \"cpu\"}, "
                   "\"memory_limit\": \"64KiB\"}]}");
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 4096}, &plan),
          TUTTI_OUT_OF_MEMORY, "4096");
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 4096}, &plan),
          TUTTI_OUT_OF_MEMORY, "hold at most");
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 4096}, &plan),
          TUTTI_OUT_OF_MEMORY, "(memory_limit)");
    close_place(&p);
    open_place(&p, "{\"version\": 1, \"devices\": [{\"match\": {\"type\": \"cpu\"}, "
                   "\"memory_limit\": \"8KiB\"}]}");
    fails(tutti_plan_make(g, p.runtime, &(tutti_plan_options){.batch = 1}, &plan),
          TUTTI_OUT_OF_MEMORY, "under the profile's memory_limit: ");
    close_place(&p);
    tutti_plan_free(NULL);
    tutti_graph_free(g);
}

int main(void) {
    char cache[] = "/tmp/tutti-test-plan-XXXXXX";
    if (mkdtemp(cache) == NULL)
        return 1;
    setenv("TUTTI_CACHE_DIR", cache, 1);
    first_seed = test_seed() % 1000000;
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs), cmocka_unit_test(choices),
                                       cmocka_unit_test(reproducible_measures_nothing),
                                       cmocka_unit_test(two_devices), cmocka_unit_test(errors)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", cache);
    return system(command) != 0 ? 1 : failed;
}
