/* Log messages, one line each, through the callback of tutti_log_set. */
#ifndef TUTTI_BASE_LOG_H
#define TUTTI_BASE_LOG_H

#include "tutti/types.h"

void tutti_log_write(tutti_log_level level, const char *format, ...) TUTTI_PRINTF(2, 3);

/* A second callback that is told of each message, whatever its level, beside the first; NULL: none. It
 * must not write messages. */
void tutti_log_watch(tutti_log_fn fn, void *user);

#endif
