/* Finding drivers as the ICD loader does.
 *
 * Debian's ocl-icd (libOpenCL(7)): OCL_ICD_VENDORS is a directory of .icd files, one .icd file (a
 * bare name is sought in the vendors' directory first), or a library; else OPENCL_VENDOR_PATH names
 * the directory; else it is /etc/OpenCL/vendors. The first line of an .icd file names a library.
 */
#ifndef TUTTI_DEVICE_ICD_H
#define TUTTI_DEVICE_ICD_H

#include "base/arena.h"
#include "tutti/device.h"

/* More are ignored. */
#define TUTTI_MAX_ICDS 64

typedef struct tutti_icd {
    const char *path;    /* absolute, of the .icd file; of the library when is_library */
    const char *library; /* what the first line names */
    const char *problem; /* "" or why it cannot be used */
    bool is_library;     /* OCL_ICD_VENDORS names the library itself */
} tutti_icd;

/* Sorted by path. searched says in words where was looked and what was there. */
TUTTI_MUST_USE tutti_status tutti_icd_find(tutti_arena *arena, tutti_icd **out, int32_t *out_count,
                                           const char **searched);

/* A private directory of directories that each hold some of the .icd files, as links, to be named
 * by OCL_ICD_VENDORS. */
typedef struct tutti_icd_dir {
    char path[4096]; /* "" while there is none */
    int32_t made;    /* directories in it, "0", "1" … */
} tutti_icd_dir;

/* Makes a directory with the ICDs for which take[i] is true; its path in *out. */
TUTTI_MUST_USE tutti_status tutti_icd_dir_add(tutti_icd_dir *dir, tutti_arena *arena,
                                              const tutti_icd *icds, const bool *take,
                                              int32_t count, const char **out);
/* Removes all of it. */
void tutti_icd_dir_remove(tutti_icd_dir *dir);

#endif
