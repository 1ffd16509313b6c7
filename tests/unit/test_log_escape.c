#include "runtime/log_escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROOMY 10000

static struct buffer out;

static int forget(void **state)
{
    (void)state;
    buffer_free(&out);
    return 0;
}

static void assert_value(const char *text, const char *expected)
{
    buffer_clear(&out);
    assert_true(log_escape_value(&out, text, strlen(text), ROOMY));
    assert_string_equal(out.data != NULL ? out.data : "", expected);
}

static void assert_message(const char *text, const char *expected)
{
    buffer_clear(&out);
    assert_true(log_escape_message(&out, text, strlen(text), ROOMY));
    assert_string_equal(out.data, expected);
}

static void value_is_quoted_only_when_it_needs_it(void **state)
{
    (void)state;
    assert_value("a@b.example", "a@b.example");
    assert_value("", "");
    assert_value("first seen", "\"first seen\"");
    assert_value("a=b", "\"a=b\"");
    assert_value("say \"hi\"", "\"say \\\"hi\\\"\"");
    assert_value("a\\b", "\"a\\\\b\"");
    assert_value("gr\xc3\xbc\xc3\x9f@b\xe2\x82\xac.example \xf0\x9f\x93\xa7",
                 "\"gr\xc3\xbc\xc3\x9f@b\xe2\x82\xac.example \xf0\x9f\x93\xa7\"");
    assert_value("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    assert_value("a\nb\rc\td", "\"a\\nb\\rc\\td\"");
    assert_value("\x1b[2J\x7f\x01", "\"\\x1b[2J\\x7f\\x01\"");
    assert_value("\xc2\x9b[2J", "\"\\xc2\\x9b[2J\"");
    assert_value("\xc2\xa0", "\xc2\xa0");
}

static void line_separators_and_changes_of_direction_are_escaped(void **state)
{
    (void)state;
    assert_value("\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"");
    assert_value("\xe2\x80\xa9", "\"\\xe2\\x80\\xa9\"");
    assert_value("\xe2\x80\xaa", "\"\\xe2\\x80\\xaa\"");
    assert_value("\xe2\x80\xae", "\"\\xe2\\x80\\xae\"");
    assert_value("\xe2\x81\xa6", "\"\\xe2\\x81\\xa6\"");
    assert_value("\xe2\x81\xa9", "\"\\xe2\\x81\\xa9\"");
    assert_value("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
                 "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa");
}

static void bytes_that_are_not_utf8_are_escaped(void **state)
{
    (void)state;
    assert_value("\xff", "\"\\xff\"");
    assert_value("a\x80z", "\"a\\x80z\"");
    assert_value("\xc3", "\"\\xc3\"");
    assert_value("\xc0\xaf", "\"\\xc0\\xaf\"");
    assert_value("\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\"");
    assert_value("\xed\xa0\x80", "\"\\xed\\xa0\\x80\"");
    assert_value("\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"");
    assert_value("\xe2\x82", "\"\\xe2\\x82\"");
}

static void message_keeps_quotes_and_spaces(void **state)
{
    (void)state;
    assert_message("plugin \"spf\" a=b", "plugin \"spf\" a=b");
    assert_message("two\nlines\\ \x1b", "two\\nlines\\\\ \\x1b");
}

static void text_without_room_ends_at_a_whole_character(void **state)
{
    (void)state;
    assert_false(log_escape_message(&out, "ab\xe2\x82\xac", 5, 4));
    assert_string_equal(out.data, "ab");
    buffer_clear(&out);
    assert_false(log_escape_message(&out, "abc\n", 4, 4));
    assert_string_equal(out.data, "abc");
    buffer_clear(&out);
    assert_false(log_escape_value(&out, "a b c", 5, 5));
    assert_string_equal(out.data, "\"a b\"");
    buffer_clear(&out);
    assert_false(log_escape_value(&out, "abcdef", 6, 5));
    assert_string_equal(out.data, "abcde");
}

static void json_without_room_stays_whole_json(void **state)
{
    (void)state;
    char text[200];
    memset(text, '\n', sizeof text);
    text[199] = '\0';
    assert_false(log_escape_json(&out, text, 199, 301));
    assert_true(out.length <= 301 && out.length > 100);
    assert_int_equal(out.length % 2, 0);
    buffer_clear(&out);
    assert_true(log_escape_json(&out, text, 100, 301));
    assert_int_equal(out.length, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(value_is_quoted_only_when_it_needs_it, forget),
        cmocka_unit_test_teardown(control_characters_are_escaped, forget),
        cmocka_unit_test_teardown(line_separators_and_changes_of_direction_are_escaped, forget),
        cmocka_unit_test_teardown(bytes_that_are_not_utf8_are_escaped, forget),
        cmocka_unit_test_teardown(message_keeps_quotes_and_spaces, forget),
        cmocka_unit_test_teardown(text_without_room_ends_at_a_whole_character, forget),
        cmocka_unit_test_teardown(json_without_room_stays_whole_json, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
