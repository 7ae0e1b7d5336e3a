/* The op constructors: each adds nodes to the graph and returns the result, or the invalid tensor
 * (the graph then keeps the first error). Broadcasting follows NumPy: shapes are aligned at the
 * last axis, extents must agree or be 1. A batched leading extent only meets a batched or a
 * missing or 1 extent. All results are f32 unless said.
 */
#ifndef TUTTI_OPS_H
#define TUTTI_OPS_H

#include "tutti/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Matrix product. */

/* Matrix product of a (MxK, or KxM when trans_a) and b (KxN, or NxK when trans_b): MxN. The batch may
 * be M (of a not transposed) or the summed extent (trans_a with both batched: the result is a sum
 * over the batch), not N.
 * With more axes, products of the last two for each of the leading axes, which broadcast; the batch
 * may be the first of them. A result of tutti_permute is read as its source lies, without a copy, when
 * the source's last axis is one of the two; but not an `a` of more axes with a matrix as b. */
TUTTI_API tutti_tensor tutti_matmul(tutti_graph *g, tutti_tensor a, tutti_tensor b, bool trans_a,
                                    bool trans_b);

/* Arithmetic: elementwise, so that chains of them become one kernel. */

TUTTI_API tutti_tensor tutti_add(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_sub(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_mul(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_div(tutti_graph *g, tutti_tensor a, tutti_tensor b);

/* x + value, x * value, x ^ value (x > 0 unless value is a whole number), -x. */
TUTTI_API tutti_tensor tutti_add_scalar(tutti_graph *g, tutti_tensor x, float value);
TUTTI_API tutti_tensor tutti_scale(tutti_graph *g, tutti_tensor x, float value);
TUTTI_API tutti_tensor tutti_pow_scalar(tutti_graph *g, tutti_tensor x, float value);
TUTTI_API tutti_tensor tutti_neg(tutti_graph *g, tutti_tensor x);
/* 1 / x, |x|, the sign (-1, 0, 1), the largest whole number not above x, the nearest whole number
 * (halves to the even one), sine and cosine. The gradients of sign, floor and round are 0. */
TUTTI_API tutti_tensor tutti_reciprocal(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_abs(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_sign(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_floor(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_round(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_sin(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_cos(tutti_graph *g, tutti_tensor x);

/* Comparison and choice. */

/* x within [low, high]; a bound may be infinite. The gradient passes where x is within. */
TUTTI_API tutti_tensor tutti_clamp(tutti_graph *g, tutti_tensor x, float low, float high);
/* The larger and the smaller of a and b; NaN when one is. Where they are equal, each gets half of
 * the gradient. */
TUTTI_API tutti_tensor tutti_maximum(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_minimum(tutti_graph *g, tutti_tensor a, tutti_tensor b);
/* 1 where a and b compare so, else 0; without gradient. A NaN is only not_equal to anything. */
TUTTI_API tutti_tensor tutti_equal(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_not_equal(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_less(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_less_equal(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_greater(tutti_graph *g, tutti_tensor a, tutti_tensor b);
TUTTI_API tutti_tensor tutti_greater_equal(tutti_graph *g, tutti_tensor a, tutti_tensor b);
/* a where condition (f32 or i32) is not 0, else b. What is not taken does not matter, not even a
 * NaN, for the result nor for the gradient. */
TUTTI_API tutti_tensor tutti_where(tutti_graph *g, tutti_tensor condition, tutti_tensor a,
                                   tutti_tensor b);

/* x as another element type. To i32, the fraction is cut off; NaN and what no i32 holds becomes
 * INT32_MIN, which is an index of nothing. To f16 and bf16, values are rounded to nearest even and what
 * is too large becomes infinite. Those two are for storage: other ops take them through a cast to f32
 * (which is fused into the reader where that is elementwise). The gradient passes casts between f32, f16 and bf16
 * as it is, in f32; from and to i32 there is none. */
TUTTI_API tutti_tensor tutti_cast(tutti_graph *g, tutti_tensor x, tutti_dtype dtype);
/* x, through which no gradient passes. */
TUTTI_API tutti_tensor tutti_detach(tutti_graph *g, tutti_tensor x);

/* Activations. */

TUTTI_API tutti_tensor tutti_relu(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_sigmoid(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_tanh(tutti_graph *g, tutti_tensor x);
/* x times the probability that a normal variable is less than x, 0.5 x (1 + erf(x / sqrt(2))), as
 * PyTorch's default; Hendrycks, Gimpel 2016. */
TUTTI_API tutti_tensor tutti_gelu(tutti_graph *g, tutti_tensor x);
/* GELU's tanh form (GPT-2; PyTorch: approximate="tanh"): 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715
 * x^3))). */
TUTTI_API tutti_tensor tutti_gelu_tanh(tutti_graph *g, tutti_tensor x);
/* x where it is positive, else slope x; PyTorch's default slope is 0.01. */
TUTTI_API tutti_tensor tutti_leaky_relu(tutti_graph *g, tutti_tensor x, float slope);
/* x where it is positive, else alpha (exp(x) - 1). */
TUTTI_API tutti_tensor tutti_elu(tutti_graph *g, tutti_tensor x, float alpha);
/* x sigmoid(x), also called swish. */
TUTTI_API tutti_tensor tutti_silu(tutti_graph *g, tutti_tensor x);
/* log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold (PyTorch: 1 and 20). */
TUTTI_API tutti_tensor tutti_softplus(tutti_graph *g, tutti_tensor x, float beta, float threshold);
/* x / 6 + 1/2 within [0, 1], and x times that. */
TUTTI_API tutti_tensor tutti_hard_sigmoid(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_hard_swish(tutti_graph *g, tutti_tensor x);
/* Softmax over the last axis, and its logarithm. */
TUTTI_API tutti_tensor tutti_softmax(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_log_softmax(tutti_graph *g, tutti_tensor x);
/* Exponential, natural logarithm, square root, error function. */
TUTTI_API tutti_tensor tutti_exp(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_log(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_sqrt(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_erf(tutti_graph *g, tutti_tensor x);

/* Reductions. */

/* Sum, mean, maximum and minimum over the axes (negative counts from the end; n_axes 0 means all
 * axes). keep_dims leaves extents of 1. Axis 0 of a batched tensor is the batch: the result then
 * covers the WHOLE batch over all devices; the maximum and minimum over the batch are refused. Their
 * gradient goes to all elements that attain them, in equal parts. */
TUTTI_API tutti_tensor tutti_sum(tutti_graph *g, tutti_tensor x, int32_t n_axes,
                                 const int32_t *axes, bool keep_dims);
TUTTI_API tutti_tensor tutti_mean(tutti_graph *g, tutti_tensor x, int32_t n_axes,
                                  const int32_t *axes, bool keep_dims);
TUTTI_API tutti_tensor tutti_max(tutti_graph *g, tutti_tensor x, int32_t n_axes,
                                 const int32_t *axes, bool keep_dims);
TUTTI_API tutti_tensor tutti_min(tutti_graph *g, tutti_tensor x, int32_t n_axes,
                                 const int32_t *axes, bool keep_dims);

/* Variance over axes as for tutti_sum: the mean square of x without its mean; unbiased divides by
 * one element less (Bessel). Over the batch it is that of the WHOLE batch, NaN for an unbiased
 * single element. */
TUTTI_API tutti_tensor tutti_variance(tutti_graph *g, tutti_tensor x, int32_t n_axes,
                                      const int32_t *axes, bool unbiased, bool keep_dims);
/* (sum of |x|^p)^(1/p) over axes as for tutti_sum, p >= 1: 1 the sum of magnitudes, 2 the Euclidean
 * norm, INFINITY the largest magnitude (not over the batch). The gradient at x = 0 is 0. */
TUTTI_API tutti_tensor tutti_vector_norm(tutti_graph *g, tutti_tensor x, float p, int32_t n_axes,
                                         const int32_t *axes, bool keep_dims);

/* Sums of all elements up to each one along an axis that is not the batch. */
TUTTI_API tutti_tensor tutti_cumsum(tutti_graph *g, tutti_tensor x, int32_t axis);

/* Shape. */

/* The same elements under another shape. dims may start with TUTTI_BATCH for a batched x, and one
 * other extent may be 0, which stands for what is left. A batched x whose samples hold whole
 * multiples of the rest may merge axes into the leading one: (N,T,C) to (TUTTI_BATCH, C) gives T
 * rows per sample. */
TUTTI_API tutti_tensor tutti_reshape(tutti_graph *g, tutti_tensor x, int32_t rank,
                                     const int64_t *dims);
/* Permutes the axes: result axis i is axis perm[i] of x. The batch axis must stay first. */
TUTTI_API tutti_tensor tutti_permute(tutti_graph *g, tutti_tensor x, int32_t rank,
                                     const int32_t *perm);
/* x expanded by the broadcasting rule: to the shape of like, or to dims, which may start with
 * TUTTI_BATCH; an extent of 0 stands for x's own. */
TUTTI_API tutti_tensor tutti_broadcast_like(tutti_graph *g, tutti_tensor x, tutti_tensor like);
TUTTI_API tutti_tensor tutti_expand(tutti_graph *g, tutti_tensor x, int32_t rank,
                                    const int64_t *dims);

/* The end of an axis. */
#define TUTTI_END INT64_MAX
/* Elements begin, begin + step, … before end of an axis (a negative axis, begin or end counts from the
 * end). Not of the batch axis. */
TUTTI_API tutti_tensor tutti_slice(tutti_graph *g, tutti_tensor x, int32_t axis, int64_t begin,
                                   int64_t end, int64_t step);
/* n tensors of equal type one behind the other along an axis that is not the batch; their other
 * extents agree. */
TUTTI_API tutti_tensor tutti_concat(tutti_graph *g, int32_t n, const tutti_tensor *x, int32_t axis);
/* The opposite of tutti_concat: x cut along an axis in n parts of the given sizes, or of equal ones
 * when sizes is NULL. out receives n tensors, all invalid on error. */
TUTTI_API void tutti_split(tutti_graph *g, tutti_tensor x, int32_t axis, int32_t n,
                           const int64_t *sizes, tutti_tensor *out);
/* Indices. */

/* Elements of x along an axis that is not the batch, chosen by an i32 index: for a matrix and axis 1
 * y[i][j] = x[i][index[i][j]]. The index has x's extents beside the axis, or only extents of 1
 * before it, behind it, or both, and then serves all of them: with x a table (VxC), axis 0 and an
 * index of (Nx1), y (NxC) has a row of the table per index. An index outside gives NaN. */
TUTTI_API tutti_tensor tutti_gather(tutti_graph *g, tutti_tensor x, int32_t axis,
                                    tutti_tensor index);
/* The opposite of tutti_gather: x plus each element of src, added where the index says: for a
 * matrix and axis 1 y[i][index[i][j]] += src[i][j]. The index fits src as it fits gather's result.
 * An index outside makes every place that it could have meant NaN. With axis 0 and src batched, the
 * sums are over the whole batch. No atomics: equal inputs give equal bits. */
TUTTI_API tutti_tensor tutti_scatter_add(tutti_graph *g, tutti_tensor x, int32_t axis,
                                         tutti_tensor index, tutti_tensor src);
/* A last axis of `classes` elements: 1 at the index (i32), else 0; all NaN for an index outside.
 * Without gradient. */
TUTTI_API tutti_tensor tutti_one_hot(tutti_graph *g, tutti_tensor index, int64_t classes);

/* The index (i32) of the first of the largest elements along an axis that is not the batch, which goes
 * away; a NaN counts as larger than all numbers. Without gradient. */
TUTTI_API tutti_tensor tutti_argmax(tutti_graph *g, tutti_tensor x, int32_t axis);
/* The k largest elements along the last axis, the largest first, of equals the first; out_index, which
 * may be NULL, receives where they were (i32). The gradient is that of the values. */
TUTTI_API tutti_tensor tutti_top_k(tutti_graph *g, tutti_tensor x, int64_t k,
                                   tutti_tensor *out_index);
/* Images: NCHW, x is (N, C, H, W) with any number of images as its leading extent. Pairs of options
 * are {height, width}; zero means the default, and options may be NULL. */

typedef struct tutti_conv2d_options {
    int64_t stride[2];         /* default 1 */
    int64_t padding[2];        /* zeros before and behind */
    int64_t dilation[2];       /* distance of the taps; default 1 */
    int64_t groups;            /* default 1; C for depthwise */
    int64_t output_padding[2]; /* conv_transpose2d only: rows and columns more at the end, less than
                                  the stride */
} tutti_conv2d_options;

/* Convolution (cross-correlation, as PyTorch): weight (K, C / groups, R, S), bias (K) or the
 * invalid tensor for none. Result (N, K, OH, OW), OH = (H + 2 padding - dilation (R - 1) - 1) /
 * stride + 1, rounded down. */
TUTTI_API tutti_tensor tutti_conv2d(tutti_graph *g, tutti_tensor x, tutti_tensor weight,
                                    tutti_tensor bias, const tutti_conv2d_options *options);
/* Transposed convolution: weight (C, K / groups, R, S), bias (K) or the invalid tensor. Result (N,
 * K, OH, OW), OH = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1. */
TUTTI_API tutti_tensor tutti_conv_transpose2d(tutti_graph *g, tutti_tensor x, tutti_tensor weight,
                                              tutti_tensor bias,
                                              const tutti_conv2d_options *options);

typedef struct tutti_conv1d_options {
    int64_t stride, padding, dilation, groups; /* as tutti_conv2d_options */
} tutti_conv1d_options;

/* Convolution of x (N, C, T) with weight (K, C / groups, R) and bias (K) or the invalid tensor. */
TUTTI_API tutti_tensor tutti_conv1d(tutti_graph *g, tutti_tensor x, tutti_tensor weight,
                                    tutti_tensor bias, const tutti_conv1d_options *options);

typedef struct tutti_pool2d_options {
    int64_t kernel[2];    /* required, except for adaptive and global pooling */
    int64_t stride[2];    /* default: the kernel */
    int64_t padding[2];   /* before and behind, at most half of the kernel */
    int64_t dilation[2];  /* maximum only; default 1 */
    bool exclude_padding; /* mean only: padding does not count (PyTorch: count_include_pad=False) */
} tutti_pool2d_options;

/* Maximum over windows; padding is -infinity. All of a window's gradient goes to its first maximum
 * (row by row). Result (N, C, OH, OW), OH as for a convolution. */
TUTTI_API tutti_tensor tutti_max_pool2d(tutti_graph *g, tutti_tensor x,
                                        const tutti_pool2d_options *options);
/* Mean over windows; padding is zeros that count, unless exclude_padding is set. */
TUTTI_API tutti_tensor tutti_avg_pool2d(tutti_graph *g, tutti_tensor x,
                                        const tutti_pool2d_options *options);
/* Mean over height x width windows that cover an image: window i of O over L positions is floor(i L / O)
 * to ceil((i + 1) L / O). Result (N, C, height, width). */
TUTTI_API tutti_tensor tutti_adaptive_avg_pool2d(tutti_graph *g, tutti_tensor x, int64_t height,
                                                 int64_t width);
/* Mean and maximum over whole images: (N, C, 1, 1). */
TUTTI_API tutti_tensor tutti_global_avg_pool2d(tutti_graph *g, tutti_tensor x);
TUTTI_API tutti_tensor tutti_global_max_pool2d(tutti_graph *g, tutti_tensor x);

typedef enum tutti_upsample_mode {
    TUTTI_UPSAMPLE_NEAREST,
    TUTTI_UPSAMPLE_BILINEAR
} tutti_upsample_mode;

typedef struct tutti_upsample2d_options {
    int64_t size[2];  /* of the result; 0: from scale */
    int64_t scale[2]; /* result per input; the size may also be smaller than x */
    tutti_upsample_mode mode;
} tutti_upsample2d_options;

/* Images of another size. Nearest: position i of O shows position floor(i L / O) of L. Bilinear:
 * between the centres around (i + 0.5) L / O - 0.5, cut at the borders (PyTorch:
 * align_corners=False). Result (N, C, OH, OW). */
TUTTI_API tutti_tensor tutti_upsample2d(tutti_graph *g, tutti_tensor x,
                                        const tutti_upsample2d_options *options);

typedef enum tutti_pad_mode { TUTTI_PAD_ZERO, TUTTI_PAD_REFLECT } tutti_pad_mode;

typedef struct tutti_pad2d_options {
    int64_t before[2], after[2]; /* {rows, columns}; zero padding may be negative, which cuts */
    tutti_pad_mode mode;
} tutti_pad2d_options;

/* Images with a border of zeros, or of what lies as far inside (the border itself not repeated; less
 * than the image's extent). */
TUTTI_API tutti_tensor tutti_pad2d(tutti_graph *g, tutti_tensor x,
                                   const tutti_pad2d_options *options);

/* Normalisation. */

/* x (N,C) or (N,C,...): per channel (x - mean) / sqrt(variance + eps) * gamma + beta; gamma, beta,
 * running_mean and running_var have C elements, the last two are states of the graph. When training,
 * mean and variance are those of the WHOLE batch over all devices, and the running ones follow:
 * running = (1 - momentum) running + momentum * new, the variance as the unbiased estimate (PyTorch:
 * momentum 0.1, eps 1e-5). When evaluating and predicting, the running ones are used. */
TUTTI_API tutti_tensor tutti_batch_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma,
                                        tutti_tensor beta, tutti_tensor running_mean,
                                        tutti_tensor running_var, float momentum, float eps);
/* The last n_axes axes of x as a row: (x - mean) / sqrt(variance + eps) * gamma + beta. gamma and
 * beta have the shape of these axes; beta, or both, may be the invalid tensor, which means none. The
 * batch cannot be among the axes. */
TUTTI_API tutti_tensor tutti_layer_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma,
                                        tutti_tensor beta, int32_t n_axes, float eps);
/* x / sqrt(mean of squares + eps) * gamma over the last n_axes axes; gamma may be invalid. */
TUTTI_API tutti_tensor tutti_rms_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma,
                                      int32_t n_axes, float eps);
/* x (N,C) or (N,C,...): the C channels of a sample in equal groups, each normalised like a row of
 * layer norm; gamma and beta (C elements) as there. As many groups as channels: instance norm. */
TUTTI_API tutti_tensor tutti_group_norm(tutti_graph *g, tutti_tensor x, tutti_tensor gamma,
                                        tutti_tensor beta, int32_t groups, float eps);

/* Losses. Each is a scalar: the mean over all rows or elements of the WHOLE batch, over all devices,
 * unless said; other reductions are composed of the ops above. Shapes must be equal, nothing is
 * broadcast unless said. Logits may have rows merged from (N, T, V), with labels merged likewise. */

/* logits (NxC), labels (N, i32 in 0..C-1; a label outside gives NaN, never a wrong number). */
TUTTI_API tutti_tensor tutti_softmax_cross_entropy(tutti_graph *g, tutti_tensor logits,
                                                   tutti_tensor labels);
/* Zero means none. */
typedef struct tutti_cross_entropy_options {
    float label_smoothing;      /* from 0 to 1: that part of the label is spread over all classes */
    bool ignore;                /* rows with the label ignore_index count nothing */
    int32_t ignore_index;       /* may lie outside of 0..C-1 */
    tutti_tensor class_weights; /* C, f32, without gradient */
} tutti_cross_entropy_options;
/* tutti_softmax_cross_entropy with options (NULL: none). The mean is weighted: rows count as the
 * weight of their label, and the divisor is the sum of these weights over the whole batch (NaN when
 * it is 0: when every row is ignored). */
TUTTI_API tutti_tensor tutti_cross_entropy(tutti_graph *g, tutti_tensor logits, tutti_tensor labels,
                                           const tutti_cross_entropy_options *options);
/* logits and targets (in [0, 1]) of equal shape. */
TUTTI_API tutti_tensor tutti_bce_with_logits(tutti_graph *g, tutti_tensor logits,
                                             tutti_tensor targets);
/* tutti_bce_with_logits with weights that broadcast to the logits; the invalid tensor means 1.
 * weight scales elements, pos_weight what targets of 1 cost; the divisor is the elements' number. */
TUTTI_API tutti_tensor tutti_bce_with_logits_weighted(tutti_graph *g, tutti_tensor logits,
                                                      tutti_tensor targets, tutti_tensor weight,
                                                      tutti_tensor pos_weight);
/* On probabilities (outside of [0, 1]: NaN) and targets of equal shape; logarithms are cut at -100.
 * Prefer logits. */
TUTTI_API tutti_tensor tutti_bce(tutti_graph *g, tutti_tensor probabilities, tutti_tensor targets);
/* (x - target)^2 and |x - target|, of any numbers. */
TUTTI_API tutti_tensor tutti_mse(tutti_graph *g, tutti_tensor x, tutti_tensor target);
TUTTI_API tutti_tensor tutti_l1(tutti_graph *g, tutti_tensor x, tutti_tensor target);
/* With d = x - target: d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2). */
TUTTI_API tutti_tensor tutti_huber(tutti_graph *g, tutti_tensor x, tutti_tensor target,
                                   float delta);
/* huber with delta = beta, divided by beta; l1 when beta is 0. */
TUTTI_API tutti_tensor tutti_smooth_l1(tutti_graph *g, tutti_tensor x, tutti_tensor target,
                                       float beta);
/* Kullback-Leibler divergence: sum of p (log p - log_q), divided by the extent of the first axis
 * over the whole batch. With log_target, p holds logarithms as well. */
TUTTI_API tutti_tensor tutti_kl_div(tutti_graph *g, tutti_tensor log_q, tutti_tensor p,
                                    bool log_target);
/* a b / (|a| |b|) along the last axis: one value per row, no mean. Norms are at least 1e-8. */
TUTTI_API tutti_tensor tutti_cosine_similarity(tutti_graph *g, tutti_tensor a, tutti_tensor b);
/* Mean over the rows of 1 - cosine where the row's target is above 0, else max(0, cosine - margin).
 */
TUTTI_API tutti_tensor tutti_cosine_embedding(tutti_graph *g, tutti_tensor a, tutti_tensor b,
                                              tutti_tensor target, float margin);

/* Sequences. T is the sequence's length. */

/* Rows of table (VxD, not batched) by index (i32 of any shape, at most five axes): the shape of
 * indices, then D. An index outside 0..V-1 gives a row of NaN, and no gradient. */
TUTTI_API tutti_tensor tutti_embedding(tutti_graph *g, tutti_tensor table, tutti_tensor indices);

/* Zero is the default. */
typedef struct tutti_attention_options {
    /* Added to the scores: f32 that broadcasts to (N, heads, Tq, Tk), -INFINITY where a key is
     * hidden. tutti_log makes it of a mask of 0 (hidden) and 1. It has no gradient. */
    tutti_tensor mask;
    bool causal; /* query i sees keys 0 to i only */
    float scale; /* of the scores; default 1/sqrt(d) */
} tutti_attention_options;

/* Scaled dot-product attention, softmax(scale q k^T + mask) v for each head (Vaswani et al. 2017):
 * q (N, Tq, heads, d), k and v (N, Tk, heads, d), the result like q; d at most 256. That is how a
 * projection (N*T, heads*d) lies in memory: tutti_reshape is all that is needed before and after.
 * The Tq x Tk scores are never stored, forward or backward (Dao et al. 2022), and results do not
 * depend on chance. A query that sees no key gives 0. options may be NULL. */
TUTTI_API tutti_tensor tutti_attention(tutti_graph *g, tutti_tensor q, tutti_tensor k,
                                       tutti_tensor v, const tutti_attention_options *options);

/* Rotary position embedding (Su et al. 2021) of queries or keys x (N, T, heads, d), d even: at position
 * t elements i and i + d/2 are turned by t base^(-2i/d), the form of GPT-NeoX and LLaMA. base 0 means
 * 10000. */
TUTTI_API tutti_tensor tutti_rotary(tutti_graph *g, tutti_tensor x, float base);

/* As PyTorch stores them, P being 4 for an LSTM (gates i, f, g, o) and 3 for a GRU (r, z, n). */
typedef struct tutti_recurrent_weights {
    tutti_tensor weight_ih, weight_hh; /* (P*H, C), (P*H, H) */
    tutti_tensor bias_ih, bias_hh;     /* (P*H), or invalid for none */
} tutti_recurrent_weights;

/* One layer over x (N, T, C), step by step from the first, by PyTorch's equations: all states h (N, T,
 * H). h0 and c0 (N, H): the state before; both invalid for zeros. out_h and out_c receive the last state
 * (N, H); they may be NULL. The inputs' part of all steps is one matrix product.
 * Hochreiter, Schmidhuber 1997; Gers et al. 2000; Cho et al. 2014. */
TUTTI_API tutti_tensor tutti_lstm(tutti_graph *g, tutti_tensor x,
                                  const tutti_recurrent_weights *weights, tutti_tensor h0,
                                  tutti_tensor c0, tutti_tensor *out_h, tutti_tensor *out_c);
TUTTI_API tutti_tensor tutti_gru(tutti_graph *g, tutti_tensor x,
                                 const tutti_recurrent_weights *weights, tutti_tensor h0,
                                 tutti_tensor *out_h);

/* Metrics. */

/* Mean over the batch of 1 where the row's largest logit (the first of equals) is the label. */
TUTTI_API tutti_tensor tutti_accuracy(tutti_graph *g, tutti_tensor logits, tutti_tensor labels);
/* Mean of 1 where (logit > 0) equals (target > 0.5). */
TUTTI_API tutti_tensor tutti_binary_accuracy(tutti_graph *g, tutti_tensor logits,
                                             tutti_tensor targets);

/* Training and evaluation. */

/* Zeroes each element with the given probability and scales the rest by 1/(1-probability) when
 * training; passes x through when evaluating. Random numbers: Philox4x32-10 (Salmon et al. 2011)
 * keyed by (seed, op) and counted by (step, sample in the whole batch, element). */
TUTTI_API tutti_tensor tutti_dropout(tutti_graph *g, tutti_tensor x, float probability);
/* `train` when training, `other` when evaluating and predicting; of equal shape. What only one of
 * them needs is not computed for the other. */
TUTTI_API tutti_tensor tutti_by_mode(tutti_graph *g, tutti_tensor train, tutti_tensor other);

#ifdef __cplusplus
}
#endif
#endif
