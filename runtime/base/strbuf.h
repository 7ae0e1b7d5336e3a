/* A growing string. After a failed allocation it stays valid and `failed` is set; check once, at
 * the end.
 *
 *     tutti_strbuf b = {0};
 *     tutti_strbuf_printf(&b, "%d", 1);
 *     char *text = tutti_strbuf_take(&b);   NULL when memory ran out; free() it
 */
#ifndef TUTTI_BASE_STRBUF_H
#define TUTTI_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tutti_strbuf {
    char *text; /* NUL-terminated, or NULL while empty */
    size_t length, capacity;
    bool failed;
} tutti_strbuf;

void tutti_strbuf_append(tutti_strbuf *buf, const char *text, size_t length);
void tutti_strbuf_puts(tutti_strbuf *buf, const char *text);
void tutti_strbuf_printf(tutti_strbuf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The text ("" when empty), leaving buf empty; NULL with the thread's message when memory ran out.
 */
char *tutti_strbuf_take(tutti_strbuf *buf);
void tutti_strbuf_free(tutti_strbuf *buf);

#endif
