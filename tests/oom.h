/* An allocator that fails at a wanted call, in test programs named test_oom.c: these are linked so
 * that the library's calls come here, under sanitizers too. Header for test programs only. */
#ifndef TESTS_OOM_H
#define TESTS_OOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tutti/status.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);

static bool oom_counting;
static int64_t oom_calls, oom_fail_at, oom_live;

static inline bool oom_fails(void) {
    return oom_counting && ++oom_calls == oom_fail_at;
}

static inline void *oom_count(void *memory) {
    oom_live += oom_counting && memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    return oom_fails() ? NULL : oom_count(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    return oom_fails() ? NULL : oom_count(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size) {
    if (oom_fails())
        return NULL;
    void *grown = __real_realloc(memory, size);
    oom_live += oom_counting && memory == NULL && grown != NULL;
    return grown;
}

char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void __wrap_free(void *memory);
void __wrap_free(void *memory) {
    oom_live -= oom_counting && memory != NULL;
    __real_free(memory);
}

/* Calls `use` with the first allocation failing, then the second, until none fails: each time it
 * must free all that it allocated, and report TUTTI_OUT_OF_MEMORY when it does not succeed. */
static inline void oom_each(tutti_status (*use)(void)) {
    int64_t failures = 0;
    for (oom_fail_at = 1;; oom_fail_at++) {
        oom_calls = oom_live = 0;
        oom_counting = true;
        const tutti_status status = use();
        oom_counting = false;
        assert_int_equal(oom_live, 0);
        if (status == TUTTI_OK && oom_calls < oom_fail_at)
            break;
        if (status != TUTTI_OK)
            assert_int_equal(status, TUTTI_OUT_OF_MEMORY);
        failures += status != TUTTI_OK;
    }
    print_message("%lld allocations, %lld failures reported\n", (long long)oom_fail_at - 1,
                  (long long)failures);
    assert_true(failures > 2);
}

#endif
