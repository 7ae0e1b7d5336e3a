/* What elementwise ops share: an op file gives its expression, its double-precision function and
 * its gradient, and takes the rest from here. See docs/adding-an-op.md. */
#ifndef TUTTI_OP_ELEMENTWISE_H
#define TUTTI_OP_ELEMENTWISE_H

#include "graph/graph.h"
#include "op/ops.h"

/* infer: all inputs f32; the output is their common broadcast shape. */
tutti_status tutti_elementwise_infer(const tutti_node_info *node, tutti_infer *out);
/* cost: one operation per element, or about sixteen for exp, log, tanh and the like. */
tutti_cost tutti_elementwise_cost(const tutti_node_info *node, int64_t n);
tutti_cost tutti_elementwise_cost_special(const tutti_node_info *node, int64_t n);

/* Output element `index` of this device from the input elements x[0..n_in-1]. */
typedef double (*tutti_ref_fn)(const tutti_ref_call *call, const double *x, int64_t index);
/* ref: applies fn to every element, with the inputs broadcast. */
void tutti_elementwise_ref(const tutti_ref_call *call, tutti_ref_fn fn);

/* expr: prints into text; TUTTI_INTERNAL when it does not fit. */
tutti_status tutti_expr(char *text, size_t text_size, const char *format, ...) TUTTI_PRINTF(3, 4);

#define TUTTI_F32_TEXT 24
/* The OpenCL C literal of a value, parenthesised when negative; exact. Returns text. */
const char *tutti_f32_text(float value, char text[TUTTI_F32_TEXT]);

#define TUTTI_COUNT(array) ((int32_t)(sizeof(array) / sizeof *(array)))

#endif
