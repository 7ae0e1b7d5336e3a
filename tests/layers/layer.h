/* What the OpenCL layers of the tests share: the table of calls that a layer replaces, and how the
 * loader gets it. Included by one file per layer, which defines layer_begin. */
#ifndef TESTS_LAYERS_LAYER_H
#define TESTS_LAYERS_LAYER_H

#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static const struct _cl_icd_dispatch *next; /* the calls below this layer */
static struct _cl_icd_dispatch table;       /* those of the layer; NULL: as below */

/* Fills the table; 0 when the layer cannot work. */
static int layer_begin(void);

EXPORT CL_API_ENTRY cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t size, void *value,
                                                      size_t *needed) {
    const cl_layer_api_version version = CL_LAYER_API_VERSION_100;
    if (name != CL_LAYER_API_VERSION)
        return CL_INVALID_VALUE;
    if (needed != NULL)
        *needed = sizeof version;
    if (value != NULL && size < sizeof version)
        return CL_INVALID_VALUE;
    if (value != NULL)
        memcpy(value, &version, sizeof version);
    return CL_SUCCESS;
}

EXPORT CL_API_ENTRY cl_int CL_API_CALL clInitLayer(cl_uint n_entries,
                                                   const struct _cl_icd_dispatch *target,
                                                   cl_uint *n_out,
                                                   const struct _cl_icd_dispatch **out) {
    next = target;
    if (n_entries < sizeof table / sizeof(void *) || !layer_begin())
        return CL_INVALID_VALUE;
    *n_out = sizeof table / sizeof(void *);
    *out = &table;
    return CL_SUCCESS;
}

#endif
