/* What GPUs of several vendors are asked to compile and run: every op's examples, some of larger sizes,
 * and the samples' networks, lowered for devices that are only described here. Every source must be found, and no launch
 * may ask for larger work-groups or, among its arguments, for more local memory than there is.
 *
 * With TUTTI_KERNELS_DIR the sources are written there, one file for each source and options, with a
 * line in `list` for each kernel: chip, file, options, kernel, work-items of a group, bytes of local
 * memory among the arguments, and what it belongs to, separated by tabs. test_offline_compilers.py
 * compiles them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "../../samples/models/gpt.h"
#include "../../samples/models/lenet.h"
#include "../../samples/models/mlp.h"
#include "../../samples/models/resnet.h"
#include "base/hash.h"
#include "conformance/cases.h"
#include "kernel/runtime.h"
#include "kernel/source.h"
#include "op/attention.h"
#include "op/conv.h"
#include "op/matmul.h"
#include "plan/make.h"
#include "tutti/tutti.h"

/* As their drivers describe them. */
#define GPU(chip, vendor_name, units, group, local_kib, sub_group, capability, more)               \
    {                                                                                              \
        .id = chip, .name = chip, .vendor = vendor_name, .platform_name = vendor_name,             \
        .type = TUTTI_DEVICE_GPU, .compute_units = units, .clock_mhz = 1500,                       \
        .memory_bytes = 16ull << 30, .max_alloc_bytes = 4ull << 30,                                \
        .local_memory_bytes = local_kib << 10, .local_memory_dedicated = true, .fp16 = true,       \
        .address_bits = 64, .base_align_bytes = 128, .max_work_group = group,                      \
        .max_work_item = {group, group, group}, .simd_floats = 1, .sub_groups = true,              \
        .sub_group_size = sub_group, .compute_capability = capability, .extensions = more          \
    }
#define INTEL "cl_khr_fp16 cl_khr_subgroups cl_intel_subgroups cl_intel_required_subgroup_size"
#define AMD   "cl_khr_fp16 cl_khr_subgroups cl_amd_device_attribute_query"
static const tutti_device_info chips[] = {
    GPU("sm_75", "NVIDIA", 40, 1024, 48, 32, 75, "cl_nv_device_attribute_query"),
    GPU("sm_80", "NVIDIA", 108, 1024, 48, 32, 80, "cl_nv_device_attribute_query"),
    GPU("sm_90", "NVIDIA", 132, 1024, 48, 32, 90, "cl_nv_device_attribute_query"),
    GPU("gfx90a", "AMD", 104, 256, 64, 64, 0, AMD),
    GPU("gfx1100", "AMD", 48, 256, 64, 32, 0, AMD),
    GPU("tgllp", "Intel", 96, 512, 64, 16, 0, INTEL),
    GPU("dg2", "Intel", 512, 1024, 64, 16, 0, INTEL),
    GPU("pvc", "Intel", 512, 1024, 64, 16, 0, INTEL),
};

#define DIGEST_TEXT (2 * TUTTI_DIGEST_BYTES + 1)

static const char *directory; /* or NULL */
static FILE *list;
static int32_t launches, failures; /* failures of one test */

/* ---- what is asked of a device ---- */

static void complain(const tutti_device_info *chip, const tutti_launch *launch, const char *label,
                     const char *what) {
    print_error("%s: %s: %s (%s): %s\n", chip->name, label, launch->entry, launch->options, what);
    failures++;
}

static void write_kernel(const tutti_device_info *chip, const tutti_launch *launch,
                         const char *source, const char *label, const int64_t local[3],
                         size_t local_bytes) {
    unsigned char digest[TUTTI_DIGEST_BYTES];
    char name[DIGEST_TEXT + 3], path[512];
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add_text(&hash, source);
    tutti_hash_end(&hash, digest);
    for (int32_t i = 0; i < 8; i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    strcpy(name + 16, ".cl");
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (access(path, F_OK) != 0) {
        FILE *file = fopen(path, "w");
        if (file == NULL || fputs(source, file) < 0 || fclose(file) != 0)
            fail_msg("cannot write %s", path);
    }
    fprintf(list, "%s\t%s\t%s\t%s\t%ldx%ldx%ld\t%zu\t%s\n", chip->name, name, launch->options,
            launch->entry, (long)local[0], (long)local[1], (long)local[2], local_bytes, label);
}

static void check_launch(const tutti_device_info *chip, const tutti_launch *launch,
                         const char *label) {
    const tutti_source_path path = {0};
    char *source;
    if (launch->routine != NULL)
        return;
    launches++;
    const tutti_status status =
        launch->file != NULL ? tutti_source_load(&path, launch->file, &source)
                             : tutti_source_expand(&path, launch->entry, launch->source, &source);
    if (status != TUTTI_OK) {
        complain(chip, launch, label, tutti_error_message());
        return;
    }
    int64_t local[3] = {1, 1, 1};
    size_t local_bytes = 0;
    for (int32_t i = 0; i < launch->rank; i++)
        local[i] = launch->range[i].local;
    for (int32_t i = 0; i < launch->n_args; i++)
        if (launch->args[i].kind == TUTTI_ARG_LOCAL)
            local_bytes += launch->args[i].u.local_bytes;
    /* Other work-groups are made smaller when a launch is bound. */
    const bool fixed = local_bytes > 0 || strstr(source, "reqd_work_group_size") != NULL;
    if (fixed && (uint64_t)(local[0] * local[1] * local[2]) > chip->max_work_group)
        complain(chip, launch, label, "its work-groups are too large");
    if (local_bytes > chip->local_memory_bytes)
        complain(chip, launch, label, "it needs too much local memory");
    if (directory != NULL)
        write_kernel(chip, launch, source, label, local, local_bytes);
    free(source);
}

static void check_candidates(const tutti_device_info *chip, const tutti_candidate *candidates,
                             int32_t n, const char *label) {
    char text[256];
    for (int32_t c = 0; c < n; c++)
        for (int32_t l = 0; l < candidates[c].n_launches; l++) {
            snprintf(text, sizeof text, "%s/%s", label, candidates[c].name);
            check_launch(chip, &candidates[c].launches[l], text);
        }
}

/* ---- ops ---- */

static void check_example(const tutti_op *op, const tutti_op_example *example) {
    conf_case c;
    if (case_make(&c, op, example) != TUTTI_OK)
        fail_msg("%s: %s: %s", op->name, example->label, tutti_error_message());
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        tutti_arena arena = {0};
        tutti_lowering lowering;
        if (tutti_node_lower(&c.node, &chips[i], c.n, &arena, &lowering) != TUTTI_OK)
            fail_msg("%s: %s: %s", op->name, example->label, tutti_error_message());
        check_candidates(&chips[i], lowering.candidates, lowering.n_candidates, op->name);
        /* And those that round where it is allowed. */
        if (tutti_node_lower_rounding(&c.node, &chips[i], c.n, TUTTI_MATMUL_MEDIUM, &arena,
                                      &lowering) != TUTTI_OK)
            fail_msg("%s: %s: %s", op->name, example->label, tutti_error_message());
        for (int32_t k = 0; k < lowering.n_candidates; k++)
            if (lowering.candidates[k].tolerance > 0)
                check_candidates(&chips[i], &lowering.candidates[k], 1, op->name);
        tutti_arena_free(&arena);
    }
    case_free(&c);
}

static void examples_fit(void **state) {
    (void)state;
    int32_t n_ops;
    const tutti_op *const *ops = tutti_op_list(&n_ops);
    for (int32_t o = 0; o < n_ops; o++)
        for (int32_t e = 0; e < ops[o]->n_examples; e++)
            if (ops[o]->examples[e].refused == NULL && (ops[o]->flags & TUTTI_OP_ALIAS) == 0)
                check_example(ops[o], &ops[o]->examples[e]);
    assert_int_equal(failures, 0);
}

static void check_large(const tutti_op *op, const void *attr, const tutti_example_in *in,
                        int32_t n_in) {
    tutti_op_example example = {.label = "large", .n = 32, .n_in = n_in, .attr = attr};
    memcpy(example.in, in, (size_t)n_in * sizeof *in);
    check_example(op, &example);
}

static tutti_example_in tensor(int32_t rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    return (tutti_example_in){.rank = rank, .dim = {a, b, c, d}};
}

static void products_fit(void **state) {
    (void)state;
    static const int64_t sizes[] = {32, 128, 512, 4096};
    for (uint32_t trans = 0; trans < 4; trans++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const int64_t s = sizes[i];
            const tutti_matmul_attr attr = {trans & 1, trans >> 1};
            tutti_batched_matmul_attr batched = {.of = attr};
            for (int32_t d = 0; d < TUTTI_MAX_RANK; d++)
                batched.perm[0][d] = batched.perm[1][d] = d;
            check_large(&tutti_op_matmul, &attr,
                        (tutti_example_in[]){tensor(2, s, s, 0, 0), tensor(2, s, s, 0, 0)}, 2);
            check_large(&tutti_op_batched_matmul, &batched,
                        (tutti_example_in[]){tensor(3, TUTTI_BATCH, s, s, 0),
                                             tensor(3, TUTTI_BATCH, s, s, 0)},
                        2);
        }
    assert_int_equal(failures, 0);
}

static void attention_fits(void **state) {
    (void)state;
    static const int64_t widths[] = {32, 48, 64, 96, 128, 192, 256};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        tutti_example_in in[6];
        for (int32_t k = 0; k < 6; k++)
            in[k] = tensor(4, TUTTI_BATCH, 256, 8, widths[i]);
        in[4] = tensor(3, TUTTI_BATCH, 8, 256, 0);
        const tutti_attention_attr attr = {.scale = 0.125F, .causal = 1};
        check_large(&tutti_op_attention, &attr, in, 3);
    }
    assert_int_equal(failures, 0);
}

static void convolutions_fit(void **state) {
    (void)state;
    static const struct {
        int64_t channels, size, maps, taps, stride, groups;
    } shapes[] = {{3, 224, 64, 7, 2, 1},   {64, 56, 64, 3, 1, 1},   {64, 56, 256, 1, 1, 1},
                  {256, 56, 512, 1, 2, 1}, {128, 28, 128, 3, 2, 1}, {512, 7, 512, 3, 1, 1},
                  {96, 28, 96, 3, 1, 96},  {16, 32, 16, 3, 1, 1},   {1, 28, 6, 5, 1, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t c = shapes[i].channels, s = shapes[i].size, k = shapes[i].maps,
                      r = shapes[i].taps, g = shapes[i].groups, step = shapes[i].stride;
        tutti_conv_attr attr = {
            .stride = {step, step}, .padding = {r / 2, r / 2}, .dilation = {1, 1}, .groups = g};
        const int64_t to = tutti_conv_extent(&attr, 0, s, r);
        const tutti_example_in x = tensor(4, TUTTI_BATCH, c, s, s);
        const tutti_example_in y = tensor(4, TUTTI_BATCH, k, to, to);
        const tutti_example_in weight = tensor(4, k, c / g, r, r);
        check_large(&tutti_op_conv2d, &attr, (tutti_example_in[]){x, weight}, 2);
        attr.extra[0] = attr.extra[1] = (s + 2 * (r / 2) - r) % step;
        check_large(&tutti_op_conv_transpose2d, &attr, (tutti_example_in[]){y, weight}, 2);
        attr.extra[0] = attr.extra[1] = r;
        check_large(&tutti_op_conv2d_weight_grad, &attr, (tutti_example_in[]){x, y}, 2);
    }
    assert_int_equal(failures, 0);
}

/* ---- networks ---- */

static tutti_tensor build(tutti_graph *g, int32_t net, tutti_tensor *labels) {
    static const gpt_sizes sizes = {96, 128, 2, 256, 4};
    const int64_t image[] = {TUTTI_BATCH, 1, 28, 28}, colours[] = {TUTTI_BATCH, 3, 32, 32},
                  row[] = {TUTTI_BATCH, 784}, text[] = {TUTTI_BATCH, 128};
    *labels = tutti_graph_input(g, "y", TUTTI_I32, net == 3 ? 2 : 1, text);
    if (net == 0)
        return mlp(g, tutti_graph_input(g, "x", TUTTI_F32, 2, row), 2, 512, 10);
    if (net == 1)
        return lenet(g, tutti_graph_input(g, "x", TUTTI_F32, 4, image), &lenet_paper, 10);
    if (net == 2)
        return resnet(g, tutti_graph_input(g, "x", TUTTI_F32, 4, colours), 20, 16, 10);
    return gpt(g, tutti_graph_input(g, "x", TUTTI_I32, 2, text), &sizes);
}

static void check_plan(const tutti_graph *graph, const tutti_device_info *chip,
                       tutti_precision precision, const char *label) {
    tutti_profile profile = {.source = "", .name = ""};
    tutti_device device = {.info = *chip, .share = TUTTI_SHARE_AUTO};
    tutti_runtime runtime = {.profile = &profile, .devices = &device, .n_devices = 1};
    tutti_plan plan = {.graph = graph, .runtime = &runtime, .batch = 64};
    tutti_draft_device *draft;
    if (tutti_plan_draft(&plan, &(tutti_plan_options){.batch = 64, .precision = precision},
                         &draft) != TUTTI_OK)
        fail_msg("%s: %s", label, tutti_error_message());
    for (int mode = 0; mode < TUTTI_MODE_COUNT; mode++)
        for (int32_t s = 0; s < plan.devices[0].modes[mode].n_steps; s++)
            check_candidates(chip, draft->steps[mode][s].candidates,
                             draft->steps[mode][s].n_candidates, label);
    tutti_arena_free(&plan.arena);
}

static void networks_fit(void **state) {
    (void)state;
    static const char *const names[] = {"mlp", "lenet", "resnet20", "gpt"};
    for (int32_t net = 0; net < 4; net++) {
        tutti_graph *g;
        tutti_tensor labels;
        assert_int_equal(tutti_graph_make(&g), TUTTI_OK);
        const tutti_tensor logits = build(g, net, &labels);
        if (net == 3)
            labels = tutti_reshape(g, labels, 1, (int64_t[]){TUTTI_BATCH});
        (void)tutti_graph_set_loss(g, tutti_softmax_cross_entropy(g, logits, labels));
        (void)tutti_graph_optimize(
            g, &(tutti_optimizer){
                   .kind = TUTTI_ADAM, .lr = 1e-3F, .clip_norm = 1, .loss_scale = 1024});
        if (tutti_graph_freeze(g) != TUTTI_OK)
            fail_msg("%s: %s", names[net], tutti_error_message());
        for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
            check_plan(g, &chips[i], TUTTI_PRECISION_F32, names[net]);
            check_plan(g, &chips[i], TUTTI_PRECISION_F16, names[net]);
            check_plan(g, &chips[i], TUTTI_PRECISION_BF16, names[net]);
        }
        tutti_graph_free(g);
    }
    assert_int_equal(failures, 0);
}

static int reset(void **state) {
    (void)state;
    failures = 0;
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void) {
    directory = getenv("TUTTI_KERNELS_DIR");
    if (directory != NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s/list", directory);
        list = fopen(path, "w");
        if (list == NULL) {
            fprintf(stderr, "cannot write %s\n", path);
            return 2;
        }
    }
    const struct CMUnitTest tests[] = {
        TEST(examples_fit),     TEST(products_fit), TEST(attention_fits),
        TEST(convolutions_fit), TEST(networks_fit),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%d launches\n", (int)launches);
    if (list != NULL && fclose(list) != 0)
        return 2;
    return failed;
}
