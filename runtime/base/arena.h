/* Memory that lives and dies together: the graph's nodes, a plan's tables.
 *
 *     tutti_arena arena = {0};
 *     node *n = tutti_arena_alloc(&arena, sizeof *n);   zeroed; NULL when memory runs out
 *     tutti_arena_free(&arena);
 */
#ifndef TUTTI_BASE_ARENA_H
#define TUTTI_BASE_ARENA_H

#include <stddef.h>

typedef struct tutti_arena {
    struct tutti_arena_block *head;
} tutti_arena;

/* Zeroed and aligned for any type; NULL (with the thread's message set) when memory runs out. */
void *tutti_arena_alloc(tutti_arena *arena, size_t size_bytes);
/* count * size, checked for overflow. */
void *tutti_arena_array(tutti_arena *arena, size_t count, size_t size_bytes);
char *tutti_arena_strdup(tutti_arena *arena, const char *text);
char *tutti_arena_printf(tutti_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void *tutti_arena_copy(tutti_arena *arena, const void *data, size_t size_bytes);
void tutti_arena_free(tutti_arena *arena);

#endif
