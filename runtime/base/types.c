#include "tutti/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tutti_version.h"

const char *tutti_version(void) {
    return TUTTI_VERSION;
}

void tutti_free(void *memory) {
    free(memory);
}

const char *tutti_dtype_name(tutti_dtype dtype) {
    static const char *const names[] = {"f32", "i32", "f16", "bf16"};
    return (unsigned)dtype < sizeof names / sizeof *names ? names[dtype] : "no element type";
}

size_t tutti_dtype_size_bytes(tutti_dtype dtype) {
    return dtype == TUTTI_F16 || dtype == TUTTI_BF16 ? 2 : 4;
}

int64_t tutti_shape_sample_count(const tutti_shape *shape) {
    int64_t count = 1;
    for (int32_t i = 0; i < shape->rank; i++)
        count *= shape->dim[i];
    return count;
}

int64_t tutti_shape_count(const tutti_shape *shape, int64_t n) {
    return tutti_shape_sample_count(shape) * (shape->batched ? n : 1);
}

bool tutti_shape_equal(const tutti_shape *a, const tutti_shape *b) {
    if (a->rank != b->rank || a->batched != b->batched)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

const char *tutti_shape_text(const tutti_shape *shape, char text[TUTTI_SHAPE_TEXT]) {
    if (shape->rank == 0) {
        snprintf(text, TUTTI_SHAPE_TEXT, "scalar");
        return text;
    }
    size_t used = 0;
    for (int32_t i = 0; i < shape->rank && used < TUTTI_SHAPE_TEXT; i++) {
        const char *cross = i > 0 ? "x" : "";
        int wrote;
        if (i == 0 && shape->batched && shape->dim[0] == 1)
            wrote = snprintf(text, TUTTI_SHAPE_TEXT, "N");
        else
            wrote = snprintf(text + used, TUTTI_SHAPE_TEXT - used, "%s%" PRId64 "%s", cross,
                             shape->dim[i], i == 0 && shape->batched ? "N" : "");
        used += wrote > 0 ? (size_t)wrote : 0;
    }
    return text;
}
