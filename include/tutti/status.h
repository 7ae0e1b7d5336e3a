/* Status codes and the thread's error message.
 *
 *     tutti_status s = tutti_runtime_open(profile, &runtime);
 *     if (s != TUTTI_OK)
 *         fprintf(stderr, "%s\n", tutti_error_message());
 */
#ifndef TUTTI_STATUS_H
#define TUTTI_STATUS_H

#if defined(__GNUC__)
#define TUTTI_MUST_USE     __attribute__((warn_unused_result))
#define TUTTI_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define TUTTI_API          __attribute__((visibility("default")))
#else
#define TUTTI_MUST_USE
#define TUTTI_PRINTF(f, a)
#define TUTTI_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text, exit code of the command-line tools) */
#define TUTTI_STATUS_LIST(X)                                                                       \
    X(OK, "ok", 0)                                                                                 \
    X(INVALID_ARGUMENT, "invalid argument", 1)                                                     \
    X(USAGE, "wrong usage", 2)                                                                     \
    X(NO_DEVICE, "no usable device", 3)                                                            \
    X(WRONG_RESULT, "a device computes wrong results", 4)                                          \
    X(BAD_INPUT, "bad input", 5)                                                                   \
    X(DEVICE_LOST, "device lost", 6)                                                               \
    X(OUT_OF_MEMORY, "out of memory", 7)                                                           \
    X(SHAPE, "shapes do not fit", 1)                                                               \
    X(UNSUPPORTED, "not supported", 1)                                                             \
    X(STATE, "called in the wrong order", 1)                                                       \
    X(BUILD_FAILED, "kernel does not compile", 1)                                                  \
    X(OPENCL, "OpenCL call failed", 1)                                                             \
    X(IO, "input or output failed", 1)                                                             \
    X(TIMEOUT, "deadline passed", 1)                                                               \
    X(STOPPED, "stopped by the caller", 1)                                                         \
    X(INTERNAL, "internal error", 1)

typedef enum tutti_status {
#define X(name, text, code) TUTTI_##name,
    TUTTI_STATUS_LIST(X)
#undef X
        TUTTI_STATUS_COUNT
} tutti_status;

/* The code's name, such as "TUTTI_SHAPE"; "TUTTI_UNKNOWN" for a value that is none. Any thread. */
TUTTI_API const char *tutti_status_name(tutti_status status);

/* The code in words, such as "shapes do not fit". Static storage. Any thread. */
TUTTI_API const char *tutti_status_text(tutti_status status);

/* The exit code that the command-line tools use for it: 0 ok, 1 failure, 2 usage, 3 no device,
 * 4 wrong result, 5 bad input, 6 device lost, 7 out of memory. */
TUTTI_API int tutti_status_exit_code(tutti_status status);

/* The one-line message of the calling thread's last failed call; "" when there was none.
 * Borrowed: valid until the thread's next failing call. */
TUTTI_API const char *tutti_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
