/* Texts as sequences of tokens, one per byte: what a character-level language model learns from.
 *
 *     TRY(tutti_text_load("input.txt", &text));
 *     TRY(tutti_text_split(text, T, 0.1, 1, &train, &validation));
 *     graph: x and y (TUTTI_BATCH x T, i32), text->n_vocabulary classes
 *     fit:   .samples_per_epoch = 10000     random windows; without it every window once
 */
#ifndef TUTTI_TEXT_H
#define TUTTI_TEXT_H

#include "tutti/data.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_text {
    int64_t n;    /* tokens */
    int32_t *ids; /* of the text, in 0..n_vocabulary-1 */
    int32_t n_vocabulary;
    unsigned char vocabulary[256]; /* the byte of each id, ascending */
    int32_t id_of[256];            /* of a byte; -1: it does not occur */
    char *source;                  /* for messages */
} tutti_text;

/* Loads a file of at most 1 GiB, or the regular files of a directory one behind the other, by name
 * (links and subdirectories are left out). The vocabulary is the bytes that occur; a character of
 * UTF-8 beyond ASCII is thus several tokens. The caller owns the result: tutti_text_free. Errors:
 * TUTTI_IO with the path; TUTTI_BAD_INPUT for an empty text. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_load(const char *path, tutti_text **out);
/* Loads the first path that exists and holds text. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_load_first(const char *const *paths,
                                                            int32_t n_paths, tutti_text **out);
/* Of n bytes in memory. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_make(const void *bytes, int64_t n,
                                                      tutti_text **out);
/* Ids of n bytes. Errors: TUTTI_BAD_INPUT for one that the vocabulary lacks. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_encode(const tutti_text *text, const void *bytes,
                                                        int64_t n, int32_t *out_ids);
/* Samples are windows of the tokens begin to end-1: x is `length` tokens (i32), y the same moved on
 * by one, so that each token is to be predicted from those before it. Windows begin every `stride`
 * tokens; they share memory. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_windows(const tutti_text *text, int64_t begin,
                                                         int64_t end, int64_t length,
                                                         int64_t stride, tutti_dataset **out);
/* Windows of the first part, for training, every `stride` tokens (1: all there are), and of the last
 * `fraction` of the text, for validation, every `length` tokens: each is predicted once. No token
 * is in both. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_text_split(const tutti_text *text, int64_t length,
                                                       double fraction, int64_t stride,
                                                       tutti_dataset **out_train,
                                                       tutti_dataset **out_validation);
TUTTI_API void tutti_text_free(tutti_text *text);

#ifdef __cplusplus
}
#endif
#endif
