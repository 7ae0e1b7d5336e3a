/* A generated table. It is written as CSV and read by the same code as a file; only integers are
 * used, so that a seed gives the same rows on every machine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/status.h"
#include "data/table.h"

#define LINE_MAX_BYTES 96 /* more than a row takes */
#define MAX_FLATS      INT64_C(10000000)

enum { DISTRICTS = 5, HEATINGS = 4, STATES = 3 };

static int32_t draw(tutti_rng *rng, int32_t low, int32_t high) {
    return low + (int32_t)tutti_rng_below(rng, (uint64_t)(high - low) + 1);
}

typedef struct flat {
    int32_t area, rooms, floor, year, distance; /* square metres; hundred metres to the centre */
    int32_t district, heating, state;
} flat;

/* The rent that the flat is worth, in hundredths: products, a valley and thresholds, which a linear
 * model cannot follow. */
static int32_t worth(const flat *f) {
    static const int32_t district[DISTRICTS] = {1450, 1100, 900, 1250, 1000}; /* per m2 */
    static const int32_t heating[HEATINGS] = {30, 80, -40, 100};
    static const int32_t state[STATES] = {100, 118, 82}; /* percent */
    const int32_t old = f->year < 1950 ? 1950 - f->year : 0;
    const int32_t age = f->year > 1950 ? 2025 - f->year : 75;
    int32_t per_m2 = district[f->district] + heating[f->heating];
    per_m2 += 5 * old - 4 * age; /* old and new houses are sought after */
    per_m2 += f->distance < 30 ? 6 * (30 - f->distance) : 0;
    per_m2 += f->floor >= 4 ? 8 * f->floor : -20 * (f->floor == 0);
    per_m2 -= 4 * (f->area - 60) * (f->area > 60) / 2; /* large flats cost less per m2 */
    per_m2 = per_m2 < 300 ? 300 : per_m2;
    return per_m2 * f->area / 100 * state[f->state];
}

static flat draw_flat(tutti_rng *rng) {
    flat f = {.area = 18 + draw(rng, 0, 60) + draw(rng, 0, 60), .floor = draw(rng, 0, 8)};
    f.rooms = (f.area + draw(rng, 0, 25)) / 30 + 1;
    f.year = draw(rng, 0, 3) == 0 ? draw(rng, 1870, 1949) : draw(rng, 1950, 2024);
    f.distance = draw(rng, 2, 60) + draw(rng, 0, 40);
    f.district = draw(rng, 0, DISTRICTS - 1);
    f.heating = draw(rng, 0, HEATINGS - 1);
    f.state = draw(rng, 0, STATES - 1);
    return f;
}

static char *write_flat(const flat *f, bool classes, tutti_rng *rng, char *to) {
    static const char *const district[DISTRICTS] = {"old town", "harbour", "north", "hill", "west"};
    static const char *const heating[HEATINGS] = {"gas", "district heating", "stove", "heat pump"};
    static const char *const state[STATES] = {"fair", "renovated", "poor"};
    const int32_t value = worth(f);
    /* Up to 8 % noise in a rent; offers are 10 to 30 % off for a reason. */
    const int32_t noise = draw(rng, -400, 400) + draw(rng, -400, 400);
    const int32_t offer = draw(rng, 0, 2);
    int32_t percent = 10000 + noise;
    if (classes)
        percent = 10000 + noise / 2 + (offer == 0 ? -2000 : offer == 2 ? 2000 : 0);
    const int32_t rent = (int32_t)((int64_t)value * percent / 1000000);
    to += sprintf(to, "%d,%d,%d,%d,%d.%d,%s,%s,%s,%d", f->area, f->rooms, f->floor, f->year,
                  f->distance / 10, f->distance % 10, district[f->district], heating[f->heating],
                  state[f->state], rent);
    if (classes)
        to += sprintf(to, ",%s", offer == 0 ? "cheap" : offer == 2 ? "dear" : "usual");
    return to + sprintf(to, "\n");
}

tutti_status tutti_table_make_flats(int64_t n, bool classes, uint64_t seed, tutti_table **out) {
    char source[64];
    *out = NULL;
    if (n < 2 || n > MAX_FLATS)
        return tutti_fail(TUTTI_INVALID_ARGUMENT, "a table of %lld flats, expected 2 to %lld",
                          (long long)n, (long long)MAX_FLATS);
    const size_t size = (size_t)(n + 1) * LINE_MAX_BYTES;
    char *text = malloc(size);
    if (text == NULL)
        return tutti_fail_memory(size, "a table");
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, tutti_rng_stream("flats"));
    char *to =
        text + sprintf(text, "area,rooms,floor,built,distance,district,heating,state,rent%s\n",
                       classes ? ",offer" : "");
    for (int64_t i = 0; i < n; i++) {
        const flat f = draw_flat(&rng);
        to = write_flat(&f, classes, &rng, to);
    }
    snprintf(source, sizeof source, "generated, seed %llu", (unsigned long long)seed);
    return tutti_table_read(source, text, (size_t)(to - text), NULL, out);
}
