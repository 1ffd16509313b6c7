/* What a domain's SPF record comes to as a list of networks. */
#include "spf_zone.h"

#include "dns/spf_networks.h"
#include "util/buffer.h"

#include <stdio.h>

static struct spf_networks networks; /* the last answer */

static void expand(const char *record)
{
    own_record = record;
    asked_count = 0;
    spf_networks_find("example.com", zone_lookup, zone_arena, zone_deadline, &networks);
    if (networks.result == SPF_NETWORKS_FAILED)
        assert_true(networks.problem[0] != '\0');
    else
        assert_string_equal(networks.problem, "");
}

/* "192.0.2.0/24 2001:db8::/32" */
static const char *listed(void)
{
    struct buffer text = {0};
    char network[POSTERN_NETWORK_TEXT];
    for (size_t i = 0; i < networks.count; i++)
        buffer_printf(&text, "%s%s", i > 0 ? " " : "",
                      postern_network_text(&networks.items[i], network));
    const char *copy = postern_strdup(zone_arena, text.data != NULL ? text.data : "");
    buffer_free(&text);
    return copy;
}

static void assert_networks(const char *record, const char *expected)
{
    expand(record);
    assert_string_equal(networks.problem, "");
    assert_string_equal(listed(), expected);
    assert_int_equal(networks.result, expected[0] != '\0' ? SPF_NETWORKS_FOUND : SPF_NETWORKS_NONE);
}

static void assert_failed(const char *record, const char *problem)
{
    expand(record);
    assert_int_equal(networks.result, SPF_NETWORKS_FAILED);
    assert_int_equal(networks.count, 0);
    if (strstr(networks.problem, problem) == NULL)
        fail_msg("'%s' does not say '%s'", networks.problem, problem);
}

/* --- what passes --- */

static void networks_of_both_families_are_listed_in_order(void **state)
{
    (void)state;
    assert_networks("v=spf1 ip6:2001:db8::/32 ip4:198.51.100.7 ip4:192.0.2.0/24 -all",
                    "192.0.2.0/24 198.51.100.7/32 2001:db8::/32");
}

static void bits_after_the_prefix_are_cleared(void **state)
{
    (void)state;
    assert_networks("v=spf1 ip4:192.0.2.77/24 ip6:2001:db8::1/64 -all",
                    "192.0.2.0/24 2001:db8::/64");
}

static void network_within_another_is_left_to_it(void **state)
{
    (void)state;
    assert_networks("v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 ip4:192.0.2.128/25 ip4:192.0.2.0/24"
                    " ip4:192.0.3.0 ip6:::1 -all",
                    "192.0.2.0/24 192.0.3.0/32 ::1/128");
}

static void addresses_of_a_become_networks_of_its_prefix_lengths(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.1"), AAAA("example.com", "2001:db8::1"),
                A("a.test", "198.51.100.7"), A("a.test", "203.0.113.9"),
                AAAA("a.test", "2001:db8:1:2::3"));
    assert_networks("v=spf1 a -all", "192.0.2.1/32 2001:db8::1/128");
    assert_networks("v=spf1 a:a.test/24//64 -all",
                    "198.51.100.0/24 203.0.113.0/24 2001:db8:1:2::/64");
    assert_networks("v=spf1 a:A.test. a//48 -all",
                    "192.0.2.1/32 198.51.100.7/32 203.0.113.9/32 2001:db8::/48 "
                    "2001:db8:1:2::3/128");
}

static void addresses_of_mx_hosts_become_networks_of_its_prefix_lengths(void **state)
{
    (void)state;
    zone = ZONE(MX("example.com", "one.test"), MX("example.com", "two.test"),
                MX("mx.test", "two.test"), A("one.test", "192.0.2.1"),
                A("two.test", "198.51.100.7"), AAAA("two.test", "2001:db8:2::7"));
    assert_networks("v=spf1 mx -all", "192.0.2.1/32 198.51.100.7/32 2001:db8:2::7/128");
    assert_networks("v=spf1 mx/24 mx:mx.test//64 -all",
                    "192.0.2.0/24 198.51.100.0/24 2001:db8:2::/64");
}

static void included_and_redirected_records_are_followed(void **state)
{
    (void)state;
    zone = ZONE(TXT("one.test", "v=spf1 a include:two.test -all"), A("one.test", "192.0.2.1"),
                TXT("two.test", "v=spf1 ip4:192.0.2.2 redirect=three.test"),
                TXT("three.test", "v=spf1 a -all"), A("three.test", "192.0.2.3"));
    assert_networks("v=spf1 include:one.test ip4:192.0.2.4",
                    "192.0.2.1/32 192.0.2.2/32 192.0.2.3/32 192.0.2.4/32");
    assert_networks("v=spf1 ip4:192.0.2.9 redirect=two.test",
                    "192.0.2.2/32 192.0.2.3/32 192.0.2.9/32");
}

static void mx_hosts_stand_in_for_a_record_that_is_missing(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", "something else"), MX("example.com", "mx.test"),
                A("mx.test", "192.0.2.1"), AAAA("mx.test", "2001:db8::1"),
                A("example.com", "203.0.113.1"));
    assert_networks(NULL, "192.0.2.1/32 2001:db8::1/128");
    assert_int_equal(asked_count, 4);
}

static void domain_without_record_and_mx_has_none(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "203.0.113.1"));
    assert_networks(NULL, "");
    zone = ZONE(MX("example.com", ""));
    assert_networks(NULL, "");
    zone = NULL;
    assert_networks(NULL, "");
}

static void record_that_lets_nobody_send_has_none(void **state)
{
    (void)state;
    zone = ZONE(MX("example.com", "mx.test"), A("mx.test", "192.0.2.1"));
    assert_networks("v=spf1 -all", "");
    assert_networks("v=spf1", "");
}

/* --- what does not --- */

static void only_what_passes_counts(void **state)
{
    (void)state;
    zone = ZONE(A("a.test", "203.0.113.1"), MX("a.test", "a.test"),
                TXT("other.test", "v=spf1 ip4:203.0.113.2 -all"));
    assert_networks("v=spf1 -ip4:203.0.113.3 ~ip6:2001:db8::/32 ?a:a.test -mx:a.test "
                    "?include:other.test +ip4:192.0.2.1 ~all",
                    "192.0.2.1/32");
    assert_int_equal(asked_count, 1);
}

static void what_was_refused_before_does_not_pass_later(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 -ip4:198.51.100.1 ip4:192.0.2.1 ip4:198.51.100.1 -all"));
    assert_networks("v=spf1 -ip4:192.0.2.0/24 ip4:192.0.2.1 ip4:198.51.100.2 -all",
                    "198.51.100.2/32");
    assert_networks("v=spf1 ?ip4:192.0.2.0/24 redirect=other.test", "");
    assert_networks("v=spf1 -ip4:192.0.2.0/24 include:other.test ip4:198.51.100.1 -all",
                    "198.51.100.1/32");
    assert_networks("v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all", "192.0.2.0/24");
}

static void everybody_is_not_a_network(void **state)
{
    (void)state;
    zone = ZONE(TXT("open.test", "v=spf1 +all"), A("a.test", "192.0.2.1"),
                AAAA("a.test", "2001:db8::1"));
    assert_networks("v=spf1 +all", "");
    assert_int_equal(networks.left_out, 1);
    assert_networks("v=spf1 include:open.test ip4:192.0.2.1 ?all", "192.0.2.1/32");
    assert_networks("v=spf1 redirect=open.test", "");
    assert_networks("v=spf1 ip4:0.0.0.0/0 ip6:::/0 a:a.test/0//0", "");
    assert_int_equal(networks.left_out, 4);
}

static void networks_wider_than_any_sender_has_are_left_out(void **state)
{
    (void)state;
    zone = ZONE(A("a.test", "192.0.2.1"), AAAA("a.test", "2001:db8::1"));
    assert_networks("v=spf1 ip4:64.0.0.0/7 ip4:128.0.0.0/1 ip6:2000::/3 ip6:2600::/15", "");
    assert_int_equal(networks.left_out, 4);
    assert_networks("v=spf1 ip4:17.0.0.0/8 ip6:2600::/16", "17.0.0.0/8 2600::/16");
    assert_networks("v=spf1 a:a.test/7//15", "");
    assert_networks("v=spf1 a:a.test/8//16", "192.0.0.0/8 2001::/16");
}

static void ipv4_in_ipv6_does_not_become_ipv4(void **state)
{
    (void)state;
    zone = ZONE(AAAA("a.test", "2001:db8::1"));
    assert_networks("v=spf1 ip6:::ffff:0:0/96 ip6:::ffff:192.0.2.1 ip6:::ffff:192.0.2.0/120", "");
    assert_networks("v=spf1 ip6:::/96 a:a.test", "::/96 2001:db8::1/128");
}

static void what_depends_on_the_mail_is_left_out(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 exists:%{i}.list.test ip4:192.0.2.2 -all"));
    assert_networks("v=spf1 ptr ptr:a.test exists:a.test a:%{d} mx:%{l}.test include:%{i}.test "
                    "include:other.test ip4:192.0.2.1 redirect=%{d2}.test",
                    "192.0.2.1/32 192.0.2.2/32");
    assert_int_equal(networks.left_out, 8);
    assert_int_equal(asked_count, 2);
}

static void what_follows_all_is_not_reached(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 ip4:203.0.113.1 -all"));
    assert_networks("v=spf1 ip4:192.0.2.1 ~all ip4:203.0.113.2 a:a.test redirect=other.test",
                    "192.0.2.1/32");
    assert_int_equal(asked_count, 1);
}

/* --- failures --- */

static void trouble_anywhere_fails_the_whole(void **state)
{
    (void)state;
    zone = ZONE(A("bad.test", FAILS), AAAA("half.test", FAILS), A("half.test", "192.0.2.2"),
                MX("badmx.test", FAILS), MX("mx.test", "bad.test"), TXT("badtxt.test", FAILS));
    static const char *const records[] = {
        "v=spf1 ip4:192.0.2.1 a:bad.test",          "v=spf1 ip4:192.0.2.1 a:half.test",
        "v=spf1 ip4:192.0.2.1 mx:badmx.test",       "v=spf1 ip4:192.0.2.1 mx:mx.test",
        "v=spf1 ip4:192.0.2.1 include:badtxt.test", "v=spf1 ip4:192.0.2.1 redirect=badtxt.test",
    };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        assert_failed(records[i], "SERVFAIL");
    zone = ZONE(TXT("example.com", FAILS));
    assert_failed(NULL, "SERVFAIL");
    zone = ZONE(MX("example.com", FAILS));
    assert_failed(NULL, "SERVFAIL");
}

static void errors_of_records_fail(void **state)
{
    (void)state;
    zone = ZONE(TXT("none.test", "nothing"), TXT("two.test", "v=spf1 -all"),
                TXT("two.test", "v=spf1 +all"));
    assert_failed("v=spf1 ip4:192.0.2.1 ip4:192.0.2.300 -all", "ip4:192.0.2.300");
    assert_failed("v=spf1 ip4:192.0.2.1 include:none.test -all", "none.test");
    assert_failed("v=spf1 ip4:192.0.2.1 redirect=none.test", "none.test");
    assert_failed("v=spf1 ip4:192.0.2.1 include:two.test -all", "2 SPF records");
}

static void deadline_that_has_passed_fails(void **state)
{
    (void)state;
    zone_deadline = fiber_now() - 1;
    assert_failed("v=spf1 ip4:192.0.2.1 -all", "too long");
    assert_int_equal(asked_count, 0);
}

/* --- limits --- */

static const char *repeated(const char *term, size_t count, const char *after)
{
    struct buffer text = {0};
    buffer_text(&text, "v=spf1");
    for (size_t i = 0; i < count; i++)
        buffer_printf(&text, " %s", term);
    buffer_text(&text, after);
    const char *copy = postern_strdup(zone_arena, text.data);
    buffer_free(&text);
    return copy;
}

static void ten_terms_that_need_the_dns_are_allowed(void **state)
{
    (void)state;
    zone = ZONE(A("a.test", "192.0.2.1"), TXT("more.test", "v=spf1 a:a.test -all"));
    assert_networks(repeated("a:a.test", 10, " -all"), "192.0.2.1/32");
    assert_failed(repeated("a:a.test", 11, " -all"), "more than 10 terms");
    assert_failed(repeated("a:a.test", 9, " include:more.test"), "more than 10 terms");
    assert_failed(repeated("a:a.test", 10, " redirect=more.test"), "more than 10 terms");
    assert_failed(repeated("ptr", 11, ""), "more than 10 terms");
    assert_failed(repeated("-a:a.test", 11, ""), "more than 10 terms");
}

static void record_that_includes_itself_ends(void **state)
{
    (void)state;
    assert_failed("v=spf1 include:example.com -all", "more than 10 terms");
    assert_failed("v=spf1 redirect=example.com", "more than 10 terms");
    assert_int_equal(asked_count, 11);
}

static void third_term_that_finds_nothing_fails(void **state)
{
    (void)state;
    zone = ZONE(A("four.test", "192.0.2.4"), AAAA("six.test", "2001:db8::6"),
                MX("mx.test", "four.test"), MX("mx.test", "nowhere.test"));
    assert_networks("v=spf1 a:four.test a:six.test mx:mx.test a:no1.test mx:no2.test",
                    "192.0.2.4/32 2001:db8::6/128");
    assert_failed("v=spf1 a:four.test a:no1.test mx:no2.test a:no3.test", "more than 2 lookups");
}

static void eleven_mx_hosts_fail(void **state)
{
    (void)state;
    struct zone_record *records = postern_alloc(zone_arena, 13 * sizeof *records);
    for (size_t i = 0; i < 11; i++)
        records[i] =
            (struct zone_record)MX("example.com", postern_printf(zone_arena, "host%zu.test", i));
    records[11] = (struct zone_record)A("host0.test", "192.0.2.1");
    records[12] = (struct zone_record)A(NULL, NULL);
    zone = records;
    assert_failed("v=spf1 mx -all", "more than 10 MX hosts");
    assert_int_equal(asked_count, 2);
    assert_failed(NULL, "more than 10 MX hosts");
    zone = records + 1;
    assert_networks("v=spf1 mx -all", "");
    assert_int_equal(asked_count, 2 + 20);
}

static void more_networks_than_a_domain_may_have_fail(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_text(&text, "v=spf1");
    for (int i = 0; i < SPF_NETWORKS_MAX; i++)
        buffer_printf(&text, " ip4:10.%d.%d.0/24", i / 250, i % 250);
    expand(text.data);
    assert_int_equal(networks.count, SPF_NETWORKS_MAX);
    buffer_text(&text, " ip4:192.0.2.1");
    assert_failed(text.data, "more than 2000 networks");
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        zone_test(networks_of_both_families_are_listed_in_order),
        zone_test(bits_after_the_prefix_are_cleared),
        zone_test(network_within_another_is_left_to_it),
        zone_test(addresses_of_a_become_networks_of_its_prefix_lengths),
        zone_test(addresses_of_mx_hosts_become_networks_of_its_prefix_lengths),
        zone_test(included_and_redirected_records_are_followed),
        zone_test(mx_hosts_stand_in_for_a_record_that_is_missing),
        zone_test(domain_without_record_and_mx_has_none),
        zone_test(record_that_lets_nobody_send_has_none),
        zone_test(only_what_passes_counts),
        zone_test(what_was_refused_before_does_not_pass_later),
        zone_test(everybody_is_not_a_network),
        zone_test(networks_wider_than_any_sender_has_are_left_out),
        zone_test(ipv4_in_ipv6_does_not_become_ipv4),
        zone_test(what_depends_on_the_mail_is_left_out),
        zone_test(what_follows_all_is_not_reached),
        zone_test(trouble_anywhere_fails_the_whole),
        zone_test(errors_of_records_fail),
        zone_test(deadline_that_has_passed_fails),
        zone_test(ten_terms_that_need_the_dns_are_allowed),
        zone_test(record_that_includes_itself_ends),
        zone_test(third_term_that_finds_nothing_fails),
        zone_test(eleven_mx_hosts_fail),
        zone_test(more_networks_than_a_domain_may_have_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
