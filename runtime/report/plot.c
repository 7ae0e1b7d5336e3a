#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_check.h"
#include "report/parts.h"

enum { WIDTH = 800, HEIGHT = 480, LEFT = 74, RIGHT = 776, TOP = 52, BOTTOM = 424 };

#define TRAIN_COLOR      "#2563eb"
#define VALIDATION_COLOR "#d97706"

typedef struct plot_axis {
    double lo, hi; /* log10 of the values when logarithmic */
    bool logarithmic;
} plot_axis;

double tutti_plot_ticks(double lo, double hi, int32_t wanted, double *out_first, double *out_last) {
    if (!(hi > lo)) {
        const double around = fabs(lo) > 0 ? fabs(lo) * 0.1 : 1;
        hi = lo + around;
        lo -= around;
    }
    const double rough = (hi - lo) / (wanted > 1 ? wanted : 1);
    const double power = pow(10, floor(log10(rough)));
    const double part = rough / power;
    const double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
    *out_first = floor(lo / step + 1e-9) * step;
    *out_last = ceil(hi / step - 1e-9) * step;
    return step;
}

/* Text of any origin as XML 1.0 character data: markup escaped, what XML forbids replaced. */
static void put_xml(tutti_strbuf *b, const char *text) {
    const char *end = text + strlen(text);
    while (text < end) {
        const unsigned char c = (unsigned char)*text;
        const size_t length = tutti_utf8_length(text, (size_t)(end - text));
        /* U+FFFE and U+FFFF are UTF-8, but no XML. */
        const bool no_character = length == 3 && c == 0xEF && (unsigned char)text[1] == 0xBF &&
                                  (unsigned char)text[2] >= 0xBE;
        if (length == 0 || c < 0x20 || c == 0x7F || no_character)
            tutti_strbuf_puts(b, "?");
        else if (c == '&')
            tutti_strbuf_puts(b, "&amp;");
        else if (c == '<')
            tutti_strbuf_puts(b, "&lt;");
        else if (c == '>')
            tutti_strbuf_puts(b, "&gt;");
        else
            tutti_strbuf_append(b, text, length);
        text += length == 0 ? 1 : length;
    }
}

static double place_x(double x, const plot_axis *axis) {
    return LEFT + (RIGHT - LEFT) * (x - axis->lo) / (axis->hi - axis->lo);
}

static double place_y(double y, const plot_axis *axis) {
    const double value = axis->logarithmic ? log10(y) : y;
    return BOTTOM - (BOTTOM - TOP) * (value - axis->lo) / (axis->hi - axis->lo);
}

static void put_text(tutti_strbuf *b, double x, double y, const char *anchor, const char *text) {
    tutti_strbuf_printf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_xml(b, text);
    tutti_strbuf_puts(b, "</text>\n");
}

static void put_y_tick(tutti_strbuf *b, double value, const plot_axis *axis) {
    const double y = place_y(value, axis);
    char label[32];
    snprintf(label, sizeof label, "%g", fabs(value) < 1e-12 ? 0 : value);
    tutti_strbuf_printf(b,
                        "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#e5e7eb\"/>\n",
                        LEFT, y, RIGHT, y);
    put_text(b, LEFT - 8, y + 4, "end", label);
}

static void put_y_axis(tutti_strbuf *b, double lo, double hi, plot_axis *axis) {
    axis->logarithmic = lo > 0 && hi > 50 * lo;
    if (!axis->logarithmic) {
        const double step = tutti_plot_ticks(lo > 0 ? 0 : lo, hi, 6, &axis->lo, &axis->hi);
        for (double value = axis->lo; value < axis->hi + step / 2; value += step)
            put_y_tick(b, value, axis);
        return;
    }
    axis->lo = log10(lo) - 0.05;
    axis->hi = log10(hi) + 0.05;
    /* 1, 2 and 5 of each decade; only every few powers of ten when there are many. */
    static const double parts[] = {1, 2, 5};
    const double decades = axis->hi - axis->lo;
    const int every = 1 + (int)(decades / 12), per_decade = decades > 4 ? 1 : 3;
    for (int power = (int)floor(axis->lo); power <= (int)ceil(axis->hi); power++)
        for (int i = 0; i < per_decade && power % every == 0; i++) {
            const double value = parts[i] * pow(10, power), at = log10(value);
            if (at >= axis->lo && at <= axis->hi)
                put_y_tick(b, value, axis);
        }
}

static void put_x_axis(tutti_strbuf *b, double lo, double hi, plot_axis *axis) {
    double first, last;
    double step = tutti_plot_ticks(lo, hi, 8, &first, &last);
    step = step < 1 ? 1 : step; /* epochs are whole */
    axis->lo = lo;
    axis->hi = hi > lo ? hi : lo + 1;
    for (double value = ceil(lo / step) * step; value <= axis->hi; value += step) {
        const double x = place_x(value, axis);
        char label[32];
        snprintf(label, sizeof label, "%g", value);
        tutti_strbuf_printf(
            b, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#6b7280\"/>\n", x,
            BOTTOM, x, BOTTOM + 5);
        put_text(b, x, BOTTOM + 20, "middle", label);
    }
}

static double value_of(const tutti_curve_point *point, bool validation) {
    return validation ? point->validation : point->train;
}

/* A line through the points; NaN leaves a gap, and a point without neighbours becomes a dot. */
static void put_curve(tutti_strbuf *b, const tutti_curve_point *points, int32_t count,
                      bool validation, const char *color, const plot_axis *x, const plot_axis *y) {
    for (int32_t i = 0; i < count;) {
        int32_t end = i;
        while (end < count && isfinite(value_of(points + end, validation)))
            end++;
        if (end == i + 1)
            tutti_strbuf_printf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n",
                                place_x(points[i].x, x),
                                place_y(value_of(points + i, validation), y), color);
        if (end > i + 1) {
            tutti_strbuf_printf(
                b, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", color);
            for (int32_t k = i; k < end; k++)
                tutti_strbuf_printf(b, "%s%.1f,%.1f", k > i ? " " : "", place_x(points[k].x, x),
                                    place_y(value_of(points + k, validation), y));
            tutti_strbuf_puts(b, "\"/>\n");
        }
        i = end > i ? end : i + 1;
    }
}

static int32_t lowest(const tutti_curve_point *points, int32_t count, bool validation) {
    int32_t best = -1;
    for (int32_t i = 0; i < count; i++) {
        const double value = value_of(points + i, validation);
        if (isfinite(value) && (best < 0 || value < value_of(points + best, validation)))
            best = i;
    }
    return best;
}

static void put_legend(tutti_strbuf *b, const tutti_curve_point *points, int32_t count) {
    double y = TOP + 18;
    for (int validation = 0; validation < 2; validation++) {
        const int32_t best = lowest(points, count, validation != 0);
        if (best < 0)
            continue;
        char text[96];
        snprintf(text, sizeof text, "%s, lowest %.4g at epoch %g",
                 validation ? "validation" : "training", value_of(points + best, validation != 0),
                 points[best].x);
        tutti_strbuf_printf(b,
                            "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"%s\" "
                            "stroke-width=\"3\"/>\n",
                            RIGHT - 290, y - 4, RIGHT - 262, y - 4,
                            validation ? VALIDATION_COLOR : TRAIN_COLOR);
        put_text(b, RIGHT - 254, y, "start", text);
        y += 20;
    }
}

static void put_document(tutti_strbuf *b, const char *title, const char *y_label,
                         const tutti_curve_point *points, int32_t count) {
    double lo = INFINITY, hi = -INFINITY;
    for (int32_t i = 0; i < count; i++)
        for (int validation = 0; validation < 2; validation++) {
            const double value = value_of(points + i, validation != 0);
            if (!isfinite(value))
                continue;
            lo = value < lo ? value : lo;
            hi = value > hi ? value : hi;
        }
    const bool empty = lo > hi;
    tutti_strbuf_printf(b,
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                        "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" "
                        "fill=\"#374151\">\n"
                        "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
                        "<g font-size=\"16\">\n",
                        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(b, (LEFT + RIGHT) / 2.0, 30, "middle", title);
    tutti_strbuf_puts(b, "</g>\n");
    plot_axis x, y;
    put_y_axis(b, empty ? 0 : lo, empty ? 1 : hi, &y);
    put_x_axis(b, count > 0 ? points[0].x : 0, count > 0 ? points[count - 1].x : 1, &x);
    tutti_strbuf_printf(b, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#6b7280\"/>\n", LEFT,
                        TOP, BOTTOM, RIGHT);
    put_text(b, (LEFT + RIGHT) / 2.0, HEIGHT - 14, "middle", "epoch");
    tutti_strbuf_printf(b, "<g transform=\"translate(20 %d) rotate(-90)\">\n", (TOP + BOTTOM) / 2);
    put_text(b, 0, 0, "middle", y_label);
    tutti_strbuf_puts(b, "</g>\n");
    put_curve(b, points, count, false, TRAIN_COLOR, &x, &y);
    put_curve(b, points, count, true, VALIDATION_COLOR, &x, &y);
    if (empty)
        put_text(b, (LEFT + RIGHT) / 2.0, (TOP + BOTTOM) / 2.0, "middle", "no data");
    else
        put_legend(b, points, count);
    tutti_strbuf_puts(b, "</svg>\n");
}

void tutti_plot_svg(tutti_strbuf *b, const char *title, const char *y_label,
                    const tutti_curve_point *points, int32_t count) {
    /* SVG's decimal point is '.', whatever the program's locale says. */
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const locale_t before = plain != (locale_t)0 ? uselocale(plain) : (locale_t)0;
    put_document(b, title, y_label, points, count);
    if (plain != (locale_t)0) {
        uselocale(before);
        freelocale(plain);
    }
}
