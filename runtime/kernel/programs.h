/* The insides of tutti_kernels: units (one per source and options), and the programs that hold
 * them. */
#ifndef TUTTI_KERNEL_PROGRAMS_H
#define TUTTI_KERNEL_PROGRAMS_H

#include "base/hash.h"
#include "kernel/library.h"
#include "kernel/source.h"

typedef struct tutti_unit_entry {
    char *name;       /* of the __kernel function */
    cl_kernel kernel; /* made when the unit was built; the first bound launch takes it */
} tutti_unit_entry;

typedef enum tutti_unit_state {
    TUTTI_UNIT_NEW,
    TUTTI_UNIT_BUILT,
    TUTTI_UNIT_FAILED
} tutti_unit_state;

/* What one (source, options) became. */
typedef struct tutti_unit {
    unsigned char digest[TUTTI_DIGEST_BYTES]; /* of source and options */
    char *name;                               /* file, or entry of a generated source */
    char *source;                             /* expanded */
    char *options;                            /* of the launch */
    char *op;                                 /* who wanted it first, for messages */
    tutti_unit_entry *entries;
    int32_t n_entries;
    cl_program program; /* shared with the units merged into it */
    tutti_unit_state state;
    bool wanted;          /* since the last build */
    tutti_status failure; /* FAILED: status and message */
    char *message;
} tutti_unit;

struct tutti_kernels {
    const tutti_profile *profile;
    const tutti_device *device;
    tutti_source_path path;
    tutti_unit *units;
    int32_t n_units, cap_units;
    tutti_kernel_stats stats;
};

/* The unit of a launch's source and options; NULL (with the thread's message) when it was never
 * wanted or memory ran out. */
TUTTI_MUST_USE tutti_status tutti_unit_find(tutti_kernels *kernels, const tutti_launch *launch,
                                            tutti_unit **out);
/* Makes a kernel object for an entry of a built unit; the caller releases it. */
TUTTI_MUST_USE tutti_status tutti_unit_kernel(tutti_kernels *kernels, tutti_unit *unit,
                                              const char *entry, cl_kernel *out);
/* Compiles source with options for the device. Fails as "<op> on <device>: file.cl:line: error". */
TUTTI_MUST_USE tutti_status tutti_program_compile(const tutti_device *device, const char *op,
                                                  const char *name, const char *source,
                                                  const char *options, cl_program *out);

#endif
