#include "base/status.h"

#include <stdio.h>
#include <string.h>

static _Thread_local char message[TUTTI_MESSAGE_MAX];

const char *tutti_status_name(tutti_status status) {
    static const char *const names[] = {
#define X(name, text, code) "TUTTI_" #name,
        TUTTI_STATUS_LIST(X)
#undef X
    };
    return (unsigned)status < TUTTI_STATUS_COUNT ? names[status] : "TUTTI_UNKNOWN";
}

const char *tutti_status_text(tutti_status status) {
    static const char *const texts[] = {
#define X(name, text, code) text,
        TUTTI_STATUS_LIST(X)
#undef X
    };
    return (unsigned)status < TUTTI_STATUS_COUNT ? texts[status] : "unknown status";
}

int tutti_status_exit_code(tutti_status status) {
    static const int codes[] = {
#define X(name, text, code) code,
        TUTTI_STATUS_LIST(X)
#undef X
    };
    return (unsigned)status < TUTTI_STATUS_COUNT ? codes[status] : 1;
}

const char *tutti_error_message(void) {
    return message;
}

tutti_status tutti_fail_v(tutti_status status, const char *format, va_list args) {
    /* The arguments may point into the message itself. */
    char text[TUTTI_MESSAGE_MAX];
    vsnprintf(text, sizeof text, format, args);
    memcpy(message, text, sizeof text);
    return status;
}

tutti_status tutti_fail(tutti_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    tutti_fail_v(status, format, args);
    va_end(args);
    return status;
}

tutti_status tutti_fail_context(tutti_status status, const char *format, ...) {
    char context[TUTTI_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    return tutti_fail(status, "%s: %s", context, message);
}

tutti_status tutti_fail_memory(size_t size_bytes, const char *what) {
    return tutti_fail(TUTTI_OUT_OF_MEMORY, "out of memory (%zu bytes for %s)", size_bytes, what);
}

tutti_status tutti_fail_from(tutti_status status, const char *text) {
    return tutti_fail(status, "%s", text);
}
