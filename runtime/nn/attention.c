/* What sequence models are made of: embedding and multi-head attention. */
#include <inttypes.h>

#include "base/status.h"
#include "nn/layer.h"

tutti_tensor tutti_nn_embedding(tutti_graph *g, tutti_tensor indices, int64_t rows, int64_t width,
                                const char *name, const tutti_nn_params *params) {
    tutti_layer layer;
    if (!tutti_layer_begin(&layer, g, "embedding", indices, name, params) ||
        !tutti_layer_positive(&layer, rows, "rows") ||
        !tutti_layer_positive(&layer, width, "columns"))
        return (tutti_tensor){0};
    const tutti_tensor weight = tutti_layer_weight(&layer, 2, (int64_t[]){rows, width},
                                                   (tutti_init){TUTTI_INIT_NORMAL, 0.0F, 1.0F});
    return tutti_embedding(g, weight, indices);
}

static bool check(const tutti_layer *layer, const tutti_shape *x, const tutti_shape *context,
                  int64_t heads) {
    char text[TUTTI_SHAPE_TEXT], other[TUTTI_SHAPE_TEXT];
    tutti_shape_text(x, text);
    if (!tutti_layer_positive(layer, heads, "heads"))
        return false;
    if (x->rank != 3)
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s, expected (N, T, C)", text);
    else if (x->dim[2] % heads != 0)
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE,
                                 "x is %s: %" PRId64 " channels do not divide into %" PRId64
                                 " heads",
                                 text, x->dim[2], heads);
    else if (context->rank != 3 || context->dim[2] != x->dim[2])
        (void)tutti_layer_refuse(layer, TUTTI_SHAPE, "x is %s, context is %s", text,
                                 tutti_shape_text(context, other));
    else
        return true;
    return false;
}

/* Third number `part` of the input projection on x, cut into heads: (N, T, heads, C / heads). The
 * weight is cut, not the product: it is the smaller of the two. */
static tutti_tensor project(tutti_graph *g, tutti_tensor x, tutti_tensor weight, tutti_tensor bias,
                            int64_t part, int64_t heads) {
    tutti_shape shape = tutti_tensor_type(g, x).shape;
    const int64_t width = shape.dim[2], begin = part * width, end = begin + width;
    const tutti_tensor w = tutti_slice(g, weight, 0, begin, end, 1);
    const tutti_tensor b = bias.id != 0 ? tutti_slice(g, bias, 0, begin, end, 1) : bias;
    const tutti_tensor y = tutti_layer_affine(g, x, w, b);
    shape.rank = 4;
    shape.dim[2] = heads;
    shape.dim[3] = width / heads;
    return y.id == 0 ? y : tutti_reshape_to(g, y, &shape);
}

tutti_tensor tutti_nn_multi_head_attention(tutti_graph *g, tutti_tensor x, int64_t heads,
                                           const char *name,
                                           const tutti_nn_attention_options *options) {
    static const tutti_nn_attention_options defaults;
    static const tutti_init zeros = {TUTTI_INIT_ZEROS, 0.0F, 0.0F};
    const tutti_nn_attention_options *o = options != NULL ? options : &defaults;
    const tutti_tensor context = o->context.id != 0 ? o->context : x;
    const tutti_shape shape = tutti_tensor_type(g, x).shape;
    const tutti_shape context_shape = tutti_tensor_type(g, context).shape;
    char out_name[TUTTI_LAYER_NAME];
    tutti_layer layer;
    if (!tutti_layer_begin(&layer, g, "multi_head_attention", x, name, o->in) ||
        !check(&layer, &shape, &context_shape, heads))
        return (tutti_tensor){0};
    const int64_t width = shape.dim[2], in_dims[] = {3 * width, width};
    const tutti_nn_params *in = layer.params;
    const tutti_init init = {TUTTI_INIT_XAVIER_UNIFORM, 1.0F, 0.0F};
    const tutti_tensor weight = tutti_layer_param(&layer, "in_proj_weight", 2, in_dims,
                                                  in->weight != NULL ? *in->weight : init);
    tutti_tensor bias = {0};
    if (!in->no_bias)
        bias = tutti_layer_param(&layer, "in_proj_bias", 1, in_dims,
                                 in->bias != NULL ? *in->bias : zeros);
    tutti_tensor q = project(g, x, weight, bias, 0, heads);
    tutti_tensor k = project(g, context, weight, bias, 1, heads);
    const tutti_tensor v = project(g, context, weight, bias, 2, heads);
    if (o->rotary) {
        q = tutti_rotary(g, q, o->rotary_base);
        k = tutti_rotary(g, k, o->rotary_base);
    }
    const tutti_tensor y = tutti_attention(g, q, k, v, &o->attention);
    if (y.id == 0)
        return y;
    tutti_nn_params out = {.bias = &zeros};
    if (o->out != NULL) {
        out = *o->out;
        out.bias = out.bias != NULL ? out.bias : &zeros;
    }
    return tutti_nn_linear(g, tutti_reshape_to(g, y, &shape), width,
                           tutti_layer_sub(&layer, "out_proj", out_name), &out);
}
