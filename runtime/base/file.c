#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"

static tutti_status io_fail(const char *what, const char *path) {
    return tutti_fail(TUTTI_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

tutti_status tutti_file_read(const char *path, uint64_t limit_bytes, char **out_data,
                             size_t *out_size_bytes) {
    /* Opening a FIFO would wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return io_fail("open", path);
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return tutti_fail(TUTTI_IO, "cannot read %s: not a regular file", path);
    }
    if ((uint64_t)info.st_size > limit_bytes) {
        close(fd);
        return tutti_fail(TUTTI_BAD_INPUT, "%s: %lld bytes, expected at most %llu", path,
                          (long long)info.st_size, (unsigned long long)limit_bytes);
    }
    size_t size = (size_t)info.st_size, used = 0;
    char *data = malloc(size + 1);
    if (data == NULL) {
        close(fd);
        return tutti_fail_memory(size + 1, path);
    }
    while (used < size) {
        ssize_t got = read(fd, data + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            tutti_status status = io_fail("read", path);
            free(data);
            close(fd);
            return status;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    close(fd);
    data[used] = '\0';
    *out_data = data;
    *out_size_bytes = used;
    return TUTTI_OK;
}

bool tutti_fd_write(int fd, const void *data, size_t size_bytes) {
    const char *at = data;
    while (size_bytes > 0) {
        ssize_t wrote = write(fd, at, size_bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        at += wrote;
        size_bytes -= (size_t)wrote;
    }
    return true;
}

/* The rename is only durable once the directory is. */
static void sync_parent(const char *path) {
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        snprintf(parent, sizeof parent, ".");
    else
        slash[slash == parent ? 1 : 0] = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* Opens a new file beside path. */
static tutti_status open_temporary(const char *path, char temporary[4096], int *out_fd) {
    int length = snprintf(temporary, 4096, "%s.tmpXXXXXX", path);
    if (length < 0 || length >= 4096)
        return tutti_fail(TUTTI_IO, "cannot write %s: the path is too long", path);
    *out_fd = mkostemp(temporary, O_CLOEXEC);
    return *out_fd < 0 ? io_fail("write", path) : TUTTI_OK;
}

tutti_status tutti_file_check_write(const char *path) {
    char temporary[4096];
    struct stat info;
    int fd = -1;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        errno = EISDIR;
        return io_fail("write", path);
    }
    TUTTI_TRY(open_temporary(path, temporary, &fd));
    close(fd);
    unlink(temporary);
    return TUTTI_OK;
}

tutti_status tutti_file_write(const char *path, unsigned mode, const void *data,
                              size_t size_bytes) {
    char temporary[4096];
    int fd = -1;
    TUTTI_TRY(open_temporary(path, temporary, &fd));
    bool good =
        fchmod(fd, (mode_t)mode) == 0 && tutti_fd_write(fd, data, size_bytes) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && good) {
        error = errno;
        good = false;
    }
    if (good && rename(temporary, path) != 0) {
        error = errno;
        good = false;
    }
    if (!good) {
        unlink(temporary);
        errno = error;
        return io_fail("write", path);
    }
    sync_parent(path);
    return TUTTI_OK;
}

tutti_status tutti_dir_make_private(const char *path) {
    char partial[4096];
    int length = snprintf(partial, sizeof partial, "%s", path);
    if (length <= 0 || (size_t)length >= sizeof partial)
        return tutti_fail(TUTTI_IO, "cannot make directory \"%s\": the path is empty or too long",
                          path);
    for (char *c = partial + 1; *c != '\0'; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        /* Parents follow the umask; an unusable one shows when the last is made. */
        (void)mkdir(partial, 0777);
        *c = '/';
    }
    if (mkdir(partial, 0700) != 0 && errno != EEXIST)
        return io_fail("make directory", path);
    return TUTTI_OK;
}

static char *join(const char *a, const char *b) {
    char *text = NULL;
    return asprintf(&text, "%s%s", a, b) < 0 ? NULL : text;
}

char *tutti_cache_dir_default(void) {
    const char *own = getenv("TUTTI_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (own != NULL && own[0] != '\0')
        return join(own, "");
    /* The XDG specification has relative paths ignored. */
    if (xdg != NULL && xdg[0] == '/')
        return join(xdg, "/tutti");
    if (home != NULL && home[0] == '/')
        return join(home, "/.cache/tutti");
    return NULL;
}

bool tutti_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}
