#include "data/helpers.h"

#include <math.h>

#include "base/rng.h"
#include "tutti/table.h"

static void ok(tutti_status status) {
    if (status != TUTTI_OK)
        fail_msg("%s", tutti_error_message());
}

static tutti_status load(const char *text, const tutti_table_options *options, tutti_table **out) {
    char path[64];
    write_file(path, text, strlen(text));
    *out = (tutti_table *)(uintptr_t)1;
    const tutti_status status = tutti_table_load_csv(path, options, out);
    unlink(path);
    if (status != TUTTI_OK)
        assert_null(*out);
    return status;
}

static tutti_table *loads(const char *text, const tutti_table_options *options) {
    tutti_table *table;
    ok(load(text, options, &table));
    return table;
}

static void refuses(const char *text, const tutti_table_options *options, tutti_status wanted,
                    const char *message) {
    tutti_table *table;
    const tutti_status status = load(text, options, &table);
    if (status != wanted)
        fail_msg("%s, expected %s: %s", tutti_status_name(status), tutti_status_name(wanted),
                 tutti_error_message());
    assert_message(message);
}

/* Learns from and applies to the whole table. */
static tutti_encoder *learn(const tutti_table *table) {
    tutti_encoder *encoder;
    ok(tutti_encoder_learn(table, NULL, &encoder));
    return encoder;
}

static tutti_dataset *apply(const tutti_encoder *encoder, const tutti_table *table) {
    tutti_dataset *set;
    ok(tutti_encoder_apply(encoder, table, &set));
    return set;
}

static const char flats[] = "id,size,town,rent\n1,10,Ulm,100\n2,30,\"Bad \"\"X\"\"\",300\n"
                            "3,20,Ulm,500\n";

static void regression(void **state) {
    (void)state;
    tutti_table *table = loads(flats, &(tutti_table_options){.ignore = "id"});
    assert_int_equal(tutti_table_rows(table), 3);
    tutti_encoder *e = learn(table);
    tutti_dataset *set = apply(e, table);
    tutti_table_free(table); /* the encoder and the set do without */
    assert_int_equal(e->n_features, 3);
    assert_int_equal(e->n_classes, 0);
    assert_null(e->class_names);
    assert_string_equal(e->target, "rent");
    assert_true(e->target_mean == 300);
    assert_true(fabs((double)e->target_deviation - sqrt(80000.0 / 3)) < 1e-4);
    static const char *const names[] = {"size", "town=Bad \"X\"", "town=Ulm"};
    for (int i = 0; i < 3; i++)
        assert_string_equal(set->feature_names[i], names[i]);
    const double s = sqrt(200.0 / 3), d = sqrt(80000.0 / 3);
    const double x[3][3] = {{-10 / s, 0, 1}, {10 / s, 1, 0}, {0, 0, 1}};
    const double y[3] = {-200 / d, 0, 200 / d};
    for (int i = 0; i < 9; i++)
        assert_true(fabs((double)set->x[i] - x[i / 3][i % 3]) < 1e-6);
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)((float *)set->y)[i] - y[i]) < 1e-6);
    assert_int_equal(set->y_dtype, TUTTI_F32);
    assert_int_equal(set->y_shape.rank, 2);
    tutti_dataset_free(set);
    tutti_encoder_free(e);
    tutti_encoder_free(NULL);
    tutti_table_free(NULL);
}

static void classification(void **state) {
    (void)state;
    static const char pets[] = "kind;legs;wild\ndog;4;no\nbird;2;yes\ndog;4;no\n";
    tutti_table *table = loads(pets, &(tutti_table_options){.target = "kind", .separator = ';'});
    tutti_encoder *e = learn(table);
    tutti_dataset *set = apply(e, table);
    assert_int_equal(e->n_classes, 2);
    assert_string_equal(e->class_names[0], "bird");
    assert_string_equal(e->class_names[1], "dog");
    assert_int_equal(set->n_classes, 2);
    assert_int_equal(set->y_dtype, TUTTI_I32);
    assert_memory_equal(set->y, ((int32_t[]){1, 0, 1}), 3 * sizeof(int32_t));
    assert_string_equal(set->feature_names[2], "wild=yes");
    tutti_dataset_free(set);
    tutti_encoder_free(e);
    tutti_table_free(table);
    /* Numbers as classes and as categories, on request; columns without names. */
    table = loads("7,1,3\n5,2,3\n7,3,4\n",
                  &(tutti_table_options){
                      .no_header = true, .target = "3", .classes = true, .categorical = " 1 "});
    e = learn(table);
    set = apply(e, table);
    assert_string_equal(e->class_names[1], "4");
    assert_int_equal(e->n_features, 3);
    assert_string_equal(set->feature_names[0], "1=5");
    assert_string_equal(set->feature_names[2], "2");
    assert_true(set->x[0] == 0 && set->x[1] == 1);
    tutti_dataset_free(set);
    tutti_encoder_free(e);
    tutti_table_free(table);
}

/* Nothing of the other part gets into means, deviations and categories. */
static void learnt_on_training_only(void **state) {
    (void)state;
    tutti_rng rng;
    const uint64_t seed = test_seed();
    tutti_rng_begin(&rng, seed, 1);
    enum { N = 60 };
    char text[N * 32 + 16], *to = text;
    int32_t value[N], target[N];
    to += sprintf(to, "a,c,t\n");
    for (int i = 0; i < N; i++) { /* c is the row's own text */
        value[i] = (int32_t)tutti_rng_below(&rng, 1000);
        target[i] = (int32_t)tutti_rng_below(&rng, 1000);
        to += sprintf(to, "%d,c%02d,%d\n", value[i], i, target[i]);
    }
    tutti_table *all = loads(text, NULL), *train, *test;
    ok(tutti_table_split(all, 0.75, seed, &train, &test));
    assert_int_equal(tutti_table_rows(train), 45);
    assert_int_equal(tutti_table_rows(test), 15);
    tutti_encoder *e = learn(train);
    tutti_table_free(all);
    assert_int_equal(e->n_features, 1 + 45);
    tutti_dataset *a = apply(e, train), *b = apply(e, test);
    double mean = 0, square = 0, t_mean = 0, t_square = 0;
    bool in_train[N] = {false};
    for (int i = 0; i < 45; i++) {
        int ones = 0, row = -1;
        for (int k = 1; k < 46; k++)
            if (a->x[i * 46 + k] == 1) {
                row = atoi(a->feature_names[k] + 3);
                ones++;
            }
        assert_int_equal(ones, 1);
        assert_false(in_train[row]);
        in_train[row] = true;
        mean += value[row] / 45.0;
        t_mean += target[row] / 45.0;
        square += (double)value[row] * value[row] / 45;
        t_square += (double)target[row] * target[row] / 45;
    }
    assert_true(fabs((double)e->target_mean - t_mean) < 1e-3);
    assert_true(fabs((double)e->target_deviation - sqrt(t_square - t_mean * t_mean)) < 1e-3);
    double sum = 0;
    const double deviation = sqrt(square - mean * mean);
    for (int i = 0; i < N; i++)
        sum += in_train[i] ? 0 : (value[i] - mean) / deviation;
    for (int i = 0; i < 15; i++) {
        sum -= (double)b->x[i * 46];
        for (int k = 1; k < 46; k++) /* texts never seen: all 0 */
            assert_true(b->x[i * 46 + k] == 0);
    }
    assert_true(fabs(sum) < 1e-3);
    /* Another file, with its columns in another order and one more. */
    char first[32];
    strcpy(first, a->feature_names[1] + 2);
    sprintf(text, "t,x,c,a\n%g,?,%s,%g\n", (double)e->target_mean, first, mean);
    tutti_table *other = loads(text, &(tutti_table_options){.target = "a"});
    tutti_dataset *set = apply(e, other);
    assert_true(fabsf(set->x[0]) < 1e-5F && set->x[1] == 1 && set->x[2] == 0);
    assert_true(fabsf(((float *)set->y)[0]) < 1e-5F);
    tutti_dataset_free(set);
    tutti_table_free(other);
    other = loads("c,t,a\n1,2,3\n", NULL);
    set = apply(e, other); /* numbers may stand where texts are expected */
    tutti_dataset_free(set);
    tutti_table_free(other);
    other = loads("c,t,b\n1,2,3\n", NULL);
    assert_int_equal(tutti_encoder_apply(e, other, &set), TUTTI_BAD_INPUT);
    assert_message(": no column is named \"a\"");
    tutti_table_free(other);
    other = loads("c,t,a\n1,2,x\n", NULL);
    assert_int_equal(tutti_encoder_apply(e, other, &set), TUTTI_BAD_INPUT);
    assert_message(":2: column \"a\": \"x\" is not a number");
    assert_null(set);
    tutti_table_free(other);
    other = loads("c,t,a\n1,2,x\n", &(tutti_table_options){.ignore = "a", .target = "t"});
    assert_int_equal(tutti_encoder_apply(e, other, &set), TUTTI_BAD_INPUT);
    assert_message("column \"a\" is not numeric");
    tutti_table_free(other);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    tutti_table_free(train);
    tutti_table_free(test);
    tutti_encoder_free(e);
}

/* A class that only the test part has is known; one of another file is refused. */
static void rare_classes(void **state) {
    (void)state;
    tutti_table *all = loads("a,k\n1,x\n2,x\n3,x\n4,y\n5,y\n6,z\n", NULL), *part, *rest, *other;
    tutti_dataset *set;
    for (uint64_t seed = 0; seed < 6; seed++) {
        ok(tutti_table_split(all, 0.5, seed, &part, &rest));
        tutti_encoder *e = learn(part);
        assert_int_equal(e->n_classes, 3);
        set = apply(e, rest);
        tutti_dataset_free(set);
        other = loads("a,k\n1,x\n1,w\n", NULL);
        assert_int_equal(tutti_encoder_apply(e, other, &set), TUTTI_BAD_INPUT);
        assert_message(":3: column \"k\": \"w\" is not a class of the training file");
        tutti_table_free(other);
        tutti_encoder_free(e);
        tutti_table_free(part);
        tutti_table_free(rest);
    }
    assert_int_equal(tutti_table_split(all, 0.01, 1, &part, &rest), TUTTI_BAD_INPUT);
    assert_null(part);
    tutti_table_free(all);
}

static void missing(void **state) {
    (void)state;
    static const char gaps[] = "a,b,t\n1,x,1\n,y,2\n3,,3\nNA,x,4\n5,y,6\n";
    refuses(gaps, NULL, TUTTI_BAD_INPUT,
            ":3: column \"a\": \"\" is a missing cell: its row can be left out, or the cell filled "
            "(missing: drop or fill)");
    refuses("a,t\n1,2\n NA ,\n", &(tutti_table_options){.missing_text = "NA"}, TUTTI_BAD_INPUT,
            ":3: column \"a\": \"NA\" is a missing cell");
    refuses("a,t\n1,2\n2,\n", &(tutti_table_options){.missing = TUTTI_MISSING_FILL},
            TUTTI_BAD_INPUT,
            ":3: column \"t\": \"\" is a missing cell of the target: its row can be left out");
    refuses(gaps, &(tutti_table_options){.missing = TUTTI_MISSING_FILL}, TUTTI_BAD_INPUT,
            ":5: column \"a\": \"NA\" is not a number, as other cells of the column are (a missing "
            "cell: see missing-text; a column of texts: see categorical)");
    tutti_table *table =
        loads(gaps, &(tutti_table_options){.missing = TUTTI_MISSING_DROP, .missing_text = "NA"});
    assert_int_equal(tutti_table_rows(table), 2);
    assert_int_equal(tutti_table_dropped(table), 3);
    tutti_table_free(table);
    table =
        loads(gaps, &(tutti_table_options){.missing = TUTTI_MISSING_FILL, .missing_text = "NA"});
    tutti_encoder *e = learn(table);
    tutti_dataset *set = apply(e, table);
    assert_int_equal(e->n_features, 4); /* a, b=, b=x, b=y */
    assert_string_equal(set->feature_names[1], "b=");
    const float s = sqrtf(8.0F / 3);
    const float x[5][4] = {
        {-2 / s, 0, 1, 0}, {0, 0, 0, 1}, {0, 1, 0, 0}, {0, 0, 1, 0}, {2 / s, 0, 0, 1}};
    for (int i = 0; i < 20; i++)
        assert_true(fabsf(set->x[i] - x[i / 4][i % 4]) < 1e-6F);
    tutti_dataset_free(set);
    tutti_encoder_free(e);
    tutti_table_free(table);
    refuses("a,t\n,1\n", &(tutti_table_options){.missing = TUTTI_MISSING_DROP}, TUTTI_BAD_INPUT,
            "no row is without a missing cell");
    /* A cell that is ignored may be missing; a column of nothing is 0. */
    table = loads("a,b,c,t\n,,1,2\n,,2,1\n",
                  &(tutti_table_options){.ignore = "a", .missing = TUTTI_MISSING_FILL});
    e = learn(table);
    set = apply(e, table);
    assert_int_equal(e->n_features, 2);
    assert_true(set->x[0] == 0 && set->x[2] == 0);
    tutti_dataset_free(set);
    tutti_encoder_free(e);
    tutti_table_free(table);
}

static void damage(void **state) {
    (void)state;
    refuses("", NULL, TUTTI_BAD_INPUT, "the file is empty");
    refuses("a,b\n", NULL, TUTTI_BAD_INPUT, "no row follows the header");
    refuses("a,b\n1,2\n3\n", NULL, TUTTI_BAD_INPUT, ":3: 1 cells, expected 2 as in the header");
    refuses("a\n1\n", NULL, TUTTI_BAD_INPUT,
            "one column, expected features and a target, separated by ','");
    refuses("a,t\n1,1\n2,2\nx\x01,3\n", NULL, TUTTI_BAD_INPUT,
            ":4: column \"a\": \"x?\" is not a number");
    refuses("a,t\n1,1\n2,nan\n2,2\n", NULL, TUTTI_BAD_INPUT,
            ":3: column \"t\": \"nan\" is not a finite number");
    refuses("a,a,t\n1,1,1\n", &(tutti_table_options){.ignore = "a"}, TUTTI_BAD_INPUT,
            "more than one column is named \"a\"");
    refuses(flats, &(tutti_table_options){.target = "price"}, TUTTI_BAD_INPUT,
            "no column is named \"price\"");
    refuses(flats, &(tutti_table_options){.categorical = "id,wn"}, TUTTI_BAD_INPUT,
            "no column is named \"wn\"");
    refuses(flats, &(tutti_table_options){.ignore = "id,rent"}, TUTTI_INVALID_ARGUMENT,
            "the target \"rent\" is to be ignored");
    refuses(flats, &(tutti_table_options){.ignore = "id,size,town"}, TUTTI_BAD_INPUT,
            "no column is left for features: of 4, \"rent\" is the target and the rest is to");
    refuses(flats, &(tutti_table_options){.separator = '1'}, TUTTI_INVALID_ARGUMENT,
            "'1' cannot separate");
    tutti_table *table;
    assert_int_equal(tutti_table_load_csv("/nonexistent.csv", NULL, &table), TUTTI_IO);
    /* Too many categories; the message shows why a column is not numeric. */
    char text[4096], *to = text + sprintf(text, "name,t\n");
    for (int i = 0; i < 300; i++)
        to += sprintf(to, "n%d,%d\n", i, i);
    table = loads(text, NULL);
    tutti_encoder *e;
    assert_int_equal(tutti_encoder_learn(table, NULL, &e), TUTTI_BAD_INPUT);
    assert_null(e);
    assert_message("column \"name\": 300 different texts, expected at most 256 categories (it is "
                   "not numeric because of line 2, \"n0\")");
    ok(tutti_encoder_learn(table, &(tutti_encoder_options){.max_categories = 300}, &e));
    tutti_encoder_free(e);
    assert_int_equal(tutti_encoder_learn(table, &(tutti_encoder_options){.max_categories = -1}, &e),
                     TUTTI_INVALID_ARGUMENT);
    tutti_table_free(table);
    table = loads("a,t\n1,5\n2,5\n", NULL);
    assert_int_equal(tutti_encoder_learn(table, NULL, &e), TUTTI_BAD_INPUT);
    assert_message("the target \"t\" has one value only, \"5\"");
    tutti_table_free(table);
}

/* Whatever comes, an error or a table that can be used. */
static void mutations(void **state) {
    (void)state;
    static const char text[] = "a,b,\"c\"\n1,x,5\n2,\"y\",6\n,x,7\n4,NA,8\n";
    static const char favourites[] = "\",\n\r.-e0\0 nx";
    tutti_rng rng;
    tutti_rng_begin(&rng, test_seed(), 2);
    char path[64];
    write_file(path, "", 0);
    int good = 0;
    for (int round = 0; round < 1500; round++) {
        char data[sizeof text];
        memcpy(data, text, sizeof text);
        const uint64_t changes = tutti_rng_below(&rng, 4);
        for (uint64_t i = 0; i < changes; i++)
            data[tutti_rng_below(&rng, sizeof text - 1)] =
                tutti_rng_below(&rng, 3) == 0 ? (char)tutti_rng_u32(&rng)
                                              : favourites[tutti_rng_below(&rng, 12)];
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(data, 1,
               (size_t)tutti_rng_below(&rng, 4) == 0 ? (size_t)tutti_rng_below(&rng, sizeof text)
                                                     : sizeof text - 1,
               f);
        fclose(f);
        tutti_table *table, *part, *rest;
        tutti_encoder *e;
        tutti_dataset *set;
        const tutti_table_options options = {.missing = (tutti_missing)(round % 3),
                                             .missing_text = "NA",
                                             .no_header = round % 5 == 0,
                                             .classes = round % 7 == 0};
        if (tutti_table_load_csv(path, &options, &table) != TUTTI_OK)
            continue;
        if (tutti_table_split(table, 0.5, 1, &part, &rest) == TUTTI_OK) {
            if (tutti_encoder_learn(part, NULL, &e) == TUTTI_OK) {
                if (tutti_encoder_apply(e, rest, &set) == TUTTI_OK) {
                    for (int64_t i = 0; i < tutti_shape_count(&set->x_shape, set->n); i++)
                        assert_true(isfinite(set->x[i]));
                    tutti_dataset_free(set);
                    good++;
                }
                tutti_encoder_free(e);
            }
            tutti_table_free(part);
            tutti_table_free(rest);
        }
        tutti_table_free(table);
    }
    unlink(path);
    print_message("%d of 1500 damaged tables were still good\n", good);
    assert_in_range(good, 40, 1499);
}

static void generated(void **state) {
    (void)state;
    tutti_table *table, *again;
    ok(tutti_table_make_flats(1000, false, 1, &table));
    ok(tutti_table_make_flats(1000, false, 1, &again));
    tutti_encoder *e = learn(table);
    tutti_dataset *a = apply(e, table), *b = apply(e, again);
    assert_int_equal(a->n, 1000);
    assert_int_equal(e->n_features, 5 + 5 + 4 + 3);
    assert_int_equal(e->n_classes, 0);
    assert_memory_equal(a->x, b->x, 1000 * 17 * sizeof(float));
    assert_memory_equal(a->y, b->y, 1000 * sizeof(float));
    print_message("rents: %g +- %g\n", (double)e->target_mean, (double)e->target_deviation);
    /* Known answers. */
    assert_int_equal(lrint((double)e->target_mean * 1000), 802409);
    tutti_dataset_free(a);
    tutti_dataset_free(b);
    tutti_encoder_free(e);
    tutti_table_free(table);
    tutti_table_free(again);
    ok(tutti_table_make_flats(900, true, 2, &table));
    e = learn(table);
    a = apply(e, table);
    assert_int_equal(e->n_classes, 3);
    assert_string_equal(e->class_names[1], "dear");
    int32_t count[3] = {0};
    for (int i = 0; i < 900; i++)
        count[((int32_t *)a->y)[i]]++;
    for (int c = 0; c < 3; c++)
        assert_in_range(count[c], 220, 380);
    tutti_dataset_free(a);
    tutti_encoder_free(e);
    tutti_table_free(table);
    assert_int_equal(tutti_table_make_flats(1, false, 1, &table), TUTTI_INVALID_ARGUMENT);
}

static void count_warning(void *user, tutti_log_level level, const char *message) {
    assert_int_equal(level, TUTTI_LOG_WARNING);
    if (strstr(message, ":1: the first line holds numbers only, but is taken as the header") ==
        NULL)
        fail_msg("%s", message);
    ++*(int *)user;
}

static void numbers_as_header(void **state) {
    (void)state;
    int warnings = 0;
    tutti_log_set(count_warning, &warnings);
    tutti_table_free(loads("1,2\n3,4\n5,6\n", NULL));
    assert_int_equal(warnings, 1);
    tutti_table_free(loads("1,2\n3,4\n5,6\n", &(tutti_table_options){.no_header = true}));
    tutti_table_free(loads("1,b\n3,4\n5,6\n", NULL));
    assert_int_equal(warnings, 1);
    tutti_log_set(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regression),
        cmocka_unit_test(classification),
        cmocka_unit_test(learnt_on_training_only),
        cmocka_unit_test(rare_classes),
        cmocka_unit_test(missing),
        cmocka_unit_test(damage),
        cmocka_unit_test(numbers_as_header),
        cmocka_unit_test(mutations),
        cmocka_unit_test(generated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
