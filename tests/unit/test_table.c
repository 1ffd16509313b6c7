#include "srs/table.h"
#include "util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct postern_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum table_reading read_bytes(const struct table_protocol *protocol, const char *data,
                                     size_t length, struct table_request *request, size_t *consumed)
{
    char *exact = malloc(length > 0 ? length : 1); /* so that reading past its end is seen */
    assert_non_null(exact);
    memcpy(exact, data, length);
    enum table_reading reading = protocol->read(exact, length, arena, request, consumed);
    free(exact);
    return reading;
}

/* data is one request for key, all of which is consumed. */
static void assert_request(const struct table_protocol *protocol, const char *data, const char *key)
{
    struct table_request request = {0};
    size_t consumed;
    assert_int_equal(read_bytes(protocol, data, strlen(data), &request, &consumed), TABLE_REQUEST);
    assert_null(request.refusal);
    assert_string_equal(request.key, key);
    assert_int_equal(consumed, strlen(data));
}

static void assert_reading(const struct table_protocol *protocol, const char *data, size_t length,
                           enum table_reading expected, const char *refusal)
{
    struct table_request request = {0};
    size_t consumed;
    assert_int_equal(read_bytes(protocol, data, length, &request, &consumed), expected);
    if (refusal == NULL)
        assert_null(request.refusal);
    else
        assert_non_null(strstr(request.refusal, refusal));
}

static void assert_refused(const struct table_protocol *protocol, const char *data,
                           const char *refusal)
{
    assert_reading(protocol, data, strlen(data), TABLE_REQUEST, refusal);
}

static void assert_error(const struct table_protocol *protocol, const char *data,
                         const char *refusal)
{
    assert_reading(protocol, data, strlen(data), TABLE_ERROR, refusal);
}

static void assert_more(const struct table_protocol *protocol, const char *data)
{
    struct table_request request = {0};
    size_t consumed = 1;
    assert_int_equal(read_bytes(protocol, data, strlen(data), &request, &consumed), TABLE_MORE);
    assert_int_equal(consumed, 0);
}

static void assert_reply(const struct table_protocol *protocol, enum table_status status,
                         const char *text, const char *expected)
{
    size_t length;
    const char *reply = protocol->write(arena, status, text, &length);
    assert_non_null(reply);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(reply, expected, length);
}

static char *repeat(char c, size_t count)
{
    char *text = postern_alloc(arena, count + 1);
    memset(text, c, count);
    return text;
}

/* --- tcp_table --- */

static void get_asks_for_a_key(void **state)
{
    (void)state;
    assert_request(&tcp_table, "get alice@sender.example\n", "alice@sender.example");
    assert_request(&tcp_table, "get alice@sender.example\r\n", "alice@sender.example");
    assert_request(&tcp_table, "get \n", "");
}

static void coded_bytes_of_a_key_are_decoded(void **state)
{
    (void)state;
    assert_request(&tcp_table, "get a%20b%25%c3%A9%0a@x\n", "a b%\xc3\xa9\n@x");
    assert_request(&tcp_table, "get a b@x\n", "a b@x");
}

static void key_that_is_not_coded_text_is_refused(void **state)
{
    (void)state;
    assert_refused(&tcp_table, "get a%\n", "%XX");
    assert_refused(&tcp_table, "get a%4\n", "%XX");
    assert_refused(&tcp_table, "get a%4g\n", "%XX");
    assert_refused(&tcp_table, "get a@b.example%00.c\n", "%XX");
    assert_reading(&tcp_table, "get a\0b\n", 8, TABLE_REQUEST, "%XX");
}

static void put_is_refused(void **state)
{
    (void)state;
    assert_refused(&tcp_table, "put a b\n", "can't be changed");
}

static void other_lines_are_not_the_protocol(void **state)
{
    (void)state;
    assert_error(&tcp_table, "\n", "neither");
    assert_error(&tcp_table, "get\n", "neither");
    assert_error(&tcp_table, "GET / HTTP/1.1\r\n", "neither");
}

static void line_of_4096_bytes_is_read(void **state)
{
    (void)state;
    char *key = repeat('a', 4092);
    assert_request(&tcp_table, postern_printf(arena, "get %s\n", key), key);
    assert_request(&tcp_table, postern_printf(arena, "get %s\r\n", key), key);
}

static void line_of_4097_bytes_is_not_the_protocol(void **state)
{
    (void)state;
    char *key = repeat('a', 4093);
    assert_error(&tcp_table, postern_printf(arena, "get %s\n", key), "4096");
    assert_error(&tcp_table, postern_printf(arena, "get %s\r\n", key), "4096");
    assert_error(&tcp_table, postern_printf(arena, "get %sa", key), "4096");
}

static void only_the_first_line_is_consumed(void **state)
{
    (void)state;
    struct table_request request;
    size_t consumed;
    assert_int_equal(read_bytes(&tcp_table, "get a\nget b\n", 12, &request, &consumed),
                     TABLE_REQUEST);
    assert_string_equal(request.key, "a");
    assert_int_equal(consumed, 6);
}

static void line_without_its_end_needs_more(void **state)
{
    (void)state;
    assert_more(&tcp_table, "");
    assert_more(&tcp_table, "get alice@sender.example");
    assert_more(&tcp_table, postern_printf(arena, "get %s\r", repeat('a', 4092)));
}

static void replies_are_coded_lines(void **state)
{
    (void)state;
    assert_reply(&tcp_table, TABLE_FOUND, "a@b", "200 a@b\n");
    assert_reply(&tcp_table, TABLE_FOUND, "a b%\xc3\n\x7f", "200 a%20b%25%C3%0A%7F\n");
    assert_reply(&tcp_table, TABLE_NOT_FOUND, "no", "500 no\n");
    assert_reply(&tcp_table, TABLE_TRY_AGAIN, "later", "400 later\n");
    assert_reply(&tcp_table, TABLE_BROKEN, "no", "500 no\n");
}

static void reply_longer_than_a_line_is_none(void **state)
{
    (void)state;
    size_t length;
    assert_non_null(tcp_table.write(arena, TABLE_FOUND, repeat('a', 4091), &length));
    assert_null(tcp_table.write(arena, TABLE_FOUND, repeat('a', 4092), &length));
    assert_null(tcp_table.write(arena, TABLE_FOUND, repeat('%', 1400), &length));
}

/* --- socketmap --- */

static void netstring_asks_for_a_key_in_a_map(void **state)
{
    (void)state;
    struct table_request request;
    size_t consumed;
    assert_request(&socketmap, "11:forward a@b,", "a@b");
    assert_int_equal(read_bytes(&socketmap, "11:reverse a@b,", 15, &request, &consumed),
                     TABLE_REQUEST);
    assert_int_equal(request.direction, TABLE_REVERSE);
    assert_request(&socketmap, "8:forward ,", "");
    assert_request(&socketmap, "12:forward %20 ,", "%20 ");
}

static void other_maps_are_not_served(void **state)
{
    (void)state;
    assert_error(&socketmap, "7:other a,", "another map");
    assert_error(&socketmap, "9:forwards ,", "another map");
    assert_error(&socketmap, "7:forward,", "another map");
    assert_error(&socketmap, "0:,", "another map");
}

static void what_is_no_netstring_is_not_the_protocol(void **state)
{
    (void)state;
    assert_error(&socketmap, "get a\n", "not a netstring");
    assert_error(&socketmap, ":,", "not a netstring");
    assert_error(&socketmap, "1 :a,", "not a netstring");
    assert_error(&socketmap, "0000001:a,", "not a netstring");
    assert_error(&socketmap, "11:forward a@b;", "comma");
}

static void key_with_a_nul_is_refused(void **state)
{
    (void)state;
    assert_reading(&socketmap, "11:forward a\0b,", 15, TABLE_REQUEST, "NUL");
}

static void netstring_of_100000_bytes_is_read(void **state)
{
    (void)state;
    char *key = repeat('a', 100000 - 8);
    assert_request(&socketmap, postern_printf(arena, "100000:forward %s,", key), key);
    assert_int_equal(socketmap.input_limit, strlen("100000:,") + 100000);
}

static void longer_netstring_is_not_the_protocol_before_it_has_come(void **state)
{
    (void)state;
    assert_error(&socketmap, "100001:f", "100000");
    assert_error(&socketmap, "999999", "100000");
}

static void half_a_netstring_needs_more(void **state)
{
    (void)state;
    const char request[] = "11:forward a@b,";
    for (size_t length = 0; length < strlen(request); length++)
        assert_more(&socketmap, postern_strndup(arena, request, length));
}

static void replies_are_netstrings(void **state)
{
    (void)state;
    assert_reply(&socketmap, TABLE_FOUND, "a b@c", "8:OK a b@c,");
    assert_reply(&socketmap, TABLE_NOT_FOUND, "why", "9:NOTFOUND ,");
    assert_reply(&socketmap, TABLE_TRY_AGAIN, "later", "10:TEMP later,");
    assert_reply(&socketmap, TABLE_BROKEN, "no", "7:PERM no,");
}

static void reply_longer_than_a_netstring_may_be_is_none(void **state)
{
    (void)state;
    size_t length;
    assert_non_null(socketmap.write(arena, TABLE_FOUND, repeat('a', 100000 - 3), &length));
    assert_null(socketmap.write(arena, TABLE_FOUND, repeat('a', 100000 - 2), &length));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(get_asks_for_a_key),
        TEST(coded_bytes_of_a_key_are_decoded),
        TEST(key_that_is_not_coded_text_is_refused),
        TEST(put_is_refused),
        TEST(other_lines_are_not_the_protocol),
        TEST(line_of_4096_bytes_is_read),
        TEST(line_of_4097_bytes_is_not_the_protocol),
        TEST(only_the_first_line_is_consumed),
        TEST(line_without_its_end_needs_more),
        TEST(replies_are_coded_lines),
        TEST(reply_longer_than_a_line_is_none),
        TEST(netstring_asks_for_a_key_in_a_map),
        TEST(other_maps_are_not_served),
        TEST(what_is_no_netstring_is_not_the_protocol),
        TEST(key_with_a_nul_is_refused),
        TEST(netstring_of_100000_bytes_is_read),
        TEST(longer_netstring_is_not_the_protocol_before_it_has_come),
        TEST(half_a_netstring_needs_more),
        TEST(replies_are_netstrings),
        TEST(reply_longer_than_a_netstring_may_be_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
