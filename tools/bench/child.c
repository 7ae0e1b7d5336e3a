#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"
#include "bench.h"

/* The last line that a child sends says how it ended. */
#define END_KIND "end"

static int be_child(const bench *b, int to_parent, bench_work work, void *user) {
    bench own = *b;
    own.rows = fdopen(to_parent, "w");
    if (own.rows == NULL)
        return 1;
    const tutti_status status = work(&own, user);
    cJSON *end = bench_row(END_KIND);
    bench_number(end, "status", status);
    if (status != TUTTI_OK)
        bench_text(end, "message", tutti_error_message());
    bench_close(&own);
    const tutti_status sent = bench_put(&own, end);
    return fclose(own.rows) == 0 && sent == TUTTI_OK ? 0 : 1;
}

static double number_of(const cJSON *row, const char *key) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, key);
    return cJSON_IsNumber(value) ? value->valuedouble : 0;
}

/* Reads rows until the child closes its end. */
static tutti_status listen(FILE *from_child, bench_take take, void *user, bool *out_ended) {
    tutti_status status = TUTTI_INTERNAL;
    char *line = NULL;
    size_t capacity = 0;
    bool ended = false;
    while (getline(&line, &capacity, from_child) >= 0) {
        cJSON *row = cJSON_Parse(line);
        const cJSON *kind = cJSON_GetObjectItemCaseSensitive(row, "kind");
        if (kind != NULL && strcmp(kind->valuestring, END_KIND) == 0) {
            const cJSON *message = cJSON_GetObjectItemCaseSensitive(row, "message");
            ended = true;
            status = (tutti_status)number_of(row, "status");
            if (status != TUTTI_OK)
                (void)tutti_fail_from(status, message != NULL ? message->valuestring : "");
            cJSON_Delete(row);
        } else if (row != NULL) {
            take(user, row);
        }
    }
    free(line);
    *out_ended = ended;
    return status;
}

static tutti_status fail_early(int death) {
    if (WIFSIGNALED(death))
        return tutti_fail(TUTTI_OPENCL, "the process that measures crashed (signal %d, %s)",
                          WTERMSIG(death), strsignal(WTERMSIG(death)));
    return tutti_fail(TUTTI_OPENCL, "the process that measures ended with exit code %d",
                      WEXITSTATUS(death));
}

tutti_status bench_child(const bench *b, bench_work work, void *work_user, bench_take take,
                         void *take_user) {
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return tutti_fail(TUTTI_IO, "pipe failed");
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        _exit(be_child(b, ends[1], work, work_user));
    }
    close(ends[1]);
    FILE *from_child = pid < 0 ? NULL : fdopen(ends[0], "r");
    tutti_status status = TUTTI_OK;
    bool ended = true;
    int death = 0;
    if (from_child == NULL) {
        close(ends[0]);
        status = tutti_fail(TUTTI_IO, "no child process");
    } else {
        status = listen(from_child, take, take_user, &ended);
        fclose(from_child);
    }
    if (pid > 0 && waitpid(pid, &death, 0) == pid && !ended)
        return fail_early(death);
    return ended ? status : tutti_fail(TUTTI_OPENCL, "the process that measures ended early");
}
