/* Weights for conv_cpu.clh: packed[group][block][c][tap][k], `block` channels k to a block, zero
 * beyond K. count: elements of packed. w's element (g, k, c, tap) is at g * g_step + k * k_step +
 * c * c_step + tap. One work-item per element, any local size. */

__kernel void conv_weights(__global const float *restrict w, __global float *restrict packed,
                           int count, int block, int C, int K, int taps, int g_step, int k_step,
                           int c_step) {
    const int i = (int)get_global_id(0);
    if (i >= count)
        return;
    const int blocks = (K + block - 1) / block;
    int rest = i / block;
    const int tap = rest % taps;
    rest /= taps;
    const int c = rest % C;
    rest /= C;
    const int k = rest % blocks * block + i % block, g = rest / blocks;
    packed[i] = k < K ? w[g * g_step + k * k_step + c * c_step + tap] : 0.0f;
}
