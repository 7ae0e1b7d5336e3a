#include "device/icd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

#define DEFAULT_VENDORS "/etc/OpenCL/vendors"

typedef struct search {
    tutti_arena *arena;
    tutti_icd *icds;
    int32_t count;
} search;

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static const char *absolute(tutti_arena *arena, const char *path) {
    char cwd[PATH_MAX];
    if (path[0] == '/' || getcwd(cwd, sizeof cwd) == NULL)
        return tutti_arena_strdup(arena, path);
    return tutti_arena_printf(arena, "%s/%s", cwd, path);
}

/* What is wrong with an .icd file's first line; the loader takes it as it stands. */
static const char *line_problem(tutti_arena *arena, const char *line) {
    const size_t length = strlen(line);
    if (strspn(line, " \t\r") == length)
        return "its first line names no library";
    if (line[length - 1] == '\r')
        return tutti_arena_printf(
            arena,
            "its line ends in a carriage return, so that \"%.*s\\r\" is sought: save it "
            "with plain line ends",
            (int)length - 1, line);
    return "";
}

static tutti_status add_file(search *s, const char *path) {
    if (s->count == TUTTI_MAX_ICDS)
        return TUTTI_OK;
    char line[PATH_MAX] = "";
    const char *problem;
    /* O_NONBLOCK: a FIFO must not hold us up. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t size = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (size < 0) {
        problem = tutti_arena_printf(s->arena, "cannot be read: %s", strerror(errno));
    } else {
        line[size] = '\0';
        line[strcspn(line, "\n")] = '\0';
        problem = line_problem(s->arena, line);
    }
    if (fd >= 0)
        close(fd);
    tutti_icd *icd = &s->icds[s->count++];
    icd->path = absolute(s->arena, path);
    icd->library = tutti_arena_strdup(s->arena, line);
    icd->problem = problem;
    return icd->path == NULL || icd->library == NULL || problem == NULL ? TUTTI_OUT_OF_MEMORY
                                                                        : TUTTI_OK;
}

static int compare_icds(const void *a, const void *b) {
    return strcmp(((const tutti_icd *)a)->path, ((const tutti_icd *)b)->path);
}

static tutti_status find_in_directory(search *s, const char *path, const char *how,
                                      const char **searched) {
    DIR *dir = opendir(path);
    if (dir == NULL) {
        *searched = tutti_arena_printf(s->arena, "%s (from %s): %s", path, how, strerror(errno));
        return *searched == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
    }
    const struct dirent *entry;
    tutti_status status = TUTTI_OK;
    while (status == TUTTI_OK && (entry = readdir(dir)) != NULL) {
        if (!ends_with(entry->d_name, ".icd"))
            continue;
        const char *file = tutti_arena_printf(s->arena, "%s/%s", path, entry->d_name);
        status = file == NULL ? TUTTI_OUT_OF_MEMORY : add_file(s, file);
    }
    closedir(dir);
    if (status != TUTTI_OK)
        return status;
    qsort(s->icds, (size_t)s->count, sizeof *s->icds, compare_icds);
    *searched = tutti_arena_printf(s->arena, "%s (from %s): %d .icd file%s", path, how, s->count,
                                   s->count == 1 ? "" : "s");
    return *searched == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

static tutti_status find_one(search *s, const char *wanted, const char *directory,
                             const char **searched) {
    struct stat info;
    if (ends_with(wanted, ".icd")) {
        const char *inside = tutti_arena_printf(s->arena, "%s/%s", directory, wanted);
        if (inside == NULL)
            return TUTTI_OUT_OF_MEMORY;
        const bool use_inside = strchr(wanted, '/') == NULL && stat(inside, &info) == 0;
        TUTTI_TRY(add_file(s, use_inside ? inside : wanted));
        *searched = tutti_arena_printf(s->arena, "%s (from OCL_ICD_VENDORS)", s->icds[0].path);
    } else {
        s->icds[0] = (tutti_icd){.path = tutti_arena_strdup(s->arena, wanted),
                                 .library = tutti_arena_strdup(s->arena, wanted),
                                 .problem = "",
                                 .is_library = true};
        s->count = 1;
        if (s->icds[0].path == NULL || s->icds[0].library == NULL)
            return TUTTI_OUT_OF_MEMORY;
        *searched =
            tutti_arena_printf(s->arena, "library %s (from OCL_ICD_VENDORS)", s->icds[0].path);
    }
    return *searched == NULL ? TUTTI_OUT_OF_MEMORY : TUTTI_OK;
}

tutti_status tutti_icd_find(tutti_arena *arena, tutti_icd **out, int32_t *out_count,
                            const char **searched) {
    search s = {.arena = arena,
                .icds = tutti_arena_array(arena, TUTTI_MAX_ICDS, sizeof(tutti_icd))};
    if (s.icds == NULL)
        return TUTTI_OUT_OF_MEMORY;
    const char *wanted = getenv("OCL_ICD_VENDORS");
    const char *directory = getenv("OPENCL_VENDOR_PATH");
    const char *how = "OPENCL_VENDOR_PATH";
    if (directory == NULL || directory[0] == '\0') {
        directory = DEFAULT_VENDORS;
        how = "the default";
    }
    struct stat info;
    if (wanted == NULL || wanted[0] == '\0')
        TUTTI_TRY(find_in_directory(&s, directory, how, searched));
    else if (stat(wanted, &info) == 0 && S_ISDIR(info.st_mode))
        TUTTI_TRY(find_in_directory(&s, wanted, "OCL_ICD_VENDORS", searched));
    else
        TUTTI_TRY(find_one(&s, wanted, directory, searched));
    *out = s.icds;
    *out_count = s.count;
    return TUTTI_OK;
}

static tutti_status fail_path(const char *doing, const char *path) {
    return tutti_fail(TUTTI_IO, "cannot %s %s: %s", doing, path, strerror(errno));
}

static tutti_status make_root(tutti_icd_dir *dir) {
    const char *temp = getenv("TMPDIR");
    if (temp == NULL || temp[0] != '/')
        temp = "/tmp";
    if ((size_t)snprintf(dir->path, sizeof dir->path, "%s/tutti-icd-XXXXXX", temp) >=
        sizeof dir->path - 64) {
        dir->path[0] = '\0';
        return tutti_fail(TUTTI_IO, "TMPDIR is too long");
    }
    if (mkdtemp(dir->path) == NULL) {
        tutti_status status = fail_path("make a directory in", temp);
        dir->path[0] = '\0';
        return status;
    }
    return TUTTI_OK;
}

tutti_status tutti_icd_dir_add(tutti_icd_dir *dir, tutti_arena *arena, const tutti_icd *icds,
                               const bool *take, int32_t count, const char **out) {
    if (dir->path[0] == '\0')
        TUTTI_TRY(make_root(dir));
    const char *inner = tutti_arena_printf(arena, "%s/%d", dir->path, dir->made);
    if (inner == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (mkdir(inner, 0700) != 0)
        return fail_path("make", inner);
    dir->made++;
    for (int32_t i = 0; i < count; i++) {
        if (!take[i])
            continue;
        char name[PATH_MAX];
        /* Numbered, so that a loader that sorts keeps the order. */
        if ((size_t)snprintf(name, sizeof name, "%s/%03d.icd", inner, i) >= sizeof name)
            return tutti_fail(TUTTI_IO, "path too long: %s", inner);
        if (!icds[i].is_library) {
            if (symlink(icds[i].path, name) != 0)
                return fail_path("make the link", name);
            continue;
        }
        FILE *file = fopen(name, "we");
        const bool wrote = file != NULL && fprintf(file, "%s\n", icds[i].library) > 0;
        if (file == NULL || fclose(file) != 0 || !wrote)
            return fail_path("write", name);
    }
    *out = inner;
    return TUTTI_OK;
}

void tutti_icd_dir_remove(tutti_icd_dir *dir) {
    if (dir->path[0] == '\0')
        return;
    const size_t length = strlen(dir->path);
    for (int32_t k = 0; k < dir->made; k++) {
        snprintf(dir->path + length, sizeof dir->path - length, "/%d", k);
        const size_t inner = strlen(dir->path);
        for (int32_t i = 0; i < TUTTI_MAX_ICDS; i++) {
            snprintf(dir->path + inner, sizeof dir->path - inner, "/%03d.icd", i);
            unlink(dir->path);
        }
        dir->path[inner] = '\0';
        rmdir(dir->path);
    }
    dir->path[length] = '\0';
    rmdir(dir->path);
    *dir = (tutti_icd_dir){.path = ""};
}
