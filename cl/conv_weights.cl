/* Weights for conv_cpu.clh: packed[group][block][c][tap][k], `block` channels k to a block, zero
 * beyond K. w's element (g, k, c, tap) is at g * g_step + k * k_step + c * c_step + tap. A work-item
 * per (c, block of a group): global (C, groups * blocks), any local size. */

__kernel void conv_weights(__global const float *restrict w, __global float *restrict packed,
                           int groups, int block, int C, int K, int taps, int g_step, int k_step,
                           int c_step) {
    const int blocks = (K + block - 1) / block;
    const int c = (int)get_global_id(0), g = (int)get_global_id(1) / blocks;
    const int k0 = (int)get_global_id(1) % blocks * block;
    if (c >= C || g >= groups)
        return;
    w += (size_t)g * g_step + (size_t)k0 * k_step + (size_t)c * c_step;
    packed += ((size_t)get_global_id(1) * C + c) * taps * block;
    for (int k = 0; k < block; k++)
        for (int tap = 0; tap < taps; tap++)
            packed[tap * block + k] = k0 + k < K ? w[k * k_step + tap] : 0.0f;
}
