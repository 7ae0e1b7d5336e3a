#include "base/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 48

static char lower(char c) {
    return (char)tolower((unsigned char)c);
}

/* Optimal string alignment distance; both at most WORD_MAX long. */
static size_t distance(const char *a, size_t m, const char *b, size_t n) {
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    memset(rows, 0, sizeof rows);
    for (size_t j = 0; j <= n; j++)
        last[j] = j;
    for (size_t i = 1; i <= m; i++) {
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = last[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[n];
}

const char *tutti_suggest(const char *word, const char *const *known, size_t count) {
    size_t length = strlen(word);
    if (length == 0 || length > WORD_MAX)
        return NULL;
    const char *best = NULL;
    size_t fewest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(known[i]);
        if (n > WORD_MAX)
            continue;
        size_t edits = distance(word, length, known[i], n);
        size_t most = n < 3 ? 1 : n / 3;
        if (edits <= most && (best == NULL || edits < fewest)) {
            best = known[i];
            fewest = edits;
        }
    }
    return best;
}
