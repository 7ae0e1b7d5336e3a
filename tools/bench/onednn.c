#include "onednn.h"

#include "base/status.h"

#if BENCH_ONEDNN

#include <stdlib.h>
#include <string.h>

#include <dnnl.h>

#include "base/rng.h"

#define TRY_DNNL(call)                                                                             \
    do {                                                                                           \
        const dnnl_status_t code_ = (call);                                                        \
        if (code_ != dnnl_success)                                                                 \
            return tutti_fail(TUTTI_INTERNAL, "oneDNN: error %d in %s", (int)code_, #call);        \
    } while (0)

struct onednn_conv {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t forward; /* that of the gradient's hint, or the pass itself */
    dnnl_primitive_desc_t pass;    /* owned when it is another one */
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[3];
    dnnl_exec_arg_t args[3];
    char implementation[64];
};

bool bench_onednn_built_in(void) {
    return true;
}

typedef struct layouts {
    dnnl_memory_desc_t src, weights, dst;
    dnnl_dims_t strides, padding;
} layouts;

static tutti_status describe(const conv_shape *s, layouts *out) {
    const dnnl_dims_t src = {s->n, s->c, s->h, s->w}, weights = {s->k, s->c, s->taps, s->taps},
                      dst = {s->n, s->k, s->oh, s->ow};
    *out = (layouts){.strides = {s->stride, s->stride}, .padding = {s->padding, s->padding}};
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&out->src, 4, src, dnnl_f32, dnnl_format_tag_any));
    TRY_DNNL(
        dnnl_memory_desc_init_by_tag(&out->weights, 4, weights, dnnl_f32, dnnl_format_tag_any));
    TRY_DNNL(dnnl_memory_desc_init_by_tag(&out->dst, 4, dst, dnnl_f32, dnnl_format_tag_any));
    return TUTTI_OK;
}

/* The primitive's description stays NULL where oneDNN has none. */
static tutti_status make_passes(const layouts *l, int pass, bool direct, onednn_conv *c) {
    dnnl_convolution_desc_t desc;
    const dnnl_alg_kind_t kind = direct ? dnnl_convolution_direct : dnnl_convolution_auto;
    TRY_DNNL(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, kind, &l->src,
                                                &l->weights, NULL, &l->dst, l->strides, l->padding,
                                                l->padding));
    TRY_DNNL(dnnl_primitive_desc_create(&c->forward, &desc, NULL, c->engine, NULL));
    if (pass == FORWARD) {
        c->pass = c->forward;
        return TUTTI_OK;
    }
    const dnnl_status_t made =
        pass == DATA_GRADIENT
            ? dnnl_convolution_backward_data_desc_init(&desc, kind, &l->src, &l->weights, &l->dst,
                                                       l->strides, l->padding, l->padding)
            : dnnl_convolution_backward_weights_desc_init(&desc, kind, &l->src, &l->weights, NULL,
                                                          &l->dst, l->strides, l->padding,
                                                          l->padding);
    if (made == dnnl_success)
        (void)dnnl_primitive_desc_create(&c->pass, &desc, NULL, c->engine, c->forward);
    return TUTTI_OK;
}

static tutti_status make_memory(onednn_conv *c, int i, dnnl_query_t what, int arg) {
    const dnnl_memory_desc_t *desc = dnnl_primitive_desc_query_md(c->pass, what, 0);
    void *data;
    TRY_DNNL(dnnl_memory_create(&c->memory[i], desc, c->engine, DNNL_MEMORY_ALLOCATE));
    TRY_DNNL(dnnl_memory_get_data_handle(c->memory[i], &data));
    tutti_rng rng;
    tutti_rng_begin(&rng, 3, (uint64_t)i);
    for (size_t k = 0; k < dnnl_memory_desc_get_size(desc) / sizeof(float); k++)
        ((float *)data)[k] = tutti_rng_uniform(&rng) * 2 - 1;
    c->args[i] = (dnnl_exec_arg_t){arg, c->memory[i]};
    return TUTTI_OK;
}

static tutti_status make(const conv_shape *shape, int pass, bool direct, onednn_conv *c) {
    layouts l;
    const char *name = NULL;
    TRY_DNNL(dnnl_engine_create(&c->engine, dnnl_cpu, 0));
    TRY_DNNL(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags));
    TUTTI_TRY(describe(shape, &l));
    TUTTI_TRY(make_passes(&l, pass, direct, c));
    if (c->pass == NULL)
        return TUTTI_OK;
    static const struct {
        dnnl_query_t what;
        int arg;
    } tensors[PASSES][3] = {{{dnnl_query_src_md, DNNL_ARG_SRC},
                             {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                             {dnnl_query_dst_md, DNNL_ARG_DST}},
                            {{dnnl_query_diff_src_md, DNNL_ARG_DIFF_SRC},
                             {dnnl_query_weights_md, DNNL_ARG_WEIGHTS},
                             {dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST}},
                            {{dnnl_query_src_md, DNNL_ARG_SRC},
                             {dnnl_query_diff_weights_md, DNNL_ARG_DIFF_WEIGHTS},
                             {dnnl_query_diff_dst_md, DNNL_ARG_DIFF_DST}}};
    for (int i = 0; i < 3; i++)
        TUTTI_TRY(make_memory(c, i, tensors[pass][i].what, tensors[pass][i].arg));
    TRY_DNNL(dnnl_primitive_create(&c->primitive, c->pass));
    TRY_DNNL(dnnl_primitive_desc_query(c->pass, dnnl_query_impl_info_str, 0, (void *)&name));
    snprintf(c->implementation, sizeof c->implementation, "%s", name);
    return TUTTI_OK;
}

tutti_status bench_onednn_make(const conv_shape *shape, int pass, bool direct, onednn_conv **out) {
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return tutti_fail_memory(sizeof **out, "a convolution");
    const tutti_status status = make(shape, pass, direct, *out);
    if (status != TUTTI_OK || (*out)->pass == NULL) {
        bench_onednn_free(*out);
        *out = NULL;
    }
    return status;
}

void bench_onednn_free(onednn_conv *c) {
    if (c == NULL)
        return;
    if (c->primitive != NULL)
        (void)dnnl_primitive_destroy(c->primitive);
    for (int i = 0; i < 3; i++)
        if (c->memory[i] != NULL)
            (void)dnnl_memory_destroy(c->memory[i]);
    if (c->pass != NULL && c->pass != c->forward)
        (void)dnnl_primitive_desc_destroy(c->pass);
    if (c->forward != NULL)
        (void)dnnl_primitive_desc_destroy(c->forward);
    if (c->stream != NULL)
        (void)dnnl_stream_destroy(c->stream);
    if (c->engine != NULL)
        (void)dnnl_engine_destroy(c->engine);
    free(c);
}

tutti_status bench_onednn_call(void *user, int32_t times) {
    onednn_conv *c = user;
    for (int32_t i = 0; i < times; i++)
        TRY_DNNL(dnnl_primitive_execute(c->primitive, c->stream, 3, c->args));
    TRY_DNNL(dnnl_stream_wait(c->stream));
    return TUTTI_OK;
}

const char *bench_onednn_implementation(const onednn_conv *conv) {
    return conv->implementation;
}

#else

bool bench_onednn_built_in(void) {
    return false;
}

tutti_status bench_onednn_make(const conv_shape *shape, int pass, bool direct, onednn_conv **out) {
    (void)shape;
    (void)pass;
    (void)direct;
    *out = NULL;
    return tutti_fail(TUTTI_UNSUPPORTED, "oneDNN is not built in");
}

void bench_onednn_free(onednn_conv *conv) {
    (void)conv;
}

tutti_status bench_onednn_call(void *user, int32_t times) {
    (void)user;
    (void)times;
    return tutti_fail(TUTTI_UNSUPPORTED, "oneDNN is not built in");
}

const char *bench_onednn_implementation(const onednn_conv *conv) {
    (void)conv;
    return "";
}

#endif
