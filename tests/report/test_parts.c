#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/parts.h"

static const double none = (double)NAN;

static tutti_progress example(void) {
    return (tutti_progress){.epoch = 2,
                            .epochs = 10,
                            .step = 3,
                            .steps = 36,
                            .total_steps = 39,
                            .loss = 0.25,
                            .accuracy = 0.5,
                            .val_loss = none,
                            .val_accuracy = none,
                            .lr = 1e-3,
                            .samples_per_s = 1234.4,
                            .elapsed_s = 3,
                            .eta_s = 75};
}

static void read_all(FILE *f, char *text, size_t size) {
    rewind(f);
    const size_t got = fread(text, 1, size - 1, f);
    text[got] = '\0';
}

static void plain_lines(void **state) {
    (void)state;
    FILE *f = tmpfile();
    tutti_progress_line line;
    tutti_progress_line_begin(&line, f);
    assert_false(line.terminal);
    tutti_progress p = example();
    tutti_progress_line_show(&line, TUTTI_EVENT_BEGIN, &p);
    for (int i = 0; i < 50; i++)
        tutti_progress_line_show(&line, TUTTI_EVENT_STEP, &p);
    p.val_loss = 0.125;
    p.val_accuracy = 0.75;
    p.eta_s = 3725.2;
    tutti_progress_line_show(&line, TUTTI_EVENT_EPOCH, &p);
    line.shown_s -= 60; /* a long epoch */
    p.accuracy = p.val_accuracy = p.val_loss = p.eta_s = none;
    tutti_progress_line_show(&line, TUTTI_EVENT_STEP, &p);
    tutti_progress_line_show(&line, TUTTI_EVENT_STEP, &p);
    p.loss = -123456789012.0;
    tutti_progress_line_show(&line, TUTTI_EVENT_EPOCH, &p);
    tutti_progress_line_show(&line, TUTTI_EVENT_END, &p);
    char text[1024];
    read_all(f, text, sizeof text);
    fclose(f);
    assert_string_equal(text,
                        "epoch 2/10  step 3/36  loss 0.2500  accuracy 50.00 %  val loss 0.1250  "
                        "val accuracy 75.00 %  1234 samples/s  ETA 1:02:05\n"
                        "epoch 2/10  step 3/36  loss 0.2500  1234 samples/s\n"
                        "epoch 2/10  step 3/36  loss -1.2346e+11  1234 samples/s\n");
}

/* What the progress line writes to a terminal with that many columns. */
static void on_terminal(unsigned short width, char *text, size_t size) {
    int master, slave;
    const struct winsize window = {.ws_row = 24, .ws_col = width};
    if (openpty(&master, &slave, NULL, NULL, &window) != 0) {
        print_message("no pseudo-terminal here: is /dev/pts mounted?\n");
        skip();
    }
    FILE *f = fdopen(slave, "w");
    tutti_progress_line line;
    tutti_progress_line_begin(&line, f);
    const tutti_progress p = example();
    for (int i = 0; i < 5; i++)
        tutti_progress_line_show(&line, TUTTI_EVENT_STEP, &p); /* only the first is shown */
    tutti_progress_line_show(&line, TUTTI_EVENT_EPOCH, &p);
    tutti_progress_line_show(&line, TUTTI_EVENT_END, &p);
    /* A terminal hands out its text in parts. */
    size_t length = 0;
    while (length == 0 || text[length - 1] != '\n') {
        const ssize_t got = read(master, text + length, size - 1 - length);
        assert_true(got > 0);
        length += (size_t)got;
    }
    text[length] = '\0';
    fclose(f);
    close(master);
}

static void terminal(void **state) {
    (void)state;
    char text[2048];
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "", 1);
    on_terminal(120, text, sizeof text);
    static const char once[] =
        "\r\033[1mepoch 2/10\033[0m  step 3/36  loss 0.2500  accuracy 50.00 %"
        "  1234 samples/s  ETA 1:15\033[K";
    char expected[512];
    snprintf(expected, sizeof expected, "%s%s\r\n", once, once);
    assert_string_equal(text, expected);
    setenv("NO_COLOR", "1", 1);
    on_terminal(31, text, sizeof text);
    assert_string_equal(text, "\repoch 2/10  step 3/36  loss 0.\033[K"
                              "\repoch 2/10  step 3/36  loss 0.\033[K\r\n");
    setenv("TERM", "dumb", 1);
    on_terminal(120, text, sizeof text);
    assert_null(strchr(text, '\033'));
    unsetenv("NO_COLOR");
}

static void epoch_line(void **state) {
    (void)state;
    FILE *f = tmpfile();
    tutti_jsonl file = {.out = f, .path = "metrics"};
    tutti_progress p = example();
    p.loss = 1.0 / 3;
    assert_int_equal(tutti_jsonl_epoch(&file, &p), TUTTI_OK);
    char text[1024];
    read_all(f, text, sizeof text);
    fclose(f);
    assert_true(text[strlen(text) - 1] == '\n');
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_string_equal(cJSON_GetObjectItem(json, "event")->valuestring, "epoch");
    assert_true(cJSON_GetObjectItem(json, "loss")->valuedouble == 1.0 / 3);
    assert_int_equal(cJSON_GetObjectItem(json, "total_steps")->valueint, 39);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "val_loss")));
    cJSON_Delete(json);
}

static void full_disk(void **state) {
    (void)state;
    FILE *f = fopen("/dev/full", "w");
    if (f == NULL)
        skip();
    tutti_jsonl file = {.out = f, .path = "/dev/full"};
    const tutti_progress p = example();
    assert_int_equal(tutti_jsonl_epoch(&file, &p), TUTTI_IO);
    assert_string_equal(tutti_error_message(), "cannot write /dev/full: No space left on device");
    fclose(f);
}

static void ticks(void **state) {
    (void)state;
    const struct {
        double lo, hi;
        int32_t wanted;
        double step, first, last;
    } cases[] = {
        {0, 1, 5, 0.2, 0, 1},    {0, 97, 5, 20, 0, 100},
        {1, 100, 8, 20, 0, 100}, {0.013, 0.08, 6, 0.02, 0, 0.08},
        {-3, 3, 6, 1, -3, 3},    {0, 1e-7, 4, 5e-8, 0, 1e-7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double first, last;
        const double step =
            tutti_plot_ticks(cases[i].lo, cases[i].hi, cases[i].wanted, &first, &last);
        assert_true(fabs(step / cases[i].step - 1) < 1e-9);
        assert_true(fabs(first - cases[i].first) < step * 1e-6);
        assert_true(fabs(last - cases[i].last) < step * 1e-6);
    }
    double first, last;
    const double step = tutti_plot_ticks(5, 5, 4, &first, &last); /* one value */
    assert_true(step > 0 && first < 5 && last > 5);
}

static char *plot(const char *title, const tutti_curve_point *points, int32_t count) {
    tutti_strbuf b = {0};
    tutti_plot_svg(&b, title, "loss", points, count);
    char *text = tutti_strbuf_take(&b);
    assert_non_null(text);
    return text;
}

/* Every coordinate lies within the picture, and no number is "nan" or "inf". */
static void assert_sound(const char *svg) {
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    static const char *const names[] = {" x=\"", " y=\"", " x1=\"", " y1=\"", " cx=\"", " cy=\""};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (const char *p = strstr(svg, names[i]); p != NULL; p = strstr(p + 1, names[i])) {
            const double value = strtod(p + strlen(names[i]), NULL);
            assert_true(value >= -1 && value <= 801);
        }
}

static void plots(void **state) {
    (void)state;
    tutti_curve_point points[40];
    for (int i = 0; i < 40; i++)
        points[i] = (tutti_curve_point){i + 1, 2.0 / (i + 1), 2.2 / (i + 1) + 0.002 * i};
    char *svg = plot("a <b> & \"c\" \xC3\xA4 \xFF\x01", points, 40);
    assert_sound(svg);
    assert_non_null(strstr(svg, "a &lt;b&gt; &amp; \"c\" \xC3\xA4 ??"));
    assert_non_null(strstr(svg, ">training, lowest 0.05 at epoch 40<"));
    assert_non_null(strstr(svg, ">validation, lowest "));
    free(svg);
    for (int i = 0; i < 40; i++) /* a span that asks for a logarithmic axis */
        points[i].train = exp(-i);
    points[7].train = points[9].train = none; /* a lonely point between gaps */
    svg = plot("log", points, 40);
    assert_sound(svg);
    assert_non_null(strstr(svg, ">1e-06<"));
    assert_non_null(strstr(svg, "<circle"));
    free(svg);
    const int32_t counts[] = {0, 1, 2};
    for (int i = 0; i < 3; i++) {
        svg = plot("few", points, counts[i]);
        assert_sound(svg);
        assert_int_equal(strstr(svg, "no data") != NULL, i == 0);
        free(svg);
    }
    points[0] = (tutti_curve_point){1, 0, none}; /* nothing but zero */
    svg = plot("zero", points, 1);
    assert_sound(svg);
    assert_null(strstr(svg, ">validation"));
    free(svg);
    points[0].train = -4;
    points[1].train = 1e9;
    svg = plot("wide", points, 2);
    assert_sound(svg);
    free(svg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines), cmocka_unit_test(terminal), cmocka_unit_test(epoch_line),
        cmocka_unit_test(full_disk),   cmocka_unit_test(ticks),    cmocka_unit_test(plots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
