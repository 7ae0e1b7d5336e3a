/* Kernel sources: found on the search path, with our own includes expanded.
 *
 * A name is looked up in the profile's kernel directories, then in the directories of
 * TUTTI_KERNEL_PATH (colon-separated), then among the embedded kernels. An absolute name is opened
 * as it is. #include "x.clh" is replaced by the file, found in the same order, between #line
 * markers, so that compilers name the right file and line; #include <x> is left to the compiler.
 * Conditionals are not evaluated: an include inside #if 0 is expanded too.
 */
#ifndef TUTTI_KERNEL_SOURCE_H
#define TUTTI_KERNEL_SOURCE_H

#include <stdint.h>

#include "tutti/profile.h"

typedef struct tutti_source_path {
    char **directories;
    int32_t n_directories;
} tutti_source_path;

/* Reads the profile (may be NULL) and the environment. Freed by tutti_source_path_free. */
TUTTI_MUST_USE tutti_status tutti_source_path_make(const tutti_profile *profile,
                                                   tutti_source_path *out);
void tutti_source_path_free(tutti_source_path *path);

/* The expanded text of a file; malloc'd. Errors: TUTTI_BAD_INPUT naming the file, who included it,
 * and where it was looked for; the chain of a cycle. */
TUTTI_MUST_USE tutti_status tutti_source_load(const tutti_source_path *path, const char *file,
                                              char **out_text);
/* The same for a text that is already at hand; name stands for it in messages and #line. */
TUTTI_MUST_USE tutti_status tutti_source_expand(const tutti_source_path *path, const char *name,
                                                const char *text, char **out_text);

#endif
