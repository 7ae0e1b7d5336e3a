#include <string.h>

#include "base/status.h"
#include "data/data.h"

/* to[r][c] = from[r - down][c - right], zero outside. */
static void move(const float *from, float *to, int64_t height, int64_t width, int64_t down,
                 int64_t right) {
    for (int64_t r = 0; r < height; r++)
        for (int64_t c = 0; c < width; c++) {
            const int64_t i = r - down, j = c - right;
            const bool inside = i >= 0 && i < height && j >= 0 && j < width;
            to[r * width + c] = inside ? from[i * width + j] : 0;
        }
}

tutti_status tutti_dataset_nudge(const tutti_dataset *set, int32_t pixels, tutti_dataset **out) {
    static const int directions[5][2] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    char text[TUTTI_SHAPE_TEXT];
    *out = NULL;
    TUTTI_TRY(tutti_dataset_check_f32(set, "nudge"));
    const int64_t height = set->x_shape.dim[1], width = set->x_shape.dim[2];
    if (set->x_shape.rank != 3)
        return tutti_fail(TUTTI_SHAPE, "nudge: features are %s, expected images (N x H x W)",
                          tutti_shape_text(&set->x_shape, text));
    if (pixels < 1 || pixels >= height || pixels >= width)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "nudge: by %d pixels, images are %lldx%lld",
                          pixels, (long long)height, (long long)width);
    TUTTI_TRY(tutti_dataset_alloc(5 * set->n, TUTTI_F32, &set->x_shape, set->y_dtype, &set->y_shape,
                                  set->source, out));
    (*out)->n_classes = set->n_classes;
    const int64_t image = height * width;
    const size_t target =
        (size_t)tutti_shape_sample_count(&set->y_shape) * tutti_dtype_size_bytes(set->y_dtype);
    for (int64_t i = 0; i < set->n; i++)
        for (int64_t k = 0; k < 5; k++) {
            move(set->x + i * image, (*out)->x + (5 * i + k) * image, height, width,
                 directions[k][0] * pixels, directions[k][1] * pixels);
            memcpy((char *)(*out)->y + (size_t)(5 * i + k) * target,
                   (const char *)set->y + (size_t)i * target, target);
        }
    return TUTTI_OK;
}
