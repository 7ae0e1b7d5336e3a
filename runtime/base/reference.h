/* Calls an op's reference. References know f32 and i32: operands in f16 or bf16 are widened before
 * and results rounded after. */
#ifndef TUTTI_BASE_REFERENCE_H
#define TUTTI_BASE_REFERENCE_H

#include "tutti/ext/op.h"

/* Without memory the results are NaN, so that whoever compares finds no agreement. */
void tutti_reference(const tutti_ref_call *call);
/* For a node inside such a call, whose operands are f32 in memory whatever its types say. */
void tutti_reference_widened(const tutti_ref_call *call);

#endif
