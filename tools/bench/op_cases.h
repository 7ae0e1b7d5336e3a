/* The ops that are measured, at sizes that no cache holds. */
#ifndef TUTTI_TOOLS_BENCH_OP_CASES_H
#define TUTTI_TOOLS_BENCH_OP_CASES_H

#include "tutti/tutti.h"

typedef struct op_case {
    const char *name;
    void (*build)(tutti_graph *g);
    tutti_mode mode;
    int64_t n;        /* samples */
    int64_t classes;  /* of indices */
    const char *only; /* as for bench_op_open */
    /* What it cannot do without, in bytes of the first input, where that is more than reading and
     * writing once; 0: that. */
    double passes;
} op_case;

extern const op_case bench_op_cases[], bench_op_data_cases[];
extern const int32_t bench_op_case_count, bench_op_data_case_count;

#endif
