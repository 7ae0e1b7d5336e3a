/* The kernels of cl/, copied into the library when it was built. */
#ifndef TUTTI_KERNEL_EMBEDDED_H
#define TUTTI_KERNEL_EMBEDDED_H

#include <stddef.h>

typedef struct tutti_embedded_kernel {
    const char *name; /* file name without directory */
    const char *text; /* NUL-terminated */
    size_t size_bytes;
} tutti_embedded_kernel;

extern const tutti_embedded_kernel tutti_embedded_kernels[];
extern const int tutti_embedded_kernel_count;

#endif
