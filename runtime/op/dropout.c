/* Zeroes elements at random and scales the rest, when training. The mask of an element depends on
 * the seed, the step, the op's stream and the element's place in the whole batch only; the gradient
 * is the same op on dout. Random numbers: Philox4x32-10, see base/rng.h and cl/philox.clh. */
#include <math.h>

#include "base/rng.h"
#include "base/status.h"
#include "op/elementwise.h"

#define ELEMENTS_KEY 0x64726F70U /* philox.clh has it, too */

typedef struct dropout_attr {
    float probability;
    uint32_t stream;
} dropout_attr;

tutti_tensor tutti_dropout(tutti_graph *g, tutti_tensor x, float probability) {
    if (x.id == 0 || probability == 0)
        return x;
    const dropout_attr attr = {probability, tutti_graph_random_stream(g)};
    return tutti_op_apply1(g, &tutti_op_dropout, &x, 1, &attr, sizeof attr);
}

static tutti_status infer(const tutti_node_info *node, tutti_infer *out) {
    const dropout_attr *attr = node->attr;
    if (!(attr->probability >= 0 && attr->probability < 1))
        return tutti_op_fail(node, TUTTI_INVALID_ARGUMENT,
                             "probability is %g, must be at least 0 and less than 1",
                             (double)attr->probability);
    return tutti_elementwise_infer(node, out);
}

static tutti_status expr(const tutti_node_info *node, const char *const *in, char *text,
                         size_t text_size) {
    const dropout_attr *attr = node->attr;
    /* random / 2^24 >= probability, for whole numbers. */
    const uint32_t least = (uint32_t)ceil(ldexp((double)attr->probability, 24));
    char scale[TUTTI_F32_TEXT];
    return tutti_expr(text, text_size, "(RANDOM(%u) >> 8 >= %uu ? %s * %s : 0.0f)", attr->stream,
                      least, in[0],
                      tutti_f32_text((float)(1.0 / (1.0 - (double)attr->probability)), scale));
}

static double ref_element(const tutti_ref_call *call, const double *x, int64_t index) {
    const tutti_node_info *node = call->node;
    const dropout_attr *attr = node->attr;
    const tutti_run_values *run = call->run;
    const tutti_shape *shape = &node->out_type[0].shape;
    const int64_t before = shape->batched ? tutti_shape_count(shape, run->sample_begin) : 0;
    const uint64_t element = (uint64_t)(before + index);
    /* 64 elements share 16 counters, in four words each. */
    const uint64_t place = element / 64 * 16 + element % 16;
    const uint32_t counter[4] = {(uint32_t)place, (uint32_t)(place >> 32), attr->stream,
                                 (uint32_t)run->step};
    const uint32_t key[2] = {(uint32_t)run->seed ^ ELEMENTS_KEY, (uint32_t)(run->seed >> 32)};
    uint32_t random[4];
    tutti_philox(counter, key, random);
    const double p = (double)attr->probability;
    return (random[element / 16 % 4] >> 8) / 16777216.0 >= p ? x[0] / (1.0 - p) : 0.0;
}

static void ref(const tutti_ref_call *call) {
    tutti_elementwise_ref(call, ref_element);
}

static tutti_status grad(tutti_graph *graph, const tutti_node_info *node, const tutti_tensor *dout,
                         const bool *want, tutti_tensor *din) {
    if (want[0])
        din[0] =
            tutti_op_apply1(graph, &tutti_op_dropout, dout, 1, node->attr, sizeof(dropout_attr));
    return tutti_graph_status(graph);
}

static const dropout_attr half = {0.5F, 0}, fifth = {0.2F, 7}, all = {1, 0}, negative = {-0.1F, 0};
static const tutti_op_example examples[] = {
    {.label = "batched", .n_in = 1, .in = {{.rank = 2, .dim = {TUTTI_BATCH, 33}}}, .attr = &half},
    {.label = "merged",
     .n = 3,
     .n_in = 1,
     .in = {{.rank = 3, .dim = {TUTTI_BATCH, 8, 5}}},
     .attr = &fifth},
    {.label = "no batch", .n_in = 1, .in = {{.rank = 2, .dim = {16, 16}}}, .attr = &fifth},
    {.label = "one",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &all,
     .refused = "dropout: probability is 1, must be at least 0 and less than 1"},
    {.label = "negative",
     .n_in = 1,
     .in = {{.rank = 1, .dim = {4}}},
     .attr = &negative,
     .refused = "dropout: probability is -0.1, must be at least 0 and less than 1"},
};

const tutti_op tutti_op_dropout = {
    .name = "dropout",
    .summary = "zeroes elements at random and scales the rest, when training",
    .options = "probability: 0 to less than 1",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = TUTTI_OP_ELEMENTWISE | TUTTI_OP_RANDOM | TUTTI_OP_TRAIN_ONLY,
    .attr_size = sizeof(dropout_attr),
    .infer = infer,
    .cost = tutti_elementwise_cost_special,
    .grad = grad,
    .ref = ref,
    .expr = expr,
    .examples = examples,
    .n_examples = TUTTI_COUNT(examples),
};
