#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/protocol.h"
#include "util/arena.h"

#include <stdlib.h>
#include <string.h>

static const char whole[] = "request=smtpd_access_policy\n"
                            "protocol_state=RCPT\n"
                            "client_address=192.0.2.7\n"
                            "reverse_client_name=MX.Example.ORG\n"
                            "sender=Alice@Example.ORG\n"
                            "recipient=Bob@Example.com\n"
                            "unknown_attribute=whatever\n"
                            "instance=123.456\n"
                            "size=4294967296\n"
                            "recipient_count=3\n"
                            "\n";

struct fed {
    enum protocol_result result;
    struct protocol_parser parser;
    size_t consumed;
};

static struct fed feed(const char *data, size_t length)
{
    struct fed fed = {0};
    fed.result = protocol_feed(&fed.parser, data, length, &fed.consumed);
    return fed;
}

static void release(struct fed *fed)
{
    if (fed->parser.request != NULL)
        arena_free(fed->parser.request->arena);
}

static void assert_whole(const struct postern_request *request)
{
    assert_string_equal(request->protocol_state, "RCPT");
    assert_string_equal(request->client_address, "192.0.2.7");
    assert_string_equal(request->reverse_client_name, "mx.example.org");
    assert_string_equal(request->sender, "alice@example.org");
    assert_string_equal(request->recipient, "bob@example.com");
    assert_string_equal(request->instance, "123.456");
    assert_string_equal(request->sasl_username, "");
    assert_true(request->size == 4294967296);
    assert_int_equal(request->recipient_count, 3);
}

static void attributes_are_read_and_addresses_lowered(void **state)
{
    (void)state;
    struct fed fed = feed(whole, strlen(whole));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    assert_int_equal(fed.consumed, strlen(whole));
    assert_whole(fed.parser.request);
    release(&fed);
}

static void order_of_attributes_does_not_matter(void **state)
{
    (void)state;
    const char *text = "instance=9\nsender=a@b.example\nprotocol_state=MAIL\n"
                       "request=smtpd_access_policy\nclient_address=::1\n\n";
    struct fed fed = feed(text, strlen(text));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    assert_string_equal(fed.parser.request->instance, "9");
    assert_string_equal(fed.parser.request->sender, "a@b.example");
    assert_string_equal(fed.parser.request->protocol_state, "MAIL");
    assert_string_equal(fed.parser.request->client_address, "::1");
    release(&fed);
}

static void split_anywhere_it_reads_the_same(void **state)
{
    (void)state;
    for (size_t split = 1; split < strlen(whole); split++) {
        struct protocol_parser parser = {0};
        size_t first, second;
        assert_int_equal(protocol_feed(&parser, whole, split, &first), PROTOCOL_MORE);
        assert_true(first <= split);
        assert_int_equal(protocol_feed(&parser, whole + first, strlen(whole) - first, &second),
                         PROTOCOL_REQUEST);
        assert_int_equal(first + second, strlen(whole));
        assert_whole(parser.request);
        arena_free(parser.request->arena);
    }
}

static void pipelined_request_is_left_for_the_next_feed(void **state)
{
    (void)state;
    char two[2 * sizeof whole];
    strcpy(two, whole);
    strcat(two, whole);
    struct fed fed = feed(two, strlen(two));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    assert_int_equal(fed.consumed, strlen(whole));
    release(&fed);
}

static void lines_ended_by_cr_lf_are_taken_too(void **state)
{
    (void)state;
    const char *text = "request=smtpd_access_policy\r\nsender=a@b.example\r\n\r\n";
    struct fed fed = feed(text, strlen(text));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    assert_string_equal(fed.parser.request->sender, "a@b.example");
    release(&fed);
}

static void value_may_be_empty_or_hold_equals_signs(void **state)
{
    (void)state;
    const char *text = "request=smtpd_access_policy\nsender=\nhelo_name==a=b\nsize=12x\n\n";
    struct fed fed = feed(text, strlen(text));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    assert_string_equal(fed.parser.request->sender, "");
    assert_string_equal(fed.parser.request->helo_name, "=a=b");
    assert_true(fed.parser.request->size == 0);
    release(&fed);
}

static void assert_refused(const char *data, size_t length, const char *why)
{
    struct fed fed = feed(data, length);
    assert_int_equal(fed.result, PROTOCOL_ERROR);
    assert_non_null(strstr(fed.parser.error, why));
    release(&fed);
}

static void request_of_another_kind_is_an_error(void **state)
{
    (void)state;
    assert_refused("\n", 1, "no request=");
    assert_refused("sender=a@b.example\n\n", 20, "no request=");
    assert_refused("request=junk\n\n", 14, "no request=");
}

static void garbage_and_nul_bytes_are_errors(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\n", 15, "name=value");
    assert_refused("sender=a\0b\n", 11, "NUL");
}

static void line_over_8_kb_is_an_error_before_its_end_is_seen(void **state)
{
    (void)state;
    char *line = malloc(PROTOCOL_LINE_LIMIT + 2);
    memset(line, 'x', PROTOCOL_LINE_LIMIT + 2);
    memcpy(line, "sender=", 7);
    struct fed fed = feed(line, PROTOCOL_LINE_LIMIT);
    assert_int_equal(fed.result, PROTOCOL_MORE);
    release(&fed);
    assert_refused(line, PROTOCOL_LINE_LIMIT + 1, "8 KB");
    line[PROTOCOL_LINE_LIMIT + 1] = '\n';
    assert_refused(line, PROTOCOL_LINE_LIMIT + 2, "8 KB");
    line[PROTOCOL_LINE_LIMIT] = '\n';
    fed = feed(line, PROTOCOL_LINE_LIMIT + 1);
    assert_int_equal(fed.result, PROTOCOL_MORE);
    assert_int_equal(strlen(fed.parser.request->sender), PROTOCOL_LINE_LIMIT - 7);
    release(&fed);
    free(line);
}

static void more_than_256_lines_are_an_error(void **state)
{
    (void)state;
    char text[PROTOCOL_LINES * 4 + 64] = "request=smtpd_access_policy\n";
    for (int i = 1; i < PROTOCOL_LINES; i++)
        strcat(text, "x=y\n");
    strcat(text, "\n");
    struct fed fed = feed(text, strlen(text));
    assert_int_equal(fed.result, PROTOCOL_REQUEST);
    release(&fed);
    text[strlen(text) - 1] = '\0';
    strcat(text, "x=y\n");
    assert_refused(text, strlen(text), "256");
}

static void nothing_is_begun_without_a_byte(void **state)
{
    (void)state;
    struct fed fed = feed("", 0);
    assert_int_equal(fed.result, PROTOCOL_MORE);
    assert_false(protocol_is_inside(&fed.parser));
}

static void single_attribute_is_set_by_name(void **state)
{
    (void)state;
    struct postern_request *request = protocol_request_new();
    assert_true(protocol_set(request, "mail_version", "3.8.1"));
    assert_true(protocol_set(request, "size", "77"));
    assert_true(protocol_set(request, "request", "smtpd_access_policy"));
    assert_false(protocol_set(request, "sizes", "77"));
    assert_string_equal(request->mail_version, "3.8.1");
    assert_true(request->size == 77);
    arena_free(request->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_read_and_addresses_lowered),
        cmocka_unit_test(order_of_attributes_does_not_matter),
        cmocka_unit_test(split_anywhere_it_reads_the_same),
        cmocka_unit_test(pipelined_request_is_left_for_the_next_feed),
        cmocka_unit_test(lines_ended_by_cr_lf_are_taken_too),
        cmocka_unit_test(value_may_be_empty_or_hold_equals_signs),
        cmocka_unit_test(request_of_another_kind_is_an_error),
        cmocka_unit_test(garbage_and_nul_bytes_are_errors),
        cmocka_unit_test(line_over_8_kb_is_an_error_before_its_end_is_seen),
        cmocka_unit_test(more_than_256_lines_are_an_error),
        cmocka_unit_test(nothing_is_begun_without_a_byte),
        cmocka_unit_test(single_attribute_is_set_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
