/* y[o][a][i] = sum of src[o][j][i] over the j with index[o * step_o + j * step_j + i * step_i] == a, in
 * the order of j. Where an index is not in 0 .. A - 1, y[o][all][i] (or y[o] when step_i is 0) is NaN.
 * src: outer x J x inner, y: outer x A x inner, dense.
 *
 * A work-item owns `width` neighbours i at one of `parts` parts of the A places, for one o; items =
 * outer * parts * ceil(inner / width). Any local size. */
__kernel void scatter_add(__global const int *restrict index, __global const float *restrict src,
                          __global float *restrict y, int items, int J, int A, int inner,
                          int step_o, int step_j, int step_i, int parts, int width) {
    const int id = (int)get_global_id(0);
    if (id >= items)
        return;
    const int columns = (inner + width - 1) / width;
    const int rest = id / columns, o = rest / parts, part = rest - o * parts;
    const int i0 = (id - rest * columns) * width, count = min(width, inner - i0);
    const int length = (A + parts - 1) / parts;
    const int begin = min(A, part * length), end = min(A, begin + length);
    index += o * step_o + i0 * step_i;
    src += o * J * inner + i0;
    y += o * A * inner + i0;
    for (int a = begin; a < end; a++)
        for (int i = 0; i < count; i++)
            y[a * inner + i] = 0.0f;
    for (int j = 0; j < J; j++) {
        if (step_i == 0) {
            const int at = index[j * step_j];
            if (at >= begin && at < end)
                for (int i = 0; i < count; i++)
                    y[at * inner + i] += src[j * inner + i];
            if (at < 0 || at >= A)
                for (int a = begin; a < end; a++)
                    for (int i = 0; i < count; i++)
                        y[a * inner + i] = NAN; /* stays one whatever is added */
            continue;
        }
        for (int i = 0; i < count; i++) {
            const int at = index[j * step_j + i];
            if (at >= begin && at < end)
                y[at * inner + i] += src[j * inner + i];
            if (at < 0 || at >= A)
                for (int a = begin; a < end; a++)
                    y[a * inner + i] = NAN;
        }
    }
}
