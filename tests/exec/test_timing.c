/* Times of launches: every launch of a step, in order; none without profiling; results unchanged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "exec/timing.h"
#include "seed.h"
#include "tutti/tutti.h"

enum { BATCH = 6, WIDTH = 7 };

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

typedef struct fixture {
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_graph *graph;
    tutti_plan *plan;
    tutti_run *run;
    tutti_tensor x, y;
    float in[BATCH * WIDTH], out[BATCH * WIDTH];
} fixture;

/* Three softmaxes, which nothing merges. */
static void set_up(fixture *f, const char *profile) {
    *f = (fixture){0};
    ok(tutti_profile_parse("test", profile, strlen(profile), &f->profile));
    ok(tutti_runtime_open(f->profile, &f->runtime));
    ok(tutti_graph_make(&f->graph));
    f->x = tutti_graph_input(f->graph, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, WIDTH});
    f->y = f->x;
    for (int i = 0; i < 3; i++)
        f->y = tutti_softmax(f->graph, f->y);
    ok(tutti_graph_set_output(f->graph, "y", f->y));
    ok(tutti_graph_freeze(f->graph));
    ok(tutti_plan_make(f->graph, f->runtime, &(tutti_plan_options){.batch = BATCH}, &f->plan));
    ok(tutti_run_open(f->plan, NULL, &f->run));
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 0);
    for (int i = 0; i < BATCH * WIDTH; i++)
        f->in[i] = tutti_rng_uniform(&rng) * 4;
}

static void tear_down(fixture *f) {
    tutti_run_close(f->run);
    tutti_plan_free(f->plan);
    tutti_graph_free(f->graph);
    tutti_runtime_close(f->runtime);
    tutti_profile_free(f->profile);
}

static void step(fixture *f) {
    memset(f->out, 0xff, sizeof f->out);
    ok(tutti_run_step(f->run, TUTTI_PREDICT, BATCH, &(tutti_feed){f->x, f->in}, 1,
                      &(tutti_fetch){f->y, f->out}, 1));
}

static void check_times(fixture *f) {
    int32_t count = -1;
    const tutti_launch_time *times = tutti_run_launch_times(f->run, 0, &count);
    assert_int_equal(count, 3);
    for (int32_t i = 0; i < count; i++) {
        assert_true(times[i].end_ns > times[i].begin_ns);
        assert_true(times[i].end_ns - times[i].begin_ns < 60 * UINT64_C(1000000000));
        assert_int_equal(times[i].launch, 0);
        assert_true(i == 0 || times[i].step > times[i - 1].step);
        assert_true(i == 0 || times[i].begin_ns >= times[i - 1].end_ns);
    }
}

static void test_times(void **state) {
    (void)state;
    fixture f;
    float before[BATCH * WIDTH];
    int32_t count = -1;
    set_up(&f, "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}, \"queue\": "
               "{\"profiling\": true}}]}");
    step(&f);
    memcpy(before, f.out, sizeof before);
    assert_null(tutti_run_launch_times(f.run, 0, &count));
    assert_int_equal(count, 0);
    ok(tutti_run_time_launches(f.run, true));
    for (int i = 0; i < 3; i++) {
        step(&f);
        assert_memory_equal(f.out, before, sizeof before);
        check_times(&f);
    }
    ok(tutti_run_time_launches(f.run, true)); /* as it is */
    step(&f);
    check_times(&f);
    ok(tutti_run_time_launches(f.run, false));
    step(&f);
    assert_null(tutti_run_launch_times(f.run, 0, &count));
    ok(tutti_run_time_launches(f.run, true));
    step(&f);
    check_times(&f); /* and closes while timing */
    tear_down(&f);
}

static void test_refused(void **state) {
    (void)state;
    fixture f;
    set_up(&f, "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}}]}");
    assert_int_equal(tutti_run_time_launches(f.run, true), TUTTI_UNSUPPORTED);
    assert_non_null(strstr(tutti_error_message(), "without profiling"));
    step(&f);
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_times),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
