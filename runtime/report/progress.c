#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "report/parts.h"

#define TERMINAL_EVERY_S 0.1
#define PLAIN_EVERY_S    10.0

void tutti_progress_line_begin(tutti_progress_line *line, FILE *out) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    *line = (tutti_progress_line){.out = out};
    line->terminal = isatty(fileno(out)) && (term == NULL || strcmp(term, "dumb") != 0);
    line->color = line->terminal && (no_color == NULL || no_color[0] == '\0');
}

static void put_duration(tutti_strbuf *b, const char *label, double seconds) {
    if (!isfinite(seconds))
        return;
    const long long s = llround(seconds);
    if (s >= 3600)
        tutti_strbuf_printf(b, "  %s %lld:%02lld:%02lld", label, s / 3600, s / 60 % 60, s % 60);
    else
        tutti_strbuf_printf(b, "  %s %lld:%02lld", label, s / 60, s % 60);
}

/* A loss that runs away keeps the line short. */
static void put_loss(tutti_strbuf *b, const char *label, double loss) {
    tutti_strbuf_printf(b, fabs(loss) < 1e6 ? "  %s %.4f" : "  %s %.4e", label, loss);
}

static void put_text(tutti_strbuf *b, const tutti_progress *p) {
    tutti_strbuf_printf(b, "epoch %d/%d  step %lld/%lld", p->epoch, p->epochs, (long long)p->step,
                        (long long)p->steps);
    if (!isnan(p->loss))
        put_loss(b, "loss", p->loss);
    if (!isnan(p->accuracy))
        tutti_strbuf_printf(b, "  accuracy %.2f %%", 100 * p->accuracy);
    if (!isnan(p->val_loss))
        put_loss(b, "val loss", p->val_loss);
    if (!isnan(p->val_accuracy))
        tutti_strbuf_printf(b, "  val accuracy %.2f %%", 100 * p->val_accuracy);
    if (!isnan(p->samples_per_s))
        tutti_strbuf_printf(b, "  %.0f samples/s", p->samples_per_s);
    put_duration(b, "ETA", p->eta_s);
}

static int columns(FILE *out) {
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
        return size.ws_col;
    return 80;
}

void tutti_progress_line_show(tutti_progress_line *line, tutti_event event,
                              const tutti_progress *progress) {
    if (event == TUTTI_EVENT_BEGIN)
        return;
    if (event == TUTTI_EVENT_END) {
        if (line->open)
            fputc('\n', line->out);
        line->open = false;
        fflush(line->out);
        return;
    }
    const double now = tutti_clock_s();
    const double every = line->terminal ? TERMINAL_EVERY_S : PLAIN_EVERY_S;
    if (line->shown_s == 0 && !line->terminal)
        line->shown_s = now;
    if (event == TUTTI_EVENT_STEP && now - line->shown_s < every)
        return;
    line->shown_s = now;
    tutti_strbuf b = {0};
    put_text(&b, progress);
    if (b.failed || b.text == NULL) {
        tutti_strbuf_free(&b);
        return; /* a line of progress is not worth an error */
    }
    if (line->terminal) {
        /* A line longer than the terminal would wrap, and could not be rewritten. */
        int length = (int)b.length, most = columns(line->out) - 1;
        length = length < most ? length : most;
        const int head = (int)(strstr(b.text, "  ") - b.text);
        if (line->color && head < length)
            fprintf(line->out, "\r\033[1m%.*s\033[0m%.*s\033[K", head, b.text, length - head,
                    b.text + head);
        else
            fprintf(line->out, "\r%.*s\033[K", length, b.text);
        line->open = true;
    } else {
        fprintf(line->out, "%s\n", b.text);
    }
    fflush(line->out);
    tutti_strbuf_free(&b);
}
