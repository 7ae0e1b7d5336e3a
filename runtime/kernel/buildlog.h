/* The first error of a compiler's log, in one form for every driver. */
#ifndef TUTTI_KERNEL_BUILDLOG_H
#define TUTTI_KERNEL_BUILDLOG_H

#include <stdbool.h>
#include <stddef.h>

/* Writes "file.cl:12: message" into text and returns true, or false and the first line that speaks
 * of an error when no position is found. source is the expanded text that was compiled: where a
 * driver ignores #line, its markers say which file and line a line of the whole was. */
bool tutti_build_log_first_error(const char *log, const char *source, char *text, size_t text_size);

#endif
