/* How each case of make_goldens.py is built: one file per family of ops. */
#ifndef TUTTI_TESTS_GOLDEN_CASES_H
#define TUTTI_TESTS_GOLDEN_CASES_H

#include "golden.h"

typedef tutti_tensor (*build_fn)(tutti_graph *g, const tutti_tensor *x);

#define AXES(...)                                                                                  \
    (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / 4), (int32_t[]) {                                 \
        __VA_ARGS__                                                                                \
    }
#define DIMS(...)                                                                                  \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]) {                                 \
        __VA_ARGS__                                                                                \
    }

/* A state of `count` elements that starts at value. */
static inline tutti_tensor make_state(tutti_graph *g, const char *name, int64_t count,
                                      float value) {
    return tutti_graph_state(g, name, 1, &count,
                             (tutti_init){.kind = TUTTI_INIT_CONSTANT, .a = value});
}

/* x cut in three along an axis, and put together again with the parts times 1, 2, 3. */
static inline tutti_tensor scaled_parts(tutti_graph *g, tutti_tensor x, int32_t axis,
                                        const int64_t *sizes) {
    tutti_tensor part[3];
    tutti_split(g, x, axis, 3, sizes, part);
    for (int i = 1; i < 3; i++)
        part[i] = tutti_scale(g, part[i], (float)(i + 1));
    return tutti_concat(g, 3, part, axis);
}

/* x[0], the four weights, and with has_state h0 and c0; all h, or with `last` the last h and c in one
 * row. */
static inline tutti_tensor recurrent(tutti_graph *g, const tutti_tensor *x, bool is_lstm,
                                     bool has_state, bool last) {
    const tutti_recurrent_weights w = {x[1], x[2], x[3], x[4]};
    const tutti_tensor h0 = {has_state ? x[5].id : 0}, c0 = {has_state ? x[6].id : 0};
    tutti_tensor state[2];
    const tutti_tensor y = is_lstm ? tutti_lstm(g, x[0], &w, h0, c0, &state[0], &state[1])
                                   : tutti_gru(g, x[0], &w, h0, &state[0]);
    return last ? tutti_concat(g, is_lstm ? 2 : 1, state, 1) : y;
}

static inline tutti_tensor top_k_index(tutti_graph *g, tutti_tensor x, int64_t k) {
    tutti_tensor index;
    (void)tutti_top_k(g, x, k, &index);
    return tutti_cast(g, index, TUTTI_F32);
}

#define FAMILY(name)
#define CASE(name, batched, ...)                                                                   \
    static tutti_tensor build_##name(tutti_graph *g, const tutti_tensor *x) {                      \
        return __VA_ARGS__;                                                                        \
    }
#include "families.def"
#undef CASE
#undef FAMILY

/* `batched` has a bit for each input whose first extent is the batch. Without ONLY, a case is also
 * tried with inputs that are not batched. */
typedef struct golden_case {
    const char *family; /* opens a family; then nothing else is set */
    const char *name;
    build_fn build;
    uint32_t batched;
} golden_case;

#define NONE                0U
#define FIRST               1U
#define SECOND              2U
#define THIRD               4U
#define BOTH                3U
#define ALL                 7U
#define FOUR                15U
#define STATE               0x20U
#define STATES              0x60U
#define ONLY                0x80000000U
#define FAMILY(name)        {.family = #name},
#define CASE(id, bits, ...) {NULL, #id, build_##id, bits},
static const golden_case cases[] = {
#include "families.def"
};
#undef CASE
#undef FAMILY

#define CASES       (sizeof cases / sizeof *cases)
#define CASE_INPUTS 7 /* at most, of a case */

static inline tutti_tensor make_input(tutti_graph *g, const char *name, const golden *value,
                                      bool batched) {
    int64_t dim[TUTTI_MAX_RANK];
    memcpy(dim, value->dim, sizeof dim);
    if (batched)
        dim[0] = TUTTI_BATCH;
    return tutti_graph_input(g, name, value->dtype, value->rank, dim);
}

#endif
