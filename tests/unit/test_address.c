#include "util/arena.h"
#include "util/buffer.h"
#include "util/names.h"

#include <postern/address.h>
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>

static int make_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int drop_arena(void **state)
{
    arena_free(*state);
    return 0;
}

/* Names with a space between them: easy to write down, and to read when a test fails. */
static void assert_names(struct postern_names names, const char *expected)
{
    struct buffer joined = {0};
    buffer_text(&joined, "");
    for (size_t i = 0; i < names.count; i++)
        buffer_printf(&joined, "%s%s", i > 0 ? " " : "", names.items[i]);
    assert_string_equal(joined.data, expected);
    buffer_free(&joined);
}

static char *repeat(struct postern_arena *arena, const char *text, size_t times)
{
    size_t length = strlen(text);
    char *all = postern_alloc(arena, length * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * length, text, length);
    return all;
}

static void ordinary_addresses_are_valid(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "user@example.com",
        "u@localhost",
        "a.b+c=d/e@example.com",
        "u@a_b.example.com",
        "u@[192.0.2.1]",
        "u@[ipv6:2001:db8::1]",
        "\"a b\"@example.com",
        "\"a@b\"@example.com",
        "\"a\\\"b\"@example.com",
        "\"a\\\\\"@example.com",
        "\"\"@example.com",
        "j\xc3\xbcrg@b\xc3\xbc"
        "cher.example",
        "srs0=ab=cd=x=u@example.com",
        "*@example.com",
        "+@example.com",
        "u@1.2.3.4",
        "u..v@example.com",
        "\".\"@example.com",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (!postern_address_is_valid(addresses[i]))
            fail_msg("'%s' was refused", addresses[i]);
}

static const char *const invalid_addresses[] = {
    "",
    "@",
    "user",
    "user@",
    "@example.com",
    "a@b@example.com",
    "a b@example.com",
    "u@exam ple.com",
    "u@example.com ",
    " u@example.com",
    "u@.example.com",
    "u@example.com.",
    "u@example..com",
    "u@.",
    "u@..",
    "u@*",
    "u@exa*mple.com",
    "u@a,b",
    "u@a/b",
    "u@a'b",
    "\"a@example.com",
    "\"a@b\"",
    "\"a\\\"@example.com",
    "u\n@example.com",
    "u@example.com\n",
    "\"a\nb\"@x.example",
    "\"a\\\n\"@x.example",
    "u\x7f@example.com",
    "u@[]",
    "u@[",
    "u@[192.0.2.1",
    "u@192.0.2.1]",
    "u@[192.0.2.1]x",
    "u@[192.0.2.1].",
    "u@[a b]",
    "u@[[a]]",
    "u@[a\\]",
    "u@[a@b]",
    "u@\"example.com\"",
    "\"",
    "\"\\",
    "u\t@example.com",
    "u@[\xc3\xbc]",
    "j\xfcrg@example.com",
    "u@b\xfc"
    "cher.example",
    "u@b\xc3",
    "u\xc0\xaf@example.com",
    "u\xed\xa0\x80@example.com",
};
static const size_t invalid_count = sizeof invalid_addresses / sizeof *invalid_addresses;

static void broken_addresses_are_invalid(void **state)
{
    (void)state;
    for (size_t i = 0; i < invalid_count; i++)
        if (postern_address_is_valid(invalid_addresses[i]))
            fail_msg("'%s' was taken for an address", invalid_addresses[i]);
}

static void lengths_are_not_limited(void **state)
{
    const char *label = repeat(*state, "a", 1000);
    const char *address = postern_printf(*state, "%s@%s.%s.com", label, label, label);
    assert_true(postern_address_is_valid(address));
    assert_string_equal(postern_address_domain(address), address + 1001);
}

static void domain_is_what_follows_the_last_at(void **state)
{
    (void)state;
    const char *address = "user@example.com";
    assert_ptr_equal(postern_address_domain(address), address + 5);
    assert_string_equal(postern_address_domain("\"a@b\"@example.com"), "example.com");
    assert_string_equal(postern_address_domain("u@[192.0.2.1]"), "[192.0.2.1]");
}

static void invalid_address_has_no_domain(void **state)
{
    (void)state;
    for (size_t i = 0; i < invalid_count; i++)
        assert_string_equal(postern_address_domain(invalid_addresses[i]), "");
}

static void extension_is_cut_at_the_first_delimiter(void **state)
{
    static const struct {
        const char *address, *delimiters, *expected;
    } cases[] = {
        {"user+ext@example.com", "+", "user@example.com"},
        {"user+a+b@example.com", "+", "user@example.com"},
        {"user-a+b@example.com", "+-", "user@example.com"},
        {"user-a+b@example.com", "+", "user-a@example.com"},
        {"user+@example.com", "+", "user@example.com"},
        {"user@example.com", "+", "user@example.com"},
        {"user+ext@example.com", "", "user+ext@example.com"},
        {"user@ex-ample.com", "-", "user@ex-ample.com"},
        {"u+x@example.com", "+", "u@example.com"},
        {"u@example.com", "@", "u@example.com"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(
            postern_address_without_ext(*state, cases[i].address, cases[i].delimiters),
            cases[i].expected);
}

static void first_byte_is_no_delimiter(void **state)
{
    assert_string_equal(postern_address_without_ext(*state, "+ext@example.com", "+"),
                        "+ext@example.com");
    assert_string_equal(postern_address_without_ext(*state, "+@example.com", "+"), "+@example.com");
    assert_string_equal(postern_address_without_ext(*state, "++x@example.com", "+"),
                        "+@example.com");
}

static void quoted_local_part_keeps_its_extension(void **state)
{
    assert_string_equal(postern_address_without_ext(*state, "\"a+b\"@example.com", "+"),
                        "\"a+b\"@example.com");
    assert_string_equal(postern_address_without_ext(*state, "\"a@b+c\"@example.com", "+"),
                        "\"a@b+c\"@example.com");
}

static void without_ext_copies_invalid_addresses(void **state)
{
    for (size_t i = 0; i < invalid_count; i++) {
        char *copy = postern_address_without_ext(*state, invalid_addresses[i], "+");
        assert_string_equal(copy, invalid_addresses[i]);
        assert_ptr_not_equal(copy, invalid_addresses[i]);
    }
    assert_string_equal(postern_address_without_ext(*state, "user+ext", "+"), "user+ext");
}

static void names_are_those_with_and_without_the_extension(void **state)
{
    assert_names(postern_address_names(*state, "u+x@example.com", "+"),
                 "u+x@example.com @example.com @.example.com @.com @. u@example.com");
    assert_names(postern_address_names(*state, "u-x@example.com", "+"),
                 "u-x@example.com @example.com @.example.com @.com @.");
    assert_names(postern_address_names(*state, "", "+"), "@.");
    assert_names(postern_user_anywhere(*state, "u+x@example.com", "+"), "u@*");
    assert_int_equal(postern_user_anywhere(*state, "nobody", "+").count, 0);
}

static void candidates_go_from_the_address_to_everybody(void **state)
{
    assert_names(postern_address_candidates(*state, "u@a.example.com"),
                 "u@a.example.com @a.example.com @.a.example.com @.example.com @.com @.");
    assert_names(postern_address_candidates(*state, "u@example.com"),
                 "u@example.com @example.com @.example.com @.com @.");
    assert_names(postern_address_candidates(*state, "u@localhost"),
                 "u@localhost @localhost @.localhost @.");
    assert_names(postern_address_candidates(*state, "\"a@b\"@example.com"),
                 "\"a@b\"@example.com @example.com @.example.com @.com @.");
}

static void null_or_invalid_address_is_everybody_only(void **state)
{
    for (size_t i = 0; i < invalid_count; i++)
        assert_names(postern_address_candidates(*state, invalid_addresses[i]), "@.");
}

static void address_literal_has_no_parents(void **state)
{
    assert_names(postern_address_candidates(*state, "u@[192.0.2.1]"),
                 "u@[192.0.2.1] @[192.0.2.1] @.");
}

static void candidates_outlive_the_given_text(void **state)
{
    char *address = strdup("u@example.com");
    struct postern_names names = postern_address_candidates(*state, address);
    free(address);
    assert_names(names, "u@example.com @example.com @.example.com @.com @.");
}

static void labels_without_end_give_bounded_candidates(void **state)
{
    const char *address = postern_printf(*state, "u@%scom", repeat(*state, "a.", 4000));
    size_t before = arena_used(*state);
    struct postern_names names = postern_address_candidates(*state, address);
    assert_true(names.count <= 2 + 127 + 1);
    assert_true(arena_used(*state) - before < 64 * 1024);
    assert_string_equal(names.items[0], address);
    assert_string_equal(names.items[1], address + 1);
    assert_int_equal(strlen(names.items[2]), 2 + 253);
    assert_string_equal(names.items[names.count - 3], "@.a.com");
    assert_string_equal(names.items[names.count - 2], "@.com");
    assert_string_equal(names.items[names.count - 1], "@.");
}

static void longest_possible_name_keeps_all_its_parents(void **state)
{
    const char *address = postern_printf(*state, "u@%sa", repeat(*state, "a.", 126));
    struct postern_names names = postern_address_candidates(*state, address);
    assert_int_equal(names.count, 2 + 127 + 1);
    address = postern_printf(*state, "u@a%s", address + 2);
    assert_int_equal(postern_address_candidates(*state, address).count, 2 + 126 + 1);
}

static void very_long_label_is_left_out_of_the_parents(void **state)
{
    const char *label = repeat(*state, "a", 300);
    struct postern_names names =
        postern_address_candidates(*state, postern_printf(*state, "u@%s.example.com", label));
    assert_int_equal(names.count, 5);
    assert_string_equal(names.items[1], postern_printf(*state, "@%s.example.com", label));
    assert_string_equal(names.items[2], "@.example.com");
    assert_string_equal(names.items[3], "@.com");
    assert_string_equal(names.items[4], "@.");
}

static struct postern_names ip_candidates(void **state, const char *text, bool all_wildcards)
{
    struct postern_ip ip;
    postern_ip_parse(text, &ip);
    return postern_ip_candidates(*state, &ip, all_wildcards);
}

static void ipv4_client_has_itself_and_two_wildcards(void **state)
{
    assert_names(ip_candidates(state, "192.0.2.1", false), "192.0.2.1 192.0.2.* 192.0.*.1");
    assert_names(ip_candidates(state, "255.100.99.0", false),
                 "255.100.99.0 255.100.99.* 255.100.*.0");
    assert_names(ip_candidates(state, "::ffff:192.0.2.10", false),
                 "192.0.2.10 192.0.2.* 192.0.*.10");
}

static void all_wildcards_are_every_combination(void **state)
{
    assert_names(ip_candidates(state, "1.2.3.4", true),
                 "1.2.3.4 1.2.3.* 1.2.*.4 1.*.3.4 *.2.3.4 1.2.*.* 1.*.3.* 1.*.*.4 *.2.3.* "
                 "*.2.*.4 *.*.3.4 1.*.*.* *.2.*.* *.*.3.* *.*.*.4 *.*.*.*");
    assert_int_equal(ip_candidates(state, "255.255.255.255", true).count, 16);
}

static void ipv6_client_has_its_canonical_text_only(void **state)
{
    assert_names(ip_candidates(state, "2001:DB8:0::1", false), "2001:db8::1");
    assert_names(ip_candidates(state, "2001:db8::1", true), "2001:db8::1");
}

static void no_client_address_has_no_candidates(void **state)
{
    assert_names(ip_candidates(state, "unknown", false), "");
    assert_names(ip_candidates(state, "", true), "");
}

static void names_are_joined_in_order_without_repeats(void **state)
{
    struct postern_names empty = {0};
    struct postern_names a = postern_address_candidates(*state, "u@a.example");
    struct postern_names b = postern_address_candidates(*state, "u@b.example");
    assert_names(postern_names_join(*state, a, b),
                 "u@a.example @a.example @.a.example @.example @. u@b.example @b.example "
                 "@.b.example");
    assert_names(postern_names_join(*state, empty, a),
                 "u@a.example @a.example @.a.example @.example @.");
    assert_names(postern_names_join(*state, a, a),
                 "u@a.example @a.example @.a.example @.example @.");
    assert_names(postern_names_join(*state, empty, empty), "");
    const char *twice[] = {"x", "y", "x"};
    assert_names(postern_names_join(*state, empty, (struct postern_names){3, twice}), "x y");
}

static void names_can_be_added_to_candidates(void **state)
{
    struct postern_names names = postern_address_candidates(*state, "u@example.com");
    for (int i = 0; i < 20; i++)
        names_add(*state, &names, "more");
    assert_int_equal(names.count, 25);
    assert_string_equal(names.items[4], "@.");
    assert_string_equal(names.items[24], "more");
}

static const struct {
    const char *account;
    enum postern_account_form form;
} accounts[] = {
    {"user@example.com", POSTERN_ACCOUNT_ADDRESS},
    {"user+ext@example.com", POSTERN_ACCOUNT_ADDRESS},
    {"user@[192.0.2.1]", POSTERN_ACCOUNT_ADDRESS},
    {"user@ip", POSTERN_ACCOUNT_ADDRESS},
    {"\"a@b\"@example.com", POSTERN_ACCOUNT_ADDRESS},
    {"user@*", POSTERN_ACCOUNT_USER_ANYWHERE},
    {"\"a@b\"@*", POSTERN_ACCOUNT_USER_ANYWHERE},
    {"192.0.2.1", POSTERN_ACCOUNT_IP},
    {"2001:db8::1", POSTERN_ACCOUNT_IP},
    {"::ffff:192.0.2.1", POSTERN_ACCOUNT_IP},
    {"192.0.2.*", POSTERN_ACCOUNT_IP_WILDCARD},
    {"192.0.*.1", POSTERN_ACCOUNT_IP_WILDCARD},
    {"192.*.2.1", POSTERN_ACCOUNT_IP_WILDCARD},
    {"*.0.2.1", POSTERN_ACCOUNT_IP_WILDCARD},
    {"*.*.*.*", POSTERN_ACCOUNT_IP_WILDCARD},
    {"10.*", POSTERN_ACCOUNT_IP_WILDCARD},
    {"192.0.2.0/24", POSTERN_ACCOUNT_NETWORK},
    {"192.0.2.1/32", POSTERN_ACCOUNT_NETWORK},
    {"0.0.0.0/0", POSTERN_ACCOUNT_NETWORK},
    {"2001:db8::/32", POSTERN_ACCOUNT_NETWORK},
    {"@example.com", POSTERN_ACCOUNT_DOMAIN},
    {"@localhost", POSTERN_ACCOUNT_DOMAIN},
    {"@[192.0.2.1]", POSTERN_ACCOUNT_DOMAIN},
    {"@.example.com", POSTERN_ACCOUNT_SUBDOMAINS},
    {"@.com", POSTERN_ACCOUNT_TOP_LEVEL},
    {"@ip", POSTERN_ACCOUNT_EACH_IP},
    {"@.", POSTERN_ACCOUNT_EVERYBODY},
};

static void each_form_of_account_is_recognised(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accounts / sizeof *accounts; i++)
        if (postern_account_form(accounts[i].account) != accounts[i].form)
            fail_msg("'%s' was taken for form %d", accounts[i].account,
                     (int)postern_account_form(accounts[i].account));
}

static void text_that_names_no_account_is_invalid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "@",
        "@..",
        "@.example..com",
        "@..com",
        "@example.com.",
        "@.com.",
        "@*",
        "@.*",
        "@*.example.com",
        "user",
        "example.com",
        ".example.com",
        "user@",
        "@user@*",
        "user@*.com",
        "us er@*",
        "user@@*",
        "*",
        "user@**",
        "010.1.1.1",
        "192.0.2.256",
        "192.0.2.**",
        "192.0.2.1*",
        "1.2.*.*.*",
        "192.0.2.0/33",
        "/24",
        "192.0.2.0/24 ",
        "192.0.2.*/24",
        "192.*.2",
        "::ffff:1.*.1.1",
        "fe80::1%eth0",
        "2001:db8::*",
        "@.[192.0.2.1]",
        "010.*.1.1",
        "192.0.2.*.1",
        "@ip ",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (postern_account_form(texts[i]) != POSTERN_ACCOUNT_INVALID)
            fail_msg("'%s' was taken for form %d", texts[i], (int)postern_account_form(texts[i]));
}

static void priorities_are_those_of_the_table(void **state)
{
    (void)state;
    static const struct {
        enum postern_account_form form;
        int greylisting, amavisd;
    } table[] = {
        {POSTERN_ACCOUNT_ADDRESS, 100, 10},  {POSTERN_ACCOUNT_USER_ANYWHERE, 90, 7},
        {POSTERN_ACCOUNT_IP, 80, 9},         {POSTERN_ACCOUNT_IP_WILDCARD, 70, 8},
        {POSTERN_ACCOUNT_NETWORK, 70, 7},    {POSTERN_ACCOUNT_DOMAIN, 60, 5},
        {POSTERN_ACCOUNT_SUBDOMAINS, 50, 3}, {POSTERN_ACCOUNT_TOP_LEVEL, 40, 2},
        {POSTERN_ACCOUNT_EACH_IP, 0, 1},     {POSTERN_ACCOUNT_EVERYBODY, 0, 0},
        {POSTERN_ACCOUNT_INVALID, 0, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(postern_greylisting_priority(table[i].form), table[i].greylisting);
        assert_int_equal(postern_amavisd_priority(table[i].form), table[i].amavisd);
    }
}

static void every_candidate_is_a_form_of_falling_priority(void **state)
{
    struct postern_names names = postern_address_candidates(*state, "u@b.a.example.com");
    int last = 101;
    for (size_t i = 0; i < names.count; i++) {
        enum postern_account_form form = postern_account_form(names.items[i]);
        assert_int_not_equal(form, POSTERN_ACCOUNT_INVALID);
        assert_true(postern_greylisting_priority(form) <= last);
        last = postern_greylisting_priority(form);
    }
    names = ip_candidates(state, "192.0.2.1", true);
    for (size_t i = 1; i < names.count; i++)
        assert_int_equal(postern_account_form(names.items[i]), POSTERN_ACCOUNT_IP_WILDCARD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)

static void domain_is_a_name_of_at_most_253_bytes(void **state)
{
    (void)state;
    static const char *const good[] = {"example.com", "com", "a-b_c.example", "b\xc3\xbc.example"};
    static const char *const bad[] = {"",           ".",       ".com",  "com.",        "a..b",
                                      "@a.example", "a b.com", "a@b.c", "[192.0.2.1]", "\xff.com",
                                      "a=b.com"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(postern_domain_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(postern_domain_is_valid(bad[i]));
    char longest[255];
    memset(longest, 'a', 254);
    longest[253] = '\0';
    assert_true(postern_domain_is_valid(longest));
    longest[253] = 'a';
    longest[254] = '\0';
    assert_false(postern_domain_is_valid(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domain_is_a_name_of_at_most_253_bytes),
        TEST(ordinary_addresses_are_valid),
        TEST(broken_addresses_are_invalid),
        TEST(lengths_are_not_limited),
        TEST(domain_is_what_follows_the_last_at),
        TEST(invalid_address_has_no_domain),
        TEST(extension_is_cut_at_the_first_delimiter),
        TEST(first_byte_is_no_delimiter),
        TEST(quoted_local_part_keeps_its_extension),
        TEST(without_ext_copies_invalid_addresses),
        TEST(names_are_those_with_and_without_the_extension),
        TEST(candidates_go_from_the_address_to_everybody),
        TEST(null_or_invalid_address_is_everybody_only),
        TEST(address_literal_has_no_parents),
        TEST(candidates_outlive_the_given_text),
        TEST(labels_without_end_give_bounded_candidates),
        TEST(longest_possible_name_keeps_all_its_parents),
        TEST(very_long_label_is_left_out_of_the_parents),
        TEST(ipv4_client_has_itself_and_two_wildcards),
        TEST(all_wildcards_are_every_combination),
        TEST(ipv6_client_has_its_canonical_text_only),
        TEST(no_client_address_has_no_candidates),
        TEST(names_are_joined_in_order_without_repeats),
        TEST(names_can_be_added_to_candidates),
        TEST(each_form_of_account_is_recognised),
        TEST(text_that_names_no_account_is_invalid),
        TEST(priorities_are_those_of_the_table),
        TEST(every_candidate_is_a_form_of_falling_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
