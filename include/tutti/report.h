/* Reports: progress on stderr, metrics as JSON lines, loss curves as SVG. All are callbacks for the
 * trainer.
 */
#ifndef TUTTI_REPORT_H
#define TUTTI_REPORT_H

#include "tutti/train.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tutti_report tutti_report;

/* The metrics file has a JSON object per line, with an "event": "begin" (epochs, steps_per_epoch,
 * devices), "epoch" after each (epoch, total_steps, loss, accuracy, val_loss, val_accuracy, lr,
 * samples_per_s, elapsed_s), and "end", see tutti_report_end. Losses are means per sample,
 * accuracies parts of 1, times seconds; what is not known is null. */
typedef struct tutti_report_options {
    bool quiet;               /* no progress on stderr */
    const char *metrics_path; /* JSON lines, or NULL */
    const char *plot_path;    /* SVG, or NULL */
    const char *title;        /* of the plot */
} tutti_report_options;

/* Opens the files at once, so that a path that cannot be written is found before training. A program
 * that is interrupted or killed leaves the lines of the metrics up to its last epoch, without "end",
 * and a plot from before as it was. The caller owns it: tutti_report_close. Errors: TUTTI_IO with the path; TUTTI_INVALID_ARGUMENT when
 * both paths name one file. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_report_open(const tutti_report_options *options,
                                                        tutti_report **out);
/* A tutti_callback; user is the report. */
TUTTI_API tutti_status tutti_report_callback(void *report, tutti_event event,
                                             const tutti_progress *progress,
                                             tutti_trainer *trainer);
/* Writes the last line of the metrics file ({"event":"end", test_accuracy, test_loss,
 * samples_per_s, weights_blake2b, devices: [{name, share, busy_s}]}), and the plot. test may be
 * NULL. */
TUTTI_API TUTTI_MUST_USE tutti_status tutti_report_end(tutti_report *report, tutti_trainer *trainer,
                                                       const tutti_metrics *test);
/* Takes NULL. */
TUTTI_API void tutti_report_close(tutti_report *report);

#ifdef __cplusplus
}
#endif
#endif
