/* Pieces of generated text, for the kernels of chains (chain.c), epilogues and prologues. In a body,
 * element i of the result, of row r and column x, is computed from the operands in0, in1 …:
 * x0, x1 … are their values, v0, v1 … the members'. */
#ifndef TUTTI_GRAPH_GENERATE_H
#define TUTTI_GRAPH_GENERATE_H

#include "base/strbuf.h"
#include "graph/fuse.h"
#include "graph/lowering.h"

#define TUTTI_CHAIN_SCALARS_MAX 16
#define TUTTI_CHAIN_STREAMS_MAX 8

/* What a chain reads besides its operands. */
typedef struct tutti_chain_needs {
    uint32_t scalars[TUTTI_CHAIN_SCALARS_MAX];
    int32_t n_scalars;
    bool random, inv_batch;
    uint32_t streams[TUTTI_CHAIN_STREAMS_MAX]; /* of RANDOM(stream), the first ones */
    int32_t n_streams;
    /* Given: each element finds its random words at index `word` of arrays (tutti_put_words,
     * tutti_put_quads). Else it computes them alone, of which three in four go unused. */
    bool words;
} tutti_chain_needs;

/* The most elements of the last axes, the columns, over which each operand is either there or
 * broadcast throughout. 0 when there is no need or no such number: the body then has no r and x, and
 * finds broadcast operands by division. */
int64_t tutti_chain_columns(const tutti_node_info *node, const tutti_fused_chain *chain);

/* How operands in f16 and bf16 are read and written, where there are any. */
void tutti_put_storage(tutti_strbuf *text, const tutti_node_info *node,
                       const tutti_fused_chain *chain, const tutti_device_info *device);
/* Functions of the members. */
void tutti_put_preludes(tutti_strbuf *text, const tutti_fused_chain *chain,
                        const tutti_chain_needs *needs);
/* Arrays of random words for `count` elements from `first` on (expressions), at most `most`; that of an
 * element is at words_shift + (its index - first). Nothing when none are needed. */
void tutti_put_words(tutti_strbuf *text, const tutti_node_info *node,
                     const tutti_chain_needs *needs, int64_t most, const char *first,
                     const char *count);
/* For the work-item `id`, the words of the elements id / 16 * 64 + id % 16 + 16 k - words_shift, at k. */
void tutti_put_quads(tutti_strbuf *text, const tutti_node_info *node,
                     const tutti_chain_needs *needs);
/* The parameters, or where types is NULL their names alone, each with `before` before it. Pointers
 * have the qualifier `types`, names begin with `prefix`. Leaves out the operand `base` and output 0
 * unless base.id is 0. */
void tutti_put_parameters(tutti_strbuf *text, const tutti_node_info *node, tutti_tensor base,
                          const tutti_chain_needs *needs, const char *before, const char *types,
                          const char *prefix);
/* The arguments for them; `launch` continues with those of `needs`. */
void tutti_launch_chain(tutti_lowering *out, tutti_launch *launch, const tutti_node_info *node,
                        tutti_tensor base, const tutti_chain_needs *needs);
/* The statements that compute the members of one element; `base` is read from out0. */
tutti_status tutti_put_values(tutti_strbuf *text, const tutti_node_info *node,
                              const tutti_fused_chain *chain, tutti_tensor base, int64_t columns,
                              tutti_chain_needs *out_needs);
/* One that stores the value to an output: "out0[i] = v3;" or what its type needs. */
void tutti_put_store(tutti_strbuf *text, const tutti_node_info *node, int32_t output,
                     const char *index, const char *value);
/* The values, and stores of all outputs. Loads come first, so that an output may share memory with an operand. */
tutti_status tutti_put_body(tutti_strbuf *text, const tutti_node_info *node,
                            const tutti_fused_chain *chain, tutti_tensor base, int64_t columns,
                            tutti_chain_needs *out_needs);
/* What a kernel of a file takes: the text, which is freed, and the arguments for the chain's
 * parameters. `status` is that of writing the text. */
TUTTI_MUST_USE tutti_status tutti_attach_code(tutti_strbuf *text, tutti_status status,
                                              const tutti_node_info *node, tutti_tensor base,
                                              const tutti_chain_needs *needs, tutti_lowering *out,
                                              tutti_attached_code *code);

#endif
