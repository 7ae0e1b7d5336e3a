/* IDX files (format: Y. LeCun, C. Cortes, C. Burges, The MNIST database): two zero bytes, element
 * type, rank, big-endian 32-bit extents, then the elements, big-endian. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/status.h"
#include "data/data.h"

enum { IDX_U8 = 0x08, IDX_I32 = 0x0C, IDX_F32 = 0x0D };

#define IDX_CHUNK (1U << 20)

typedef struct idx_file {
    const char *path;
    int type;
    int32_t rank;
    int64_t dim[TUTTI_MAX_RANK];
    int64_t count; /* elements */
    size_t element_bytes;
    unsigned char *data;
} idx_file;

static tutti_status read_some(gzFile gz, const char *path, void *data, unsigned wanted,
                              unsigned *out_got) {
    errno = 0;
    const int got = gzread(gz, data, wanted);
    int code = Z_OK;
    const char *text = gzerror(gz, &code);
    if (code == Z_BUF_ERROR)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: the gzip stream is truncated", path);
    if (code == Z_DATA_ERROR)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: the gzip stream is damaged", path);
    if (code == Z_MEM_ERROR)
        return tutti_fail_memory(wanted, path);
    if (got < 0)
        return tutti_fail(TUTTI_IO, "%s: cannot read: %s", path,
                          code == Z_ERRNO && errno != 0 ? strerror(errno) : text);
    *out_got = (unsigned)got;
    return TUTTI_OK;
}

static tutti_status read_header(gzFile gz, idx_file *f) {
    unsigned char head[4 + 4 * TUTTI_MAX_RANK];
    unsigned got = 0;
    TUTTI_TRY(read_some(gz, f->path, head, 4, &got));
    if (got < 4)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: %u bytes, too short for an IDX header", f->path,
                          got);
    if (head[0] != 0 || head[1] != 0)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: not an IDX file: it begins with %02x %02x %02x %02x, expected 00 00",
                          f->path, head[0], head[1], head[2], head[3]);
    f->type = head[2];
    f->rank = head[3];
    if (f->type != IDX_U8 && f->type != IDX_I32 && f->type != IDX_F32)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: element type 0x%02x, expected 0x08 (unsigned byte), 0x0c (int) or "
                          "0x0d (float)",
                          f->path, (unsigned)f->type);
    f->element_bytes = f->type == IDX_U8 ? 1 : 4;
    if (f->rank < 1 || f->rank > TUTTI_MAX_RANK)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: %d dimensions, expected 1 to %d", f->path, f->rank,
                          TUTTI_MAX_RANK);
    const unsigned wanted = 4U * (unsigned)f->rank;
    TUTTI_TRY(read_some(gz, f->path, head + 4, wanted, &got));
    if (got < wanted)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: truncated in the header", f->path);
    f->count = 1;
    for (int32_t i = 0; i < f->rank; i++) {
        const unsigned char *p = head + 4 + 4 * i;
        f->dim[i] = (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
                              (uint32_t)p[3]);
        if (f->dim[i] == 0)
            return tutti_fail(TUTTI_BAD_INPUT, "%s: extent %d is 0", f->path, i);
        if (f->count > TUTTI_DATASET_MAX_ELEMENTS / f->dim[i])
            return tutti_fail(TUTTI_BAD_INPUT, "%s: the header promises more than %lld elements",
                              f->path, (long long)TUTTI_DATASET_MAX_ELEMENTS);
        f->count *= f->dim[i];
    }
    return TUTTI_OK;
}

/* Memory grows with what the file really holds, never with what its header promises. */
static tutti_status read_elements(gzFile gz, idx_file *f) {
    const size_t total = (size_t)f->count * f->element_bytes;
    size_t have = 0, capacity = 0;
    for (;;) {
        if (have == capacity && have < total) {
            size_t more = capacity < IDX_CHUNK ? IDX_CHUNK : 2 * capacity;
            more = more < total ? more : total;
            unsigned char *grown = realloc(f->data, more);
            if (grown == NULL)
                return tutti_fail_memory(more, f->path);
            f->data = grown;
            capacity = more;
        }
        unsigned char beyond;
        unsigned got = 0, wanted = IDX_CHUNK;
        if (wanted > capacity - have)
            wanted = (unsigned)(capacity - have);
        if (have == total) {
            TUTTI_TRY(read_some(gz, f->path, &beyond, 1, &got));
            if (got != 0)
                return tutti_fail(
                    TUTTI_BAD_INPUT,
                    "%s: more than the %zu bytes of elements that the header promises", f->path,
                    total);
            return TUTTI_OK;
        }
        TUTTI_TRY(read_some(gz, f->path, f->data + have, wanted, &got));
        if (got == 0)
            return tutti_fail(TUTTI_BAD_INPUT,
                              "%s: truncated: %zu of the %zu bytes of elements that the header "
                              "promises",
                              f->path, have, total);
        have += got;
    }
}

static tutti_status idx_read(const char *path, idx_file *f) {
    *f = (idx_file){.path = path};
    errno = 0;
    gzFile gz = gzopen(path, "rb");
    if (gz == NULL && (errno == 0 || errno == ENOMEM))
        return tutti_fail_memory(0, path);
    if (gz == NULL)
        return tutti_fail(TUTTI_IO, "%s: cannot open: %s", path, strerror(errno));
    tutti_status status = read_header(gz, f);
    if (status == TUTTI_OK)
        status = read_elements(gz, f);
    gzclose_r(gz);
    if (status != TUTTI_OK) {
        free(f->data);
        f->data = NULL;
    }
    return status;
}

static uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static tutti_status fill_x(const idx_file *f, float scale, float *x) {
    for (int64_t i = 0; i < f->count; i++) {
        if (f->type == IDX_U8) {
            x[i] = (float)f->data[i] * scale;
            continue;
        }
        const uint32_t bits = big_endian(f->data + 4 * i);
        memcpy(x + i, &bits, sizeof bits);
        if (!isfinite(x[i]))
            return tutti_fail(TUTTI_BAD_INPUT, "%s: element %lld is not a finite number", f->path,
                              (long long)i);
    }
    return TUTTI_OK;
}

static tutti_status fill_labels(const idx_file *f, tutti_dataset *set) {
    int32_t *labels = set->y;
    for (int64_t i = 0; i < f->count; i++) {
        labels[i] = f->type == IDX_U8 ? f->data[i] : (int32_t)big_endian(f->data + 4 * i);
        if (labels[i] < 0 || labels[i] == INT32_MAX)
            return tutti_fail(TUTTI_BAD_INPUT, "%s: label %lld is %d, expected a class from 0",
                              f->path, (long long)i, labels[i]);
        if (labels[i] >= set->n_classes)
            set->n_classes = labels[i] + 1;
    }
    return TUTTI_OK;
}

static tutti_status check_pair(const idx_file *images, const idx_file *labels) {
    if (images->rank < 2)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: %d dimension, expected images (2 or more)",
                          images->path, images->rank);
    if (images->type == IDX_I32)
        return tutti_fail(TUTTI_BAD_INPUT,
                          "%s: elements of type int, expected unsigned bytes or floats",
                          images->path);
    if (labels->rank != 1)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: %d dimensions, expected labels (1)", labels->path,
                          labels->rank);
    if (labels->type == IDX_F32)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: elements of type float, expected labels",
                          labels->path);
    if (images->dim[0] != labels->dim[0])
        return tutti_fail(TUTTI_BAD_INPUT, "%s holds %lld images, but %s holds %lld labels",
                          images->path, (long long)images->dim[0], labels->path,
                          (long long)labels->dim[0]);
    return TUTTI_OK;
}

static tutti_status make(const idx_file *images, const idx_file *labels, float scale,
                         tutti_dataset **out) {
    TUTTI_TRY(check_pair(images, labels));
    const tutti_shape x_shape = tutti_shape_of_rows(images->rank - 1, images->dim + 1);
    const tutti_shape y_shape = tutti_shape_of_rows(0, NULL);
    TUTTI_TRY(tutti_dataset_alloc(images->dim[0], TUTTI_F32, &x_shape, TUTTI_I32, &y_shape,
                                  images->path, out));
    TUTTI_TRY(fill_x(images, scale, (*out)->x));
    return fill_labels(labels, *out);
}

tutti_status tutti_dataset_load_idx(const char *images_path, const char *labels_path, float scale,
                                    tutti_dataset **out) {
    idx_file images, labels;
    *out = NULL;
    if (!isfinite(scale))
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "scale %g, expected a finite number",
                          (double)scale);
    TUTTI_TRY(idx_read(images_path, &images));
    tutti_status status = idx_read(labels_path, &labels);
    if (status == TUTTI_OK)
        status = make(&images, &labels, scale == 0 ? 1.0F / 255 : scale, out);
    if (status != TUTTI_OK) {
        tutti_dataset_free(*out);
        *out = NULL;
    }
    free(images.data);
    free(labels.data);
    return status;
}
