/* CIFAR-10's binary files (format: A. Krizhevsky, The CIFAR-10 dataset, "Binary version"): records of
 * one byte of class and 32 x 32 bytes each of red, green and blue, row by row. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "data/data.h"

enum { PIXELS = 3 * 32 * 32, RECORD = 1 + PIXELS, CLASSES = 10 };

#define CIFAR_MAX_BYTES (UINT64_C(1) << 32)

typedef struct records {
    unsigned char *data;
    int64_t n;
} records;

static tutti_status append(records *to, const char *path) {
    char *data;
    size_t size;
    TUTTI_TRY(tutti_file_read(path, CIFAR_MAX_BYTES, &data, &size));
    const int64_t n = (int64_t)(size / RECORD);
    tutti_status status = TUTTI_OK;
    if (size == 0)
        status = tutti_fail(TUTTI_BAD_INPUT,
                            "%s: the file is empty, expected CIFAR-10 records of %d bytes", path,
                            RECORD);
    else if (size % RECORD != 0)
        status = tutti_fail(TUTTI_BAD_INPUT,
                            "%s: %zu bytes, expected CIFAR-10 records of %d bytes: %zu are left "
                            "over, is it truncated?",
                            path, size, RECORD, size % RECORD);
    for (int64_t i = 0; i < n && status == TUTTI_OK; i++) {
        const int label = (unsigned char)data[i * RECORD];
        if (label >= CLASSES)
            status = tutti_fail(TUTTI_BAD_INPUT, "%s: record %lld: class %d, expected 0 to %d",
                                path, (long long)i, label, CLASSES - 1);
    }
    unsigned char *grown = NULL;
    if (status == TUTTI_OK) {
        grown = realloc(to->data, (size_t)(to->n + n) * RECORD);
        if (grown == NULL)
            status = tutti_fail_memory((size_t)(to->n + n) * RECORD, path);
    }
    if (grown != NULL) {
        memcpy(grown + to->n * RECORD, data, (size_t)n * RECORD);
        to->data = grown;
        to->n += n;
    }
    free(data);
    return status;
}

static int is_batch(const struct dirent *entry) {
    const size_t length = strlen(entry->d_name);
    return strncmp(entry->d_name, "data_batch_", 11) == 0 && length > 15 &&
           strcmp(entry->d_name + length - 4, ".bin") == 0;
}

/* 2 before 10. */
static int by_number(const struct dirent **a, const struct dirent **b) {
    const size_t x = strlen((*a)->d_name), y = strlen((*b)->d_name);
    return x != y ? (x > y) - (x < y) : strcmp((*a)->d_name, (*b)->d_name);
}

static tutti_status append_file(records *to, const char *directory, const char *name) {
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return tutti_fail_memory(0, directory);
    const tutti_status status = append(to, path);
    free(path);
    return status;
}

static tutti_status append_batches(records *to, const char *directory) {
    struct dirent **entries = NULL;
    errno = 0;
    const int n = scandir(directory, &entries, is_batch, by_number);
    if (n < 0 && (errno == 0 || errno == ENOMEM))
        return tutti_fail_memory(0, directory);
    if (n < 0)
        return tutti_fail(TUTTI_IO, "%s: cannot read the directory: %s", directory,
                          strerror(errno));
    tutti_status status = TUTTI_OK;
    if (n == 0)
        status = tutti_fail(TUTTI_IO,
                            "%s: no data_batch_*.bin (CIFAR-10's binary version) is in the "
                            "directory",
                            directory);
    for (int i = 0; i < n; i++) {
        if (status == TUTTI_OK)
            status = append_file(to, directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static tutti_status make(const records *r, const char *source, tutti_dataset **out) {
    const tutti_shape x_shape = tutti_shape_of_rows(3, (int64_t[]){3, 32, 32});
    const tutti_shape y_shape = tutti_shape_of_rows(0, NULL);
    TUTTI_TRY(tutti_dataset_alloc(r->n, TUTTI_F32, &x_shape, TUTTI_I32, &y_shape, source, out));
    (*out)->n_classes = CLASSES;
    for (int64_t i = 0; i < r->n; i++) {
        const unsigned char *record = r->data + i * RECORD;
        ((int32_t *)(*out)->y)[i] = record[0];
        for (int k = 0; k < PIXELS; k++)
            (*out)->x[i * PIXELS + k] = (float)record[1 + k] / 255.0F;
    }
    return TUTTI_OK;
}

tutti_status tutti_dataset_load_cifar10(const char *directory, tutti_dataset **out_train,
                                        tutti_dataset **out_test) {
    records train = {0}, test = {0};
    *out_train = *out_test = NULL;
    tutti_status status = append_batches(&train, directory);
    if (status == TUTTI_OK)
        status = append_file(&test, directory, "test_batch.bin");
    if (status == TUTTI_OK)
        status = make(&train, directory, out_train);
    free(train.data);
    if (status == TUTTI_OK)
        status = make(&test, directory, out_test);
    free(test.data);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out_train);
        *out_train = NULL;
    }
    return status;
}
