/* Measures Tutti beside the device's limits and other libraries. See docs/man/tutti-bench.1. */
#include <fnmatch.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "bench/bench.h"
#include "shared/options.h"

enum {
    OPT_JSON = TOOL_FIRST,
    OPT_SELECT,
    OPT_FILTER,
    OPT_ROUNDS,
    OPT_PEERS,
    OPT_KERNELS,
    OPT_PRECISIONS
};

static const tool_option options[] = {
    {"json", NULL, OPT_JSON, "print one JSON document instead of tables"},
    {"select", "EXPR|FILE", OPT_SELECT, "devices, as for tutti-probe; the default is auto"},
    {"filter", "GLOB", OPT_FILTER, "only what has a name like that"},
    {"rounds", "N", OPT_ROUNDS, "measure so many times, at least and by default 7"},
    {"peers", "LIST|none", OPT_PEERS, "only these of the peers, separated by commas"},
    {"kernels", NULL, OPT_KERNELS, "train: where the time of a step goes"},
    {"precisions", NULL, OPT_PRECISIONS, "train: f32, bf16 and f16 instead of peers"},
};

static const bench_noun *const nouns[] = {&bench_ops,   &bench_gemm,  &bench_conv,
                                          &bench_train, &bench_start, &bench_replay};
#define N_NOUNS (sizeof nouns / sizeof nouns[0])

static void introduce(void) {
    printf("Usage: tutti-bench ");
    for (size_t i = 0; i < N_NOUNS; i++)
        printf("%s%s", i > 0 ? "|" : "", nouns[i]->name);
    printf(" [OPTION]...\nMeasures Tutti beside the device's limits and other libraries.\n\n");
    for (size_t i = 0; i < N_NOUNS; i++) {
        printf("  %-22s %s", nouns[i]->name, nouns[i]->summary);
        printf(nouns[i]->all_peers != NULL ? " (peers: %s)\n" : "\n", nouns[i]->all_peers);
    }
    printf("\n");
}

static const tool bench_tool = {
    .name = "tutti-bench",
    .introduce = introduce,
    .exit_codes = "Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 no usable device, 5 bad input,\n"
                  "6 device lost, 7 out of memory.\n",
    .width = 22,
    .options = options,
    .n_options = sizeof options / sizeof *options,
};

static bool is_peer(const bench_noun *noun, const char *word, size_t length) {
    const char *at = noun->all_peers;
    for (; at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

/* -1 when the noun has all of them, else the exit code. */
static int check_peers(const bench_noun *noun, const char *list) {
    if (list == NULL || strcmp(list, "none") == 0)
        return -1;
    if (noun->all_peers == NULL)
        return tool_usage(&bench_tool, "%s has no peers", noun->name);
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, ",");
        if (!is_peer(noun, at, length)) {
            return tool_usage(&bench_tool, "%s has no peer \"%.*s\", only %s", noun->name,
                              length < 40 ? (int)length : 40, at, noun->all_peers);
        }
        at += length;
        if (*at == '\0')
            return -1;
    }
}

static int parse_rounds(const char *text, int32_t *out) {
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < BENCH_ROUNDS_MIN || value > BENCH_ROUNDS_MAX)
        return tool_usage(&bench_tool, "--rounds takes a whole number from 7 to 999, not %s", text);
    *out = (int32_t)value;
    return -1;
}

static int find_noun(int argc, char **argv, const bench_noun **out) {
    if (optind >= argc)
        return tool_usage(&bench_tool, "what to measure is missing");
    for (size_t i = 0; i < N_NOUNS; i++)
        if (strcmp(argv[optind], nouns[i]->name) == 0)
            *out = nouns[i];
    if (*out == NULL) {
        tutti_strbuf names = {0};
        for (size_t i = 0; i < N_NOUNS; i++)
            tutti_strbuf_printf(&names, "%s%s",
                                i == 0             ? ""
                                : i == N_NOUNS - 1 ? " and "
                                                   : ", ",
                                nouns[i]->name);
        const int code =
            tool_usage(&bench_tool, "there is no benchmark %s, only %s", argv[optind], names.text);
        tutti_strbuf_free(&names);
        return code;
    }
    if (optind + 1 < argc)
        return tool_usage(&bench_tool, "unexpected argument '%s'", argv[optind + 1]);
    return -1;
}

typedef struct name_search {
    const char *pattern;
    bool found;
} name_search;

static void match_name(void *user, const char *name) {
    name_search *search = user;
    search->found |= fnmatch(search->pattern, name, 0) == 0;
}

static void add_name(void *user, const char *name) {
    tutti_strbuf *names = user;
    tutti_strbuf_printf(names, "%s%s", names->length > 0 ? ", " : "", name);
}

/* -1 when it takes something, else the exit code. */
static int check_filter(const bench_noun *noun, const char *pattern) {
    name_search search = {pattern, false};
    if (pattern == NULL)
        return -1;
    bench_names(noun, match_name, &search);
    if (search.found)
        return -1;
    tutti_strbuf names = {0};
    bench_names(noun, add_name, &names);
    char *text = tutti_strbuf_take(&names);
    const int code = tool_usage(&bench_tool, "--filter %s takes nothing of %s, which has %s",
                                pattern, noun->name, text != NULL ? text : "others");
    free(text);
    return code;
}

/* -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, bench_options *out, const bench_noun **out_noun) {
    int value, code = 0;
    while ((value = tool_next(&bench_tool, argc, argv, &code)) >= 0)
        switch (value) {
        case OPT_JSON:
            out->json = true;
            break;
        case OPT_KERNELS:
            out->kernels = true;
            break;
        case OPT_PRECISIONS:
            out->precisions = true;
            break;
        case OPT_SELECT:
            out->select = optarg;
            break;
        case OPT_FILTER:
            if (out->filter != NULL)
                return tool_usage(&bench_tool, "--filter is given twice: %s and %s", out->filter,
                                  optarg);
            out->filter = optarg;
            break;
        case OPT_PEERS:
            out->peers = optarg;
            break;
        case OPT_ROUNDS:
            if ((code = parse_rounds(optarg, &out->rounds)) >= 0)
                return code;
            break;
        }
    if (value == TOOL_EXIT)
        return code;
    if ((code = find_noun(argc, argv, out_noun)) >= 0)
        return code;
    if (out->kernels && *out_noun != &bench_train)
        return tool_usage(&bench_tool, "--kernels is only for %s", bench_train.name);
    if (out->precisions && (*out_noun != &bench_train || out->kernels || out->peers != NULL))
        return tool_usage(&bench_tool, "--precisions is only for %s, without --kernels and --peers",
                          bench_train.name);
    code = check_peers(*out_noun, out->peers);
    return code >= 0 ? code : check_filter(*out_noun, out->filter);
}

/* What the run has found so far. */
typedef struct report {
    const bench_noun *noun;
    const bench_table *last; /* that was printed */
    cJSON *document, *rows;  /* NULL without --json */
    bench *b;
} report;

static tutti_status limits_work(bench *b, void *user) {
    const report *r = user;
    if (r->noun->one_device) { /* said before anything is measured */
        TUTTI_TRY(bench_open_first(b));
        bench_close(b);
    }
    cJSON *row = bench_row("device");
    bench_limits limits;
    const tutti_status status = bench_limits_run(b, &limits, row);
    if (status != TUTTI_OK) {
        cJSON_Delete(row);
        return status;
    }
    bench_number(row, "fma_gflops", limits.fma_gflops);
    bench_number(row, "copy_gb_per_s", limits.copy_gbs);
    return bench_put(b, row);
}

static double number_of(const cJSON *row, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, key);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

static void take_limits(void *user, cJSON *row) {
    report *r = user;
    r->b->limits = (bench_limits){number_of(row, "fma_gflops"), number_of(row, "copy_gb_per_s")};
    cJSON_DeleteItemFromObject(row, "kind");
    if (r->document == NULL) {
        printf("%s (%s), limits measured: FMA %.1f GFLOP/s, copy %.1f GB/s\n\n",
               cJSON_GetObjectItemCaseSensitive(row, "id")->valuestring,
               cJSON_GetObjectItemCaseSensitive(row, "name")->valuestring, r->b->limits.fma_gflops,
               r->b->limits.copy_gbs);
        cJSON_Delete(row);
        return;
    }
    cJSON *limits = cJSON_AddObjectToObject(r->document, "limits");
    cJSON_AddItemToObject(limits, "fma_gflops", cJSON_DetachItemFromObject(row, "fma_gflops"));
    cJSON_AddItemToObject(limits, "copy_gb_per_s",
                          cJSON_DetachItemFromObject(row, "copy_gb_per_s"));
    cJSON_AddItemToObject(r->document, "device", row);
}

static void take_row(void *user, cJSON *row) {
    report *r = user;
    if (r->document != NULL) {
        cJSON_AddItemToArray(r->rows, row);
        return;
    }
    bench_print(r->noun, row, &r->last);
    cJSON_Delete(row);
}

typedef struct case_of {
    const bench_noun *noun;
    int32_t index;
} case_of;

static tutti_status case_work(bench *b, void *user) {
    const case_of *c = user;
    return c->noun->run(b, c->index);
}

static tutti_status run_cases(report *r) {
    for (int32_t i = 0; i < r->noun->n_cases || (i == 0 && r->noun->cases == NULL); i++) {
        if (r->noun->cases != NULL && !bench_wants(r->b, r->noun->cases[i]))
            continue;
        case_of c = {r->noun, i};
        const tutti_status status = bench_child(r->b, case_work, &c, take_row, r);
        if (status != TUTTI_OK)
            return r->noun->cases != NULL ? tutti_fail_context(status, "%s", r->noun->cases[i])
                                          : status;
    }
    return TUTTI_OK;
}

static tutti_status run(report *r) {
    TUTTI_TRY(bench_child(r->b, limits_work, r, take_limits, r));
    return run_cases(r);
}

static tutti_status print_document(const cJSON *document) {
    char *text = cJSON_Print(document);
    if (text == NULL)
        return tutti_fail_memory(sizeof(cJSON), "the document");
    printf("%s\n", text);
    cJSON_free(text);
    return TUTTI_OK;
}

int main(int argc, char **argv) {
    bench_options wanted = {.rounds = BENCH_ROUNDS_MIN};
    const bench_noun *noun = NULL;
    const int code = parse_options(argc, argv, &wanted, &noun);
    if (code >= 0)
        return code;
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that ends early is its problem */
    bench b = {.options = &wanted};
    report r = {.noun = noun, .b = &b};
    if (wanted.json) {
        r.document = cJSON_CreateObject();
        cJSON_AddNumberToObject(r.document, "schema_version", BENCH_SCHEMA_VERSION);
        bench_text(r.document, "benchmark", noun->name);
        bench_text(r.document, "version", tutti_version());
        bench_number(r.document, "rounds", wanted.rounds);
        r.rows = cJSON_CreateArray();
    }
    tutti_status status = run(&r);
    if (wanted.json) {
        cJSON_AddItemToObject(r.document, "rows", r.rows);
        if (status == TUTTI_OK)
            status = print_document(r.document);
        cJSON_Delete(r.document);
    }
    if (status != TUTTI_OK)
        fprintf(stderr, "tutti-bench: %s\n", tutti_error_message());
    return tool_finish(&bench_tool, tutti_status_exit_code(status));
}
