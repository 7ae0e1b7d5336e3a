#include "peer.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"

/* Debian's, for which its PyTorch is installed, unless TUTTI_BENCH_PYTHON names another. */
#define PYTHON  "/usr/bin/python3"
#define NOT_RUN 127 /* exit code where the interpreter cannot be run */

/* Which script a peer is, and what it gets before the network's name. */
static const struct peer_kind {
    const char *name, *script, *argument;
} kinds[] = {
    {"torch", "bench_torch.py", NULL},
    {"torch-openmp", "bench_torch.py", "--openmp"},
    {"tinygrad", "bench_tinygrad.py", NULL},
};

typedef struct variant {
    char *name;
    double *times_s; /* per round */
    int32_t count;
    double peak_mib;
} variant;

struct bench_peer {
    const struct peer_kind *kind;
    int32_t rounds;
    pid_t pid;
    FILE *to, *from;
    char *problem; /* NULL: none so far */
    variant variants[BENCH_VARIANTS_MAX];
    int32_t n_variants;
};

static void set_problem(bench_peer *peer, const char *text) {
    if (peer->problem == NULL)
        peer->problem = strdup(text);
}

/* TUTTI_BENCH_SCRIPTS, the source directory, or where it is installed; false when in none, and path is
 * the last that was tried. */
static bool find_script(const char *name, char path[4096]) {
    char self[2048];
    const char *chosen = getenv("TUTTI_BENCH_SCRIPTS");
    struct stat info;
    if (chosen != NULL) {
        snprintf(path, 4096, "%s/%s", chosen, name);
        return stat(path, &info) == 0;
    }
    snprintf(path, 4096, "%s/%s", BENCH_SCRIPTS, name);
    if (stat(path, &info) == 0)
        return true;
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash == NULL)
        return false;
    *slash = '\0';
    snprintf(path, 4096, "%s/../share/tutti/%s", self, name);
    return stat(path, &info) == 0;
}

static void close_ends(int ends[2]) {
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static const char *python_path(void) {
    const char *chosen = getenv("TUTTI_BENCH_PYTHON");
    return chosen != NULL ? chosen : PYTHON;
}

static tutti_status spawn(bench_peer *peer, const char *script, const char *net) {
    const char *python = python_path();
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    /* A later peer must not hold the ends of an earlier one, which would then never see its end. */
    if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
        peer->pid = fork();
    if (peer->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        close_ends(in);
        close_ends(out);
        execlp(python, python, script, net, peer->kind->argument, (char *)NULL);
        _exit(NOT_RUN);
    }
    if (peer->pid < 0) {
        close_ends(in);
        close_ends(out);
        return tutti_fail(TUTTI_IO, "%s: no process for it", script);
    }
    close(in[0]);
    close(out[1]);
    peer->to = fdopen(in[1], "w");
    peer->from = fdopen(out[0], "r");
    return peer->to == NULL || peer->from == NULL ? tutti_fail(TUTTI_IO, "%s: no pipe", script)
                                                  : TUTTI_OK;
}

/* Its pipe is closed: waits for its end, and says how it ended. */
static void note_end(bench_peer *peer) {
    char text[4200];
    int death = 0;
    if (peer->problem != NULL)
        return;
    const bool known = peer->pid > 0 && waitpid(peer->pid, &death, 0) == peer->pid;
    peer->pid = 0;
    if (known && WIFSIGNALED(death))
        snprintf(text, sizeof text, "its script ended early (signal %d, %s)", WTERMSIG(death),
                 strsignal(WTERMSIG(death)));
    else if (known && WEXITSTATUS(death) == NOT_RUN)
        snprintf(text, sizeof text, "%s cannot be run (TUTTI_BENCH_PYTHON)", python_path());
    else if (known)
        snprintf(text, sizeof text, "its script ended early (exit code %d)", WEXITSTATUS(death));
    set_problem(peer, known ? text : "its script ended early");
}

/* The next line of the script that is meant for us; others are a library's. NULL: it ended. */
static char *answer(bench_peer *peer, char **line, size_t *capacity) {
    while (getline(line, capacity, peer->from) >= 0) {
        (*line)[strcspn(*line, "\n")] = '\0';
        if (strncmp(*line, "problem: ", 9) == 0) {
            set_problem(peer, *line + 9);
            return NULL;
        }
        if (strcmp(*line, "ready") == 0 || (*line)[0] == '[')
            return *line;
    }
    note_end(peer);
    return NULL;
}

static tutti_status start(bench_peer *peer, const char *net) {
    char script[4096], text[4200];
    if (!find_script(peer->kind->script, script)) {
        snprintf(text, sizeof text, "its script is missing: %s (TUTTI_BENCH_SCRIPTS)", script);
        set_problem(peer, text);
        return TUTTI_OK;
    }
    TUTTI_TRY(spawn(peer, script, net));
    char *line = NULL;
    size_t capacity = 0;
    (void)answer(peer, &line, &capacity);
    free(line);
    return TUTTI_OK;
}

tutti_status bench_peers_start(const bench *b, const bench_noun *noun, const char *net,
                               bench_peer **out, int32_t max, int32_t *out_count) {
    *out_count = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && *out_count < max; i++) {
        if (!bench_wants_peer(b, noun, kinds[i].name))
            continue;
        bench_peer *peer = calloc(1, sizeof *peer);
        if (peer == NULL)
            return tutti_fail_memory(sizeof *peer, "a peer");
        peer->kind = &kinds[i];
        peer->rounds = b->options->rounds;
        out[(*out_count)++] = peer;
        TUTTI_TRY(start(peer, net));
    }
    return TUTTI_OK;
}

static variant *find_variant(bench_peer *peer, const char *name) {
    for (int32_t i = 0; i < peer->n_variants; i++)
        if (strcmp(peer->variants[i].name, name) == 0)
            return &peer->variants[i];
    if (peer->n_variants == BENCH_VARIANTS_MAX)
        return NULL;
    variant *v = &peer->variants[peer->n_variants];
    v->name = strdup(name);
    v->times_s = calloc((size_t)peer->rounds, sizeof *v->times_s);
    if (v->name == NULL || v->times_s == NULL)
        return NULL;
    peer->n_variants++;
    return v;
}

static void add_result(bench_peer *peer, const cJSON *result) {
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(result, "variant");
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(result, "s_per_step");
    const cJSON *peak = cJSON_GetObjectItemCaseSensitive(result, "peak_mib");
    variant *v =
        cJSON_IsString(name) && cJSON_IsNumber(time) ? find_variant(peer, name->valuestring) : NULL;
    if (v == NULL || v->count == peer->rounds)
        return;
    v->times_s[v->count++] = time->valuedouble;
    v->peak_mib = cJSON_IsNumber(peak) ? peak->valuedouble : NAN;
}

void bench_peer_round(bench_peer *peer) {
    if (peer->problem != NULL)
        return;
    /* Where it cannot be asked, there is no answer either. */
    (void)fprintf(peer->to, "round\n");
    (void)fflush(peer->to);
    char *line = NULL;
    size_t capacity = 0;
    if (answer(peer, &line, &capacity) != NULL) {
        cJSON *results = cJSON_Parse(line);
        const cJSON *result;
        cJSON_ArrayForEach(result, results) add_result(peer, result);
        cJSON_Delete(results);
    }
    free(line);
}

int32_t bench_peer_results(bench_peer *peer, bench_peer_result out[BENCH_VARIANTS_MAX]) {
    if (peer->problem != NULL)
        return 0;
    for (int32_t i = 0; i < peer->n_variants; i++) {
        variant *v = &peer->variants[i];
        const double median_s = bench_median(v->times_s, v->count);
        out[i] = (bench_peer_result){v->name, median_s, v->times_s[0], v->peak_mib};
    }
    return peer->n_variants;
}

const char *bench_peer_name(const bench_peer *peer) {
    return peer->kind->name;
}

const char *bench_peer_problem(const bench_peer *peer) {
    return peer->problem != NULL ? peer->problem : "no result";
}

void bench_peer_stop(bench_peer *peer) {
    if (peer == NULL)
        return;
    if (peer->to != NULL)
        fclose(peer->to);
    if (peer->from != NULL)
        fclose(peer->from);
    if (peer->pid > 0)
        (void)waitpid(peer->pid, NULL, 0);
    for (int32_t i = 0; i < peer->n_variants; i++) {
        free(peer->variants[i].name);
        free(peer->variants[i].times_s);
    }
    free(peer->problem);
    free(peer);
}
