/* Setting the thread's error message, and the two control macros of the project. */
#ifndef TUTTI_BASE_STATUS_H
#define TUTTI_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

#include "tutti/status.h"

#define TUTTI_MESSAGE_MAX 1024

/* Sets the message (cut at TUTTI_MESSAGE_MAX) and returns status. Call it once, lowest down, with
 * values. */
tutti_status tutti_fail(tutti_status status, const char *format, ...) TUTTI_PRINTF(2, 3);
tutti_status tutti_fail_v(tutti_status status, const char *format, va_list args) TUTTI_PRINTF(2, 0);
/* Puts "context: " before the message that is set, and returns status. */
tutti_status tutti_fail_context(tutti_status status, const char *format, ...) TUTTI_PRINTF(2, 3);
/* tutti_fail for memory: "out of memory (N bytes for WHAT)". */
tutti_status tutti_fail_memory(size_t size_bytes, const char *what);
/* Sets a message that another thread produced. */
tutti_status tutti_fail_from(tutti_status status, const char *message);

/* Returns from the calling function when expr fails. */
#define TUTTI_TRY(expr)                                                                            \
    do {                                                                                           \
        tutti_status tutti_try_status = (expr);                                                    \
        if (tutti_try_status != TUTTI_OK)                                                          \
            return tutti_try_status;                                                               \
    } while (0)

/* Returns TUTTI_INTERNAL when a condition that only a defect of ours can break does not hold. */
#define TUTTI_ASSERT(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return tutti_fail(TUTTI_INTERNAL, "%s:%d: broken assumption: %s", __FILE__, __LINE__,  \
                              #condition);                                                         \
    } while (0)

#endif
