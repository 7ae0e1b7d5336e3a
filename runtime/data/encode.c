#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "data/data.h"
#include "data/table.h"

enum { DEFAULT_MAX_CATEGORIES = 256, MAX_FEATURES = 65536 };

/* The texts of a column, in the order of their bytes. */
typedef struct categories {
    const char **text; /* of the store */
    int32_t n;
} categories;

typedef struct encoded_column {
    const char *name;
    int32_t first; /* feature */
    bool categorical;
    categories categories;
    double mean, factor;
} encoded_column;

struct tutti_encoder_columns {
    tutti_table_store *store; /* of the training part: owns the texts */
    int32_t n;
    encoded_column *column;
    categories classes;
};

static const char *text_of(const tutti_table_store *s, int64_t row, int32_t column) {
    const char *cell = tutti_table_cell(s, row, column);
    return cell != NULL ? cell : ""; /* missing ones are a category of their own */
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different texts of n rows (rows NULL: the first n of the store). */
static tutti_status find_categories(const tutti_table_store *s, int32_t column, const int64_t *rows,
                                    int64_t n, categories *out) {
    const char **text = malloc((size_t)n * sizeof *text);
    if (text == NULL)
        return tutti_fail_memory((size_t)n * sizeof *text, "categories");
    for (int64_t i = 0; i < n; i++)
        text[i] = text_of(s, rows != NULL ? rows[i] : i, column);
    qsort((void *)text, (size_t)n, sizeof *text, by_bytes);
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (count == 0 || strcmp(text[count - 1], text[i]) != 0)
            text[count++] = text[i];
    out->text = text;
    out->n = count < INT32_MAX ? (int32_t)count : INT32_MAX;
    return TUTTI_OK;
}

/* -1: not among them. */
static int32_t find(const categories *c, const char *text) {
    const char *const *found =
        bsearch(&text, (const void *)c->text, (size_t)c->n, sizeof *c->text, by_bytes);
    return found != NULL ? (int32_t)(found - c->text) : -1;
}

static tutti_status too_many(const tutti_table_store *s, int32_t column, int32_t found,
                             int32_t limit) {
    char name[64], cell[64], why[160] = "";
    const int64_t odd = s->columns[column].oddity;
    if (odd >= 0)
        snprintf(why, sizeof why, " (it is not numeric because of line %lld, \"%s\")",
                 (long long)s->lines[odd], tutti_csv_shown(tutti_table_cell(s, odd, column), cell));
    return tutti_fail(TUTTI_BAD_INPUT,
                      "%s: column \"%s\": %d different texts, expected at most %d categories%s",
                      s->source, tutti_csv_shown(s->columns[column].name, name), found, limit, why);
}

static void learn_numbers(const tutti_table *t, const tutti_column *column, double *out_mean,
                          double *out_deviation) {
    double sum = 0, squares = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < t->n; i++) {
        const float value = column->number[t->rows[i]];
        if (!isnan(value)) {
            sum += (double)value;
            count++;
        }
    }
    const double mean = count > 0 ? sum / (double)count : 0;
    for (int64_t i = 0; i < t->n; i++) {
        const double d = (double)column->number[t->rows[i]] - mean;
        squares += isnan(d) ? 0 : d * d;
    }
    const double deviation = count > 0 ? sqrt(squares / (double)count) : 0;
    *out_mean = mean;
    /* Floats that differ at all deviate by far more than this part of their mean. */
    *out_deviation = deviation > 1e-12 * fabs(mean) ? deviation : 0;
}

static tutti_status learn_column(tutti_encoder *e, const tutti_table *t, int32_t c, int32_t limit) {
    tutti_encoder_columns *columns = e->columns;
    const tutti_column *from = &t->store->columns[c];
    encoded_column *to = &columns->column[columns->n++];
    *to = (encoded_column){
        .name = from->name, .first = e->n_features, .categorical = from->categorical};
    if (from->categorical) {
        TUTTI_TRY(find_categories(t->store, c, t->rows, t->n, &to->categories));
        if (to->categories.n > limit)
            return too_many(t->store, c, to->categories.n, limit);
        e->n_features += to->categories.n;
    } else {
        double deviation;
        learn_numbers(t, from, &to->mean, &deviation);
        to->factor = deviation > 0 ? 1 / deviation : 0;
        e->n_features++;
    }
    if (e->n_features > MAX_FEATURES)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: more than %d features", t->store->source,
                          MAX_FEATURES);
    return TUTTI_OK;
}

static tutti_status learn_target(tutti_encoder *e, const tutti_table *t) {
    const tutti_table_store *s = t->store;
    const tutti_column *target = &s->columns[s->target];
    e->target = target->name;
    if (target->categorical) {
        categories *classes = &e->columns->classes;
        TUTTI_TRY(find_categories(s, s->target, NULL, s->n_rows, classes));
        if (classes->n > MAX_FEATURES)
            return too_many(s, s->target, classes->n, MAX_FEATURES);
        e->n_classes = classes->n;
        e->class_names = classes->text;
        if (classes->n > 1)
            return TUTTI_OK;
    } else {
        double mean, deviation;
        learn_numbers(t, target, &mean, &deviation);
        e->target_mean = (float)mean;
        e->target_deviation = (float)deviation;
        if (e->target_deviation > 0)
            return TUTTI_OK;
    }
    return tutti_fail(TUTTI_BAD_INPUT, "%s: the target \"%s\" has one value only, \"%s\"",
                      s->source, target->name, text_of(s, t->rows[0], s->target));
}

static tutti_status learn(tutti_encoder *e, const tutti_table *t, int32_t limit) {
    tutti_table_store *s = t->store;
    e->columns = calloc(1, sizeof *e->columns);
    if (e->columns == NULL)
        return tutti_fail_memory(sizeof *e->columns, "an encoder");
    e->columns->store = s;
    s->references++;
    e->columns->column = calloc((size_t)s->n_columns, sizeof *e->columns->column);
    if (e->columns->column == NULL)
        return tutti_fail_memory((size_t)s->n_columns * sizeof *e->columns->column, "an encoder");
    for (int32_t c = 0; c < s->n_columns; c++)
        if (s->columns[c].use == TUTTI_COLUMN_FEATURE)
            TUTTI_TRY(learn_column(e, t, c, limit));
    return learn_target(e, t);
}

tutti_status tutti_encoder_learn(const tutti_table *train, const tutti_encoder_options *options,
                                 tutti_encoder **out) {
    const int32_t limit = options != NULL && options->max_categories != 0 ? options->max_categories
                                                                          : DEFAULT_MAX_CATEGORIES;
    *out = NULL;
    if (limit < 1)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "encoder: at most %d categories", limit);
    tutti_encoder *e = calloc(1, sizeof *e);
    if (e == NULL)
        return tutti_fail_memory(sizeof *e, "an encoder");
    const tutti_status status = learn(e, train, limit);
    if (status != TUTTI_OK) {
        tutti_encoder_free(e);
        return status;
    }
    *out = e;
    return TUTTI_OK;
}

void tutti_encoder_free(tutti_encoder *e) {
    if (e == NULL)
        return;
    tutti_encoder_columns *columns = e->columns;
    if (columns != NULL) {
        for (int32_t c = 0; c < columns->n; c++)
            free((void *)columns->column[c].categories.text);
        free(columns->column);
        free((void *)columns->classes.text);
        tutti_table_store_release(columns->store);
        free(columns);
    }
    free(e);
}

/* One block: pointers, then the texts. */
static tutti_status name_features(const tutti_encoder *e, tutti_dataset *set) {
    const tutti_encoder_columns *columns = e->columns;
    size_t size = (size_t)e->n_features * sizeof(char *);
    for (int32_t c = 0; c < columns->n; c++) {
        const encoded_column *column = &columns->column[c];
        const size_t name = strlen(column->name);
        if (!column->categorical)
            size += name + 1;
        for (int32_t k = 0; k < column->categories.n; k++)
            size += name + strlen(column->categories.text[k]) + 2;
    }
    const char **names = malloc(size);
    if (names == NULL)
        return tutti_fail_memory(size, "feature names");
    char *text = (char *)(names + e->n_features);
    for (int32_t c = 0; c < columns->n; c++) {
        const encoded_column *column = &columns->column[c];
        if (!column->categorical) {
            names[column->first] = text;
            text = stpcpy(text, column->name) + 1;
        }
        for (int32_t k = 0; k < column->categories.n; k++) {
            names[column->first + k] = text;
            text = stpcpy(stpcpy(stpcpy(text, column->name), "="), column->categories.text[k]) + 1;
        }
    }
    set->feature_names = names;
    return TUTTI_OK;
}

/* The table's column of that name and kind. */
static tutti_status match(const tutti_table_store *s, const char *name, bool categorical,
                          int32_t *out) {
    char shown[64];
    *out = tutti_table_find(s, name);
    if (*out < 0)
        return tutti_fail(TUTTI_BAD_INPUT, "%s: no column is named \"%s\"", s->source,
                          tutti_csv_shown(name, shown));
    /* Texts may look like numbers here, but not the other way round. */
    const tutti_column *column = &s->columns[*out];
    if (categorical || column->number != NULL)
        return TUTTI_OK;
    if (column->oddity >= 0)
        return tutti_table_fail(s, column->oddity, *out, "is not a number");
    return tutti_fail(TUTTI_BAD_INPUT, "%s: column \"%s\" is not numeric", s->source,
                      tutti_csv_shown(name, shown));
}

static tutti_status fill_column(const encoded_column *column, const tutti_table *t, float *x,
                                int64_t features) {
    int32_t c;
    TUTTI_TRY(match(t->store, column->name, column->categorical, &c));
    for (int64_t i = 0; i < t->n; i++) {
        float *to = x + i * features + column->first;
        if (!column->categorical) {
            const double d = (double)t->store->columns[c].number[t->rows[i]] - column->mean;
            *to = isnan(d) ? 0 : (float)(d * column->factor);
            continue;
        }
        const int32_t k = find(&column->categories, text_of(t->store, t->rows[i], c));
        for (int32_t j = 0; j < column->categories.n; j++)
            to[j] = j == k ? 1 : 0;
    }
    return TUTTI_OK;
}

static tutti_status fill_target(const tutti_encoder *e, const tutti_table *t, void *y) {
    int32_t c;
    TUTTI_TRY(match(t->store, e->target, e->n_classes > 0, &c));
    for (int64_t i = 0; i < t->n; i++) {
        const int64_t row = t->rows[i];
        if (tutti_table_cell(t->store, row, c) == NULL)
            return tutti_table_fail(t->store, row, c, "is a missing cell");
        if (e->n_classes == 0) {
            const double value = (double)t->store->columns[c].number[row];
            ((float *)y)[i] =
                (float)((value - (double)e->target_mean) / (double)e->target_deviation);
            continue;
        }
        const int32_t label = find(&e->columns->classes, text_of(t->store, row, c));
        if (label < 0)
            return tutti_table_fail(t->store, row, c, "is not a class of the training file");
        ((int32_t *)y)[i] = label;
    }
    return TUTTI_OK;
}

tutti_status tutti_encoder_apply(const tutti_encoder *e, const tutti_table *t,
                                 tutti_dataset **out) {
    const tutti_shape x_shape = tutti_shape_of_rows(1, &(int64_t){e->n_features});
    const tutti_shape label = tutti_shape_of_rows(0, NULL),
                      number = tutti_shape_of_rows(1, &(int64_t){1});
    TUTTI_TRY(tutti_dataset_alloc(t->n, TUTTI_F32, &x_shape,
                                  e->n_classes > 0 ? TUTTI_I32 : TUTTI_F32,
                                  e->n_classes > 0 ? &label : &number, t->store->source, out));
    tutti_dataset *set = *out;
    set->n_classes = e->n_classes;
    tutti_status status = name_features(e, set);
    for (int32_t c = 0; c < e->columns->n && status == TUTTI_OK; c++)
        status = fill_column(&e->columns->column[c], t, set->x, e->n_features);
    if (status == TUTTI_OK)
        status = fill_target(e, t, set->y);
    if (status != TUTTI_OK) {
        tutti_dataset_free(set);
        *out = NULL;
    }
    return status;
}
