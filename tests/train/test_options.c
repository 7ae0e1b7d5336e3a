#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tutti/app.h"

static int64_t own_number;
static bool own_flag;
static int64_t own_choice;
static const tutti_app_option own[] = {
    {"rank", "N", "a number", TUTTI_APP_INT, &own_number, -3, 3},
    {"loud", NULL, "a flag", TUTTI_APP_FLAG, &own_flag, 0, 0},
    {"way", "drop|fill|fillet", "a choice", TUTTI_APP_CHOICE, &own_choice, 0, 0},
};

static tutti_app make(void) {
    own_number = 0;
    own_flag = false;
    own_choice = 1;
    return (tutti_app){.name = "test",
                       .options = own,
                       .n_options = sizeof own / sizeof *own,
                       .epochs = 100,
                       .batch = 32,
                       .lr = 1e-3,
                       .seed = 1};
}

/* Parses a command line of up to 30 words. */
static tutti_status parse(tutti_app *app, const char *words) {
    static char text[512];
    char *argv[32] = {(char *)(uintptr_t) "test"};
    int argc = 1;
    strncpy(text, words, sizeof text - 1);
    for (char *word = strtok(text, " "); word != NULL && argc < 31; word = strtok(NULL, " "))
        argv[argc++] = word;
    return tutti_app_parse(app, argc, argv);
}

static void good(void **state) {
    (void)state;
    tutti_app app = make();
    assert_int_equal(parse(&app, ""), TUTTI_OK);
    assert_int_equal(app.epochs, 100);
    assert_false(app.done);
    assert_int_equal(parse(&app, "--epochs 0 --batch=7 --lr 2.5e-2 --seed 9007199254740993 "
                                 "--profile gpu.0 --data d --load l --save s --metrics m --plot p "
                                 "--precision f16 --matmul-precision high --explain "
                                 "--quiet"),
                     TUTTI_OK);
    assert_int_equal(app.epochs, 0);
    assert_int_equal(app.batch, 7);
    assert_true(app.lr == 2.5e-2);
    assert_true(app.seed == INT64_C(9007199254740993));
    assert_string_equal(app.profile, "gpu.0");
    assert_string_equal(app.data, "d");
    assert_string_equal(app.load, "l");
    assert_string_equal(app.save, "s");
    assert_string_equal(app.metrics, "m");
    assert_string_equal(app.plot, "p");
    assert_int_equal(app.precision, TUTTI_PRECISION_F16);
    assert_int_equal(app.matmul_precision, TUTTI_MATMUL_HIGH);
    assert_true(tutti_app_loss_scale(&app) == 65536);
    assert_true(app.explain && app.quiet);
    assert_false(own_flag);
    assert_int_equal(parse(&app, "--rank -3 --loud"), TUTTI_OK);
    assert_int_equal(own_number, -3);
    assert_true(own_flag);
    assert_int_equal(own_choice, 1);
    assert_int_equal(parse(&app, "--way fillet"), TUTTI_OK);
    assert_int_equal(own_choice, 2);
    assert_int_equal(parse(&app, "--way drop"), TUTTI_OK);
    assert_int_equal(own_choice, 0);
}

static void bad(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"--epochs", "option '--epochs' needs a value"},
        {"--epochs ten", "option '--epochs': \"ten\" is not a whole number from 0 to 1000000"},
        {"--epochs 1.5", "\"1.5\" is not a whole number"},
        {"--epochs -1", "\"-1\" is not a whole number"},
        {"--epochs 99999999999999999999", "is not a whole number"},
        {"--epochs 0x10", "is not a whole number"},
        {"--epochs 5k", "is not a whole number"},
        {"--epochs=", "\"\" is not a whole number"},
        {"--batch 0", "option '--batch': \"0\" is not a whole number from 1"},
        {"--lr 0", "option '--lr': \"0\" is not a number"},
        {"--lr nan", "\"nan\" is not a number"},
        {"--lr inf", "\"inf\" is not a number"},
        {"--lr 1e999", "is not a number"},
        {"--lr 0x1p-3", "is not a number"},
        {"--lr -1", "is not a number"},
        {"--lr 1e-3x", "is not a number"},
        {"--seed -5", "\"-5\" is not a whole number from 0 to 9223372036854775807"},
        {"--profile=", "option '--profile' has an empty value"},
        {"--quiet=yes", "option '--quiet' takes no value"},
        {"--frobnicate", "unknown option '--frobnicate'"},
        {"--way=dro", "option '--way': \"dro\" is none of drop|fill|fillet"},
        {"--way=", "option '--way': \"\" is none of drop|fill|fillet"},
        {"--way=drop|fill", "option '--way': \"drop|fill\" is none of drop|fill|fillet"},
        {"-x", "unknown option '-x'"},
        {"-xy", "unknown option '-x'"},
        {"--rank 4", "from -3 to 3"},
        {"extra", "unexpected argument 'extra'"},
        {"-- --quiet", "unexpected argument '--quiet'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_app app = make();
        assert_int_equal(parse(&app, cases[i][0]), TUTTI_USAGE);
        if (strstr(tutti_error_message(), cases[i][1]) == NULL)
            fail_msg("%s: \"%s\" does not contain \"%s\"", cases[i][0], tutti_error_message(),
                     cases[i][1]);
        assert_null(strchr(tutti_error_message(), '\n'));
    }
    assert_int_equal(tutti_status_exit_code(TUTTI_USAGE), 2);
}

/* Options that belong to the data. */
static void of_data(void **state) {
    (void)state;
    static const char *const names[] = {"loud", "rank"};
    tutti_app app = make();
    assert_int_equal(parse(&app, "--rank 0 --data d"), TUTTI_OK);
    assert_int_equal(tutti_app_check_data(&app, true, names, 2), TUTTI_OK);
    assert_int_equal(tutti_app_check_data(&app, false, names, 1), TUTTI_OK); /* not --loud */
    assert_int_equal(tutti_app_check_data(&app, false, names, 2), TUTTI_USAGE);
    assert_string_equal(tutti_error_message(), "option '--rank' is for the data set that is used "
                                               "without --data");
    app = make();
    assert_int_equal(parse(&app, "--loud"), TUTTI_OK);
    assert_int_equal(tutti_app_check_data(&app, false, names, 2), TUTTI_OK);
    assert_int_equal(tutti_app_check_data(&app, true, names, 2), TUTTI_USAGE);
    assert_string_equal(tutti_error_message(),
                        "option '--loud' is for a data set that --data names");
    assert_int_equal(parse(&app, ""), TUTTI_OK); /* anew */
    assert_int_equal(tutti_app_check_data(&app, true, names, 2), TUTTI_OK);
    assert_int_equal(tutti_app_fail(TUTTI_SHAPE, "%d: %s", 7, tutti_error_message()), TUTTI_SHAPE);
    assert_string_equal(tutti_error_message(),
                        "7: option '--loud' is for a data set that --data names");
}

static void help(void **state) {
    (void)state;
    tutti_app app = make();
    assert_int_equal(parse(&app, "-h"), TUTTI_OK);
    assert_true(app.done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good),
        cmocka_unit_test(bad),
        cmocka_unit_test(of_data),
        cmocka_unit_test(help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
