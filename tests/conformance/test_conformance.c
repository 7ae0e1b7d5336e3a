/* Walks all ops: bad inputs are refused with the promised text, gradients agree with differences,
 * every candidate agrees with the reference on every OpenCL device present.
 *
 * TUTTI_TEST_SEED repeats a run. TUTTI_CONFORMANCE_WORK=<n> leaves out examples of more than n
 * operations, and library routines, for devices that are interpreters. TUTTI_CONFORMANCE_OP=<name>
 * runs the candidates of that op only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>
#include <unistd.h>

#include "conformance/candidates.h"
#include "conformance/gradient.h"

static uint64_t seed;
static double work_limit = INFINITY;
static const char *only_op;

static tutti_rng rng_of(const tutti_op *op, const tutti_op_example *example) {
    char name[256];
    tutti_rng rng;
    snprintf(name, sizeof name, "%s/%s", op->name, example->label);
    tutti_rng_begin(&rng, seed, tutti_rng_stream(name));
    return rng;
}

static void every_op_is_complete(void **state) {
    (void)state;
    int32_t n_ops, bad = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    assert_true(n_ops > 30);
    for (int32_t o = 0; o < n_ops; o++) {
        const tutti_op *op = ops[o];
        const char *missing = NULL;
        int32_t accepted = 0, refused = 0;
        for (int32_t e = 0; e < op->n_examples; e++)
            op->examples[e].refused != NULL ? refused++ : accepted++;
        if (op->summary == NULL || op->infer == NULL || op->cost == NULL)
            missing = "summary, infer or cost";
        else if (op->grad == NULL && (op->flags & TUTTI_OP_NO_GRAD) == 0)
            missing = "grad, and no flag NO_GRAD";
        else if (op->ref == NULL && (op->flags & TUTTI_OP_ALIAS) == 0)
            missing = "ref";
        else if (op->lower == NULL && (op->flags & (TUTTI_OP_ALIAS | TUTTI_OP_ELEMENTWISE)) == 0)
            missing = "lower";
        else if ((op->flags & TUTTI_OP_ELEMENTWISE) != 0 && op->expr == NULL)
            missing = "expr";
        else if (accepted == 0)
            missing = "example that is accepted";
        else if (refused == 0 && op->n_in_max > 0)
            missing = "example that is refused";
        if (missing != NULL) {
            print_error("%s: has no %s\n", op->name, missing);
            bad++;
        }
    }
    assert_int_equal(bad, 0);
}

static void bad_inputs_are_refused(void **state) {
    (void)state;
    int32_t n_ops, bad = 0, checked = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples; e++) {
            const tutti_op_example *example = &ops[o]->examples[e];
            conf_case c;
            const tutti_status status = case_make(&c, ops[o], example);
            const char *message = tutti_graph_message(c.graph);
            if (example->refused == NULL && status != TUTTI_OK) {
                print_error("%s: %s: refused: %s\n", ops[o]->name, example->label, message);
                bad++;
            } else if (example->refused != NULL) {
                checked++;
                if (status == TUTTI_OK || strstr(message, example->refused) == NULL) {
                    print_error("%s: %s: %s \"%s\", expected \"%s\"\n", ops[o]->name,
                                example->label, tutti_status_name(status), message,
                                example->refused);
                    bad++;
                }
            }
            case_free(&c);
        }
    assert_true(checked > 10);
    assert_int_equal(bad, 0);
}

static void gradients_agree_with_differences(void **state) {
    (void)state;
    int32_t n_ops, bad = 0, checked = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++) {
        if (ops[o]->grad == NULL)
            continue;
        for (int32_t e = 0; e < ops[o]->n_examples; e++) {
            const tutti_op_example *example = &ops[o]->examples[e];
            conf_case c;
            char text[256] = "";
            tutti_rng rng = rng_of(ops[o], example);
            if (example->refused != NULL)
                continue;
            if (case_make(&c, ops[o], example) == TUTTI_OK) {
                checked++;
                if (!gradient_agrees(&c, &rng, text)) {
                    print_error("%s: %s: %s\n", ops[o]->name, example->label, text);
                    bad++;
                }
            }
            case_free(&c);
        }
    }
    assert_true(checked > 50);
    assert_int_equal(bad, 0);
}

/* A gradient that is wrong in one factor, to show that the check can fail. */
static tutti_status wrong_grad(tutti_graph *graph, const tutti_node_info *node,
                               const tutti_tensor *dout, const bool *want, tutti_tensor *din) {
    tutti_status status = tutti_op_matmul.grad(graph, node, dout, want, din);
    din[1] = tutti_scale(graph, din[1], 1.02F);
    return status;
}

static void a_wrong_gradient_is_found(void **state) {
    (void)state;
    tutti_op wrong = tutti_op_matmul;
    wrong.grad = wrong_grad;
    conf_case c;
    char text[256];
    const tutti_op_example *example = &wrong.examples[3];
    tutti_rng rng = rng_of(&wrong, example);
    assert_int_equal(case_make(&c, &wrong, example), TUTTI_OK);
    assert_false(gradient_agrees(&c, &rng, text));
    case_free(&c);
}

/* An example on a device, lowered for what the device is or as for the other kind: a CPU computes
 * GPU-shaped kernels correctly too, and not every machine that tests has a GPU. */
typedef struct job {
    conf_case c;
    tutti_device_info info;
    tutti_lowering lowering;
    bool other;
} job;

static bool job_make(job *j, const tutti_op *op, const tutti_op_example *example,
                     const tutti_device *device, bool other, tutti_arena *arena) {
    if (case_make(&j->c, op, example) != TUTTI_OK)
        return false;
    const tutti_cost cost = op->cost(&j->c.node, j->c.n);
    if (cost.flops + cost.bytes / 4 > work_limit)
        return false;
    j->info = device->info;
    j->other = other;
    if (other)
        j->info.type = (j->info.type & TUTTI_DEVICE_CPU) != 0 ? TUTTI_DEVICE_GPU : TUTTI_DEVICE_CPU;
    const tutti_status status = tutti_node_lower(&j->c.node, &j->info, j->c.n, arena, &j->lowering);
    if (status != TUTTI_OK)
        fail_msg("%s: %s: lower: %s", op->name, example->label, tutti_error_message());
    return true;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_candidate(const tutti_candidate *a, const tutti_candidate *b) {
    if (a->n_launches != b->n_launches)
        return false;
    for (int32_t i = 0; i < a->n_launches; i++) {
        const tutti_launch *x = &a->launches[i], *y = &b->launches[i];
        if (!same_text(x->routine, y->routine) || !same_text(x->entry, y->entry) ||
            !same_text(x->options, y->options) || x->rank != y->rank ||
            memcmp(x->range, y->range, sizeof x->range) != 0)
            return false;
    }
    return true;
}

/* Jobs come in pairs: what the second has in common with the first is not run twice. */
static bool is_wanted(const job *j, const tutti_candidate *candidate) {
    if (candidate->launches[0].routine != NULL && work_limit < INFINITY)
        return false;
    for (int32_t k = 0; j->other && k < j[-1].lowering.n_candidates; k++)
        if (same_candidate(candidate, &j[-1].lowering.candidates[k]))
            return false;
    return true;
}

static void want_all(tutti_kernels *kernels, const job *j) {
    for (int32_t k = 0; k < j->lowering.n_candidates; k++) {
        const tutti_candidate *candidate = &j->lowering.candidates[k];
        for (int32_t l = 0; l < candidate->n_launches && is_wanted(j, candidate); l++)
            if (tutti_kernels_want(kernels, &candidate->launches[l], j->c.op->name) != TUTTI_OK)
                fail_msg("%s: %s: %s", j->c.op->name, j->c.example->label, tutti_error_message());
    }
}

static int32_t run_job(tutti_kernels *kernels, const job *j, int32_t *runs) {
    int32_t bad = 0;
    for (int32_t k = 0; k < j->lowering.n_candidates; k++) {
        const tutti_candidate *candidate = &j->lowering.candidates[k];
        char text[256] = "";
        tutti_rng rng = rng_of(j->c.op, j->c.example);
        if (!is_wanted(j, candidate))
            continue;
        ++*runs;
        if (candidate_agrees(kernels, &j->c, candidate, &rng, text))
            continue;
        print_error("%s: %s: candidate %s on %s: %s\n", j->c.op->name, j->c.example->label,
                    candidate->name, j->info.name, text);
        bad++;
    }
    return bad;
}

static int32_t check_device(const tutti_device *device) {
    int32_t n_ops, n_jobs = 0, bad = 0, runs = 0, total = 0;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++)
        total += ops[o]->n_examples;
    job *jobs = calloc((size_t)total * 2, sizeof *jobs);
    tutti_arena arena = {0};
    tutti_kernels *kernels;
    assert_non_null(jobs);
    if (tutti_kernels_make(NULL, device, &kernels) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples; e++) {
            const tutti_op_example *example = &ops[o]->examples[e];
            if (example->refused != NULL || (ops[o]->flags & TUTTI_OP_ALIAS) != 0 ||
                (only_op != NULL && strcmp(only_op, ops[o]->name) != 0))
                continue;
            for (int32_t other = 0; other < 2; other++) {
                job *j = &jobs[n_jobs];
                if (!job_make(j, ops[o], example, device, other != 0, &arena)) {
                    case_free(&j->c);
                    break;
                }
                n_jobs++;
                want_all(kernels, j);
            }
        }
    if (tutti_kernels_build(kernels) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t j = 0; j < n_jobs; j++)
        bad += run_job(kernels, &jobs[j], &runs);
    printf("%s: %d candidates of %d examples\n", device->info.name, (int)runs, (int)n_jobs / 2);
    for (int32_t j = 0; j < n_jobs; j++)
        case_free(&jobs[j].c);
    free(jobs);
    tutti_kernels_free(kernels);
    tutti_arena_free(&arena);
    assert_true(runs > 0);
    return bad;
}

static void candidates_agree_with_references(void **state) {
    (void)state;
    static const tutti_profile profile = {.source = "conformance", .name = ""};
    static const tutti_profile_device entry = {.share = TUTTI_SHARE_AUTO, .build_options = ""};
    tutti_inventory *inventory;
    tutti_selection selections[32];
    tutti_device *devices;
    int32_t n_selections = 0, n_devices, bad = 0;
    if (tutti_discover(NULL, &inventory) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t i = 0; i < inventory->n_devices && n_selections < 32; i++)
        if (inventory->devices[i].unusable[0] == '\0')
            selections[n_selections++] = (tutti_selection){i, &entry};
    if (n_selections == 0)
        fail_msg("no usable device; looked in %s", inventory->searched);
    if (tutti_devices_open_selected(&profile, inventory, selections, n_selections, &devices,
                                    &n_devices) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    for (int32_t i = 0; i < n_devices; i++)
        bad += check_device(&devices[i]);
    tutti_devices_close(devices, n_devices);
    tutti_inventory_free(inventory);
    assert_int_equal(bad, 0);
}

int main(void) {
    const char *wanted = getenv("TUTTI_TEST_SEED"), *work = getenv("TUTTI_CONFORMANCE_WORK");
    seed = (uint64_t)time(NULL) * 1000003U ^ (uint64_t)getpid();
    if (wanted != NULL)
        seed = strtoull(wanted, NULL, 10);
    if (work != NULL)
        work_limit = strtod(work, NULL);
    only_op = getenv("TUTTI_CONFORMANCE_OP");
    printf("TUTTI_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_is_complete),
        cmocka_unit_test(bad_inputs_are_refused),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(a_wrong_gradient_is_found),
        cmocka_unit_test(candidates_agree_with_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
