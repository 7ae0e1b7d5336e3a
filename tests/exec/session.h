/* A graph trained by hand: devices, plan and run, opened and closed together. */
#ifndef TESTS_EXEC_SESSION_H
#define TESTS_EXEC_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tutti/tutti.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr) != TUTTI_OK)                                                                    \
            fail_msg("%s: %s", #expr, tutti_error_message());                                      \
    } while (0)

typedef struct session {
    tutti_profile *profile;
    tutti_runtime *runtime;
    tutti_graph *graph;
    tutti_plan *plan;
    tutti_run *run;
    tutti_tensor x, y, loss;
} session;

/* On the devices of s->profile, with s->graph, which is frozen. */
static inline void session_open(session *s, int64_t batch, uint64_t seed) {
    OK(tutti_runtime_open(s->profile, &s->runtime));
    OK(tutti_plan_make(s->graph, s->runtime, &(tutti_plan_options){.batch = batch}, &s->plan));
    OK(tutti_run_open(s->plan, &(tutti_run_options){.seed = seed}, &s->run));
}

static inline void session_close(session *s) {
    tutti_run_close(s->run);
    tutti_plan_free(s->plan);
    tutti_graph_free(s->graph);
    tutti_runtime_close(s->runtime);
    tutti_profile_free(s->profile);
}

#endif
