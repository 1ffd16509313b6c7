#include <postern/network.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

static struct postern_ip ip(const char *text)
{
    struct postern_ip parsed;
    assert_true(postern_ip_parse(text, &parsed));
    return parsed;
}

static struct postern_network network(const char *text)
{
    struct postern_network parsed;
    assert_true(postern_network_parse(text, &parsed));
    return parsed;
}

static void assert_canonical_ip(const char *given, const char *expected)
{
    char text[POSTERN_IP_TEXT];
    struct postern_ip parsed = ip(given);
    assert_string_equal(postern_ip_text(&parsed, text), expected);
}

static void assert_canonical_network(const char *given, const char *expected)
{
    char text[POSTERN_NETWORK_TEXT];
    struct postern_network parsed = network(given);
    assert_string_equal(postern_network_text(&parsed, text), expected);
}

static void assert_no_network(const char *given)
{
    struct postern_network parsed;
    if (postern_network_parse(given, &parsed))
        fail_msg("'%s' was read as a network", given);
    assert_int_equal(parsed.address.family, POSTERN_NO_IP);
}

static bool holds(const char *net, const char *address)
{
    struct postern_network parsed = network(net);
    struct postern_ip client = ip(address);
    return postern_network_holds(&parsed, &client);
}

static void addresses_have_one_canonical_text(void **state)
{
    (void)state;
    assert_canonical_ip("192.0.2.1", "192.0.2.1");
    assert_canonical_ip("0.0.0.0", "0.0.0.0");
    assert_canonical_ip("255.255.255.255", "255.255.255.255");
    assert_canonical_ip("2001:DB8:0:0::0001", "2001:db8::1");
    assert_canonical_ip("::", "::");
    assert_canonical_ip("2001:db8:1:2:3:4:192.0.2.1", "2001:db8:1:2:3:4:c000:201");
    assert_canonical_ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void mapped_address_is_the_ipv4_address(void **state)
{
    (void)state;
    struct postern_ip mapped = ip("::ffff:192.0.2.1"), plain = ip("192.0.2.1");
    assert_memory_equal(mapped.bytes, plain.bytes, sizeof plain.bytes);
    assert_int_equal(mapped.family, POSTERN_IPV4);
    assert_canonical_ip("::FFFF:c000:0201", "192.0.2.1");
    assert_int_equal(ip("::192.0.2.1").family, POSTERN_IPV6);
    assert_int_equal(ip("::1:ffff:c000:201").family, POSTERN_IPV6);
}

static void text_that_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "unknown",
        "192.0.2",
        "192.0.2.1.1",
        "192.0.2.256",
        "010.1.1.1",
        "192.0.2.1 ",
        " 192.0.2.1",
        "192.0.2.1/32",
        "192.0.2.*",
        "0x7f.0.0.1",
        "2130706433",
        "fe80::1%eth0",
        "::1%1",
        "2001:db8:::1",
        "1:2:3:4:5:6:7",
        "[::1]",
        "::g",
        "1:2:3:4:5:6:7:8:9",
        "-1.0.0.1",
        "192.0.2.1\n",
        "192..2.1",
        ":",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct postern_ip parsed = ip("192.0.2.1");
        if (postern_ip_parse(texts[i], &parsed))
            fail_msg("'%s' was read as an address", texts[i]);
        assert_int_equal(parsed.family, POSTERN_NO_IP);
    }
}

static void very_long_text_is_no_address(void **state)
{
    (void)state;
    char text[5000];
    memset(text, '1', sizeof text);
    text[sizeof text - 1] = '\0';
    struct postern_ip parsed;
    assert_false(postern_ip_parse(text, &parsed));
    assert_no_network(text);
    memcpy(text + sizeof text - 4, "/24", 4);
    assert_no_network(text);
    memcpy(text + sizeof text - 4, "1.*", 4);
    assert_no_network(text);
}

static void network_clears_its_host_bits(void **state)
{
    (void)state;
    assert_canonical_network("192.0.2.77/24", "192.0.2.0/24");
    assert_canonical_network("192.0.2.255/25", "192.0.2.128/25");
    assert_canonical_network("192.0.2.255/0", "0.0.0.0/0");
    assert_canonical_network("192.0.2.255/31", "192.0.2.254/31");
    assert_canonical_network("2001:db8:ffff::1/33", "2001:db8:8000::/33");
    assert_canonical_network("2001:db8::1/0", "::/0");
    assert_canonical_network("2001:db8::1/128", "2001:db8::1/128");
}

static void bare_address_is_a_network_of_all_bits(void **state)
{
    (void)state;
    assert_canonical_network("192.0.2.1", "192.0.2.1/32");
    assert_canonical_network("2001:db8::1", "2001:db8::1/128");
    assert_canonical_network("::ffff:192.0.2.1", "192.0.2.1/32");
}

static void mapped_network_is_the_ipv4_network(void **state)
{
    (void)state;
    assert_canonical_network("::ffff:192.0.2.9/120", "192.0.2.0/24");
    assert_canonical_network("::ffff:0:0/96", "0.0.0.0/0");
    assert_canonical_network("::ffff:192.0.2.9/64", "::/64");
}

static void trailing_wildcards_are_networks(void **state)
{
    (void)state;
    assert_canonical_network("192.0.2.*", "192.0.2.0/24");
    assert_canonical_network("192.0.*.*", "192.0.0.0/16");
    assert_canonical_network("192.*.*.*", "192.0.0.0/8");
    assert_canonical_network("*.*.*.*", "0.0.0.0/0");
    assert_canonical_network("10.*", "10.0.0.0/8");
    assert_canonical_network("192.0.*", "192.0.0.0/16");
}

static void text_that_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "/",
        "/24",
        "192.0.2.0/",
        "192.0.2.0/33",
        "192.0.2.0/24x",
        "192.0.2.0/ 24",
        "192.0.2.0/+24",
        "192.0.2.0/-1",
        "192.0.2.0/024",
        "192.0.2.0/24/24",
        "192.0.2/24",
        "192.0.2.0/255.255.255.0",
        "2001:db8::/129",
        "::/4294967296",
        "010.0.0.0/8",
        "fe80::1%1/64",
        "192.*.2.1",
        "192.0.*.1",
        "*.0.2.1",
        "*",
        "*.*",
        "10.*.*",
        "192.0.2.*.*",
        "192.0.2.1.*",
        "192.0.2.**",
        "192.0.2.1*",
        "192.0.2.*/24",
        "192.0.2.*.",
        "256.*",
        "01.*",
        ".*",
        "192..*",
        "2001:db8::*",
        "example.com",
        "10.",
        "10",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_no_network(texts[i]);
}

static void network_holds_the_addresses_of_its_prefix(void **state)
{
    (void)state;
    assert_true(holds("192.0.2.0/24", "192.0.2.0"));
    assert_true(holds("192.0.2.0/24", "192.0.2.255"));
    assert_false(holds("192.0.2.0/24", "192.0.3.0"));
    assert_true(holds("192.0.2.128/25", "192.0.2.128"));
    assert_false(holds("192.0.2.128/25", "192.0.2.127"));
    assert_true(holds("192.0.2.1", "192.0.2.1"));
    assert_false(holds("192.0.2.1", "192.0.2.2"));
    assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(holds("2001:db8::1/127", "2001:db8::"));
    assert_true(holds("2001:db8::1/128", "2001:db8::1"));
    assert_false(holds("2001:db8::1/128", "2001:db8::2"));
}

static void families_do_not_hold_each_other(void **state)
{
    (void)state;
    assert_true(holds("0.0.0.0/0", "255.0.0.1"));
    assert_true(holds("::/0", "2001:db8::1"));
    assert_false(holds("0.0.0.0/0", "2001:db8::1"));
    assert_false(holds("::/0", "192.0.2.1"));
    assert_true(holds("192.0.2.0/24", "::ffff:192.0.2.7"));
}

static void no_network_holds_no_address(void **state)
{
    (void)state;
    struct postern_ip none = {.family = POSTERN_NO_IP}, some = ip("192.0.2.1");
    struct postern_network everything = network("0.0.0.0/0"), empty = {.prefix = 0};
    assert_false(postern_network_holds(&everything, &none));
    assert_false(postern_network_holds(&empty, &none));
    assert_false(postern_network_holds(&empty, &some));
}

static void network_of_an_address_cuts_at_the_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        unsigned prefix;
        const char *expected;
    } cases[] = {
        {"192.0.2.77", 24, "192.0.2.0/24"},      {"192.0.2.77", 30, "192.0.2.76/30"},
        {"192.0.2.77", 32, "192.0.2.77/32"},     {"192.0.2.77", 64, "192.0.2.77/32"},
        {"192.0.2.77", 0, "0.0.0.0/0"},          {"2001:db8::1", 64, "2001:db8::/64"},
        {"2001:db8::1", 500, "2001:db8::1/128"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[POSTERN_NETWORK_TEXT];
        struct postern_ip client = ip(cases[i].ip);
        struct postern_network holder = postern_network_of(&client, cases[i].prefix);
        assert_string_equal(postern_network_text(&holder, text), cases[i].expected);
    }
}

static void no_address_has_empty_text_and_an_empty_network(void **state)
{
    (void)state;
    struct postern_ip none = {.family = POSTERN_NO_IP};
    struct postern_network empty = postern_network_of(&none, 24);
    char text[POSTERN_NETWORK_TEXT] = "x";
    assert_string_equal(postern_ip_text(&none, text), "");
    assert_string_equal(postern_network_text(&empty, text), "");
}

static void longest_texts_fit(void **state)
{
    (void)state;
    assert_canonical_network("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
                             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
    assert_canonical_network("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/127",
                             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}

static void only_127_slash_8_and_colon_colon_1_are_loopback(void **state)
{
    (void)state;
    static const char *const loopback[] = {"127.0.0.1", "127.255.255.255", "::1",
                                           "::ffff:127.0.0.1"};
    static const char *const other[] = {"126.255.255.255", "128.0.0.0", "::", "::2", "7f00::1"};
    for (size_t i = 0; i < sizeof loopback / sizeof *loopback; i++) {
        struct postern_ip client = ip(loopback[i]);
        assert_true(postern_ip_is_loopback(&client));
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        struct postern_ip client = ip(other[i]);
        assert_false(postern_ip_is_loopback(&client));
    }
    assert_false(postern_ip_is_loopback(&(struct postern_ip){.family = POSTERN_NO_IP}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_canonical_text),
        cmocka_unit_test(mapped_address_is_the_ipv4_address),
        cmocka_unit_test(text_that_is_no_address_is_refused),
        cmocka_unit_test(very_long_text_is_no_address),
        cmocka_unit_test(network_clears_its_host_bits),
        cmocka_unit_test(bare_address_is_a_network_of_all_bits),
        cmocka_unit_test(mapped_network_is_the_ipv4_network),
        cmocka_unit_test(trailing_wildcards_are_networks),
        cmocka_unit_test(text_that_is_no_network_is_refused),
        cmocka_unit_test(network_holds_the_addresses_of_its_prefix),
        cmocka_unit_test(families_do_not_hold_each_other),
        cmocka_unit_test(no_network_holds_no_address),
        cmocka_unit_test(network_of_an_address_cuts_at_the_prefix),
        cmocka_unit_test(no_address_has_empty_text_and_an_empty_network),
        cmocka_unit_test(longest_texts_fit),
        cmocka_unit_test(only_127_slash_8_and_colon_colon_1_are_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
