#include "dns/dns_message.h"
#include "dns/dns_servers.h"
#include "util/buffer.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

/* --- messages --- */

static struct dns_question question_of(enum postern_dns_type type, const char *name)
{
    struct dns_question question = {.type = type};
    assert_true(dns_name_parse(name, &question.name));
    return question;
}

static void add16(struct buffer *message, unsigned value)
{
    buffer_char(message, (char)(value >> 8));
    buffer_char(message, (char)value);
}

static void set16(struct buffer *message, size_t at, unsigned value)
{
    message->data[at] = (char)(value >> 8);
    message->data[at + 1] = (char)value;
}

static unsigned get16(const struct buffer *message, size_t at)
{
    return (unsigned)(unsigned char)message->data[at] << 8 | (unsigned char)message->data[at + 1];
}

/* The header and the question of an answer; records follow. */
static struct buffer answer_to(const struct dns_question *question, unsigned code)
{
    unsigned char query[DNS_QUERY_MAX];
    struct buffer message = {0};
    size_t length = dns_message_write(question, query);
    buffer_append(&message, query, length - DNS_OPT_SIZE);
    message.data[2] = (char)0x81;
    message.data[3] = (char)(0x80 | code);
    set16(&message, 10, 0);
    return message;
}

/* owner: a name, or NULL for the question's. */
static void add_record(struct buffer *message, const char *owner, unsigned type, uint32_t ttl,
                       const void *data, size_t length)
{
    struct dns_name name;
    if (owner != NULL) {
        assert_true(dns_name_parse(owner, &name));
        buffer_append(message, name.wire, name.length);
    } else {
        add16(message, 0xc00c);
    }
    add16(message, type);
    add16(message, 1);
    add16(message, ttl >> 16);
    add16(message, ttl & 0xffff);
    add16(message, (unsigned)length);
    buffer_append(message, data, length);
    set16(message, 6, get16(message, 6) + 1);
}

static void add_alias(struct buffer *message, const char *owner, const char *target, uint32_t ttl)
{
    struct dns_name name;
    assert_true(dns_name_parse(target, &name));
    add_record(message, owner, 5, ttl, name.wire, name.length);
}

static void add_address(struct buffer *message, const char *owner, uint32_t ttl)
{
    add_record(message, owner, 1, ttl, "\xc0\x00\x02\x01", 4);
}

/* The last record, of the answer until now, is one of the authority section. */
static void add_soa(struct buffer *message, uint32_t ttl, unsigned minimum)
{
    char data[22] = {0};
    data[20] = (char)(minimum >> 8);
    data[21] = (char)minimum;
    add_record(message, "example", 6, ttl, data, sizeof data);
    set16(message, 6, get16(message, 6) - 1);
    set16(message, 8, 1);
}

static struct dns_reply read_message(const struct buffer *message,
                                     const struct dns_question *question)
{
    struct dns_reply reply;
    dns_message_read((const unsigned char *)message->data, message->length, question, &reply);
    return reply;
}

/* Reads and gives back the message. */
static struct dns_reply read_once(struct buffer *message, const struct dns_question *question)
{
    struct dns_reply reply = read_message(message, question);
    buffer_free(message);
    return reply;
}

static void assert_fails(struct buffer *message, const struct dns_question *question,
                         const char *cause)
{
    struct dns_reply reply = read_once(message, question);
    assert_int_equal(reply.status, POSTERN_DNS_FAILED);
    assert_non_null(strstr(reply.failure, cause));
    assert_int_equal(reply.ttl, 0);
    assert_null(reply.records);
}

/* --- names --- */

static void assert_name(const char *text, const char *expected)
{
    struct dns_name name;
    char written[DNS_NAME_TEXT];
    if (expected == NULL) {
        if (dns_name_parse(text, &name))
            fail_msg("'%s' was read as a name", text);
        return;
    }
    assert_true(dns_name_parse(text, &name));
    assert_string_equal(dns_name_text(&name, written), expected);
}

static void names_are_in_lower_case_without_the_last_dot(void **state)
{
    (void)state;
    assert_name("Example.COM", "example.com");
    assert_name("Example.COM.", "example.com");
    assert_name("_dmarc.a-b.example", "_dmarc.a-b.example");
    assert_name("a", "a");
}

static void odd_bytes_of_names_are_escaped(void **state)
{
    (void)state;
    assert_name("a\\b.example", "a\\\\b.example");
    assert_name("a b\x01\xff.example", "a\\032b\\001\\255.example");
}

static void names_have_limits(void **state)
{
    char longest[254], label[65];
    (void)state;
    memset(label, 'x', 64);
    label[64] = '\0';
    assert_name(label, NULL);
    label[63] = '\0';
    assert_name(label, label);
    for (size_t i = 0; i < 253; i++)
        longest[i] = i % 2 == 0 ? 'a' : '.';
    longest[253] = '\0';
    assert_name(longest, longest);
    char longer[256];
    memcpy(longer, longest, 253);
    memcpy(longer + 253, "a", 2);
    assert_name(longer, NULL);
    assert_name("", NULL);
    assert_name(".", NULL);
    assert_name("a..b", NULL);
    assert_name("a..", NULL);
    assert_name(".a", NULL);
}

/* --- answers --- */

static void aliases_in_any_order_lead_to_the_records_and_the_shortest_ttl(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    add_address(&message, "c.example", 300);
    add_alias(&message, "B.example", "c.example", 60);
    add_alias(&message, NULL, "b.EXAMPLE", 600);
    add_address(&message, "c.example", 200);
    struct dns_reply reply = read_once(&message, &question);
    assert_int_equal(reply.status, POSTERN_DNS_FOUND);
    assert_int_equal(reply.count, 2);
    assert_int_equal(reply.ttl, 60);
    assert_int_equal(reply.records[0].ip.family, POSTERN_IPV4);
    assert_int_equal(reply.records[0].ip.bytes[3], 1);
    free(reply.records);
}

static void records_of_other_names_and_types_do_not_count(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    add_address(&message, "b.example", 300);
    add_alias(&message, "c.example", "d.example", 300);
    add_record(&message, NULL, 16, 300, "\1x", 2);
    struct dns_reply reply = read_once(&message, &question);
    assert_int_equal(reply.status, POSTERN_DNS_NO_DATA);
    assert_int_equal(reply.alias.length, 0);
    assert_int_equal(reply.ttl, 0);
}

static void alias_of_which_nothing_is_said_is_to_be_asked_for(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    add_alias(&message, NULL, "b.example", 50);
    struct dns_reply reply = read_message(&message, &question);
    struct dns_question other = question_of(POSTERN_DNS_A, "b.example");
    assert_true(dns_name_equal(&reply.alias, &other.name));
    assert_int_equal(reply.ttl, 50);
    add_soa(&message, 40, 30);
    reply = read_once(&message, &question);
    assert_int_equal(reply.status, POSTERN_DNS_NO_DATA);
    assert_int_equal(reply.alias.length, 0);
    assert_int_equal(reply.ttl, 30);
}

static void nothing_is_remembered_by_ttl_and_minimum_of_the_soa_with_a_cap(void **state)
{
    static const struct {
        uint32_t ttl;
        unsigned minimum;
        uint32_t expected;
    } cases[] = {{100, 50, 50}, {50, 100, 50}, {86400, 60000, 3600}, {0x80000000, 60, 0}};
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_TXT, "a.example");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buffer message = answer_to(&question, 3);
        add_soa(&message, cases[i].ttl, cases[i].minimum);
        struct dns_reply reply = read_once(&message, &question);
        assert_int_equal(reply.status, POSTERN_DNS_NO_NAME);
        assert_int_equal(reply.ttl, cases[i].expected);
    }
    struct buffer message = answer_to(&question, 3);
    assert_int_equal(read_once(&message, &question).ttl, 0);
}

static void ttl_is_a_day_at_most_and_none_when_negative(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    const uint32_t given[] = {0x7fffffff, 0x80000000}, expected[] = {86400, 0};
    for (size_t i = 0; i < 2; i++) {
        struct buffer message = answer_to(&question, 0);
        add_address(&message, NULL, given[i]);
        struct dns_reply reply = read_once(&message, &question);
        assert_int_equal(reply.ttl, expected[i]);
        free(reply.records);
    }
}

static void strings_of_a_text_are_joined_with_their_nuls(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_TXT, "a.example");
    struct buffer message = answer_to(&question, 0);
    add_record(&message, NULL, 16, 300, "\2a\0\0\1b", 6);
    add_record(&message, NULL, 16, 300, "\0", 1);
    struct dns_reply reply = read_once(&message, &question);
    char memory[1024];
    const struct postern_dns_record *copy =
        dns_records_copy(reply.records, reply.count, reply.size, memory);
    free(reply.records);
    assert_int_equal(copy[0].length, 3);
    assert_memory_equal(copy[0].text, "a\0b", 4);
    assert_int_equal(copy[1].length, 0);
    assert_string_equal(copy[1].text, "");
    assert_string_equal(copy[1].name, "");
}

static void answer_that_does_not_fit_the_question_fails(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct dns_question other = question_of(POSTERN_DNS_A, "b.example");
    struct dns_question text = question_of(POSTERN_DNS_TXT, "a.example");
    struct buffer message = answer_to(&other, 0);
    assert_fails(&message, &question, "can't be read");
    message = answer_to(&text, 0);
    assert_fails(&message, &question, "can't be read");
    message = answer_to(&question, 2);
    assert_fails(&message, &question, "SERVFAIL");
    message = answer_to(&question, 0);
    message.data[2] |= 0x02;
    assert_fails(&message, &question, "cut off");
    message = answer_to(&question, 0);
    message.data[2] = 1;
    assert_fails(&message, &question, "can't be read");
}

static void malformed_records_fail(void **state)
{
    static const struct {
        enum postern_dns_type type;
        unsigned number;
        const char *data;
        size_t length;
    } cases[] = {
        {POSTERN_DNS_A, 1, "\1\2\3", 3},       {POSTERN_DNS_A, 1, "\1\2\3\4\5", 5},
        {POSTERN_DNS_AAAA, 28, "\1\2\3\4", 4}, {POSTERN_DNS_TXT, 16, "\5abc", 4},
        {POSTERN_DNS_MX, 15, "\0\1", 2},       {POSTERN_DNS_MX, 15, "\0\1\1a\0x", 6},
        {POSTERN_DNS_PTR, 12, "", 0},          {POSTERN_DNS_PTR, 12, "\3abc", 4},
        {POSTERN_DNS_PTR, 12, "\xc0", 1},      {POSTERN_DNS_PTR, 12, "\xff\xff", 2},
        {POSTERN_DNS_PTR, 12, "\x80\0", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dns_question question = question_of(cases[i].type, "a.example");
        struct buffer message = answer_to(&question, 0);
        add_record(&message, NULL, cases[i].number, 300, cases[i].data, cases[i].length);
        assert_fails(&message, &question, "can't be read");
    }
}

/* --- bounded work --- */

static void pointers_in_a_circle_fail(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    size_t at = message.length;
    add_address(&message, NULL, 300);
    set16(&message, at, 0xc000 | (unsigned)at);
    assert_fails(&message, &question, "can't be read");
    message = answer_to(&question, 0);
    at = message.length;
    add16(&message, 0xc000 | (unsigned)(at + 2));
    add16(&message, 0xc000 | (unsigned)at);
    set16(&message, 6, 1);
    assert_fails(&message, &question, "can't be read");
}

static void chain_of_pointers_ends_after_as_many_as_a_name_has_labels(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    unsigned target = 12;
    for (size_t i = 0; i < 200; i++) {
        unsigned here = (unsigned)message.length;
        add16(&message, 0xc000 | target);
        target = here;
    }
    struct dns_name name;
    size_t at = message.length - 2;
    const unsigned char *data = (const unsigned char *)message.data;
    assert_false(dns_name_read(data, message.length, &at, &name));
    at = message.length - 2 - 2 * 100;
    assert_true(dns_name_read(data, message.length, &at, &name));
    assert_true(dns_name_equal(&name, &question.name));
    buffer_free(&message);
}

static void aliases_are_bounded(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_A, "a.example");
    struct buffer message = answer_to(&question, 0);
    add_alias(&message, NULL, "b.example", 300);
    add_alias(&message, "b.example", "A.example", 300);
    assert_fails(&message, &question, "circle");
    message = answer_to(&question, 0);
    for (size_t i = 0; i < 17; i++)
        add_alias(&message, "x.example", "y.example", 300);
    assert_fails(&message, &question, "more than 16 aliases");
}

static void records_beyond_the_bound_of_memory_fail(void **state)
{
    (void)state;
    struct dns_question question = question_of(POSTERN_DNS_MX, "a.example");
    struct buffer message = answer_to(&question, 0);
    for (size_t i = 0; i < 4000; i++)
        add_record(&message, NULL, 15, 300, "\0\1\xc0\x0c", 4);
    assert_fails(&message, &question, "more than 128 KB");
}

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static struct buffer full_answer(const struct dns_question *question)
{
    struct buffer message = answer_to(question, 0);
    add_alias(&message, NULL, "mail.a.example", 300);
    add_record(&message, "mail.a.example", 15, 300, "\0\12\3mx1\xc0\x0c", 8);
    add_record(&message, "mail.a.example", 15, 300, "\0\24\3mx2\xc0\x0e", 8);
    add_record(&message, "mail.a.example", 16, 300, "\5hello", 6);
    add_soa(&message, 300, 60);
    return message;
}

static void damaged_messages_are_read_without_harm(void **state)
{
    (void)state;
    uint32_t seed = 1;
    struct dns_question question = question_of(POSTERN_DNS_MX, "a.example");
    struct buffer whole = full_answer(&question);
    size_t found = 0;
    for (size_t turn = 0; turn < 50000; turn++) {
        size_t length = turn < whole.length ? turn : whole.length;
        unsigned char *damaged = malloc(length + 1);
        memcpy(damaged, whole.data, length);
        for (size_t i = 0; length > 0 && i < turn % 4; i++)
            damaged[random_next(&seed) % length] = (unsigned char)random_next(&seed);
        unsigned char *exact = realloc(damaged, length > 0 ? length : 1);
        struct dns_reply reply;
        dns_message_read(exact, length, &question, &reply);
        found += reply.status == POSTERN_DNS_FOUND;
        assert_true((reply.count > 0) == (reply.status == POSTERN_DNS_FOUND));
        free(reply.records);
        free(exact);
    }
    assert_true(found > 1000);
    buffer_free(&whole);
}

/* --- servers --- */

static void assert_server(const char *text, const char *ip, int port)
{
    struct dns_server server;
    char written[POSTERN_IP_TEXT];
    assert_true(dns_server_parse(text, &server));
    assert_string_equal(postern_ip_text(&server.ip, written), ip);
    assert_int_equal(server.port, port);
}

static void servers_may_have_ports(void **state)
{
    static const char *const wrong[] = {
        "",          "localhost", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[::1", "[::1]",
        "[::1]x:53", ":53",       "[]:53",      "]:53",        "fe80::1%eth0"};
    (void)state;
    struct dns_server server;
    assert_server("192.0.2.53", "192.0.2.53", 53);
    assert_server("127.0.0.1:5353", "127.0.0.1", 5353);
    assert_server("2001:db8::53", "2001:db8::53", 53);
    assert_server("[::1]:5353", "::1", 5353);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (dns_server_parse(wrong[i], &server))
            fail_msg("'%s' was read as a server", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_in_lower_case_without_the_last_dot),
        cmocka_unit_test(odd_bytes_of_names_are_escaped),
        cmocka_unit_test(names_have_limits),
        cmocka_unit_test(aliases_in_any_order_lead_to_the_records_and_the_shortest_ttl),
        cmocka_unit_test(records_of_other_names_and_types_do_not_count),
        cmocka_unit_test(alias_of_which_nothing_is_said_is_to_be_asked_for),
        cmocka_unit_test(nothing_is_remembered_by_ttl_and_minimum_of_the_soa_with_a_cap),
        cmocka_unit_test(ttl_is_a_day_at_most_and_none_when_negative),
        cmocka_unit_test(strings_of_a_text_are_joined_with_their_nuls),
        cmocka_unit_test(answer_that_does_not_fit_the_question_fails),
        cmocka_unit_test(malformed_records_fail),
        cmocka_unit_test(pointers_in_a_circle_fail),
        cmocka_unit_test(chain_of_pointers_ends_after_as_many_as_a_name_has_labels),
        cmocka_unit_test(aliases_are_bounded),
        cmocka_unit_test(records_beyond_the_bound_of_memory_fail),
        cmocka_unit_test(damaged_messages_are_read_without_harm),
        cmocka_unit_test(servers_may_have_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
