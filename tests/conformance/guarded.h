/* Device memory between guard zones, all of it poisoned before use. Header for test programs only.
 */
#ifndef TESTS_CONFORMANCE_GUARDED_H
#define TESTS_CONFORMANCE_GUARDED_H

#include <float.h>

#include "conformance/cases.h"
#include "device/open.h"

#define POISON 0x7FC0BEEFu /* a NaN, and no label */
#define GUARD  4096u       /* bytes before and behind */

typedef struct guarded {
    cl_mem parent, view;
    size_t size_bytes;
} guarded;

static inline tutti_status guarded_make(const tutti_device *device, size_t size_bytes,
                                        guarded *out) {
    /* In whole words; of the last one, what is behind 2 bytes may hold anything. */
    *out = (guarded){.size_bytes = size_bytes == 0 ? 4 : (size_bytes + 3) / 4 * 4};
    tutti_status status = tutti_buffer_make(device, out->size_bytes + 2 * GUARD, &out->parent);
    if (status == TUTTI_OK)
        status = tutti_buffer_view(device, out->parent, GUARD, out->size_bytes, &out->view);
    return status;
}

static inline void guarded_free(guarded *g) {
    if (g->view != NULL)
        clReleaseMemObject(g->view);
    if (g->parent != NULL)
        clReleaseMemObject(g->parent);
    *g = (guarded){0};
}

/* Data of size_bytes, poison before and behind. In one piece, from the buffer's beginning: oclgrind
 * forgets what it knows of a buffer's contents with each write from the host. */
static inline tutti_status guarded_write(const tutti_device *device, const guarded *g,
                                         const void *data, size_t size_bytes) {
    const size_t size = g->size_bytes + 2 * GUARD;
    uint32_t *words = host_alloc(size);
    for (size_t i = 0; i < size / 4; i++)
        words[i] = POISON;
    if (size_bytes > 0)
        memcpy(words + GUARD / 4, data, size_bytes);
    const tutti_status status = tutti_buffer_write(device, g->parent, 0, words, size);
    free(words);
    return status;
}

/* Reads all of it; the tensor begins at word GUARD / 4; the caller frees. NULL, with text, when a
 * word beyond the tensor's size_bytes has changed. */
static inline uint32_t *guarded_read(const tutti_device *device, const guarded *g,
                                     size_t size_bytes, char text[256]) {
    const size_t size = g->size_bytes + 2 * GUARD;
    uint32_t *words = host_alloc(size);
    if (tutti_buffer_read(device, g->parent, 0, words, size) != TUTTI_OK) {
        snprintf(text, 256, "read: %.200s", tutti_error_message());
        free(words);
        return NULL;
    }
    for (size_t i = 0; i < size / 4; i++)
        if ((i * 4 < GUARD || i * 4 >= GUARD + size_bytes) && words[i] != POISON) {
            snprintf(text, 256, "is written outside: element %ld of %zu",
                     (long)i - (long)(GUARD / 4), size_bytes / 4);
            free(words);
            return NULL;
        }
    return words;
}

static inline double value_at(const tutti_type *type, const void *values, int64_t i) {
    return type->dtype == TUTTI_F32
               ? (double)((const float *)values)[i]
               : (double)tutti_widen(type->dtype, ((const uint16_t *)values)[i]);
}

/* What a kernel leaves that writes nothing; every other 2 bytes of it are no NaN. */
static inline bool is_poison(const tutti_type *type, const void *values, int64_t i) {
    return type->dtype == TUTTI_F32 && ((const uint32_t *)values)[i] == POISON;
}

/* Equal within tolerance * the largest magnitude (devices may flush subnormal numbers); NaN where
 * NaN is expected, and not the poison. */
static inline bool values_agree(const tutti_type *type, int64_t count, const void *expected,
                                const void *found, double tolerance, char text[256]) {
    double largest = 0;
    for (int64_t i = 0; i < count && type->dtype != TUTTI_I32; i++)
        if (isfinite(value_at(type, expected, i)))
            largest = fmax(largest, fabs(value_at(type, expected, i)));
    const double step = tutti_dtype_is_narrow(type->dtype) ? tutti_narrow_step(type->dtype) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (type->dtype == TUTTI_I32) {
            if (((const int32_t *)expected)[i] != ((const int32_t *)found)[i]) {
                snprintf(text, 256, "element %ld of %ld differs", (long)i, (long)count);
                return false;
            }
            continue;
        }
        const double a = value_at(type, expected, i), b = value_at(type, found, i);
        bool same = fabs(a - b) <= tolerance * largest + step * fabs(a) + FLT_MIN;
        if (isnan(a))
            same = isnan(b) && !is_poison(type, found, i);
        else if (isinf(a))
            same = a == b;
        if (!same) {
            snprintf(text, 256, "element %ld of %ld is %.9g, expected %.9g (largest %.3g)", (long)i,
                     (long)count, b, a, largest);
            return false;
        }
    }
    return true;
}

#endif
