/* Which CPU kernels a matrix product is offered, by shape, device and what may be rounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "conformance/cases.h"
#include "graph/lowering.h"
#include "op/matmul.h"

static const tutti_matmul_attr nn = {0, 0}, tn = {1, 0};

static tutti_device_info cpu(uint32_t units) {
    return (tutti_device_info){.type = TUTTI_DEVICE_CPU,
                               .compute_units = units,
                               .max_work_group = 4096,
                               .local_memory_bytes = 512 << 10,
                               .simd_floats = 16,
                               .bf16_dot = true,
                               .platform_name = "",
                               .extensions = ""};
}

/* The names of the candidates in order, with a blank behind each; the tolerance of cpu_bf16, or -1. */
static const char *offered(const tutti_device_info *device, const tutti_op_example *example,
                           tutti_dtype dtype, tutti_matmul_precision allowed, float *out) {
    static char text[256];
    tutti_arena arena = {0};
    tutti_lowering lowering;
    conf_case c;
    if (case_make(&c, &tutti_op_matmul, example) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    c.types[0].dtype = c.types[1].dtype = dtype;
    if (tutti_node_lower_rounding(&c.node, device, c.n, allowed, &arena, &lowering) != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
    *out = -1;
    text[0] = '\0';
    for (int32_t i = 0; i < lowering.n_candidates; i++) {
        const tutti_candidate *candidate = &lowering.candidates[i];
        strcat(text, candidate->name);
        strcat(text, " ");
        if (strcmp(candidate->name, "cpu_bf16") == 0)
            *out = candidate->tolerance;
        else
            assert_true(candidate->tolerance == 0);
    }
    tutti_arena_free(&arena);
    case_free(&c);
    return text;
}

#define EXAMPLE(tag, a0, a1, b0, b1)                                                               \
    {                                                                                              \
        .n = 2, .n_in = 2, .in = {{.rank = 2, .dim = {a0, a1}}, {.rank = 2, .dim = {b0, b1}}},     \
        .attr = &(tag)                                                                             \
    }

static void rounding_comes_last_where_it_is_allowed(void **state) {
    (void)state;
    const tutti_op_example example = EXAMPLE(nn, 256, 300, 300, 256);
    tutti_device_info device = cpu(2);
    float tolerance;
    assert_string_equal(offered(&device, &example, TUTTI_F32, TUTTI_MATMUL_HIGHEST, &tolerance),
                        "cpu clblast ");
    assert_string_equal(offered(&device, &example, TUTTI_F32, TUTTI_MATMUL_HIGH, &tolerance),
                        "cpu clblast ");
    assert_string_equal(offered(&device, &example, TUTTI_F32, TUTTI_MATMUL_MEDIUM, &tolerance),
                        "cpu cpu_bf16 clblast ");
    assert_true(tolerance == TUTTI_MATMUL_BF16_TOLERANCE && tolerance == 1.6e-2F);
    /* Operands that are bf16 already: a product as exact as others. */
    assert_string_equal(offered(&device, &example, TUTTI_BF16, TUTTI_MATMUL_HIGHEST, &tolerance),
                        "cpu cpu_bf16 clblast ");
    assert_true(tolerance == 0);
    device.bf16_dot = false;
    assert_string_equal(offered(&device, &example, TUTTI_F32, TUTTI_MATMUL_MEDIUM, &tolerance),
                        "cpu clblast ");
}

static void rows_of_the_batch_keep_the_inner_size_whole(void **state) {
    (void)state;
    static const tutti_op_example batched = EXAMPLE(nn, TUTTI_BATCH, 4096, 4096, 64),
                                  weights = EXAMPLE(tn, 4096, 128, 4096, 64);
    const tutti_device_info device = cpu(64);
    float tolerance;
    assert_null(
        strstr(offered(&device, &batched, TUTTI_F32, TUTTI_MATMUL_HIGHEST, &tolerance), "split"));
    assert_non_null(strstr(offered(&device, &weights, TUTTI_F32, TUTTI_MATMUL_HIGHEST, &tolerance),
                           "cpu_split"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_comes_last_where_it_is_allowed),
        cmocka_unit_test(rows_of_the_batch_keep_the_inner_size_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
