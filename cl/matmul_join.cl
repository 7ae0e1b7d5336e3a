/* c[i] = sum of part[s * count + i] over the splits, first to last: the partial products of a kernel
 * that cuts K. One work-item per element. Takes an epilogue. */
#include "epilogue.clh"

__kernel void matmul_join(__global const float *restrict part, __global float *restrict c,
                          int count, int splits EPILOGUE_PARAMETERS) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    float sum = part[i];
    for (int s = 1; s < splits; s++)
        sum += part[(size_t)s * count + i];
    c[i] = sum;
    EPILOGUE(c, i, 1);
}
