/* A device's kernels: sources found, expanded and compiled, once per (source, options), shared by
 * all plans.
 *
 *     tutti_kernels_make(profile, device, &kernels)
 *     tutti_kernels_want(kernels, launch, op)         each launch of a plan: builds nothing yet
 *     tutti_kernels_build(kernels)                    one call, all programs
 *     tutti_bound_launch_make(kernels, launch, ...)
 *
 * Order of sources: the profile's kernel directories, TUTTI_KERNEL_PATH (colon-separated), the
 * embedded copy; see source.h. Compiled programs come from our disk cache or the driver's, see
 * cache.h. Where each program costs dearly (PoCL), what is wanted by one build becomes one program,
 * see merge.h: so want everything before building, and in the same order at each start.
 */
#ifndef TUTTI_KERNEL_LIBRARY_H
#define TUTTI_KERNEL_LIBRARY_H

#include "device/open.h"
#include "tutti/ext/op.h"
#include "tutti/runtime.h"

typedef struct tutti_kernels tutti_kernels;

TUTTI_MUST_USE tutti_status tutti_kernels_make(const tutti_profile *profile,
                                               const tutti_device *device, tutti_kernels **out);
void tutti_kernels_free(tutti_kernels *kernels);
/* Registers the program of a launch for building; `op` names the op in errors. Routines are
 * accepted and ignored. */
TUTTI_MUST_USE tutti_status tutti_kernels_want(tutti_kernels *kernels, const tutti_launch *launch,
                                               const char *op);
/* Builds what is wanted and not built yet, and makes its kernels. One that fails does not keep the
 * others from being built. The first failure: TUTTI_BUILD_FAILED "op on device (name):
 * file.cl:line: first error of the log"; the whole log goes to the debug log. A failed one fails
 * again when it is wanted or bound again. */
TUTTI_MUST_USE tutti_status tutti_kernels_build(tutti_kernels *kernels);
/* The same for several devices at once, a thread each; statuses (may be NULL) gets one per device.
 */
TUTTI_MUST_USE tutti_status tutti_kernels_build_all(tutti_kernels *const *kernels, int32_t count,
                                                    tutti_status *statuses);
tutti_kernel_stats tutti_kernels_stats(const tutti_kernels *kernels);
const tutti_device *tutti_kernels_device(const tutti_kernels *kernels);

/* A launch with its kernel object and memory, ready to enqueue. Used by one thread at a time. */
typedef struct tutti_bound_launch tutti_bound_launch;

/* Finds the memory of a tensor or scratch buffer for an argument: `arg` is TUTTI_ARG_TENSOR or
 * TUTTI_ARG_SCRATCH. The view must start at the tensor's first byte; it is borrowed for the bound
 * launch's life. */
typedef tutti_status (*tutti_resolve)(void *user, const tutti_arg *arg, cl_mem *out);

/* Creates the kernel and sets every argument that does not change. The program must be built. attr
 * is passed to host functions. Launch data are borrowed. */
TUTTI_MUST_USE tutti_status tutti_bound_launch_make(tutti_kernels *kernels,
                                                    const tutti_launch *launch, const void *attr,
                                                    tutti_resolve resolve, void *user,
                                                    tutti_bound_launch **out);
void tutti_bound_launch_free(tutti_bound_launch *bound);
/* Sets the arguments that changed since the last call and enqueues; nothing happens when an extent
 * of the range is 0. event may be NULL. */
TUTTI_MUST_USE tutti_status tutti_bound_launch_enqueue(tutti_bound_launch *bound,
                                                       const tutti_run_values *run,
                                                       cl_event *event);

#endif
