#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

#define BLOCK_BYTES 16384

struct tutti_arena_block {
    struct tutti_arena_block *next;
    size_t size, used;
    _Alignas(max_align_t) unsigned char data[];
};

void *tutti_arena_alloc(tutti_arena *arena, size_t size_bytes) {
    const size_t align = _Alignof(max_align_t);
    if (size_bytes > SIZE_MAX - BLOCK_BYTES) {
        (void)tutti_fail_memory(size_bytes, "an arena");
        return NULL;
    }
    size_t size = (size_bytes + align - 1) / align * align;
    struct tutti_arena_block *block = arena->head;
    if (block == NULL || block->size - block->used < size) {
        size_t capacity = size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES;
        struct tutti_arena_block *fresh = calloc(1, sizeof *fresh + capacity);
        if (fresh == NULL) {
            (void)tutti_fail_memory(capacity, "an arena");
            return NULL;
        }
        fresh->size = capacity;
        if (block != NULL && size > BLOCK_BYTES / 4) {
            /* A block of its own, behind the head, which keeps its free space. */
            fresh->next = block->next;
            block->next = fresh;
        } else {
            fresh->next = block;
            arena->head = fresh;
        }
        block = fresh;
    }
    void *memory = block->data + block->used;
    block->used += size;
    return memory;
}

void *tutti_arena_array(tutti_arena *arena, size_t count, size_t size_bytes) {
    if (size_bytes != 0 && count > SIZE_MAX / size_bytes) {
        (void)tutti_fail_memory(SIZE_MAX, "an array");
        return NULL;
    }
    return tutti_arena_alloc(arena, count * size_bytes);
}

void *tutti_arena_copy(tutti_arena *arena, const void *data, size_t size_bytes) {
    void *memory = tutti_arena_alloc(arena, size_bytes);
    if (memory != NULL && size_bytes != 0)
        memcpy(memory, data, size_bytes);
    return memory;
}

char *tutti_arena_strdup(tutti_arena *arena, const char *text) {
    return tutti_arena_copy(arena, text, strlen(text) + 1);
}

char *tutti_arena_printf(tutti_arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : tutti_arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void tutti_arena_free(tutti_arena *arena) {
    struct tutti_arena_block *block = arena->head;
    while (block != NULL) {
        struct tutti_arena_block *next = block->next;
        free(block);
        block = next;
    }
    arena->head = NULL;
}
