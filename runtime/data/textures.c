/* A generated image set, in integers only, so that a seed gives the same images on every machine.
 * Class c is shape c / 2 filled with texture c % 2. Colours are drawn without regard to the class
 * and by rules that treat a colour and its complement alike: the mean of each pixel is the same grey
 * for all classes, and no linear model can tell them apart. */
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"
#include "data/data.h"

enum {
    SIDE = 32,
    CHANNELS = 3,
    CLASSES = 10,
    LATTICE = 8,    /* pixels between the background's random values */
    CONTRAST = 128, /* least distance of a texture's colours in their farthest channel */
    VISIBLE = 64,   /* likewise of a texture's colours from the background's */
    NOISE = 8       /* of a pixel: the sum of two even draws up to this */
};

typedef struct colour {
    int32_t c[CHANNELS];
} colour;

/* Uniform in low..high. */
static int32_t draw(tutti_rng *rng, int32_t low, int32_t high) {
    return low + (int32_t)tutti_rng_below(rng, (uint64_t)(high - low) + 1);
}

static colour draw_colour(tutti_rng *rng) {
    colour out;
    for (int i = 0; i < CHANNELS; i++)
        out.c[i] = draw(rng, 0, 255);
    return out;
}

static bool differ(const colour *a, const colour *b, int32_t least) {
    int32_t most = 0;
    for (int i = 0; i < CHANNELS; i++)
        most = abs(a->c[i] - b->c[i]) > most ? abs(a->c[i] - b->c[i]) : most;
    return most >= least;
}

typedef struct shape {
    int32_t kind;     /* disc, square, triangle, plus, ring */
    int32_t x, y, r;  /* centre and radius */
    int32_t quarters; /* turns; only a triangle changes */
} shape;

static bool inside(const shape *s, int32_t px, int32_t py) {
    const int32_t dx = px - s->x, dy = py - s->y, r = s->r, d = dx * dx + dy * dy;
    const int32_t ax = abs(dx), ay = abs(dy);
    switch (s->kind) {
    case 0:
        return d <= r * r;
    case 1:
        return ax <= r && ay <= r;
    case 2: { /* the tip at -r, the base at r */
        const int32_t along = (s->quarters & 1) != 0 ? dx : dy;
        const int32_t across = (s->quarters & 1) != 0 ? ay : ax;
        const int32_t depth = (s->quarters & 2) != 0 ? -along : along;
        return depth >= -r && depth <= r && 2 * across <= depth + r;
    }
    case 3:
        return (3 * ax <= r && ay <= r) || (3 * ay <= r && ax <= r);
    default:
        return d <= r * r && 3 * d >= r * r;
    }
}

typedef struct texture {
    bool checks;      /* else stripes */
    int32_t angle;    /* of stripes: 0 to 3, in eighths of a turn; of checks: its lowest bit */
    int32_t width;    /* of a stripe or check */
    int32_t from[2];  /* phases */
    colour colour[2]; /* alternating */
} texture;

static int32_t texture_at(const texture *t, int32_t x, int32_t y) {
    /* Both coordinates along the texture, moved to be positive. */
    const bool diagonal = (t->angle & 1) != 0;
    int32_t u = diagonal ? x + y : x, v = diagonal ? x - y + SIDE : y;
    if (!t->checks && (t->angle & 2) != 0)
        u = v;
    u = (u + t->from[0]) / t->width;
    v = (v + t->from[1]) / t->width;
    return (t->checks ? u + v : u) & 1;
}

/* Smooth noise between two colours: random values on a lattice, bilinear between. */
typedef struct background {
    colour colour[2];
    int32_t value[SIDE / LATTICE + 1][SIDE / LATTICE + 1]; /* 0 to 255 */
} background;

static int32_t background_at(const background *b, int32_t x, int32_t y, int channel) {
    const int32_t i = y / LATTICE, j = x / LATTICE, fy = y % LATTICE, fx = x % LATTICE;
    const int32_t above = b->value[i][j] * (LATTICE - fx) + b->value[i][j + 1] * fx;
    const int32_t below = b->value[i + 1][j] * (LATTICE - fx) + b->value[i + 1][j + 1] * fx;
    const int32_t part = above * (LATTICE - fy) + below * fy; /* of 255 LATTICE^2 */
    const int32_t whole = 255 * LATTICE * LATTICE;
    return (b->colour[0].c[channel] * (whole - part) + b->colour[1].c[channel] * part) / whole;
}

static bool distinct(const texture *t, const background *b) {
    for (int i = 0; i < 4; i++)
        if (!differ(&t->colour[i / 2], &b->colour[i % 2], VISIBLE))
            return false;
    return differ(&t->colour[0], &t->colour[1], CONTRAST);
}

static void paint(int32_t label, tutti_rng *rng, float *x) {
    shape s = {.kind = label / 2, .r = draw(rng, 9, 13), .quarters = draw(rng, 0, 3)};
    s.x = draw(rng, s.r - 1, SIDE - s.r);
    s.y = draw(rng, s.r - 1, SIDE - s.r);
    texture t = {.checks = label % 2 != 0, .angle = draw(rng, 0, 3), .width = draw(rng, 2, 3)};
    t.width += t.angle & 1; /* diagonals lie closer */
    for (int i = 0; i < 2; i++)
        t.from[i] = draw(rng, 0, 2 * t.width - 1);
    background b;
    for (int i = 0; i <= SIDE / LATTICE; i++)
        for (int j = 0; j <= SIDE / LATTICE; j++)
            b.value[i][j] = draw(rng, 0, 255);
    do {
        for (int i = 0; i < 2; i++) {
            t.colour[i] = draw_colour(rng);
            b.colour[i] = draw_colour(rng);
        }
    } while (!distinct(&t, &b));
    for (int c = 0; c < CHANNELS; c++)
        for (int32_t py = 0; py < SIDE; py++)
            for (int32_t px = 0; px < SIDE; px++) {
                int32_t value = inside(&s, px, py) ? t.colour[texture_at(&t, px, py)].c[c]
                                                   : background_at(&b, px, py, c);
                const uint32_t random = tutti_rng_u32(rng);
                value += (int32_t)(((random >> 16) * (2 * NOISE + 1)) >> 16) - NOISE;
                value += (int32_t)(((random & 0xFFFF) * (2 * NOISE + 1)) >> 16) - NOISE;
                value = value < 0 ? 0 : value > 255 ? 255 : value;
                x[(c * SIDE + py) * SIDE + px] = (float)value / 255.0F;
            }
}

tutti_status tutti_dataset_make_textures(int64_t n, uint64_t seed, tutti_dataset **out) {
    char source[64];
    const tutti_shape x_shape = tutti_shape_of_rows(3, (int64_t[]){CHANNELS, SIDE, SIDE});
    const tutti_shape y_shape = tutti_shape_of_rows(0, NULL);
    snprintf(source, sizeof source, "generated, seed %llu", (unsigned long long)seed);
    TUTTI_TRY(tutti_dataset_alloc(n, TUTTI_F32, &x_shape, TUTTI_I32, &y_shape, source, out));
    tutti_dataset *set = *out;
    set->n_classes = CLASSES;
    for (int64_t i = 0; i < n; i++) {
        tutti_rng rng;
        tutti_rng_begin(&rng, seed, tutti_rng_stream("textures") + (uint64_t)i);
        const int32_t label = (int32_t)(i % CLASSES);
        ((int32_t *)set->y)[i] = label;
        paint(label, &rng, set->x + i * CHANNELS * SIDE * SIDE);
    }
    return TUTTI_OK;
}
