#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "tutti/train.h"

static void assert_near(double value, double expected) {
    if (!(fabs(value - expected) < 1e-12))
        fail_msg("%.17g, expected %.17g", value, expected);
}

/* 10 epochs of 20 steps. */
static double factor(const tutti_lr_schedule *schedule, int64_t step) {
    return tutti_lr_factor(schedule, step, 20, 200);
}

static void constant(void **state) {
    (void)state;
    const tutti_lr_schedule none = {0}, warm = {.warmup_steps = 4};
    assert_near(factor(&none, 0), 1);
    assert_near(factor(&none, 199), 1);
    const double expected[] = {0.25, 0.5, 0.75, 1, 1, 1};
    for (int i = 0; i < 6; i++)
        assert_near(factor(&warm, i), expected[i]);
}

static void step(void **state) {
    (void)state;
    const tutti_lr_schedule s = {.kind = TUTTI_LR_STEP, .gamma = 0.5F, .every_epochs = 3};
    assert_near(factor(&s, 0), 1);
    assert_near(factor(&s, 59), 1);
    assert_near(factor(&s, 60), 0.5);
    assert_near(factor(&s, 119), 0.5);
    assert_near(factor(&s, 180), 0.125);
    const tutti_lr_schedule defaults = {.kind = TUTTI_LR_STEP};
    assert_near(tutti_lr_factor(&defaults, 29, 1, 100), 1);
    assert_near(tutti_lr_factor(&defaults, 30, 1, 100), 0.1);
}

static void cosine(void **state) {
    (void)state;
    const tutti_lr_schedule s = {.kind = TUTTI_LR_COSINE, .final_factor = 0.125F};
    assert_near(factor(&s, 0), 1);
    assert_near(factor(&s, 199), 0.125);
    assert_near(tutti_lr_factor(&s, 50, 1, 101), 0.5625); /* half way */
    for (int i = 1; i < 200; i++)
        assert_true(factor(&s, i) < factor(&s, i - 1));
    const tutti_lr_schedule warm = {.kind = TUTTI_LR_COSINE, .warmup_steps = 10};
    assert_near(factor(&warm, 9), 1);
    assert_near(factor(&warm, 10), 1);
    assert_near(factor(&warm, 199), 0);
    assert_near(factor(&warm, 500), 0); /* beyond the end */
}

static void linear(void **state) {
    (void)state;
    const tutti_lr_schedule s = {.kind = TUTTI_LR_LINEAR, .final_factor = 0};
    assert_near(factor(&s, 0), 1);
    assert_near(tutti_lr_factor(&s, 25, 1, 101), 0.75);
    assert_near(factor(&s, 199), 0);
    const tutti_lr_schedule all_warm = {.kind = TUTTI_LR_LINEAR, .warmup_steps = 200};
    assert_near(factor(&all_warm, 199), 1);
    const tutti_lr_schedule one = {.kind = TUTTI_LR_LINEAR};
    assert_near(tutti_lr_factor(&one, 0, 1, 1), 1); /* one step in all */
}

/* Values of PyTorch 1.13's OneCycleLR with max_lr 1 and 40 steps. */
static void one_cycle(void **state) {
    (void)state;
    const tutti_lr_schedule s = {.kind = TUTTI_LR_ONE_CYCLE};
    const struct {
        int64_t step;
        double factor;
    } known[] = {
        {0, 0.04}, {1, 0.0594433726650413}, {5, 0.451688877628823},  {10, 0.980556627334959},
        {11, 1},   {12, 0.996856117522202}, {20, 0.766016974193515}, {38, 0.00314788247779848},
        {39, 4e-6}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_near(tutti_lr_factor(&s, known[i].step, 10, 40), known[i].factor);
    assert_near(tutti_lr_factor(&s, 100, 10, 40), 4e-6); /* beyond the end */
    const tutti_lr_schedule other = {
        .kind = TUTTI_LR_ONE_CYCLE, .first_factor = 0.25F, .final_factor = 0.125F, .rise = 0.5F};
    assert_near(factor(&other, 0), 0.25);
    assert_near(factor(&other, 99), 1);
    assert_near(factor(&other, 199), 0.125);
    assert_near(tutti_lr_factor(&other, 0, 1, 1), 1); /* one step in all */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant), cmocka_unit_test(step),      cmocka_unit_test(cosine),
        cmocka_unit_test(linear),   cmocka_unit_test(one_cycle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
