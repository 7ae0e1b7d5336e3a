#include "kernel/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"

#define MAGIC          "tuttiKC1"
#define KIND_BYTES     8
#define HEADER_BYTES   (8 + KIND_BYTES + TUTTI_DIGEST_BYTES + 8 + TUTTI_DIGEST_BYTES)
#define NAME_BYTES     (TUTTI_DIGEST_HEX + KIND_BYTES + 1)
#define STALE_S        600 /* a temporary file this old was left by a process that died */
#define ENTRY_OVERHEAD 256 /* bytes that an entry costs besides its contents */

struct tutti_cache {
    char *path;
    int directory; /* -1: unusable */
    uint64_t limit_bytes;
    uint64_t written_bytes; /* since the last look at the whole directory */
    bool looked;
};

/* One warning for a directory in a process, whoever has it open; the rest is for debugging. */
static void warn(const char *path, const char *format, ...) TUTTI_PRINTF(2, 3);
static void warn(const char *path, const char *format, ...) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static char warned[4096];
    static bool any;
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    bool again = any && strncmp(warned, path, sizeof warned - 1) == 0;
    any = true;
    snprintf(warned, sizeof warned, "%s", path);
    pthread_mutex_unlock(&lock);
    tutti_log_write(again ? TUTTI_LOG_DEBUG : TUTTI_LOG_WARNING, "kernel cache%s%s: %s",
                    path[0] != '\0' ? " " : "", path, text);
}

/* A directory by handle, so that nobody can put another in its place after the check. */
static int open_directory(const char *path) {
    if (tutti_dir_make_private(path) != TUTTI_OK) {
        warn(path, "%s; nothing is kept there", tutti_error_message());
        return -1;
    }
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;
    if (directory < 0 || fstat(directory, &info) != 0) {
        warn(path, "%s; nothing is kept there",
             errno == ELOOP || errno == ENOTDIR ? "not a directory but a link or a file"
                                                : strerror(errno));
        if (directory >= 0)
            close(directory);
        return -1;
    }
    if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        warn(path, "%s; nothing is kept there",
             info.st_uid != geteuid() ? "owned by another user" : "others may write to it");
        close(directory);
        return -1;
    }
    return directory;
}

tutti_status tutti_cache_open(const tutti_profile *profile, tutti_cache **out) {
    tutti_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return tutti_fail_memory(sizeof *cache, "the kernel cache");
    cache->directory = -1;
    cache->limit_bytes = profile != NULL && profile->cache_limit_bytes != 0
                             ? profile->cache_limit_bytes
                             : TUTTI_CACHE_DEFAULT_BYTES;
    if (profile != NULL && profile->cache_mode == TUTTI_CACHE_OFF) {
        *out = cache;
        return TUTTI_OK;
    }
    const bool named =
        profile != NULL && profile->cache_dir != NULL && profile->cache_dir[0] != '\0';
    cache->path = named ? strdup(profile->cache_dir) : tutti_cache_dir_default();
    if (named && cache->path == NULL) {
        free(cache);
        return tutti_fail_memory(strlen(profile->cache_dir), "the kernel cache");
    }
    *out = cache;
    if (cache->path != NULL)
        cache->directory = open_directory(cache->path);
    else
        warn("", "no place for it, expected an absolute path in XDG_CACHE_HOME or HOME, or "
                 "TUTTI_CACHE_DIR: Tutti keeps no kernels and no measurements (a driver may keep "
                 "its own)");
    return TUTTI_OK;
}

void tutti_cache_close(tutti_cache *cache) {
    if (cache == NULL)
        return;
    if (cache->directory >= 0)
        close(cache->directory);
    free(cache->path);
    free(cache);
}

bool tutti_cache_usable(const tutti_cache *cache) {
    return cache->directory >= 0;
}

static void entry_name(const unsigned char *key, const char *kind, char name[NAME_BYTES]) {
    char hex[TUTTI_DIGEST_HEX];
    tutti_hash_hex(key, hex);
    snprintf(name, NAME_BYTES, "%s.%.*s", hex, KIND_BYTES - 1, kind);
}

/* All of the header; the digest covers the rest of it and the payload. */
static void make_header(const unsigned char *key, const char *kind, const void *data, size_t size,
                        unsigned char header[HEADER_BYTES]) {
    memset(header, 0, HEADER_BYTES);
    memcpy(header, MAGIC, 8);
    for (int i = 0; i < KIND_BYTES - 1 && kind[i] != '\0'; i++)
        header[8 + i] = (unsigned char)kind[i];
    memcpy(header + 8 + KIND_BYTES, key, TUTTI_DIGEST_BYTES);
    for (int i = 0; i < 8; i++)
        header[8 + KIND_BYTES + TUTTI_DIGEST_BYTES + i] = (unsigned char)((uint64_t)size >> 8 * i);
    tutti_hash hash;
    tutti_hash_begin(&hash);
    tutti_hash_add(&hash, header, HEADER_BYTES - TUTTI_DIGEST_BYTES);
    tutti_hash_add(&hash, data, size);
    tutti_hash_end(&hash, header + HEADER_BYTES - TUTTI_DIGEST_BYTES);
}

static bool read_all(int file, char *data, size_t size) {
    while (size > 0) {
        ssize_t got = read(file, data, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        data += got;
        size -= (size_t)got;
    }
    return true;
}

/* The reason why the open file is no entry of ours, or NULL and its payload. */
static const char *read_entry(int file, const unsigned char *key, const char *kind, char **out_data,
                              size_t *out_size) {
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
        return "not a regular file";
    if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "owned or writable by another user";
    if (info.st_size < HEADER_BYTES || (uint64_t)info.st_size > UINT64_C(1) << 30)
        return "damaged (size)";
    size_t size = (size_t)info.st_size - HEADER_BYTES;
    char *data = malloc(size + 1);
    if (data == NULL)
        return "too large for memory";
    unsigned char header[HEADER_BYTES], expected[HEADER_BYTES];
    const char *problem = NULL;
    if (!read_all(file, (char *)header, HEADER_BYTES) || !read_all(file, data, size))
        problem = "cannot be read";
    if (problem == NULL) {
        make_header(key, kind, data, size, expected);
        if (memcmp(header, expected, HEADER_BYTES) != 0)
            problem = "damaged, or of another key";
    }
    if (problem != NULL) {
        free(data);
        return problem;
    }
    futimens(file, NULL); /* used now: evicted last */
    data[size] = '\0';
    *out_data = data;
    *out_size = size;
    return NULL;
}

bool tutti_cache_load(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                      const char *kind, char **out_data, size_t *out_size_bytes) {
    if (cache->directory < 0)
        return false;
    char name[NAME_BYTES];
    entry_name(key, kind, name);
    int file = openat(cache->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        if (errno != ENOENT)
            tutti_cache_reject(cache, key, kind, errno == ELOOP ? "a link" : strerror(errno));
        return false;
    }
    const char *problem = read_entry(file, key, kind, out_data, out_size_bytes);
    close(file);
    if (problem != NULL)
        tutti_cache_reject(cache, key, kind, problem);
    return problem == NULL;
}

void tutti_cache_reject(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                        const char *kind, const char *why) {
    if (cache->directory < 0)
        return;
    char name[NAME_BYTES];
    entry_name(key, kind, name);
    unlinkat(cache->directory, name, 0);
    warn(cache->path, "%s: %s; made again", name, why);
}

int tutti_cache_lock(tutti_cache *cache) {
    if (cache->directory < 0)
        return -1;
    /* Opened each time: such a lock is of the open file, so that threads exclude each other too. */
    const int lock =
        openat(cache->directory, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    while (lock >= 0 && flock(lock, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(lock);
            return -1;
        }
    return lock;
}

void tutti_cache_unlock(int lock) {
    if (lock >= 0)
        close(lock);
}

typedef struct found_entry {
    char name[NAME_BYTES];
    uint64_t size_bytes;
    struct timespec used;
} found_entry;

/* Compiled programs are large and come back by compiling; what the tuner has measured is small. */
static bool is_program(const found_entry *entry) {
    return strcmp(strchr(entry->name, '.') + 1, TUTTI_CACHE_BINARY) == 0;
}

/* Programs before the rest. */
static int older_first(const void *a, const void *b) {
    const found_entry *x = a, *y = b;
    if (is_program(x) != is_program(y))
        return is_program(x) ? -1 : 1;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

static bool is_entry_name(const char *name) {
    size_t digits = strspn(name, "0123456789abcdef");
    const char *kind = name + digits + 1;
    return digits == TUTTI_DIGEST_HEX - 1 && name[digits] == '.' &&
           (strcmp(kind, TUTTI_CACHE_BINARY) == 0 || strcmp(kind, TUTTI_CACHE_SEEN) == 0 ||
            strcmp(kind, TUTTI_CACHE_TUNED) == 0);
}

/* Reads the directory: entries into a grown array; stale temporary files are removed. */
static found_entry *list_entries(const tutti_cache *cache, size_t *out_count, uint64_t *out_bytes) {
    found_entry *entries = NULL;
    size_t count = 0, capacity = 0;
    int copy = openat(cache->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy >= 0 ? fdopendir(copy) : NULL;
    if (directory == NULL && copy >= 0)
        close(copy);
    *out_bytes = 0;
    for (struct dirent *d; directory != NULL && (d = readdir(directory)) != NULL;) {
        struct stat info;
        bool temporary = strncmp(d->d_name, ".tmp-", 5) == 0;
        if ((!temporary && !is_entry_name(d->d_name)) ||
            fstatat(cache->directory, d->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (temporary) {
            if (time(NULL) - info.st_mtim.tv_sec > STALE_S)
                unlinkat(cache->directory, d->d_name, 0);
            continue;
        }
        if (count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            found_entry *grown = realloc(entries, capacity * sizeof *grown);
            if (grown == NULL)
                break;
            entries = grown;
        }
        found_entry *entry = &entries[count++];
        memcpy(entry->name, d->d_name, strlen(d->d_name) + 1); /* fits: is_entry_name */
        entry->size_bytes = (uint64_t)info.st_size + ENTRY_OVERHEAD;
        entry->used = info.st_mtim;
        *out_bytes += entry->size_bytes;
    }
    if (directory != NULL)
        closedir(directory);
    *out_count = count;
    return entries;
}

/* Down to this part of the limit, so that the next entries do not evict again at once. A larger
 * entry would evict all others, and itself. */
static uint64_t kept_bytes(const tutti_cache *cache) {
    return cache->limit_bytes / 4 * 3;
}

static void evict(tutti_cache *cache) {
    size_t count;
    uint64_t bytes;
    found_entry *entries = list_entries(cache, &count, &bytes);
    cache->looked = true;
    cache->written_bytes = 0;
    if (bytes > cache->limit_bytes) {
        qsort(entries, count, sizeof *entries, older_first);
        for (size_t i = 0; i < count && bytes > kept_bytes(cache); i++)
            if (unlinkat(cache->directory, entries[i].name, 0) == 0)
                bytes -= entries[i].size_bytes;
    }
    free(entries);
}

static const char *write_entry(tutti_cache *cache, const char *name, const unsigned char *header,
                               const void *data, size_t size) {
    char temporary[64];
    snprintf(temporary, sizeof temporary, ".tmp-%ld-%llx", (long)getpid(),
             (unsigned long long)tutti_clock_ns());
    int file = openat(cache->directory, temporary,
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return strerror(errno);
    /* Not flushed to disk: after a power cut the digest tells. */
    bool written = tutti_fd_write(file, header, HEADER_BYTES) && tutti_fd_write(file, data, size);
    written = close(file) == 0 && written;
    if (written && renameat(cache->directory, temporary, cache->directory, name) == 0)
        return NULL;
    const char *problem = strerror(errno);
    unlinkat(cache->directory, temporary, 0);
    return problem;
}

bool tutti_cache_store(tutti_cache *cache, const unsigned char key[TUTTI_DIGEST_BYTES],
                       const char *kind, const void *data, size_t size_bytes) {
    uint64_t cost = (uint64_t)size_bytes + HEADER_BYTES + ENTRY_OVERHEAD;
    if (cache->directory < 0)
        return false;
    if (cost > kept_bytes(cache)) {
        warn(cache->path,
             "an entry of %llu bytes is not kept, and made again at each start: expected at most "
             "three quarters of the limit of %llu bytes (cache.limit)",
             (unsigned long long)cost, (unsigned long long)cache->limit_bytes);
        return false;
    }
    char name[NAME_BYTES];
    unsigned char header[HEADER_BYTES];
    entry_name(key, kind, name);
    make_header(key, kind, data, size_bytes, header);
    const char *problem = write_entry(cache, name, header, data, size_bytes);
    if (problem != NULL) {
        warn(cache->path, "cannot write: %s; nothing more is kept", problem);
        return false;
    }
    cache->written_bytes += cost;
    if (!cache->looked || cache->written_bytes > cache->limit_bytes / 16)
        evict(cache);
    return true;
}
