#include "tutti/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/status.h"
#include "report/parts.h"

struct tutti_report {
    bool quiet;
    tutti_progress_line line;
    tutti_jsonl metrics; /* out NULL: none */
    char *metrics_path, *plot_path, *title;
    int plot_fd;  /* of a picture from before; -1: none */
    bool plotted; /* written once */
    tutti_curve_point *points;
    int32_t n_points, cap_points;
    tutti_progress last;
};

/* Each would overwrite the other. Pipes and devices may be shared. */
static bool same_file(int a, int b) {
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* Whether the picture can be written in the end. Until then one from before lives, and no empty file
 * is left when the program is killed. */
static tutti_status try_plot(const char *path, int *out_fd) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        close(fd);
        unlink(path);
        fd = -1;
    } else {
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0)
            return tutti_fail(TUTTI_IO, "cannot write %s: %s", path, strerror(errno));
    }
    *out_fd = fd;
    return TUTTI_OK;
}

static tutti_status open_files(tutti_report *report, const tutti_report_options *options) {
    if (options->metrics_path != NULL) {
        report->metrics_path = strdup(options->metrics_path);
        report->metrics.out = fopen(options->metrics_path, "we");
        if (report->metrics.out == NULL)
            return tutti_fail(TUTTI_IO, "cannot write %s: %s", options->metrics_path,
                              strerror(errno));
    }
    if (options->plot_path != NULL) {
        report->plot_path = strdup(options->plot_path);
        TUTTI_TRY(try_plot(options->plot_path, &report->plot_fd));
        if (report->plot_fd >= 0 && report->metrics.out != NULL &&
            same_file(report->plot_fd, fileno(report->metrics.out)))
            return tutti_fail(TUTTI_INVALID_ARGUMENT,
                              "metrics and plot cannot be written to the same file, %s",
                              options->plot_path);
    }
    report->title = strdup(options->title != NULL ? options->title : "loss");
    if (report->title == NULL || (options->metrics_path != NULL && report->metrics_path == NULL) ||
        (options->plot_path != NULL && report->plot_path == NULL))
        return tutti_fail_memory(0, "a report");
    report->metrics.path = report->metrics_path;
    return TUTTI_OK;
}

tutti_status tutti_report_open(const tutti_report_options *options, tutti_report **out) {
    *out = NULL;
    tutti_report *report = calloc(1, sizeof *report);
    if (report == NULL)
        return tutti_fail_memory(sizeof *report, "a report");
    report->quiet = options->quiet;
    report->plot_fd = -1;
    report->last.samples_per_s = report->last.loss = (double)NAN;
    const tutti_status status = open_files(report, options);
    if (status != TUTTI_OK) {
        tutti_report_close(report);
        return status;
    }
    tutti_progress_line_begin(&report->line, stderr);
    *out = report;
    return TUTTI_OK;
}

static tutti_status add_point(tutti_report *report, const tutti_progress *p) {
    if (report->n_points == report->cap_points) {
        const int32_t capacity = report->cap_points == 0 ? 64 : 2 * report->cap_points;
        const size_t size = (size_t)capacity * sizeof *report->points;
        tutti_curve_point *points = realloc(report->points, size);
        if (points == NULL)
            return tutti_fail_memory(size, "loss curves");
        report->points = points;
        report->cap_points = capacity;
    }
    /* Counted on when a trainer fits more than once. */
    const double x = report->n_points > 0 ? report->points[report->n_points - 1].x + 1 : 1;
    report->points[report->n_points++] = (tutti_curve_point){x, p->loss, p->val_loss};
    return TUTTI_OK;
}

tutti_status tutti_report_callback(void *user, tutti_event event, const tutti_progress *progress,
                                   tutti_trainer *trainer) {
    tutti_report *report = user;
    report->last = *progress;
    if (!report->quiet)
        tutti_progress_line_show(&report->line, event, progress);
    if (event == TUTTI_EVENT_EPOCH)
        TUTTI_TRY(add_point(report, progress));
    if (report->metrics.out == NULL)
        return TUTTI_OK;
    if (event == TUTTI_EVENT_BEGIN)
        return tutti_jsonl_begin(&report->metrics, trainer, progress);
    return event == TUTTI_EVENT_EPOCH ? tutti_jsonl_epoch(&report->metrics, progress) : TUTTI_OK;
}

static tutti_status write_plot(tutti_report *report) {
    tutti_strbuf b = {0};
    tutti_plot_svg(&b, report->title, "loss", report->points, report->n_points);
    const size_t size = b.length;
    char *text = tutti_strbuf_take(&b);
    if (text == NULL)
        return TUTTI_OUT_OF_MEMORY;
    if (report->plot_fd < 0)
        report->plot_fd = open(report->plot_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    /* Pipes and devices cannot be cut, and need not be. */
    bool good = report->plot_fd >= 0 && (ftruncate(report->plot_fd, 0) == 0 || errno == EINVAL);
    for (size_t done = 0; good && done < size;) {
        const ssize_t put = write(report->plot_fd, text + done, size - done);
        if (put < 0 && errno != EINTR)
            good = false;
        done += put > 0 ? (size_t)put : 0;
    }
    free(text);
    return good ? TUTTI_OK
                : tutti_fail(TUTTI_IO, "cannot write %s: %s", report->plot_path, strerror(errno));
}

tutti_status tutti_report_end(tutti_report *report, tutti_trainer *trainer,
                              const tutti_metrics *test) {
    if (report->metrics.out != NULL)
        TUTTI_TRY(tutti_jsonl_end(&report->metrics, trainer, &report->last, test));
    if (report->plot_path != NULL && !report->plotted) {
        TUTTI_TRY(write_plot(report));
        report->plotted = true;
        close(report->plot_fd);
        report->plot_fd = -1;
    }
    return TUTTI_OK;
}

void tutti_report_close(tutti_report *report) {
    if (report == NULL)
        return;
    if (report->metrics.out != NULL)
        fclose(report->metrics.out);
    if (report->plot_fd >= 0)
        close(report->plot_fd);
    free(report->metrics_path);
    free(report->plot_path);
    free(report->title);
    free(report->points);
    free(report);
}
