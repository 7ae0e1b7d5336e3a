/* Runs a matrix product's kernel on the host, work-items taking turns at barriers, and compares with FACTOR
 * times a double-precision product. For test_matmul_units.py.
 *
 * turns M N K TRANS_A TRANS_B BM BN LX LY SPLITS FACTOR SEED: prints the largest error relative to the largest
 * result. Work-items run in the order of their numbers, and a second time in a random order at every
 * barrier: fails when that can be seen in the result, when not all meet at a barrier, and when the
 * kernel writes beyond its result.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

void kernel_to_run(const float *a, const float *b, float *c, int m, int n, int k, int splits);

#define ITEMS_MAX 256
#define STACK     (64 << 10)
#define GUARD     64

static ucontext_t main_context, items[ITEMS_MAX];
static char *stacks;
static int current, local_size[2];
static size_t group[3];
static struct {
    const float *a, *b;
    float *c;
    int m, n, k, splits;
} call;
static int done[ITEMS_MAX];
static uint64_t state;

static uint32_t draw(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

size_t turns_id(int what, unsigned dimension) {
    const size_t local[3] = {(size_t)(current % local_size[0]), (size_t)(current / local_size[0]),
                             0};
    if (what == 3)
        return (size_t)current;
    if (what == 0)
        return local[dimension];
    if (what == 1)
        return group[dimension];
    return dimension == 2 ? group[2]
                          : group[dimension] * (size_t)local_size[dimension] + local[dimension];
}

void turns_barrier(void) {
    swapcontext(&items[current], &main_context);
}

static void work_item(void) {
    kernel_to_run(call.a, call.b, call.c, call.m, call.n, call.k, call.splits);
    done[current] = 1;
}

static void run_group(int shuffled) {
    const int count = local_size[0] * local_size[1];
    int order[ITEMS_MAX], n_done = 0;
    for (int i = 0; i < count; i++) {
        order[i] = i;
        done[i] = 0;
        getcontext(&items[i]);
        items[i].uc_stack.ss_sp = stacks + (size_t)i * STACK;
        items[i].uc_stack.ss_size = STACK;
        items[i].uc_link = &main_context;
        makecontext(&items[i], work_item, 0);
    }
    while (n_done < count) {
        for (int i = count - 1; shuffled && i > 0; i--) {
            const int j = (int)(draw() % (unsigned)(i + 1)), other = order[j];
            order[j] = order[i];
            order[i] = other;
        }
        n_done = 0;
        for (int i = 0; i < count; i++) {
            current = order[i];
            swapcontext(&main_context, &items[current]);
            n_done += done[current];
        }
        if (n_done != 0 && n_done != count) {
            printf("%d of %d work-items do not come to a barrier\n", n_done, count);
            exit(1);
        }
    }
}

static void run(const size_t groups[3], int shuffled) {
    for (group[2] = 0; group[2] < groups[2]; group[2]++)
        for (group[1] = 0; group[1] < groups[1]; group[1]++)
            for (group[0] = 0; group[0] < groups[0]; group[0]++)
                run_group(shuffled);
}

static float *values(size_t count) {
    float *x = aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((double)draw() / 2147483648.0 * 2 - 1);
    return x;
}

int main(int argc, char **argv) {
    int v[11];
    if (argc != 13)
        return 2;
    for (int i = 0; i < 11; i++)
        v[i] = atoi(argv[i + 1]);
    state = strtoull(argv[12], NULL, 10);
    const int m = v[0], n = v[1], k = v[2], trans_a = v[3], trans_b = v[4], splits = v[9];
    const size_t outputs = (size_t)m * (size_t)n, written = outputs * (size_t)splits;
    const size_t groups[3] = {(size_t)((n + v[6] - 1) / v[6]), (size_t)((m + v[5] - 1) / v[5]),
                              (size_t)splits};
    float *a = values((size_t)m * (size_t)k), *b = values((size_t)k * (size_t)n);
    float *c = values(written + GUARD), *again = values(written + GUARD);
    local_size[0] = v[7];
    local_size[1] = v[8];
    stacks = malloc((size_t)ITEMS_MAX * STACK);
    memset(c, 0xFF, (written + GUARD) * sizeof(float));
    memset(again, 0xFF, (written + GUARD) * sizeof(float));
    call.a = a;
    call.b = b;
    call.m = m;
    call.n = n;
    call.k = k;
    call.splits = splits;
    call.c = c;
    run(groups, 0);
    call.c = again;
    run(groups, 1);
    if (memcmp(c, again, (written + GUARD) * sizeof(float)) != 0) {
        printf("the result depends on the order of work-items\n");
        return 1;
    }
    for (size_t i = written; i < written + GUARD; i++)
        if (!isnan(c[i])) {
            printf("element %zu of %zu is written\n", i, written);
            return 1;
        }
    double worst = 0, largest = 0;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0, got = 0;
            for (int l = 0; l < k; l++)
                sum += (double)a[trans_a ? l * m + i : i * k + l] *
                       (double)b[trans_b ? j * k + l : l * n + j];
            for (int s = 0; s < splits; s++)
                got += (double)c[(size_t)s * outputs + (size_t)(i * n + j)];
            sum *= v[10];
            largest = fmax(largest, fabs(sum));
            worst = isfinite(got) ? fmax(worst, fabs(got - sum)) : INFINITY;
        }
    printf("%.3e\n", worst / largest);
    return 0;
}
