/* Statistics and memory. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

bool bench_quick(void) {
    const char *quick = getenv("TUTTI_BENCH_QUICK");
    return quick != NULL && strcmp(quick, "1") == 0;
}

static int compare(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

double bench_median(double *values, int32_t count) {
    if (count == 0)
        return NAN;
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 == 1 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

double bench_memory_mib(const char *what) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    double kib = NAN;
    const size_t length = strlen(what);
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, what, length) == 0 && line[length] == ':')
            kib = strtod(line + length + 1, NULL);
    if (file != NULL)
        fclose(file);
    return kib / 1024;
}

void bench_memory_reset(void) {
    const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (write(file, "5", 1) != 1)
        (void)0; /* the most since the start is shown instead */
    close(file);
}
