/* Rows: made, sent, printed. */
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "bench.h"

cJSON *bench_row(const char *kind) {
    cJSON *row = cJSON_CreateObject();
    bench_text(row, "kind", kind);
    return row;
}

void bench_number(cJSON *row, const char *key, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(row, key, value);
    else
        cJSON_AddNullToObject(row, key);
}

void bench_text(cJSON *row, const char *key, const char *value) {
    if (value != NULL)
        cJSON_AddStringToObject(row, key, value);
    else
        cJSON_AddNullToObject(row, key);
}

tutti_status bench_put(const bench *b, cJSON *row) {
    char *text = cJSON_PrintUnformatted(row);
    cJSON_Delete(row);
    if (text == NULL)
        return tutti_fail_memory(sizeof(cJSON), "a row");
    const bool sent = fprintf(b->rows, "%s\n", text) > 0 && fflush(b->rows) == 0;
    cJSON_free(text);
    return sent ? TUTTI_OK : tutti_fail(TUTTI_IO, "a row could not be sent");
}

bool bench_wants(const bench *b, const char *name) {
    return b->options->filter == NULL || fnmatch(b->options->filter, name, 0) == 0;
}

void bench_names(const bench_noun *noun, bench_name_fn each, void *user) {
    for (int32_t i = 0; i < noun->n_cases; i++)
        each(user, noun->cases[i]);
    if (noun->names != NULL)
        noun->names(each, user);
}

static bool listed(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

bool bench_wants_peer(const bench *b, const bench_noun *noun, const char *peer) {
    return listed(b->options->peers != NULL ? b->options->peers : noun->peers, peer);
}

/* Of a column that is to the left at the end of a line: no blanks behind it. */
static int width_of(const bench_table *table, int i) {
    const int width = table->columns[i].width;
    return i == table->n_columns - 1 && width < 0 ? 0 : width;
}

static void print_heading(const bench_table *table) {
    for (int i = 0; i < table->n_columns; i++)
        printf("%s%*s", i > 0 ? "  " : "", width_of(table, i), table->columns[i].title);
    printf("\n");
}

void bench_print(const bench_noun *noun, const cJSON *row, const bench_table **last) {
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(row, "kind");
    const bench_table *table = NULL;
    for (int i = 0; i < noun->n_tables; i++)
        if (strcmp(noun->tables[i].kind, kind->valuestring) == 0)
            table = &noun->tables[i];
    if (table == NULL)
        return;
    if (table != *last) {
        if (*last != NULL)
            printf("\n");
        print_heading(table);
    }
    *last = table;
    for (int i = 0; i < table->n_columns; i++) {
        const bench_column *column = &table->columns[i];
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, column->key);
        printf("%s", i > 0 ? "  " : "");
        if (cJSON_IsNumber(value))
            printf("%*.*f", column->width, column->decimals, value->valuedouble);
        else
            printf("%*s", width_of(table, i), cJSON_IsString(value) ? value->valuestring : "-");
    }
    printf("\n");
    fflush(stdout);
}
