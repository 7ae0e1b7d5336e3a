/* The same numbers for every split of the work: gradients equal the one-device gradients to 1e-5
 * relative, and 100 steps of training end in the same loss to 1e-4, for shares 100/0, 50/50, 97/3
 * and 0/100, on PoCL alone, PoCL split in two sub-devices, two PoCL devices of different drivers,
 * PoCL with oclgrind. Without arguments the program runs itself once per scenario, since drivers
 * read their environment when they load. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "seed.h"
#include "tutti/tutti.h"

static int failures;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            printf("%s:%d: ", __FILE__, __LINE__);                                                 \
            printf(__VA_ARGS__);                                                                   \
            printf(" (%s)\n", tutti_error_message());                                              \
        }                                                                                          \
    } while (0)
#define GOOD(call)                                                                                 \
    do {                                                                                           \
        tutti_status good_status = (call);                                                         \
        if (good_status != TUTTI_OK) {                                                             \
            printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, tutti_error_message());           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { FEATURES = 12, HIDDEN = 17, CLASSES = 5, BATCH = 33, PARAMS = 4 };

typedef struct model {
    tutti_graph *graph;
    tutti_tensor x, y, loss, accuracy, logits, grads[PARAMS], params[PARAMS];
    size_t counts[PARAMS];
} model;

/* With dropout, since its random numbers must not depend on the split either. */
static void make_model(model *m) {
    tutti_graph *g;
    GOOD(tutti_graph_make(&g));
    m->graph = g;
    m->x = tutti_graph_input(g, "x", TUTTI_F32, 2, (int64_t[]){TUTTI_BATCH, FEATURES});
    m->y = tutti_graph_input(g, "y", TUTTI_I32, 1, (int64_t[]){TUTTI_BATCH});
    tutti_tensor h = tutti_relu(g, tutti_nn_linear(g, m->x, HIDDEN, "hidden", NULL));
    h = tutti_dropout(g, h, 0.25F);
    m->logits = tutti_nn_linear(g, h, CLASSES, "head", NULL);
    m->loss = tutti_softmax_cross_entropy(g, m->logits, m->y);
    m->accuracy = tutti_accuracy(g, m->logits, m->y);
    GOOD(tutti_graph_set_loss(g, m->loss));
    GOOD(tutti_graph_set_output(g, "logits", m->logits));
    GOOD(tutti_graph_set_output(g, "accuracy", m->accuracy));
    GOOD(tutti_graph_backward(g));
    for (int i = 0; i < PARAMS; i++) {
        char name[16];
        m->params[i] = tutti_graph_param_at(g, i);
        m->grads[i] = tutti_graph_grad(g, m->params[i]);
        tutti_shape shape = tutti_graph_tensor_shape(g, m->params[i]);
        m->counts[i] = (size_t)tutti_shape_count(&shape, 1);
        snprintf(name, sizeof name, "grad%d", i);
        GOOD(tutti_graph_set_output(g, name, m->grads[i]));
    }
    GOOD(tutti_graph_optimize(
        g, &(tutti_optimizer){.kind = TUTTI_ADAM, .lr = 5e-3F, .clip_norm = 2.0F}));
    GOOD(tutti_graph_freeze(g));
}

typedef struct result {
    float *grads[PARAMS];
    float first_loss, first_accuracy, last_loss, eval_loss;
    float logits[BATCH * CLASSES];
} result;

static void free_result(result *r) {
    for (int i = 0; i < PARAMS; i++)
        free(r->grads[i]);
}

/* Step s of training sees the same samples whatever the devices. */
static void make_batch(uint64_t seed, int step, float *x, int32_t *y) {
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, (uint64_t)step + 1);
    for (int i = 0; i < BATCH; i++) {
        float score[CLASSES] = {0};
        for (int k = 0; k < FEATURES; k++) {
            x[i * FEATURES + k] = tutti_rng_normal(&rng);
            score[k % CLASSES] += x[i * FEATURES + k] * (float)(1 + k % 3);
        }
        y[i] = 0;
        for (int c = 1; c < CLASSES; c++)
            if (score[c] > score[y[i]])
                y[i] = c;
    }
}

static void train(const model *m, tutti_plan *plan, const double *shares, int steps, uint64_t seed,
                  result *out) {
    float x[BATCH * FEATURES];
    int32_t y[BATCH];
    tutti_run *run;
    GOOD(tutti_run_open(plan, &(tutti_run_options){.seed = 7, .shares = shares}, &run));
    for (int i = 0; i < PARAMS; i++) {
        out->grads[i] = malloc(m->counts[i] * sizeof(float));
        memset(out->grads[i], 0xff, m->counts[i] * sizeof(float));
    }
    memset(out->logits, 0xff, sizeof out->logits);
    const tutti_feed feeds[] = {{m->x, x}, {m->y, y}};
    for (int step = 0; step < steps; step++) {
        float loss = NAN, accuracy = NAN;
        tutti_fetch fetches[2 + PARAMS] = {{m->loss, &loss}, {m->accuracy, &accuracy}};
        for (int i = 0; i < PARAMS; i++)
            fetches[2 + i] = (tutti_fetch){m->grads[i], out->grads[i]};
        make_batch(seed, step, x, y);
        /* A smaller batch now and then, as at the end of an epoch. */
        const int64_t n = step % 7 == 3 ? BATCH / 2 : BATCH;
        GOOD(tutti_run_step(run, TUTTI_TRAIN, n, feeds, 2, fetches, step == 0 ? 2 + PARAMS : 2));
        if (step == 0) {
            out->first_loss = loss;
            out->first_accuracy = accuracy;
        }
        out->last_loss = loss;
    }
    float eval_loss = NAN;
    make_batch(seed, 0, x, y);
    const tutti_fetch fetches[] = {{m->loss, &eval_loss}, {m->logits, out->logits}};
    GOOD(tutti_run_step(run, TUTTI_EVAL, BATCH, feeds, 2, fetches, 2));
    out->eval_loss = eval_loss;

    float predicted[BATCH * CLASSES];
    memset(predicted, 0xff, sizeof predicted);
    const tutti_fetch predict = {m->logits, predicted};
    GOOD(tutti_run_step(run, TUTTI_PREDICT, BATCH, feeds, 1, &predict, 1));
    for (int i = 0; i < BATCH * CLASSES; i++)
        CHECK(fabsf(predicted[i] - out->logits[i]) <= 1e-5F * (1 + fabsf(predicted[i])),
              "predict differs from evaluate: %g, %g", predicted[i], out->logits[i]);

    CHECK(tutti_run_steps(run) == (uint64_t)steps, "%llu steps",
          (unsigned long long)tutti_run_steps(run));
    tutti_run_close(run);
}

static double difference(const float *a, const float *b, size_t count) {
    double largest = 0, off = 0;
    for (size_t i = 0; i < count; i++) {
        if (!(fabs((double)a[i]) < 1e30) || !(fabs((double)b[i]) < 1e30))
            return INFINITY;
        largest = fmax(largest, fabs((double)b[i]));
        off = fmax(off, fabs((double)a[i] - (double)b[i]));
    }
    return off / fmax(largest, 1e-30);
}

static double relative(double a, double b) {
    return fabs(a - b) / fmax(fabs(b), 1e-30);
}

static tutti_runtime *open_runtime(const char *json, tutti_profile **profile) {
    tutti_runtime *runtime;
    GOOD(tutti_profile_parse("test", json, strlen(json), profile));
    GOOD(tutti_runtime_open(*profile, &runtime));
    return runtime;
}

/* The numbers of `json`'s devices for each split against one device (`alone`). */
static void compare(const char *alone, const char *json, int32_t expected_devices, int steps) {
    const uint64_t seed = test_seed();
    model m;
    make_model(&m);
    tutti_profile *profile_one, *profile_many;
    tutti_runtime *one = open_runtime(alone, &profile_one);
    tutti_plan *plan;
    result expected = {0};
    GOOD(tutti_plan_make(m.graph, one, &(tutti_plan_options){.batch = BATCH}, &plan));
    train(&m, plan, NULL, steps, seed, &expected);
    tutti_plan_free(plan);
    CHECK(expected.last_loss < expected.first_loss, "no progress: %g to %g", expected.first_loss,
          expected.last_loss);

    tutti_runtime *many = open_runtime(json, &profile_many);
    CHECK(tutti_runtime_device_count(many) == expected_devices, "%d devices, expected %d",
          (int)tutti_runtime_device_count(many), (int)expected_devices);
    GOOD(tutti_plan_make(m.graph, many, &(tutti_plan_options){.batch = BATCH}, &plan));
    static const double shares[][2] = {{1, 0}, {0.5, 0.5}, {0.97, 0.03}, {0, 1}};
    const size_t n_shares = expected_devices == 2 ? 4 : 1;
    for (size_t s = 0; s < n_shares; s++) {
        result got = {0};
        train(&m, plan, expected_devices == 2 ? shares[s] : NULL, steps, seed, &got);
        double worst = 0;
        for (int i = 0; i < PARAMS; i++)
            worst = fmax(worst, difference(got.grads[i], expected.grads[i], m.counts[i]));
        const double last = relative(got.last_loss, expected.last_loss);
        printf("seed %llu, shares %g/%g: gradients differ by %.2g, loss after %d steps by %.2g\n",
               (unsigned long long)seed, shares[s][0], shares[s][1], worst, steps, last);
        CHECK(worst <= 1e-5, "gradients differ by %g", worst);
        CHECK(relative(got.first_loss, expected.first_loss) <= 1e-5, "first loss %g, %g",
              got.first_loss, expected.first_loss);
        CHECK(relative(got.first_accuracy, expected.first_accuracy) <= 1e-5,
              "first accuracy %g, %g", got.first_accuracy, expected.first_accuracy);
        CHECK(last <= 1e-4, "loss %g, %g", got.last_loss, expected.last_loss);
        CHECK(relative(got.eval_loss, expected.eval_loss) <= 1e-4, "eval loss %g, %g",
              got.eval_loss, expected.eval_loss);
        free_result(&got);
    }
    tutti_plan_free(plan);
    tutti_runtime_close(many);
    tutti_runtime_close(one);
    tutti_profile_free(profile_many);
    tutti_profile_free(profile_one);
    tutti_graph_free(m.graph);
    free_result(&expected);
}

#define POCL_ONE "{\"devices\": [{\"match\": {\"platform\": \"Portable*\", \"index\": 0}}]}"

static void scenario(const char *name) {
    if (strcmp(name, "alone") == 0)
        compare(POCL_ONE, POCL_ONE, 1, 100);
    else if (strcmp(name, "sub-devices") == 0)
        compare(
            POCL_ONE,
            "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}, \"partition\": [1, 1]}]}", 2,
            100);
    else if (strcmp(name, "two-drivers") == 0)
        compare(POCL_ONE, "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}}]}", 2, 100);
    else
        compare(POCL_ONE,
                "{\"devices\": [{\"match\": {\"platform\": \"Portable*\"}}, {\"match\": "
                "{\"platform\": \"Oclgrind*\"}}]}",
                2, 100);
}

static void write_icd(const char *directory, const char *name, const char *library) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s.icd", directory, name);
    FILE *file = fopen(path, "w");
    fprintf(file, "%s\n", library);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        scenario(argv[1]);
        return failures == 0 ? 0 : 1;
    }
    char icds[] = "/tmp/tutti-icd-XXXXXX";
    if (mkdtemp(icds) == NULL)
        return 1;
    write_icd(icds, "pocl", "libpocl.so.2");
    write_icd(icds, "oclgrind", "/usr/lib/oclgrind/liboclgrind-rt-icd.so");
    static const char *const scenarios[] = {"alone", "sub-devices", "two-drivers", "two-vendors"};
    int failed = 0;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        printf("-- %s\n", scenarios[i]);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            if (i == 2)
                setenv("POCL_DEVICES", "basic pthread", 1);
            if (i == 3)
                setenv("OCL_ICD_VENDORS", icds, 1);
            execl("/proc/self/exe", argv[0], scenarios[i], (char *)NULL);
            _exit(127);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (status != 0) {
            printf("%s failed (status %d)\n", scenarios[i], status);
            failed++;
        }
    }
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", icds);
    if (system(command) != 0)
        failed++;
    return failed == 0 ? 0 : 1;
}
