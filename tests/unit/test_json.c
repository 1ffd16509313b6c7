#include "util/json.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <locale.h>
#include <math.h>
#include <stdlib.h>

static void assert_written(struct json *json, const char *expected)
{
    assert_string_equal(json->out->data, expected);
    buffer_free(json->out);
}

static void assert_escaped(const char *text, const char *expected)
{
    struct buffer out = {0};
    json_escape(&out, text);
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

static void commas_separate_items_at_every_depth(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_object(&json);
    json_key(&json, "a");
    json_integer(&json, 1);
    json_key(&json, "b");
    json_array(&json);
    json_string(&json, "x");
    json_object(&json);
    json_object_end(&json);
    json_array(&json);
    json_null(&json);
    json_array_end(&json);
    json_bool(&json, true);
    json_array_end(&json);
    json_key(&json, "c");
    json_object(&json);
    json_key(&json, "d");
    json_bool(&json, false);
    json_object_end(&json);
    json_key(&json, "e");
    json_null(&json);
    json_object_end(&json);
    assert_written(&json, "{\"a\":1,\"b\":[\"x\",{},[null],true],\"c\":{\"d\":false},\"e\":null}");
}

static void empty_containers_have_nothing_in_them(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_array(&json);
    json_array(&json);
    json_array_end(&json);
    json_object(&json);
    json_object_end(&json);
    json_array_end(&json);
    assert_written(&json, "[[],{}]");
}

static void document_follows_what_the_buffer_holds(void **state)
{
    (void)state;
    struct buffer out = {0};
    buffer_text(&out, "before ");
    struct json json = json_on(&out);
    json_string(&json, "");
    assert_written(&json, "before \"\"");
}

static void keys_are_escaped(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_object(&json);
    json_key(&json, "a\"b");
    json_string(&json, "c\\d");
    json_object_end(&json);
    assert_written(&json, "{\"a\\\"b\":\"c\\\\d\"}");
}

static void integers_reach_both_ends(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_array(&json);
    json_integer(&json, INT64_MIN);
    json_integer(&json, 0);
    json_integer(&json, INT64_MAX);
    json_array_end(&json);
    assert_written(&json, "[-9223372036854775808,0,9223372036854775807]");
}

static void assert_number(double number, const char *expected)
{
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_number(&json, number);
    assert_written(&json, expected);
}

static void numbers_are_short_and_exact(void **state)
{
    (void)state;
    assert_number(0, "0");
    assert_number(1.3, "1.3");
    assert_number(-2.5, "-2.5");
    assert_number(1e300, "1e+300");
    assert_number(1e-7, "1e-07");
    assert_number(1.5e-7, "1.5e-07");

    struct buffer out = {0};
    struct json json = json_on(&out);
    json_number(&json, 1.0 / 3);
    assert_true(strtod(out.data, NULL) == 1.0 / 3);
    buffer_free(&out);
}

static void numbers_json_does_not_have_are_null(void **state)
{
    (void)state;
    assert_number(NAN, "null");
    assert_number(INFINITY, "null");
    assert_number(-INFINITY, "null");
}

static void decimal_point_ignores_the_locale(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof locales / sizeof *locales && found == NULL; i++)
        found = setlocale(LC_NUMERIC, locales[i]);
    if (found == NULL)
        skip();
    assert_number(1.3, "1.3");
    assert_number(1.5e-7, "1.5e-07");
    setlocale(LC_NUMERIC, "C");
}

static void quotes_backslashes_and_controls_are_escaped(void **state)
{
    (void)state;
    assert_escaped("", "");
    assert_escaped("plain /text", "plain /text");
    assert_escaped("\"\\", "\\\"\\\\");
    assert_escaped("a\b\f\n\r\tz", "a\\b\\f\\n\\r\\tz");
    assert_escaped("\x01\x1f", "\\u0001\\u001f");
}

static void controls_that_terminals_obey_are_escaped(void **state)
{
    (void)state;
    assert_escaped("\x1b[31m", "\\u001b[31m");
    assert_escaped("a\x7f", "a\\u007f");
    assert_escaped("\xc2\x9b", "\\u009b");
    assert_escaped("\xc2\x80\xc2\xa0", "\\u0080\xc2\xa0");
}

static void utf8_is_kept(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "j\xc3\xbcrg",  "\xe2\x82\xac", "\xf0\x9f\x93\xa7", "\xe0\xa0\x80",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        "\xef\xbf\xbd", "\xdf\xbf",     "\xf1\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_escaped(texts[i], texts[i]);
}

#define R "\xef\xbf\xbd"

static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    (void)state;
    assert_escaped("a\xff"
                   "b",
                   "a" R "b");
    assert_escaped("\x80", R);
    assert_escaped("\xc3", R);
    assert_escaped("\xc3x", R "x");
    assert_escaped("\xe2\x82", R R);
    assert_escaped("\xe2\x82\"", R R "\\\"");
    assert_escaped("\xf0\x9f\x93", R R R);
    assert_escaped("\xc0\xaf", R R);
    assert_escaped("\xe0\x80\xaf", R R R);
    assert_escaped("\xed\xa0\x80", R R R);
    assert_escaped("\xf4\x90\x80\x80", R R R R);
    assert_escaped("\xf5\x80\x80\x80", R R R R);
    assert_escaped("\xfc\xc3\xbc", R "\xc3\xbc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_separate_items_at_every_depth),
        cmocka_unit_test(empty_containers_have_nothing_in_them),
        cmocka_unit_test(document_follows_what_the_buffer_holds),
        cmocka_unit_test(keys_are_escaped),
        cmocka_unit_test(integers_reach_both_ends),
        cmocka_unit_test(numbers_are_short_and_exact),
        cmocka_unit_test(numbers_json_does_not_have_are_null),
        cmocka_unit_test(decimal_point_ignores_the_locale),
        cmocka_unit_test(quotes_backslashes_and_controls_are_escaped),
        cmocka_unit_test(controls_that_terminals_obey_are_escaped),
        cmocka_unit_test(utf8_is_kept),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
