#include "runtime/mail_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct buffer out;

static int empty_out(void **state)
{
    (void)state;
    buffer_free(&out);
    return 0;
}

/* The longest line of out. */
static size_t longest_line(void)
{
    size_t longest = 0;
    for (const char *line = out.data; *line != '\0'; line++) {
        size_t length = strcspn(line, "\n");
        longest = length > longest ? length : longest;
        line += length;
    }
    return longest;
}

static void short_text_is_one_line(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject", "Throttled: a@b.example (outbound, 1h)");
    assert_string_equal(out.data, "Subject: Throttled: a@b.example (outbound, 1h)\n");
}

static void empty_text_is_an_empty_header(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject", "");
    assert_string_equal(out.data, "Subject:\n");
}

static void long_text_is_folded_at_spaces(void **state)
{
    (void)state;
    char text[301] = {0}, unfolded[400] = {0};
    for (size_t i = 0; i < 300; i++)
        text[i] = i % 10 == 9 ? ' ' : 'x';
    text[299] = 'x';
    mail_header_text(&out, "Subject", text);
    assert_true(longest_line() <= 76);
    for (size_t i = 0, to = 0; i < out.length; i++)
        if (out.data[i] != '\n')
            unfolded[to++] = out.data[i];
    assert_string_equal(unfolded + strlen("Subject: "), text);
}

static void word_that_is_longer_than_a_line_is_cut_at_the_limit(void **state)
{
    (void)state;
    char text[5001];
    memset(text, 'x', 5000);
    text[5000] = '\0';
    mail_header_text(&out, "Subject", text);
    assert_true(longest_line() <= 998);
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject", "a\r\nBcc: b\tc\x01\x7f");
    assert_string_equal(out.data, "Subject: a\\r\\nBcc: b\\tc\\x01\\x7f\n");
}

static void text_that_is_not_ascii_is_encoded(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject",
                     "gr\xc3\xbc\xc3\x9f"
                     "e");
    assert_string_equal(out.data, "Subject: =?UTF-8?B?Z3LDvMOfZQ==?=\n");
}

static void bytes_that_are_not_utf8_are_escaped(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject", "a\xff");
    assert_string_equal(out.data, "Subject: a\\xff\n");
}

static void text_that_looks_encoded_is_encoded(void **state)
{
    (void)state;
    mail_header_text(&out, "Subject", "=?x");
    assert_string_equal(out.data, "Subject: =?UTF-8?B?PT94?=\n");
}

static void encoded_words_end_at_whole_characters(void **state)
{
    (void)state;
    char text[61] = "x";
    for (size_t i = 1; i < 59; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    mail_header_text(&out, "Subject", text);
    assert_string_equal(out.data,
                        "Subject: "
                        "=?UTF-8?B?eMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOk?=\n"
                        " =?UTF-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\n");
    assert_true(longest_line() <= 76);
}

static void addresses_are_completed_and_listed(void **state)
{
    (void)state;
    struct postern_names names = {2, (const char *[]){"root", "a@b.example"}};
    mail_header_addresses(&out, "To", names, "mx.example");
    assert_string_equal(out.data, "To: root@mx.example,\n a@b.example\n");
}

static void origin_has_the_date_in_english_and_utc(void **state)
{
    (void)state;
    mail_header_origin(&out, 1700000000, "mx.example");
    assert_non_null(strstr(out.data, "Date: Tue, 14 Nov 2023 22:13:20 +0000\n"));
    assert_non_null(strstr(out.data, "\nAuto-Submitted: auto-generated\n"));
}

static void no_two_messages_have_the_same_id(void **state)
{
    (void)state;
    struct buffer other = {0};
    mail_header_origin(&out, 1700000000, "mx.example");
    mail_header_origin(&other, 1700000000, "mx.example");
    assert_non_null(strstr(out.data, "\nMessage-ID: <1700000000."));
    assert_string_not_equal(out.data, other.data);
    buffer_free(&other);
}

static void ascii_body_is_sent_as_it_is(void **state)
{
    (void)state;
    mail_body(&out, "one\ntwo\n");
    assert_string_equal(out.data, "MIME-Version: 1.0\n"
                                  "Content-Type: text/plain; charset=us-ascii\n"
                                  "Content-Transfer-Encoding: 7bit\n\none\ntwo\n");
}

static void other_body_is_encoded_in_short_lines(void **state)
{
    (void)state;
    char text[200] = "\xc3\xbc";
    memset(text + 2, 'x', 150);
    mail_body(&out, text);
    assert_non_null(strstr(out.data, "charset=utf-8\nContent-Transfer-Encoding: base64\n\nw7x4"));
    assert_int_equal(longest_line(), 76);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, empty_out)
    const struct CMUnitTest tests[] = {
        TEST(short_text_is_one_line),
        TEST(empty_text_is_an_empty_header),
        TEST(long_text_is_folded_at_spaces),
        TEST(word_that_is_longer_than_a_line_is_cut_at_the_limit),
        TEST(control_characters_are_escaped),
        TEST(text_that_is_not_ascii_is_encoded),
        TEST(bytes_that_are_not_utf8_are_escaped),
        TEST(text_that_looks_encoded_is_encoded),
        TEST(encoded_words_end_at_whole_characters),
        TEST(addresses_are_completed_and_listed),
        TEST(origin_has_the_date_in_english_and_utc),
        TEST(no_two_messages_have_the_same_id),
        TEST(ascii_body_is_sent_as_it_is),
        TEST(other_body_is_encoded_in_short_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
