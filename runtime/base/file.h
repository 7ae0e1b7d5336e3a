/* Whole files, atomically written. */
#ifndef TUTTI_BASE_FILE_H
#define TUTTI_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tutti/status.h"

/* Reads at most limit_bytes (TUTTI_BAD_INPUT beyond; TUTTI_IO with path and reason otherwise). The
 * data are NUL-terminated behind their size; free() them. */
TUTTI_MUST_USE tutti_status tutti_file_read(const char *path, uint64_t limit_bytes, char **out_data,
                                            size_t *out_size_bytes);
/* Writes a temporary file beside path, flushes it to disk and renames it over path. mode such as
 * 0600. */
TUTTI_MUST_USE tutti_status tutti_file_write(const char *path, unsigned mode, const void *data,
                                             size_t size_bytes);
/* Whether tutti_file_write could write path, by the same error; nothing is left behind. */
TUTTI_MUST_USE tutti_status tutti_file_check_write(const char *path);
/* All of the data to an open file, whatever the pieces; false with errno. */
TUTTI_MUST_USE bool tutti_fd_write(int fd, const void *data, size_t size_bytes);
/* Makes a directory and its parents; the last gets mode 0700 when it is made. */
TUTTI_MUST_USE tutti_status tutti_dir_make_private(const char *path);
/* $TUTTI_CACHE_DIR, $XDG_CACHE_HOME/tutti or ~/.cache/tutti, malloc'd; NULL when none is set. */
char *tutti_cache_dir_default(void);
bool tutti_file_exists(const char *path);

#endif
