#include "data/helpers.h"

#include "data/data.h"

enum { C = 2, H = 5, W = 7, IMAGE = C * H * W, N = 40 };

static tutti_dataset *images(int32_t rank) {
    const tutti_shape y_shape = {1, true, {1}};
    const tutti_shape x_shape =
        rank == 4 ? (tutti_shape){4, true, {1, C, H, W}} : (tutti_shape){3, true, {1, C * H, W}};
    static float x[N * IMAGE];
    int32_t y[N];
    for (int i = 0; i < N * IMAGE; i++)
        x[i] = (float)(i + 1); /* never 0, which is the padding */
    for (int i = 0; i < N; i++)
        y[i] = i;
    tutti_dataset *set;
    assert_int_equal(tutti_dataset_make(N, &x_shape, x, TUTTI_I32, &y_shape, y, &set), TUTTI_OK);
    return set;
}

/* The image cut at (down, right) of the one with zeros around it. */
static void cut(const float *from, int64_t planes, int64_t height, int down, int right, bool flip,
                float *to) {
    for (int64_t p = 0; p < planes; p++)
        for (int64_t r = 0; r < height; r++)
            for (int64_t c = 0; c < W; c++) {
                const int64_t i = r + down, j = (flip ? W - 1 - c : c) + right;
                to[(p * height + r) * W + c] =
                    i >= 0 && i < height && j >= 0 && j < W ? from[(p * height + i) * W + j] : 0;
            }
}

typedef struct change {
    int down, right, flip;
} change;

/* Which change it was; each gives another image. */
static change find(const float *from, const float *to, int64_t planes, int64_t height, int crop,
                   bool flips) {
    float wanted[IMAGE];
    change found = {0};
    int matches = 0;
    for (int flip = 0; flip <= flips; flip++)
        for (int down = -crop; down <= crop; down++)
            for (int right = -crop; right <= crop; right++) {
                cut(from, planes, height, down, right, flip != 0, wanted);
                if (memcmp(wanted, to, sizeof wanted) != 0)
                    continue;
                found = (change){down, right, flip};
                matches++;
            }
    assert_int_equal(matches, 1);
    return found;
}

static void changes(void **state) {
    (void)state;
    const uint64_t seed = test_seed();
    for (int32_t rank = 3; rank <= 4; rank++) {
        tutti_dataset *set = images(rank);
        const int64_t planes = rank == 4 ? C : 1, height = rank == 4 ? H : C * H;
        const tutti_augment augment = {.flip = true, .crop = 2};
        assert_int_equal(tutti_augment_check(&augment, set), TUTTI_OK);
        static change seen[3][N];
        int flips = 0, places[5][5] = {{0}};
        for (int64_t batch = 1; batch <= N; batch = batch * 3 + 2) {
            tutti_batcher *b;
            assert_int_equal(tutti_batcher_make(set, batch, &b), TUTTI_OK);
            tutti_batcher_augment(b, &augment);
            for (uint64_t epoch = 0; epoch < 3; epoch++) {
                const void *x, *y;
                int64_t n;
                tutti_batcher_shuffle(b, seed, epoch);
                while ((n = tutti_batcher_next(b, &x, &y)) > 0)
                    for (int64_t i = 0; i < n; i++) {
                        const int32_t row = ((const int32_t *)y)[i];
                        const change c = find(set->x + row * IMAGE, (const float *)x + i * IMAGE,
                                              planes, height, 2, true);
                        if (batch == 1) {
                            seen[epoch][row] = c;
                            flips += c.flip;
                            places[c.down + 2][c.right + 2]++;
                        }
                        /* The batch does not matter. */
                        assert_memory_equal(&seen[epoch][row], &c, sizeof c);
                    }
            }
            tutti_batcher_free(b);
        }
        /* 120 changes: half are mirrored; epochs differ, samples differ. */
        assert_in_range(flips, 25, 95);
        int used = 0;
        for (int i = 0; i < 25; i++)
            used += places[i / 5][i % 5] > 0;
        assert_in_range(used, 15, 25);
        assert_memory_not_equal(seen[0], seen[1], sizeof seen[0]);
        tutti_dataset_free(set);
    }
}

/* Known answers: a seed stands for a result. */
static void fixed(void **state) {
    (void)state;
    tutti_dataset *set = images(4);
    const tutti_augment augment = {.flip = true, .crop = 2};
    const change wanted[4] = {{-1, 2, 1}, {-2, 1, 1}, {1, -1, 0}, {2, 0, 0}};
    for (int i = 0; i < 4; i++) {
        float to[IMAGE];
        tutti_augment_apply(&augment, &set->x_shape, 42, 7, i, set->x, to);
        const change c = find(set->x, to, C, H, 2, true);
        if (memcmp(&c, &wanted[i], sizeof c) != 0)
            fail_msg("sample %d: {%d, %d, %d}", i, c.down, c.right, c.flip);
    }
    tutti_dataset_free(set);
}

static void one_at_a_time(void **state) {
    (void)state;
    tutti_dataset *set = images(4);
    float to[IMAGE];
    bool moved = false, mirrored = false;
    for (int i = 0; i < N; i++) {
        tutti_augment_apply(&(tutti_augment){.crop = 1}, &set->x_shape, 1, 0, i, set->x, to);
        const change c = find(set->x, to, C, H, 1, true);
        assert_int_equal(c.flip, 0);
        moved = moved || c.down != 0;
        tutti_augment_apply(&(tutti_augment){.flip = true}, &set->x_shape, 1, 0, i, set->x, to);
        const change f = find(set->x, to, C, H, 1, true);
        assert_true(f.down == 0 && f.right == 0);
        mirrored = mirrored || f.flip != 0;
    }
    assert_true(moved && mirrored);
    tutti_dataset_free(set);
}

static void refusals(void **state) {
    (void)state;
    tutti_dataset *set = images(4), *rows;
    assert_int_equal(tutti_augment_check(&(tutti_augment){.crop = 5}, set), TUTTI_INVALID_ARGUMENT);
    assert_message("crop by 5 pixels, images are 5x7");
    assert_int_equal(tutti_augment_check(&(tutti_augment){.crop = -1}, set),
                     TUTTI_INVALID_ARGUMENT);
    assert_int_equal(tutti_dataset_make_binary(4, 3, 0, 1, &rows), TUTTI_OK);
    assert_int_equal(tutti_augment_check(&(tutti_augment){.flip = true}, rows), TUTTI_SHAPE);
    assert_message("features are Nx3, expected images");
    assert_int_equal(tutti_augment_check(&(tutti_augment){0}, rows), TUTTI_OK);
    tutti_dataset_free(rows);
    tutti_dataset_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(fixed),
        cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
