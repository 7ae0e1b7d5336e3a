/* The networks of samples/models in training against PyTorch (make_nets.py): losses of 50 steps,
 * weights after 1, 10 and 50, first with each batch whole on the first of two devices, then in halves.
 * TUTTI_GOLDEN_DIR names a directory with other sizes, such as `make_goldens.py --full` writes;
 * TUTTI_TEST_PROFILE other devices. */
#include "../../samples/models/gpt.h"
#include "../../samples/models/lenet.h"
#include "../../samples/models/mlp.h"
#include "../../samples/models/resnet.h"
#include "devices.h"
#include "golden.h"
#include "tutti/tutti.h"

enum { STEPS = 50 };

static golden_file file;
static devices dev;

typedef struct net {
    const char *name; /* "nets/lenet" */
    tutti_graph *graph;
    tutti_tensor x, y, loss;
    tutti_plan *plan;
    tutti_run *run;
    golden batches, labels;
    double tolerance[2]; /* of losses and weights */
} net;

/* logits of x, a batch of b->batches, as the sizes say. */
typedef tutti_tensor (*build_fn)(tutti_graph *g, tutti_tensor x, const int32_t *sizes);

static tutti_tensor build_mlp(tutti_graph *g, tutti_tensor x, const int32_t *s) {
    return mlp(g, x, s[1], s[2], s[3]);
}

static tutti_tensor build_lenet(tutti_graph *g, tutti_tensor x, const int32_t *s) {
    return lenet(g, x, &(lenet_sizes){s[0], s[1], s[2], s[3]}, s[4]);
}

static tutti_tensor build_resnet(tutti_graph *g, tutti_tensor x, const int32_t *s) {
    return resnet(g, x, s[2], s[3], s[4]);
}

static tutti_tensor build_gpt(tutti_graph *g, tutti_tensor x, const int32_t *s) {
    return gpt(g, x, &(gpt_sizes){s[0], s[1], s[2], s[3], s[4]});
}

/* Data hold batches x samples x …; the input takes the samples. */
static tutti_tensor input_for(tutti_graph *g, const char *name, const golden *data) {
    int64_t dims[TUTTI_MAX_RANK] = {TUTTI_BATCH};
    for (int32_t d = 2; d < data->rank; d++)
        dims[d - 1] = data->dim[d];
    return tutti_graph_input(g, name, data->dtype, data->rank - 1, dims);
}

static void net_open(net *n, const char *name, build_fn build, const tutti_optimizer *optimizer) {
    *n = (net){.name = name};
    n->batches = golden_get(&file, name, "x");
    n->labels = golden_get(&file, name, "y");
    for (int i = 0; i < 2; i++)
        n->tolerance[i] = (double)((const float *)golden_get(&file, name, "tolerance").data)[i];
    OK(tutti_graph_make(&n->graph));
    tutti_graph *g = n->graph;
    n->x = input_for(g, "x", &n->batches);
    n->y = input_for(g, "y", &n->labels);
    const tutti_tensor logits = build(g, n->x, golden_get(&file, name, "sizes").data);
    n->loss =
        tutti_softmax_cross_entropy(g, logits, tutti_reshape(g, n->y, 1, (int64_t[]){TUTTI_BATCH}));
    (void)tutti_graph_set_loss(g, n->loss);
    tutti_optimizer with_lr = *optimizer;
    with_lr.lr = *(const float *)golden_get(&file, name, "lr").data;
    (void)tutti_graph_optimize(g, &with_lr);
    OK(tutti_graph_freeze(g));
    OK(tutti_plan_make(g, dev.runtime, &(tutti_plan_options){.batch = n->batches.dim[1]},
                       &n->plan));
}

static void net_close(net *n) {
    tutti_plan_free(n->plan);
    tutti_graph_free(n->graph);
}

/* Every parameter and running statistic of the graph: writes it, or compares it. */
static void each_weight(const net *n, const char *when, bool write) {
    char group[64];
    snprintf(group, sizeof group, "%s/%s", n->name, when);
    for (tutti_tensor t = tutti_graph_next_learned(n->graph, (tutti_tensor){0}); t.id != 0;
         t = tutti_graph_next_learned(n->graph, t)) {
        const char *name = tutti_graph_tensor_name(n->graph, t);
        const golden expected = golden_get(&file, group, name);
        const tutti_shape shape = tutti_graph_tensor_shape(n->graph, t);
        assert_int_equal(shape.rank, expected.rank);
        for (int32_t d = 0; d < shape.rank; d++)
            assert_int_equal(shape.dim[d], expected.dim[d]);
        const size_t size = (size_t)expected.count * sizeof(float);
        if (write) {
            OK(tutti_run_write(n->run, t, expected.data, size));
            continue;
        }
        float *got = malloc(size);
        memset(got, 0xFF, size);
        OK(tutti_run_read(n->run, t, got, size));
        golden_check(group, name, expected.data, got, expected.count, n->tolerance[1]);
        free(got);
    }
}

static const char *row(const golden *data, int64_t index) {
    return (const char *)data->data + (index % data->dim[0]) * (data->count / data->dim[0]) * 4;
}

static void train(net *n, const char *name) {
    const golden losses = golden_get(&file, name, "losses");
    assert_int_equal(losses.count, STEPS);
    each_weight(n, "start", true);
    for (int64_t step = 0; step < STEPS; step++) {
        const tutti_feed feeds[] = {{n->x, row(&n->batches, step)}, {n->y, row(&n->labels, step)}};
        float loss = NAN;
        OK(tutti_run_step(n->run, TUTTI_TRAIN, n->batches.dim[1], feeds, 2,
                          &(tutti_fetch){n->loss, &loss}, 1));
        char when[24];
        snprintf(when, sizeof when, "loss of step %d", (int)step + 1);
        golden_check(name, when, (const float *)losses.data + step, &loss, 1, n->tolerance[0]);
        if (step + 1 == 1 || step + 1 == 10 || step + 1 == STEPS) {
            snprintf(when, sizeof when, "step%d", (int)step + 1);
            each_weight(n, when, false);
        }
    }
}

static void check_net(const char *name, build_fn build, const tutti_optimizer *optimizer) {
    net n;
    net_open(&n, name, build, optimizer);
    for (int split = 0; split < SPLITS; split++) {
        OK(tutti_run_open(n.plan, &(tutti_run_options){.seed = 1}, &n.run));
        OK(set_split(&dev, n.run, split));
        train(&n, name);
        tutti_run_close(n.run);
    }
    net_close(&n);
}

static void test_mlp(void **state) {
    (void)state;
    check_net("nets/mlp", build_mlp, &(tutti_optimizer){.kind = TUTTI_ADAM});
}

static void test_lenet(void **state) {
    (void)state;
    check_net("nets/lenet", build_lenet, &(tutti_optimizer){.kind = TUTTI_ADAM, .eps = 1e-4F});
}

static void test_resnet(void **state) {
    (void)state;
    check_net("nets/resnet", build_resnet,
              &(tutti_optimizer){.kind = TUTTI_SGD, .momentum = 0.9F, .weight_decay = 1e-4F});
}

static void test_gpt(void **state) {
    (void)state;
    check_net("nets/gpt", build_gpt, &(tutti_optimizer){.kind = TUTTI_ADAM, .eps = 1e-4F});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mlp),
        cmocka_unit_test(test_lenet),
        cmocka_unit_test(test_resnet),
        cmocka_unit_test(test_gpt),
    };
    const char *dir = getenv("TUTTI_GOLDEN_DIR");
    devices_open(&dev);
    if (dir != NULL) {
        char pattern[4096];
        snprintf(pattern, sizeof pattern, "%s/*.safetensors", dir);
        golden_open_files(&file, pattern);
    } else {
        golden_open(&file);
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    golden_close(&file);
    devices_close(&dev);
    return failed;
}
