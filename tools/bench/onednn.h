/* oneDNN's convolutions, where its headers were found when this was built. */
#ifndef TUTTI_TOOLS_BENCH_ONEDNN_H
#define TUTTI_TOOLS_BENCH_ONEDNN_H

#include "bench.h"

enum { FORWARD, DATA_GRADIENT, WEIGHT_GRADIENT, PASSES };

typedef struct conv_shape {
    int64_t n, c, h, w, k, oh, ow, taps, stride, padding;
} conv_shape;

typedef struct onednn_conv onednn_conv;

bool bench_onednn_built_in(void);
/* In the layouts that oneDNN likes best, with random data; by the algorithm that it likes best
 * (Winograd's where it has that) or by the direct one, since either may be faster. NULL where it
 * has none. */
TUTTI_MUST_USE tutti_status bench_onednn_make(const conv_shape *shape, int pass, bool direct,
                                              onednn_conv **out);
void bench_onednn_free(onednn_conv *conv);
/* user is the onednn_conv. */
tutti_status bench_onednn_call(void *user, int32_t times);
/* Which of its implementations it chose. */
const char *bench_onednn_implementation(const onednn_conv *conv);

#endif
