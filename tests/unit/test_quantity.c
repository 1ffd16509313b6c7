#include "util/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_duration(const char *text, int64_t expected)
{
    int64_t seconds = -1;
    assert_true(quantity_parse_duration(text, &seconds));
    assert_int_equal(seconds, expected);
}

static void expect_size(const char *text, int64_t expected)
{
    int64_t bytes = -1;
    assert_true(quantity_parse_size(text, &bytes));
    assert_int_equal(bytes, expected);
}

static void durations_are_read_in_every_unit(void **state)
{
    (void)state;
    expect_duration("30s", 30);
    expect_duration("15m", 900);
    expect_duration("12h", 43200);
    expect_duration("30d", 2592000);
    expect_duration("2w", 1209600);
    expect_duration("1h30m", 5400);
    expect_duration("1H30M", 5400);
    expect_duration("45", 45);
    expect_duration("0", 0);
    expect_duration("0s", 0);
    expect_duration("9223372036854775807", INT64_MAX);
}

static void a_text_that_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "s",
        "-5s",
        "+5s",
        "5 s",
        "5x",
        "5ss",
        "1.5h",
        "1h30",
        "1m1h",
        "1m1m",
        "15m ",
        " 15m",
        "5m,",
        "9223372036854775808",
        "9223372036854775807m",
        "15250284452471w1w",
        "5\xc3\xa4",
    };
    int64_t seconds;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quantity_parse_duration(bad[i], &seconds))
            fail_msg("`%s` was taken for a duration", bad[i]);
}

static void sizes_are_powers_of_1024(void **state)
{
    (void)state;
    expect_size("10KB", 10240);
    expect_size("10K", 10240);
    expect_size("10kib", 10240);
    expect_size("5MB", 5 << 20);
    expect_size("1GB", 1 << 30);
    expect_size("2TB", INT64_C(2) << 40);
    expect_size("100", 100);
    expect_size("100b", 100);
    expect_size("0", 0);
}

static void a_text_that_is_no_size_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "KB", "-1", "1.5MB", "1 MB", "1PB", "1MB1", "1MBB", "8388608TB", "1KBx", "10M ",
    };
    int64_t bytes;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quantity_parse_size(bad[i], &bytes))
            fail_msg("`%s` was taken for a size", bad[i]);
}

static void integers_are_decimal_and_whole(void **state)
{
    (void)state;
    int64_t number;
    assert_true(quantity_parse_integer("-12", &number));
    assert_int_equal(number, -12);
    assert_true(quantity_parse_integer("010", &number));
    assert_int_equal(number, 10);
    static const char *const bad[] = {"",   "-",  "--1", "+1",  " 1",
                                      "1 ", "1x", "0x1", "1.0", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (quantity_parse_integer(bad[i], &number))
            fail_msg("`%s` was taken for a number", bad[i]);
}

static void texts_are_short_and_exact(void **state)
{
    (void)state;
    char text[64];
    assert_string_equal(quantity_duration_text(900, text, sizeof text), "15m");
    assert_string_equal(quantity_duration_text(129600, text, sizeof text), "1d12h");
    assert_string_equal(quantity_duration_text(2592000, text, sizeof text), "30d");
    assert_string_equal(quantity_duration_text(90061, text, sizeof text), "1d1h1m1s");
    assert_string_equal(quantity_duration_text(0, text, sizeof text), "0s");
    assert_string_equal(quantity_size_text(5 << 20, text, sizeof text), "5MB");
    assert_string_equal(quantity_size_text(1536 << 10, text, sizeof text), "1536KB");
    assert_string_equal(quantity_size_text(100, text, sizeof text), "100");
    assert_string_equal(quantity_size_text(0, text, sizeof text), "0");
}

static void every_text_reads_back_as_the_same_quantity(void **state)
{
    (void)state;
    char text[64];
    for (int64_t number = 1; number < INT64_MAX / 7; number = number * 7 - number / 3) {
        expect_duration(quantity_duration_text(number, text, sizeof text), number);
        expect_size(quantity_size_text(number, text, sizeof text), number);
    }
}

static void a_text_is_cut_at_the_room_there_is(void **state)
{
    (void)state;
    char text[5] = "....";
    quantity_duration_text(90061, text, 4);
    assert_string_equal(text, "1d1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_in_every_unit),
        cmocka_unit_test(a_text_that_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_powers_of_1024),
        cmocka_unit_test(a_text_that_is_no_size_is_refused),
        cmocka_unit_test(integers_are_decimal_and_whole),
        cmocka_unit_test(texts_are_short_and_exact),
        cmocka_unit_test(every_text_reads_back_as_the_same_quantity),
        cmocka_unit_test(a_text_is_cut_at_the_room_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
