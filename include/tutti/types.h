/* Element types, shapes and tensor ids.
 *
 * Shape letters used everywhere: N batch, C channels, H height, W width, T sequence length;
 * M, K, N for a matrix product. Shapes are row-major, the last extent contiguous.
 */
#ifndef TUTTI_TYPES_H
#define TUTTI_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tutti/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_MAX_RANK 6

/* f16 is IEEE binary16, bf16 the upper half of an f32: 2 bytes in memory; arithmetic is f32. */
typedef enum tutti_dtype {
    TUTTI_F32 = 0,
    TUTTI_I32 = 1,
    TUTTI_F16 = 2,
    TUTTI_BF16 = 3
} tutti_dtype;

/* A tensor of a graph: a value, copied freely. id 0 is the invalid tensor. */
typedef struct tutti_tensor {
    uint32_t id;
} tutti_tensor;

/* As the first extent of an input: the samples of the batch, known only when a step runs. */
#define TUTTI_BATCH INT64_C(-1)

/* Extents of a tensor. When `batched`, the leading extent is dim[0] * N, N being the samples of
 * the batch: dim[0] is 1 for a plain batch and T after (N, T, C) was reshaped to (N*T, C).
 * rank 0 is a scalar (and never batched). */
typedef struct tutti_shape {
    int32_t rank;
    bool batched;
    int64_t dim[TUTTI_MAX_RANK];
} tutti_shape;

typedef struct tutti_type {
    tutti_dtype dtype;
    tutti_shape shape;
} tutti_type;

/* "f32", "i32", "f16" or "bf16". */
TUTTI_API const char *tutti_dtype_name(tutti_dtype dtype);

/* Bytes of one element. */
TUTTI_API size_t tutti_dtype_size_bytes(tutti_dtype dtype);

/* Elements of the shape for a batch of n samples (n is ignored when the shape is not batched). */
TUTTI_API int64_t tutti_shape_count(const tutti_shape *shape, int64_t n);

/* Elements per sample when batched, else all elements. */
TUTTI_API int64_t tutti_shape_sample_count(const tutti_shape *shape);

/* True when rank, batched and every extent agree. */
TUTTI_API bool tutti_shape_equal(const tutti_shape *a, const tutti_shape *b);

/* What products of matrices may round their operands to; sums are f32. */
typedef enum tutti_matmul_precision {
    TUTTI_MATMUL_DEFAULT, /* of a plan: as the profile says; of a profile: highest */
    TUTTI_MATMUL_HIGHEST, /* nothing: f32 */
    TUTTI_MATMUL_HIGH,    /* tf32: 11 bits */
    TUTTI_MATMUL_MEDIUM   /* bf16: 8 bits */
} tutti_matmul_precision;

#define TUTTI_SHAPE_TEXT 160
/* Writes the shape as "Nx64", "12Nx64" or "scalar" into text and returns text. */
TUTTI_API const char *tutti_shape_text(const tutti_shape *shape, char text[TUTTI_SHAPE_TEXT]);

/* Frees memory that a function documents as "tutti_free"; takes NULL. */
TUTTI_API void tutti_free(void *memory);

/* Library version, "MAJOR.MINOR.PATCH". */
TUTTI_API const char *tutti_version(void);

typedef enum tutti_log_level {
    TUTTI_LOG_DEBUG,
    TUTTI_LOG_INFO,
    TUTTI_LOG_WARNING,
    TUTTI_LOG_ERROR
} tutti_log_level;

/* Receives every message of the library, one line without newline. May be called by any thread,
 * but by one at a time. */
typedef void (*tutti_log_fn)(void *user, tutti_log_level level, const char *message);

/* Sets where log messages go; NULL restores the default, which writes messages at or above the
 * level named by TUTTI_LOG (debug, info, warning, error, off; default warning) to stderr. */
TUTTI_API void tutti_log_set(tutti_log_fn fn, void *user);

#ifdef __cplusplus
}
#endif
#endif
