/* Several units in one program, for drivers where each program costs dearly (PoCL: 20 ms each time
 * one is loaded from its cache, 150 ms cold).
 *
 * Units must not see each other. A unit's -D options become #defines; every macro that it defines
 * is saved before it and restored after it; what it declares at file scope, kernels included, gets
 * a suffix by macros of the same name. What this does not separate (an enumerator in two files)
 * fails to compile, and the units are then built one by one: a wrong program cannot result.
 */
#ifndef TUTTI_KERNEL_MERGE_H
#define TUTTI_KERNEL_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

/* Splits "-DTILE=4 -cl-mad-enable" into what can become #defines and the rest ("-cl-mad-enable",
 * malloc'd). False when the options cannot be taken apart safely, or memory ran out. */
bool tutti_merge_rest(const char *options, char **out_rest);
/* Appends a unit as number `index` of the merged program; its options went through
 * tutti_merge_rest. False when it cannot be merged (out is as before) or memory ran out. */
bool tutti_merge_add(tutti_strbuf *out, int32_t index, const char *source, const char *options,
                     const char *const *entries, int32_t n_entries);
/* The name of an entry of unit `index` in the merged program; malloc'd. */
char *tutti_merge_entry(const char *entry, int32_t index);

#endif
