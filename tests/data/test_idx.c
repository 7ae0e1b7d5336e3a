#include "data/helpers.h"

#include <zlib.h>

typedef struct idx_text {
    unsigned char bytes[4096];
    size_t size;
} idx_text;

static void put_u32(idx_text *t, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        t->bytes[t->size++] = (unsigned char)(value >> shift);
}

static idx_text header(unsigned char type, unsigned char rank, const uint32_t *dims) {
    idx_text t = {.bytes = {0, 0, type, rank}, .size = 4};
    for (unsigned i = 0; i < rank; i++)
        put_u32(&t, dims[i]);
    return t;
}

static idx_text images_2x2x3(void) {
    idx_text t = header(8, 3, (uint32_t[]){2, 2, 3});
    for (unsigned char i = 0; i < 12; i++)
        t.bytes[t.size++] = (unsigned char)(i * 20);
    return t;
}

static idx_text labels_2(unsigned char a, unsigned char b) {
    idx_text t = header(8, 1, (uint32_t[]){2});
    t.bytes[t.size++] = a;
    t.bytes[t.size++] = b;
    return t;
}

static tutti_status load(const idx_text *images, const idx_text *labels, float scale,
                         tutti_dataset **out) {
    char a[64], b[64];
    write_file(a, images->bytes, images->size);
    write_file(b, labels->bytes, labels->size);
    *out = (tutti_dataset *)(uintptr_t)1;
    const tutti_status status = tutti_dataset_load_idx(a, b, scale, out);
    unlink(a);
    unlink(b);
    if (status != TUTTI_OK)
        assert_null(*out);
    return status;
}

static void refuses(const idx_text *images, const idx_text *labels, const char *message) {
    tutti_dataset *set;
    assert_int_equal(load(images, labels, 0, &set), TUTTI_BAD_INPUT);
    assert_message(message);
}

static void loads_plain(void **state) {
    (void)state;
    const idx_text images = images_2x2x3(), labels = labels_2(3, 1);
    tutti_dataset *set;
    assert_int_equal(load(&images, &labels, 0, &set), TUTTI_OK);
    assert_int_equal(set->n, 2);
    assert_int_equal(set->x_shape.rank, 3);
    assert_true(set->x_shape.batched);
    assert_int_equal(set->x_shape.dim[1], 2);
    assert_int_equal(set->x_shape.dim[2], 3);
    assert_int_equal(set->y_shape.rank, 1);
    assert_int_equal(set->y_dtype, TUTTI_I32);
    assert_int_equal(set->n_classes, 4);
    for (int i = 0; i < 12; i++)
        assert_true(set->x[i] == (float)(i * 20) * (1.0F / 255));
    assert_int_equal(((int32_t *)set->y)[0], 3);
    assert_int_equal(((int32_t *)set->y)[1], 1);
    tutti_dataset_free(set);
    assert_int_equal(load(&images, &labels, 0.0625F, &set), TUTTI_OK);
    assert_true(set->x[11] == 13.75F);
    tutti_dataset_free(set);
}

static void loads_floats_and_ints(void **state) {
    (void)state;
    const float values[] = {1.5F, -2.25F, 1e-20F, 0.0F};
    idx_text images = header(0x0D, 2, (uint32_t[]){2, 2});
    for (int i = 0; i < 4; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, 4);
        put_u32(&images, bits);
    }
    idx_text labels = header(0x0C, 1, (uint32_t[]){2});
    put_u32(&labels, 70000);
    put_u32(&labels, 0);
    tutti_dataset *set;
    assert_int_equal(load(&images, &labels, 0.5F, &set), TUTTI_OK);
    assert_memory_equal(set->x, values, sizeof values); /* floats are not scaled */
    assert_int_equal(((int32_t *)set->y)[0], 70000);
    assert_int_equal(set->n_classes, 70001);
    tutti_dataset_free(set);
    images.bytes[12] = 0x7F; /* infinity */
    images.bytes[13] = 0x80;
    images.bytes[14] = images.bytes[15] = 0;
    refuses(&images, &labels, "element 0 is not a finite number");
    images = images_2x2x3();
    labels.bytes[8] = 0xFF;
    refuses(&images, &labels, "expected a class from 0");
}

static void compress_file(const idx_text *t, size_t keep, char path[64]) {
    write_file(path, "", 0);
    gzFile gz = gzopen(path, "wb9");
    assert_int_equal(gzwrite(gz, t->bytes, (unsigned)t->size), (int)t->size);
    assert_int_equal(gzclose(gz), Z_OK);
    if (keep > 0)
        assert_int_equal(truncate(path, (off_t)keep), 0);
}

static void gzip(void **state) {
    (void)state;
    const idx_text images = images_2x2x3(), labels = labels_2(3, 1);
    char a[64], b[64];
    tutti_dataset *set;
    compress_file(&images, 0, a);
    compress_file(&labels, 0, b);
    assert_int_equal(tutti_dataset_load_idx(a, b, 1, &set), TUTTI_OK);
    assert_true(set->x[11] == 220.0F);
    tutti_dataset_free(set);
    unlink(a);
    compress_file(&images, 24, a);
    assert_int_equal(tutti_dataset_load_idx(a, b, 1, &set), TUTTI_BAD_INPUT);
    assert_message("truncated");
    unlink(a);
    /* A flipped bit of the checksum at the end. */
    compress_file(&images, 0, a);
    FILE *f = fopen(a, "r+b");
    assert_int_equal(fseek(f, -6, SEEK_END), 0);
    const int byte = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    assert_int_equal(fputc(byte ^ 1, f), byte ^ 1);
    fclose(f);
    assert_int_equal(tutti_dataset_load_idx(a, b, 1, &set), TUTTI_BAD_INPUT);
    assert_message("damaged");
    unlink(a);
    unlink(b);
}

static void bad_files(void **state) {
    (void)state;
    const idx_text images = images_2x2x3(), labels = labels_2(3, 1);
    idx_text bad;
    tutti_dataset *set;
    assert_int_equal(tutti_dataset_load_idx("/nonexistent/images", "x", 0, &set), TUTTI_IO);
    assert_message("/nonexistent/images: cannot open: No such file or directory");
    assert_int_equal(tutti_dataset_load_idx("/", "x", 0, &set), TUTTI_IO);
    bad = images;
    bad.size = 0;
    refuses(&bad, &labels, "0 bytes, too short");
    bad = images;
    bad.bytes[0] = 1;
    refuses(&bad, &labels, "not an IDX file");
    bad = images;
    bad.bytes[2] = 9;
    refuses(&bad, &labels, "element type 0x09");
    bad.bytes[2] = 8;
    bad.bytes[3] = 7;
    refuses(&bad, &labels, "7 dimensions");
    bad = images;
    bad.size = 14;
    refuses(&bad, &labels, "truncated in the header");
    bad = images;
    bad.size -= 1;
    refuses(&bad, &labels, "truncated: 11 of the 12 bytes");
    bad = images;
    bad.size += 1;
    refuses(&bad, &labels, "more than the 12 bytes");
    bad = images;
    bad.bytes[7] = 0;
    refuses(&bad, &labels, "extent 0 is 0");
    bad = images; /* claims 2^32 - 1 images: memory must not be taken for them */
    memset(bad.bytes + 4, 0xFF, 4);
    refuses(&bad, &labels, "truncated: 12 of the");
    memset(bad.bytes + 4, 0xFF, 8);
    refuses(&bad, &labels, "promises more than");
    refuses(&labels, &labels, "1 dimension, expected images");
    refuses(&images, &images, "3 dimensions, expected labels");
    bad = header(8, 1, (uint32_t[]){3});
    bad.size += 3;
    refuses(&images, &bad, "holds 2 images, but");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_plain),
        cmocka_unit_test(loads_floats_and_ints),
        cmocka_unit_test(gzip),
        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
