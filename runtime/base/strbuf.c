#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static bool reserve(tutti_strbuf *buf, size_t more) {
    if (buf->failed)
        return false;
    size_t need = buf->length + more + 1;
    if (need <= buf->capacity)
        return true;
    size_t capacity = buf->capacity < 128 ? 128 : buf->capacity;
    while (capacity < need)
        capacity *= 2;
    char *text = realloc(buf->text, capacity);
    if (text == NULL) {
        buf->failed = true;
        return false;
    }
    buf->text = text;
    buf->capacity = capacity;
    return true;
}

void tutti_strbuf_append(tutti_strbuf *buf, const char *text, size_t length) {
    if (!reserve(buf, length))
        return;
    if (length != 0)
        memcpy(buf->text + buf->length, text, length);
    buf->length += length;
    buf->text[buf->length] = '\0';
}

void tutti_strbuf_puts(tutti_strbuf *buf, const char *text) {
    tutti_strbuf_append(buf, text, strlen(text));
}

void tutti_strbuf_printf(tutti_strbuf *buf, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length >= 0 && reserve(buf, (size_t)length)) {
        vsnprintf(buf->text + buf->length, (size_t)length + 1, format, again);
        buf->length += (size_t)length;
    }
    va_end(again);
}

char *tutti_strbuf_take(tutti_strbuf *buf) {
    tutti_strbuf_append(buf, "", 0);
    char *text = buf->text;
    bool failed = buf->failed;
    *buf = (tutti_strbuf){0};
    if (failed) {
        free(text);
        (void)tutti_fail_memory(0, "a string");
        return NULL;
    }
    return text;
}

void tutti_strbuf_free(tutti_strbuf *buf) {
    free(buf->text);
    *buf = (tutti_strbuf){0};
}
