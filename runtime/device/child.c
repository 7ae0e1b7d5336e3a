#include "device/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/status.h"

#define NOISE_MAX  2048
#define REPORT_MAX (64u << 20)

extern char **environ;

typedef struct child {
    pid_t pid;         /* 0 once it has been waited for, or was never started */
    int report, noise; /* -1 when closed */
    char *bytes;       /* of the report: the status of work as one byte, then the content */
    size_t size, capacity;
    char said[NOISE_MAX]; /* the end of what the driver wrote to stdout and stderr */
    size_t said_size;
} child;

/* ---- in the child ---- */

/* The program may have handlers, masks and limits that make no sense here. */
static void become_plain(int noise) {
    static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE, SIGABRT, SIGTRAP, SIGINT,
                                  SIGTERM, SIGPIPE, SIGALRM, SIGHUP, SIGQUIT, SIGSYS};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        signal(signals[i], SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0); /* the parent kills what the driver starts, too */
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    dup2(noise, STDOUT_FILENO);
    dup2(noise, STDERR_FILENO);
}

/* malloc, stdio locks and the dynamic loader are usable in a child of a threaded process with
 * glibc; setenv is not, hence the ready-made environment. Should a driver meet another lock that a
 * thread held, the deadline ends it. */
static _Noreturn void run_child(const tutti_child_job *job, char **environment, int report,
                                int noise) {
    environ = environment;
    become_plain(noise);
    tutti_strbuf out = {0};
    tutti_strbuf_append(&out, "", 1); /* room for the status */
    const tutti_status status = job->work(job->user, &out);
    if (status != TUTTI_OK) {
        out.length = 1;
        tutti_strbuf_puts(&out, tutti_error_message());
    }
    if (out.failed)
        _exit(1);
    out.text[0] = (char)status;
    const uint64_t size = out.length;
    if (!tutti_fd_write(report, &size, sizeof size) ||
        !tutti_fd_write(report, out.text, out.length))
        _exit(1);
    _exit(0); /* no destructors of drivers */
}

/* ---- in the parent ---- */

/* environ with another OCL_ICD_VENDORS. */
static char **make_environment(tutti_arena *arena, const char *vendors) {
    size_t count = 0, kept = 0;
    while (environ != NULL && environ[count] != NULL)
        count++;
    char **copy = tutti_arena_array(arena, count + 2, sizeof *copy);
    char *entry = tutti_arena_printf(arena, "OCL_ICD_VENDORS=%s", vendors);
    if (copy == NULL || entry == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "OCL_ICD_VENDORS=", 16) != 0)
            copy[kept++] = environ[i];
    copy[kept++] = entry;
    copy[kept] = NULL;
    return copy;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static tutti_status start(tutti_arena *arena, const tutti_child_job *job, child *c) {
    int report[2], noise[2];
    char **environment = job->vendors == NULL ? environ : make_environment(arena, job->vendors);
    if (environment == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (pipe2(report, O_CLOEXEC) != 0)
        return tutti_fail(TUTTI_IO, "child process: pipe: %s", strerror(errno));
    if (pipe2(noise, O_CLOEXEC | O_NONBLOCK) != 0) {
        close(report[0]);
        close(report[1]);
        return tutti_fail(TUTTI_IO, "child process: pipe: %s", strerror(errno));
    }
    c->report = report[0];
    c->noise = noise[0];
    c->pid = fork();
    if (c->pid == 0)
        run_child(job, environment, report[1], noise[1]);
    const int error = errno;
    close(report[1]);
    close(noise[1]);
    if (c->pid < 0) {
        c->pid = 0;
        return tutti_fail(TUTTI_IO, "child process: fork: %s", strerror(error));
    }
    fcntl(c->report, F_SETFL, O_NONBLOCK);
    return TUTTI_OK;
}

static void keep_noise(child *c, const char *bytes, size_t size) {
    if (size > NOISE_MAX) {
        bytes += size - NOISE_MAX;
        size = NOISE_MAX;
    }
    const size_t drop = c->said_size + size > NOISE_MAX ? c->said_size + size - NOISE_MAX : 0;
    memmove(c->said, c->said + drop, c->said_size - drop);
    c->said_size -= drop;
    memcpy(c->said + c->said_size, bytes, size);
    c->said_size += size;
}

static void read_noise(child *c) {
    char bytes[4096];
    /* Bounded, so that a driver that never stops talking cannot hold us. */
    for (int i = 0; i < 16 && c->noise >= 0; i++) {
        const ssize_t got = read(c->noise, bytes, sizeof bytes);
        if (got > 0)
            keep_noise(c, bytes, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            close_fd(&c->noise);
        else
            return;
    }
}

static bool report_complete(const child *c) {
    uint64_t size;
    if (c->size < sizeof size)
        return false;
    memcpy(&size, c->bytes, sizeof size);
    return c->size - sizeof size == size && size > 0;
}

static tutti_status read_report(child *c) {
    while (c->report >= 0) {
        if (c->size == c->capacity) {
            const size_t capacity = c->capacity == 0 ? 65536 : 2 * c->capacity;
            char *bytes = capacity > REPORT_MAX ? NULL : realloc(c->bytes, capacity);
            if (bytes == NULL)
                return tutti_fail_memory(capacity, "the report of a child process");
            c->bytes = bytes;
            c->capacity = capacity;
        }
        const ssize_t got = read(c->report, c->bytes + c->size, c->capacity - c->size);
        if (got > 0)
            c->size += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            return TUTTI_OK;
        else if (got == 0 || errno != EINTR)
            close_fd(&c->report);
        if (report_complete(c))
            close_fd(&c->report);
    }
    return TUTTI_OK;
}

/* Reads what the children write until each has finished its report or died, or time is up. */
static tutti_status listen_all(child *children, int32_t count, uint64_t end_ns,
                               struct pollfd *fds) {
    for (;;) {
        nfds_t n = 0;
        bool waiting = false;
        for (int32_t i = 0; i < count; i++) {
            fds[n++] = (struct pollfd){.fd = children[i].report, .events = POLLIN};
            fds[n++] = (struct pollfd){.fd = children[i].noise, .events = POLLIN};
            waiting = waiting || children[i].report >= 0;
        }
        const uint64_t now = tutti_clock_ns();
        if (!waiting || now >= end_ns)
            return TUTTI_OK;
        if (poll(fds, n, (int)((end_ns - now) / 1000000 + 1)) < 0 && errno != EINTR)
            return tutti_fail(TUTTI_IO, "child process: poll: %s", strerror(errno));
        for (int32_t i = 0; i < count; i++) {
            read_noise(&children[i]);
            TUTTI_TRY(read_report(&children[i]));
        }
    }
}

/* The last line that the driver wrote, as ": line", or "". */
static const char *last_words(tutti_arena *arena, child *c) {
    read_noise(c);
    size_t end = c->said_size;
    while (end > 0 && (unsigned char)c->said[end - 1] <= ' ')
        end--;
    size_t begin = end;
    while (begin > 0 && c->said[begin - 1] != '\n')
        begin--;
    if (end - begin > 200)
        end = begin + 200;
    for (size_t i = begin; i < end; i++)
        if ((unsigned char)c->said[i] < ' ')
            c->said[i] = ' ';
    if (begin == end)
        return "";
    return tutti_arena_printf(arena, ": %.*s", (int)(end - begin), c->said + begin);
}

static const char *describe_death(tutti_arena *arena, child *c, bool late, uint32_t deadline_ms,
                                  int status, bool known) {
    if (late)
        return deadline_ms % 1000 == 0
                   ? tutti_arena_printf(arena, "hung: no answer in %u s", deadline_ms / 1000)
                   : tutti_arena_printf(arena, "hung: no answer in %u ms", deadline_ms);
    const char *words = last_words(arena, c);
    if (words == NULL)
        return NULL;
    if (known && WIFSIGNALED(status))
        return tutti_arena_printf(arena, "crashed (signal %d, %s)%s", WTERMSIG(status),
                                  strsignal(WTERMSIG(status)), words);
    if (known && WIFEXITED(status))
        return tutti_arena_printf(arena, "ended the process with exit code %d%s",
                                  WEXITSTATUS(status), words);
    return tutti_arena_printf(arena, "ended the process%s", words);
}

/* Kills what is left of a child, with what the driver started, and waits for it. One that is dying
 * already keeps its own exit status. False when a program that ignores SIGCHLD leaves nothing to
 * wait for. */
static bool end_child(child *c, int *status) {
    pid_t got;
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL);
    do
        got = waitpid(c->pid, status, 0);
    while (got < 0 && errno == EINTR);
    const bool known = got == c->pid;
    c->pid = 0;
    return known;
}

/* Ends a child and turns what it said into the job's result. */
static tutti_status finish(tutti_arena *arena, tutti_child_job *job, child *c,
                           uint32_t deadline_ms) {
    const bool complete = report_complete(c);
    const bool late = !complete && c->report >= 0;
    int death = 0;
    const bool known = end_child(c, &death);
    const char *content = complete ? c->bytes + sizeof(uint64_t) + 1 : NULL;
    const size_t size = complete ? c->size - sizeof(uint64_t) - 1 : 0;
    job->bytes = NULL;
    job->size_bytes = 0;
    job->status = complete ? (tutti_status)c->bytes[sizeof(uint64_t)]
                  : late   ? TUTTI_TIMEOUT
                           : TUTTI_OPENCL;
    if (!complete)
        job->problem = describe_death(arena, c, late, deadline_ms, death, known);
    else if (job->status != TUTTI_OK)
        job->problem = tutti_arena_printf(arena, "%.*s", (int)size, content);
    else {
        job->problem = "";
        job->size_bytes = size;
        job->bytes = tutti_arena_copy(arena, content, size);
        if (job->bytes == NULL)
            return TUTTI_OUT_OF_MEMORY;
    }
    return job->problem == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

tutti_status tutti_child_run(tutti_arena *arena, tutti_child_job *jobs, int32_t count,
                             uint32_t deadline_ms) {
    child *children = calloc((size_t)count + 1, sizeof *children);
    struct pollfd *fds = calloc(2 * (size_t)count + 1, sizeof *fds);
    const uint64_t end_ns = tutti_clock_ns() + (uint64_t)deadline_ms * 1000000;
    if (children == NULL || fds == NULL) {
        free(children);
        free(fds);
        return tutti_fail_memory((size_t)count * sizeof *children, "child processes");
    }
    tutti_status status = TUTTI_OK;
    for (int32_t i = 0; i < count; i++)
        children[i].report = children[i].noise = -1;
    for (int32_t i = 0; i < count && status == TUTTI_OK; i++)
        status = start(arena, &jobs[i], &children[i]);
    if (status == TUTTI_OK)
        status = listen_all(children, count, end_ns, fds);
    for (int32_t i = 0; i < count && status == TUTTI_OK; i++)
        status = finish(arena, &jobs[i], &children[i], deadline_ms);
    for (int32_t i = 0; i < count; i++) {
        if (children[i].pid > 0) /* after an error of ours */
            (void)end_child(&children[i], &(int){0});
        close_fd(&children[i].report);
        close_fd(&children[i].noise);
        free(children[i].bytes);
    }
    free(children);
    free(fds);
    return status;
}
