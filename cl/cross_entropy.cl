/* Cross-entropy with class weights w (all 1 without -DWEIGHTED), smoothing s and labels y to ignore:
 *
 *   loss[r] = (1 - s) w[y] (L - x[r][y]) + s / columns * (sum over c of w[c] (L - x[r][c]))
 *   weight[r] = w[y]                          L = log(sum over c of exp(x[r][c]))
 *
 * Both are 0 when `ignore` is 1 and y is ignore_index, NaN when y is not in 0..columns-1.
 *
 * x: rows x columns, dense; labels, loss, weight: rows; weights: columns. cross_entropy_row: a
 * work-item per row, for CPUs and short rows. cross_entropy_group: a work-group of LOCAL work-items
 * per row.
 */
#include "softmax.clh"

#ifdef WEIGHTED
#define WEIGHT(c) weights[c]
#else
#define WEIGHT(c) 1.0f
#endif

/* log_sum: L - top. rest: sum of w[c] (top - x[c]). total: sum of w. */
static inline void finish(float label_part, float label_weight, float log_sum, float rest,
                          float total, int label, int r, __global float *loss,
                          __global float *weight, int columns, float smoothing, int ignore,
                          int ignore_index) {
    const bool known = label >= 0 && label < columns;
    const bool ignored = ignore != 0 && label == ignore_index;
    const float value = (1.0f - smoothing) * label_weight * (log_sum + label_part) +
                        smoothing / (float)columns * (total * log_sum + rest);
    loss[r] = ignored ? 0.0f : known ? value : NAN;
    weight[r] = ignored ? 0.0f : known ? label_weight : NAN;
}

__kernel void cross_entropy_row(__global const float *restrict x,
                                __global const int *restrict labels,
#ifdef WEIGHTED
                                __global const float *restrict weights,
#endif
                                __global float *restrict loss, int rows, int columns,
                                __global float *restrict weight, float smoothing, int ignore,
                                int ignore_index) {
    const int r = (int)get_global_id(0);
    if (r >= rows)
        return;
    x += (size_t)r * columns;
    const float top = row_top(x, columns), sum = row_exp_sum(x, columns, top);
    float rest = 0.0f, total = (float)columns;
    if (smoothing > 0.0f) {
        float16 below = (float16)(0.0f), all = (float16)(0.0f);
        for (int c = 0; c < columns; c += 16) {
            const float16 part = (float16)(top)-load16(x + c, columns - c, top);
#ifdef WEIGHTED
            const float16 w = load16(weights + c, columns - c, 0.0f);
            below += w * part;
            all += w;
#else
            below += part;
#endif
        }
        rest = sum16(below);
#ifdef WEIGHTED
        total = sum16(all);
#endif
    }
    const int label = labels[r], at = label >= 0 && label < columns ? label : 0;
    finish(top - x[at], WEIGHT(at), log(sum), rest, total, label, r, loss, weight, columns,
           smoothing, ignore, ignore_index);
}

__kernel __attribute__((reqd_work_group_size(LOCAL, 1, 1))) void
cross_entropy_group(__global const float *restrict x, __global const int *restrict labels,
#ifdef WEIGHTED
                    __global const float *restrict weights,
#endif
                    __global float *restrict loss, int rows, int columns,
                    __global float *restrict weight, float smoothing, int ignore,
                    int ignore_index) {
    __local float scratch[LOCAL];
    const int r = (int)get_group_id(0), id = (int)get_local_id(0);
    x += (size_t)r * columns;
    const float top = group_top(x, columns, scratch);
    const float sum = group_exp_sum(x, columns, top, scratch);
    float rest = 0.0f, total = 0.0f;
    if (smoothing > 0.0f) { /* else a class that is ruled out, x = -infinity, would give NaN */
        for (int c = id; c < columns; c += LOCAL) {
            rest += WEIGHT(c) * (top - x[c]);
            total += WEIGHT(c);
        }
        rest = group_sum(rest, scratch);
        total = group_sum(total, scratch);
    }
    if (id == 0) {
        const int label = labels[r], at = label >= 0 && label < columns ? label : 0;
        finish(top - x[at], WEIGHT(at), log(sum), rest, total, label, r, loss, weight, columns,
               smoothing, ignore, ignore_index);
    }
}
