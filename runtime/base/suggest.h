/* "did you mean": the known word nearest to one that is not known. */
#ifndef TUTTI_BASE_SUGGEST_H
#define TUTTI_BASE_SUGGEST_H

#include <stddef.h>

/* The word of `known` with the fewest edits (insert, delete, replace, swap neighbours; case does
 * not count), or NULL when none is near: more than a third of its letters would change. */
const char *tutti_suggest(const char *word, const char *const *known, size_t count);

#endif
