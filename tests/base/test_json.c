#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/status.h"
#include "seed.h"

static uint64_t seed;

/* A copy that ends where its block ends, so that AddressSanitizer sees each byte read beyond. */
static tutti_status parse(const char *text, size_t size, tutti_json **out) {
    char *copy = malloc(size == 0 ? 1 : size);
    assert_non_null(copy);
    memcpy(copy, text, size);
    tutti_status status = tutti_json_parse("t.json", copy, size, out);
    free(copy);
    return status;
}

static void test_good(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "1e3",
        "-12.5E-3",
        " null ",
        "true",
        "\"\"",
        "[]",
        "{}",
        "[ 1 , 2 ]\r\n",
        "{\"a\": {\"a\": 1}, \"A\": 2}",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "1e-999",
        "[1.7976931348623157e308]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tutti_json *json = NULL;
        if (parse(texts[i], strlen(texts[i]), &json) != TUTTI_OK)
            fail_msg("%s: %s", texts[i], tutti_error_message());
        assert_non_null(tutti_json_root(json));
        assert_string_equal(tutti_json_name(json), "t.json");
        tutti_json_free(json);
    }
    tutti_json_free(NULL);
}

static void test_bad(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "t.json:1:1: found the end of the text, expected a value"},
        {" \n ", "t.json:2:2: found the end of the text, expected a value"},
        {"01", "t.json:1:1: number with a leading zero, expected none"},
        {"-01", "t.json:1:1: number with a leading zero"},
        {"-", "t.json:1:2: found the end of the text, expected a digit"},
        {"+1", "t.json:1:1: found '+', expected a value"},
        {".5", "t.json:1:1: found '.', expected a value"},
        {"5.", "t.json:1:3: found the end of the text, expected a digit after the decimal point"},
        {"1e", "t.json:1:3: found the end of the text, expected a digit in the exponent"},
        {"[1e999]", "t.json:1:2: [0]: number too large for a double, expected a finite number"},
        {"{\"k\": -1.9e308}", "t.json:1:2: k: number too large for a double"},
        {"NaN", "t.json:1:1: found 'N', expected a value"},
        {"[Infinity]", "t.json:1:2: found 'I', expected a value"},
        {"nul", "t.json:1:1: found 'n', expected a value"},
        {"nulll", "t.json:1:5: found 'l', expected nothing after the value"},
        {"{} {}", "t.json:1:4: found '{', expected nothing after the value"},
        {"[1,]", "t.json:1:4: found ']', expected a value"},
        {"[1 2]", "t.json:1:4: found '2', expected ',' or ']'"},
        {"{\"a\":1,}", "t.json:1:8: found '}', expected a key in double quotes"},
        {"{a:1}", "t.json:1:2: found 'a', expected a key in double quotes"},
        {"{\"a\" 1}", "t.json:1:6: found '1', expected ':' after the key"},
        {"{\"a\":1", "t.json:1:7: found the end of the text, expected ',' or '}'"},
        {"{\n \"a\":1,\n \"b\":2,\n \"a\":3}", "t.json:4:2: a: given twice, first at line 2"},
        {"{\"b\":[0,{\"x\":1,\"\\u0078\":2}]}", "t.json:1:16: b[1].x: given twice"},
        {"\"\x01\"", "t.json:1:2: found byte 0x01, expected an escape"},
        {"\"abc", "t.json:1:1: the string does not end"},
        {"\"\\x\"", "t.json:1:3: found 'x', expected one of"},
        {"\"\\u12g4\"", "t.json:1:4: bad \\u escape, expected four hexadecimal digits"},
        {"\"\\u0000\"", "t.json:1:4: \\u0000 in a string"},
        {"\"\\ud800\"", "t.json:1:4: lone high surrogate"},
        {"\"\\ud800\\u0041\"", "t.json:1:4: lone high surrogate"},
        {"\"\\ude00\"", "t.json:1:4: lone low surrogate"},
        {"\"\x80\"", "t.json:1:2: invalid UTF-8"},
        {"\"\xc0\xaf\"", "t.json:1:2: invalid UTF-8"},
        {"\"\xe0\x80\x80\"", "t.json:1:2: invalid UTF-8"},
        {"\"\xed\xa0\x80\"", "t.json:1:2: invalid UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "t.json:1:2: invalid UTF-8"},
        {"\"\xe2\x82", "t.json:1:2: invalid UTF-8"},
        {"\xef\xbb\xbf{}", "t.json:1:1: byte order mark"},
        {"{} // note", "t.json:1:4: found '/', expected nothing"},
        {"[1,\v2]", "t.json:1:4: found byte 0x0b, expected a value"},
        {"[1234567890123456789012345678901234567890123456789012345678901]",
         "t.json:1:2: number of more than 60 characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tutti_json *json = NULL;
        (void)tutti_fail(TUTTI_INTERNAL, "stale");
        assert_int_equal(parse(cases[i].text, strlen(cases[i].text), &json), TUTTI_BAD_INPUT);
        assert_null(json);
        if (strncmp(tutti_error_message(), cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].text, tutti_error_message(),
                     cases[i].message);
    }
    /* A NUL inside the text ends nothing. */
    tutti_json *json = NULL;
    assert_int_equal(parse("1\0", 2, &json), TUTTI_BAD_INPUT);
    assert_string_equal(tutti_error_message(),
                        "t.json:1:2: found byte 0x00, expected nothing after the value");
}

static void test_limits(void **state) {
    (void)state;
    char deep[2 * TUTTI_JSON_MAX_DEPTH + 2];
    for (int depth = TUTTI_JSON_MAX_DEPTH; depth <= TUTTI_JSON_MAX_DEPTH + 1; depth++) {
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        tutti_json *json = NULL;
        tutti_status status = parse(deep, 2 * (size_t)depth, &json);
        assert_int_equal(status, depth <= TUTTI_JSON_MAX_DEPTH ? TUTTI_OK : TUTTI_BAD_INPUT);
        tutti_json_free(json);
    }
    assert_string_equal(tutti_error_message(),
                        "t.json:1:33: nested too deeply, expected at most 32 levels");
    /* The longest text allowed, of as many members as fit, in reasonable time; one byte more. */
    size_t size = TUTTI_JSON_MAX_BYTES;
    char *text = malloc(size + 2);
    assert_non_null(text);
    memset(text, ' ', size + 1);
    size_t at = 0;
    text[at++] = '{';
    for (int i = 0; at + 16 < size; i++)
        at += (size_t)snprintf(text + at, 16, "%s\"%x\":0", i == 0 ? "" : ",", (unsigned)i);
    text[at] = '}';
    tutti_json *json = NULL;
    double before = tutti_clock_s();
    assert_int_equal(tutti_json_parse("t.json", text, size, &json), TUTTI_OK);
    assert_true(tutti_clock_s() - before < 5);
    tutti_json_free(json);
    assert_int_equal(tutti_json_parse("t.json", text, size + 1, &json), TUTTI_BAD_INPUT);
    assert_string_equal(tutti_error_message(),
                        "t.json:1:1: 1048577 bytes long, expected at most 1048576");
    free(text);
}

static void test_positions(void **state) {
    (void)state;
    static const char text[] = "{\n  \"a\": [10,\n    {\"b\": true}],\n\t\"A\": \"x\"\n}\n";
    tutti_json *json = NULL;
    assert_int_equal(parse(text, strlen(text), &json), TUTTI_OK);
    const cJSON *root = tutti_json_root(json);
    const cJSON *a = tutti_json_member(root, "a");
    assert_non_null(a);
    const cJSON *b = tutti_json_member(cJSON_GetArrayItem(a, 1), "b");
    assert_null(tutti_json_member(root, "b"));
    assert_null(tutti_json_member(a, "b"));
    assert_string_equal(tutti_json_member(root, "A")->valuestring, "x");
    const struct {
        const cJSON *item;
        int32_t line, column;
    } places[] = {{root, 1, 1},
                  {a, 2, 3},
                  {cJSON_GetArrayItem(a, 0), 2, 9},
                  {cJSON_GetArrayItem(a, 1), 3, 5},
                  {b, 3, 6},
                  {tutti_json_member(root, "A"), 4, 2}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int32_t line = -1, column = -1;
        tutti_json_position(json, places[i].item, &line, &column);
        assert_int_equal(line, places[i].line);
        assert_int_equal(column, places[i].column);
    }
    assert_int_equal(tutti_json_fail(json, b, "is %d, expected %s", 1, "two"), TUTTI_BAD_INPUT);
    assert_string_equal(tutti_error_message(), "t.json:3:6: a[1].b: is 1, expected two");
    (void)tutti_json_fail(json, root, "wrong");
    assert_string_equal(tutti_error_message(), "t.json:1:1: wrong");
    tutti_json_free(json);
    /* A key from outside is cut and stays on one line. */
    static const char *const odd =
        "{\"a\\nb\\u00e9cccccccccccccccccccccccccccccccccccccccccccccccccc"
        "cccccccccccccccccccccccc\": 1}";
    assert_int_equal(parse(odd, strlen(odd), &json), TUTTI_OK);
    (void)tutti_json_fail(json, tutti_json_root(json)->child, "wrong");
    assert_non_null(strstr(tutti_error_message(), "1:2: a?b\xc3\xa9"));
    assert_non_null(strstr(tutti_error_message(), "ccc...: wrong"));
    assert_null(strchr(tutti_error_message(), '\n'));
    tutti_json_free(json);
}

static void test_writing(void **state) {
    (void)state;
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 1);
    for (int i = 0; i < 20000; i++) {
        /* Any bits of a double; integers; any bytes of a string. */
        uint64_t bits = (uint64_t)tutti_rng_u32(&rng) << 32 | tutti_rng_u32(&rng);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 2 == 0)
            value = (double)(int64_t)bits / (double)(INT64_C(1) << (i % 60));
        char raw[12] = {0};
        for (size_t k = 0; k < sizeof raw - 1; k++)
            raw[k] = (char)(1 + tutti_rng_below(&rng, i % 3 == 0 ? 255 : 127));
        tutti_strbuf text = {0};
        tutti_strbuf_puts(&text, "[");
        tutti_json_put_number(&text, value);
        tutti_strbuf_puts(&text, ",");
        tutti_json_put_string(&text, raw);
        tutti_strbuf_puts(&text, "]");
        tutti_json *json = NULL;
        if (parse(text.text, text.length, &json) != TUTTI_OK)
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, text.text,
                     tutti_error_message());
        const cJSON *number = tutti_json_root(json)->child;
        if (isfinite(value))
            assert_true(number->valuedouble == value);
        else
            assert_true(cJSON_IsNull(number));
        if (i % 3 != 0)
            assert_string_equal(number->next->valuestring, raw);
        tutti_json_free(json);
        tutti_strbuf_free(&text);
    }
    tutti_strbuf text = {0};
    tutti_json_put_number(&text, 5);
    tutti_json_put_number(&text, -0.1);
    tutti_json_put_number(&text, NAN);
    tutti_json_put_string(&text, "a\"\\\n\x01\xff");
    assert_string_equal(text.text, "5-0.1null\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\"");
    tutti_strbuf_free(&text);
}

/* Random bytes and mutated texts: never a crash, and what is accepted is what was checked. */
static void test_mutations(void **state) {
    (void)state;
    static const char text[] =
        "{\"a\": [1, -2.5e3, true, null], \"b\\u00e9\": {\"c\": \"\xc3\xa9\\n\"}, \"d\": \"x\"}";
    tutti_rng rng;
    tutti_rng_begin(&rng, seed, 2);
    int good = 0;
    for (int i = 0; i < 30000; i++) {
        char mutated[sizeof text + 8];
        size_t size = strlen(text);
        memcpy(mutated, text, size);
        for (uint64_t k = 1 + tutti_rng_below(&rng, 3); k > 0; k--) {
            size_t at = (size_t)tutti_rng_below(&rng, size);
            static const char likely[] = "{}[]\",:\\u0e-. \n";
            char byte = (char)tutti_rng_u32(&rng);
            if (tutti_rng_below(&rng, 2) == 0)
                byte = likely[tutti_rng_below(&rng, sizeof likely - 1)];
            mutated[at] = byte;
            if (tutti_rng_below(&rng, 8) == 0)
                size = at + 1;
        }
        tutti_json *json = NULL;
        tutti_status status = parse(mutated, size, &json);
        assert_true(status == TUTTI_OK || status == TUTTI_BAD_INPUT);
        assert_true((status == TUTTI_OK) == (json != NULL));
        if (status == TUTTI_BAD_INPUT)
            assert_true(strncmp(tutti_error_message(), "t.json:", 7) == 0);
        good += status == TUTTI_OK;
        tutti_json_free(json);
    }
    assert_true(good > 0);
}

int main(void) {
    seed = test_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_positions),
        cmocka_unit_test(test_writing), cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
