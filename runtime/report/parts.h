/* The parts of a report, each of which can be used and tested alone. */
#ifndef TUTTI_REPORT_PARTS_H
#define TUTTI_REPORT_PARTS_H

#include <stdio.h>

#include "base/strbuf.h"
#include "tutti/train.h"

/* Progress: on a terminal one line that rewrites itself, else a line per epoch, and per 10 seconds
 * within long ones. */
typedef struct tutti_progress_line {
    FILE *out;
    bool terminal, color;
    double shown_s; /* clock when something was last shown; 0: never */
    bool open;      /* the terminal's line has text and no newline yet */
} tutti_progress_line;
/* Looks at out, NO_COLOR and TERM. */
void tutti_progress_line_begin(tutti_progress_line *line, FILE *out);
void tutti_progress_line_show(tutti_progress_line *line, tutti_event event,
                              const tutti_progress *progress);

/* JSON lines: each is written and flushed at once. */
typedef struct tutti_jsonl {
    FILE *out;
    const char *path; /* for messages */
} tutti_jsonl;
TUTTI_MUST_USE tutti_status tutti_jsonl_begin(tutti_jsonl *file, tutti_trainer *trainer,
                                              const tutti_progress *progress);
TUTTI_MUST_USE tutti_status tutti_jsonl_epoch(tutti_jsonl *file, const tutti_progress *progress);
TUTTI_MUST_USE tutti_status tutti_jsonl_end(tutti_jsonl *file, tutti_trainer *trainer,
                                            const tutti_progress *last, const tutti_metrics *test);

/* A picture of curves over epochs. */
typedef struct tutti_curve_point {
    double x, train, validation; /* NaN where there is none */
} tutti_curve_point;
/* Appends an SVG document (800 x 480). The vertical axis is logarithmic when the values are
 * positive and span more than a factor of 50. title is any text. */
void tutti_plot_svg(tutti_strbuf *out, const char *title, const char *y_label,
                    const tutti_curve_point *points, int32_t count);
/* About `wanted` ticks at 1, 2 or 5 times a power of ten that cover lo to hi: the step, and the
 * first tick (at or below lo) and last tick (at or above hi). Source: P. Heckbert, Nice numbers for
 * graph labels, Graphics Gems, 1990. */
double tutti_plot_ticks(double lo, double hi, int32_t wanted, double *out_first, double *out_last);

#endif
