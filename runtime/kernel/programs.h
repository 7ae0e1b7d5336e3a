/* The insides of tutti_kernels: units (one per source and options), and the programs that hold
 * them.
 *
 *   units.c     what is wanted, found again by digest
 *   programs.c  a program from our cache, the driver's, or its compiler
 *   build.c     all that is wanted, merged where that pays
 */
#ifndef TUTTI_KERNEL_PROGRAMS_H
#define TUTTI_KERNEL_PROGRAMS_H

#include "base/arena.h"
#include "base/hash.h"
#include "kernel/cache.h"
#include "kernel/library.h"
#include "kernel/source.h"
#include "kernel/tune.h"
#include "kernel/tunings.h"

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
    bool trial;                               /* see tutti_kernels_want_trial */
    char *name;                               /* file, or entry of a generated source */
    char *source;                             /* expanded */
    char *options;                            /* of the launch */
    char *op;                                 /* who wanted it first, for messages */
    tutti_unit_entry *entries;
    int32_t n_entries;
    cl_program program; /* owned by kernels->programs */
    bool tried;         /* to merge it */
    int32_t merged;     /* number of the unit in a merged program, or -1 */
    tutti_unit_state state;
    bool wanted;          /* since the last build */
    bool common;          /* devices of the same model want it in the same build */
    tutti_status failure; /* FAILED: status and message */
    char *message;
} tutti_unit;

typedef struct tutti_cl_program_record {
    cl_program program;
    unsigned char key[TUTTI_DIGEST_BYTES];
    bool keep; /* its binary is to be stored when the kernels are freed */
} tutti_cl_program_record;

struct tutti_kernels {
    const tutti_profile *profile;
    const tutti_device *device;
    tutti_source_path path;
    tutti_cache *cache;
    bool binaries; /* compiled programs are kept in our cache */
    bool told;     /* that something is compiled */
    bool merge;    /* programs cost more than their kernels: units share one */
    tutti_unit *units;
    int32_t n_units, cap_units;
    tutti_cl_program_record *programs;
    int32_t n_programs, cap_programs;
    tutti_kernel_stats stats;
    tutti_tunings tunings; /* what is known of the device, when tunings_loaded */
    bool tunings_loaded;
    tutti_arena arena; /* notes of the tuner */
};

/* As tutti_bound_launch_make, of a trial. */
TUTTI_MUST_USE tutti_status tutti_bound_launch_make_trial(tutti_kernels *kernels,
                                                          const tutti_launch *launch,
                                                          const void *attr, tutti_resolve resolve,
                                                          void *user, tutti_bound_launch **out);

/* The expanded source of a launch (malloc'd) and the digest of it and the options. */
TUTTI_MUST_USE tutti_status tutti_unit_source(const tutti_kernels *kernels,
                                              const tutti_launch *launch, char **out_source,
                                              unsigned char digest[TUTTI_DIGEST_BYTES]);
/* The built unit of a launch; TUTTI_STATE when it was not built, the build's failure when it
 * failed. */
TUTTI_MUST_USE tutti_status tutti_unit_find(tutti_kernels *kernels, const tutti_launch *launch,
                                            bool trial, tutti_unit **out);
/* Makes a kernel object for an entry of a unit with a program; the caller releases it. */
TUTTI_MUST_USE tutti_status tutti_unit_kernel(tutti_kernels *kernels, tutti_unit *unit,
                                              const char *entry, cl_kernel *out);
void tutti_unit_free(tutti_unit *unit);

/* A program from the cache or the compiler, with the device's and our own options added; owned by
 * kernels. Fails as "<op> on <device>: file.cl:line: error". */
TUTTI_MUST_USE tutti_status tutti_cl_program_make(tutti_kernels *kernels, const char *op,
                                                  const char *name, const char *source,
                                                  const char *options, cl_program *out);
/* Stores the binaries that are to be kept, then releases all programs. */
void tutti_cl_programs_free(tutti_kernels *kernels);

#endif
