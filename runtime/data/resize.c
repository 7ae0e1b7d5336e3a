#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "data/data.h"

/* Where a new pixel lies between two old ones: (whole - part) of i and part of j, of `whole` in all.
 * In integers, so that values of few bits (pixels) come out the same on every machine. */
typedef struct place {
    int64_t i, j, part;
} place;

/* Pixel centres lie at halves; what lies beyond the outer centres is the outer pixel. */
static void find_places(int64_t from, int64_t to, place *out) {
    for (int64_t k = 0; k < to; k++) {
        const int64_t at = (2 * k + 1) * from - to; /* (k + 1/2) from / to - 1/2, of 2 to */
        const int64_t i = at < 0 ? 0 : at / (2 * to);
        out[k] = (place){i, i + 1 < from ? i + 1 : i, at < 0 ? 0 : at % (2 * to)};
    }
}

static void resize(const float *from, int64_t width, float *to, const place *rows,
                   int64_t new_height, const place *columns, int64_t new_width) {
    const int64_t wh = 2 * new_height, ww = 2 * new_width;
    for (int64_t r = 0; r < new_height; r++)
        for (int64_t c = 0; c < new_width; c++) {
            const place y = rows[r], x = columns[c];
            const float *above = from + y.i * width, *below = from + y.j * width;
            const double sum = (double)((wh - y.part) * (ww - x.part)) * (double)above[x.i] +
                               (double)((wh - y.part) * x.part) * (double)above[x.j] +
                               (double)(y.part * (ww - x.part)) * (double)below[x.i] +
                               (double)(y.part * x.part) * (double)below[x.j];
            to[r * new_width + c] = (float)(sum / (double)(wh * ww));
        }
}

tutti_status tutti_dataset_resize(const tutti_dataset *set, int64_t height, int64_t width,
                                  tutti_dataset **out) {
    char text[TUTTI_SHAPE_TEXT];
    tutti_shape shape = set->x_shape;
    *out = NULL;
    TUTTI_TRY(tutti_dataset_check_f32(set, "resize"));
    if (shape.rank != 3 && shape.rank != 4)
        return tutti_fail(TUTTI_SHAPE,
                          "resize: features are %s, expected images (N x C x H x W or N x H x W)",
                          tutti_shape_text(&shape, text));
    const int64_t limit = 1 << 16, old_height = shape.dim[shape.rank - 2],
                  old_width = shape.dim[shape.rank - 1];
    if (height < 1 || height > limit || width < 1 || width > limit || old_height > limit ||
        old_width > limit)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "resize: from %lldx%lld to %lldx%lld, expected 1 to %lld",
                          (long long)old_height, (long long)old_width, (long long)height,
                          (long long)width, (long long)limit);
    shape.dim[shape.rank - 2] = height;
    shape.dim[shape.rank - 1] = width;
    TUTTI_TRY(tutti_dataset_alloc(set->n, TUTTI_F32, &shape, set->y_dtype, &set->y_shape,
                                  set->source, out));
    place *places = malloc((size_t)(height + width) * sizeof *places);
    if (places == NULL) {
        tutti_dataset_free(*out);
        *out = NULL;
        return tutti_fail_memory((size_t)(height + width) * sizeof *places, "resized images");
    }
    find_places(old_height, height, places);
    find_places(old_width, width, places + height);
    (*out)->n_classes = set->n_classes;
    const int64_t planes = tutti_shape_count(&shape, set->n) / (height * width);
    for (int64_t p = 0; p < planes; p++)
        resize(set->x + p * old_height * old_width, old_width, (*out)->x + p * height * width,
               places, height, places + height, width);
    memcpy((*out)->y, set->y,
           (size_t)tutti_shape_count(&set->y_shape, set->n) * tutti_dtype_size_bytes(set->y_dtype));
    free(places);
    return TUTTI_OK;
}
