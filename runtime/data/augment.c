#include <string.h>

#include "base/status.h"
#include "data/data.h"

tutti_status tutti_augment_check(const tutti_augment *augment, const tutti_dataset *set) {
    char text[TUTTI_SHAPE_TEXT];
    const tutti_shape *shape = &set->x_shape;
    if (!augment->flip && augment->crop == 0)
        return TUTTI_OK;
    TUTTI_TRY(tutti_dataset_check_f32(set, "augment"));
    if (shape->rank != 3 && shape->rank != 4)
        return tutti_fail(TUTTI_SHAPE,
                          "augment: features are %s, expected images (N x C x H x W or N x H x W)",
                          tutti_shape_text(shape, text));
    const int64_t height = shape->dim[shape->rank - 2], width = shape->dim[shape->rank - 1];
    if (augment->crop < 0 || augment->crop >= height || augment->crop >= width)
        return tutti_fail(TUTTI_INVALID_ARGUMENT,
                          "augment: crop by %d pixels, images are %lldx%lld", augment->crop,
                          (long long)height, (long long)width);
    return TUTTI_OK;
}

/* 0..bound-1; the bias of the multiplication is below bound / 2^32. */
static int64_t below(uint32_t random, int64_t bound) {
    return (int64_t)(((uint64_t)random * (uint64_t)bound) >> 32);
}

/* to[r][c] = from[r + down][c + right], mirrored when flip; zero outside. */
static void cut(const float *from, float *to, int64_t height, int64_t width, int64_t down,
                int64_t right, bool flip) {
    const int64_t begin = right < 0 ? -right : 0; /* columns of to that lie inside */
    const int64_t end = right > 0 ? width - right : width;
    memset(to, 0, (size_t)(height * width) * sizeof *to);
    for (int64_t r = 0; r < height; r++) {
        const int64_t i = r + down;
        if (i < 0 || i >= height)
            continue;
        const float *row = from + i * width + right;
        float *out = to + r * width;
        for (int64_t c = begin; c < end; c++)
            out[flip ? width - 1 - c : c] = row[c];
    }
}

void tutti_augment_apply(const tutti_augment *augment, const tutti_shape *shape, uint64_t seed,
                         uint64_t epoch, int64_t sample, const float *from, float *to) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)epoch, (uint32_t)sample,
                                 (uint32_t)((uint64_t)sample >> 32),
                                 (uint32_t)tutti_rng_stream("augment")};
    uint32_t random[4];
    tutti_philox(counter, key, random);
    const int64_t height = shape->dim[shape->rank - 2], width = shape->dim[shape->rank - 1];
    const int64_t places = 2 * (int64_t)augment->crop + 1;
    const int64_t down = below(random[0], places) - augment->crop;
    const int64_t right = below(random[1], places) - augment->crop;
    const bool flip = augment->flip && (random[2] & 1) != 0;
    const int64_t planes = tutti_shape_sample_count(shape) / (height * width);
    for (int64_t p = 0; p < planes; p++)
        cut(from + p * height * width, to + p * height * width, height, width, down, right, flip);
}
