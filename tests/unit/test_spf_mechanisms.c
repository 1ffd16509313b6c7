/* RFC 7208, sections 5 and 6. */
#include "spf_zone.h"

static void s5_1_all_matches_and_ends_the_record(void **state)
{
    (void)state;
    assert_record("v=spf1 -all ip4:192.0.2.1", FAIL);
    assert_string_equal(spf.mechanism, "-all");
    const char *const wrong[] = {"-all.", "all:example.com", "all/8", "all:", "-allx"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 %s", wrong[i]), PERMERROR);
}

static void s5_1_all_makes_a_redirect_void(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.org", "v=spf1 +all"));
    assert_record("v=spf1 redirect=example.org ?all", NEUTRAL);
    assert_int_equal(asked_count, 1);
}

static void s5_2_include_matches_what_passes(void **state)
{
    (void)state;
    zone = ZONE(TXT("pass.example.com", "v=spf1 ip4:192.0.2.1 -all"),
                TXT("fail.example.com", "v=spf1 -all"), TXT("softfail.example.com", "v=spf1 ~all"),
                TXT("neutral.example.com", "v=spf1 ?all"));
    assert_record("v=spf1 include:pass.example.com -all", PASS);
    assert_string_equal(spf.mechanism, "include:pass.example.com");
    assert_string_equal(spf.domain, "example.com");
    assert_record("v=spf1 ~include:pass.example.com -all", SOFTFAIL);
    assert_record("v=spf1 -include:pass.example.com +all", FAIL);
    assert_record("v=spf1 include:fail.example.com +all", PASS);
    assert_record("v=spf1 include:softfail.example.com -all", FAIL);
    assert_record("v=spf1 include:neutral.example.com -all", FAIL);
}

static void s5_2_errors_of_what_is_included_are_errors(void **state)
{
    (void)state;
    zone = ZONE(TXT("temperror.example.com", FAILS), TXT("permerror.example.com", "v=spf1 x"),
                TXT("two.example.com", "v=spf1"), TXT("two.example.com", "v=spf1"),
                A("none.example.com", "192.0.2.1"));
    assert_record("v=spf1 include:temperror.example.com +all", TEMPERROR);
    assert_record("v=spf1 include:permerror.example.com +all", PERMERROR);
    assert_record("v=spf1 include:two.example.com +all", PERMERROR);
    assert_record("v=spf1 include:none.example.com +all", PERMERROR);
    assert_record("v=spf1 include:no-name.example.com +all", PERMERROR);
    assert_record("v=spf1 include:a..example.com +all", PERMERROR);
}

static void s5_2_include_needs_a_domain(void **state)
{
    (void)state;
    const char *const wrong[] = {"include", "include:", "include/24", "include:example.org/24"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 %s", wrong[i]), PERMERROR);
}

static void s5_3_a_matches_the_domains_addresses(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.7"), A("example.com", "192.0.2.1"),
                A("other.example.org", "192.0.2.1"), A("far.example.org", "203.0.113.1"));
    assert_record("v=spf1 a -all", PASS);
    assert_record("v=spf1 a:other.example.org -all", PASS);
    assert_record("v=spf1 a:far.example.org -all", FAIL);
    assert_record("v=spf1 A:OTHER.example.org. -all", PASS);
}

static void s5_3_a_asks_for_the_clients_family_alone(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.1"), AAAA("example.com", "2001:db8::1"));
    assert_record("v=spf1 a -all", PASS);
    assert_asked("A example.com");
    assert_int_equal(asked_count, 2);
    assert_record6("v=spf1 a -all", PASS);
    assert_asked("AAAA example.com");
    assert_int_equal(asked_count, 2);
}

static void s5_3_a_compares_as_many_bits_as_it_says(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.250"), AAAA("example.com", "2001:db8:1::"));
    assert_record("v=spf1 a/24 -all", PASS);
    assert_record("v=spf1 a:example.com/24//128 -all", PASS);
    assert_record("v=spf1 a/25 -all", FAIL);
    assert_record("v=spf1 a//0 -all", FAIL);
    assert_record6("v=spf1 a//32 -all", PASS);
    assert_record6("v=spf1 a/0//33 -all", PASS);
    assert_record6("v=spf1 a/32//48 -all", FAIL);
    assert_record6("v=spf1 a/0 -all", FAIL);
}

static void s5_3_a_length_of_0_matches_any_address(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "203.0.113.1"), AAAA("example.com", "fe80::1"));
    assert_record("v=spf1 a/0 -all", PASS);
    assert_record6("v=spf1 a//0 -all", PASS);
    zone = ZONE(MX("example.com", "mx.example.com"), A("mx.example.com", "203.0.113.1"));
    assert_record("v=spf1 mx/0 -all", PASS);
    assert_record("v=spf1 a/0 -all", FAIL);
}

static void s5_3_a_length_must_be_possible(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "a/33", "a//129", "a/024", "a/",       "a//",   "a/24/",        "a/24/64", "a///64",
        "a/-1", "a/x",    "a:/24", "a//24/24", "a/999", "a/4294967328", "mx/33",   "mx:x.y/00"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 +all %s", wrong[i]), PERMERROR);
}

static void s5_a_failed_lookup_is_temperror(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", FAILS), MX("example.com", FAILS), MX("b.example.com", "mx.test"),
                A("mx.test", FAILS));
    assert_record("v=spf1 a +all", TEMPERROR);
    assert_record("v=spf1 mx +all", TEMPERROR);
    assert_record("v=spf1 mx:b.example.com +all", TEMPERROR);
    assert_record("v=spf1 exists:example.com +all", TEMPERROR);
}

static void s5_a_name_that_is_not_there_is_no_match(void **state)
{
    (void)state;
    assert_record("v=spf1 a:no.example.com -all", FAIL);
    assert_record("v=spf1 mx:no.example.com -all", FAIL);
    assert_record("v=spf1 exists:no.example.com -all", FAIL);
}

static void s5_4_mx_matches_the_addresses_of_its_hosts(void **state)
{
    (void)state;
    zone = ZONE(MX("example.com", "mx1.test"), MX("example.com", "mx2.test"),
                A("mx1.test", "203.0.113.1"), A("mx2.test", "192.0.2.1"),
                AAAA("mx2.test", "2001:db8::1"));
    assert_record("v=spf1 mx -all", PASS);
    assert_record("v=spf1 mx:example.com/32 -all", PASS);
    assert_record6("v=spf1 mx -all", PASS);
    assert_record6("v=spf1 mx//127 -all", PASS);
}

static void s5_4_mx_has_no_implicit_host(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.1"));
    assert_record("v=spf1 mx -all", FAIL);
    assert_int_equal(asked_count, 2);
}

static void s5_4_a_null_mx_is_no_match(void **state)
{
    (void)state;
    zone = ZONE(MX("example.com", ""));
    assert_record("v=spf1 mx -all", FAIL);
}

static void s5_5_ptr_matches_validated_names(void **state)
{
    (void)state;
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", "forged.example.com"),
                PTR("1.2.0.192.in-addr.arpa", "mail.Example.com"),
                A("forged.example.com", "203.0.113.1"), A("mail.example.com", "192.0.2.1"));
    assert_record("v=spf1 ptr -all", PASS);
    assert_record("v=spf1 ptr:mail.example.com -all", PASS);
    assert_record("v=spf1 ptr:forged.example.com -all", FAIL);
    assert_record("v=spf1 ptr:ple.com -all", FAIL);
    assert_record("v=spf1 ptr:example.org -all", FAIL);
}

static void s5_5_ptr_of_ipv6(void **state)
{
    (void)state;
    zone = ZONE(PTR("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
                    "mail.example.com"),
                AAAA("mail.example.com", "2001:db8::1"));
    assert_record6("v=spf1 ptr -all", PASS);
}

static void s5_5_dns_errors_are_no_match(void **state)
{
    (void)state;
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", FAILS));
    assert_record("v=spf1 ptr -all", FAIL);
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", "a.example.com"),
                PTR("1.2.0.192.in-addr.arpa", "b.example.com"), A("a.example.com", FAILS),
                A("b.example.com", "192.0.2.1"));
    assert_record("v=spf1 ptr -all", PASS);
    assert_record("v=spf1 ptr:a.example.com -all", FAIL);
}

static void s5_5_ptr_has_no_prefix_length(void **state)
{
    (void)state;
    assert_record("v=spf1 +all ptr/24", PERMERROR);
    assert_record("v=spf1 +all ptr:", PERMERROR);
    assert_record("v=spf1 +all ptr:example.com/24", PERMERROR);
}

static void s5_6_networks_hold_the_client(void **state)
{
    (void)state;
    assert_record("v=spf1 ip4:192.0.2.1 -all", PASS);
    assert_record("v=spf1 ip4:192.0.2.254/24 -all", PASS);
    assert_record("v=spf1 ip4:192.0.2.0/32 -all", FAIL);
    assert_record("v=spf1 ip4:203.0.113.1/0 -all", PASS);
    assert_record6("v=spf1 ip6:2001:db8::1 -all", PASS);
    assert_record6("v=spf1 ip6:2001:DB8::/32 -all", PASS);
    assert_record6("v=spf1 ip6:2001:db8:0:0:0:0:0:2/126 -all", PASS);
    assert_record6("v=spf1 ip6:2001:db9::/32 -all", FAIL);
    assert_record6("v=spf1 ip6:::/0 -all", PASS);
    assert_record6("v=spf1 ip6:::1.2.3.4/0 -all", PASS);
}

static void s5_6_families_do_not_mix(void **state)
{
    (void)state;
    assert_record("v=spf1 ip6:::/0 -all", FAIL);
    assert_record6("v=spf1 ip4:0.0.0.0/0 -all", FAIL);
    own_record = "v=spf1 ip6:::ffff:0:0/96 ip4:192.0.2.1 -all";
    assert_result(ask("::ffff:192.0.2.1", "a@example.com"), PASS);
    assert_string_equal(spf.mechanism, "ip4:192.0.2.1");
}

static void s5_6_networks_must_be_written_right(void **state)
{
    (void)state;
    const char *const wrong[] = {"ip4",
                                 "ip4:",
                                 "ip4:192.0.2",
                                 "ip4:192.0.2.256",
                                 "ip4:192.0.2.1.1",
                                 "ip4:192.0.2.1/33",
                                 "ip4:192.0.2.1/",
                                 "ip4:192.0.2.1/032",
                                 "ip4:192.0.2.1//32",
                                 "ip4:192.0.02.1",
                                 "ip4:2001:db8::1",
                                 "ip4:example.com",
                                 "ip4/32",
                                 "ip6",
                                 "ip6:",
                                 "ip6:192.0.2.1",
                                 "ip6:2001:db8::1/129",
                                 "ip6:2001::db8::1",
                                 "ip6:2001:db8::g",
                                 "ip6:2001:db8::1%eth0",
                                 "ip6:[2001:db8::1]",
                                 "ip4:%{i}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 +all %s", wrong[i]), PERMERROR);
}

static void s5_7_exists_asks_for_an_address_of_any_kind(void **state)
{
    (void)state;
    zone = ZONE(A("192.0.2.1.list.test", "127.0.0.2"), A("ipv6.list.test", "127.0.0.2"),
                AAAA("only6.list.test", "2001:db8::1"));
    assert_record("v=spf1 exists:%{i}.list.test -all", PASS);
    assert_record6("v=spf1 exists:ipv6.list.test -all", PASS);
    assert_asked("A ipv6.list.test");
    assert_record6("v=spf1 exists:only6.list.test -all", FAIL);
    assert_record("v=spf1 +all exists", PERMERROR);
    assert_record("v=spf1 +all exists:", PERMERROR);
    assert_record("v=spf1 +all exists:%{i}.list.test/24", PERMERROR);
}

static void s6_redirect_and_exp_stand_once(void **state)
{
    (void)state;
    assert_record("v=spf1 +all redirect=a.test redirect=b.test", PERMERROR);
    assert_record("v=spf1 +all exp=a.test EXP=a.test", PERMERROR);
    assert_record("v=spf1 +all exp=a.test redirect=a.test", PASS);
}

static void s6_1_redirect_takes_the_other_domains_result(void **state)
{
    (void)state;
    zone = ZONE(TXT("pass.test", "v=spf1 +all"), TXT("fail.test", "v=spf1 -all"),
                TXT("neutral.test", "v=spf1"), TXT("temperror.test", FAILS),
                TXT("permerror.test", "v=spf1 x"), TXT("again.test", "v=spf1 redirect=pass.test"));
    assert_record("v=spf1 redirect=pass.test", PASS);
    assert_string_equal(spf.mechanism, "+all");
    assert_string_equal(spf.domain, "example.com");
    assert_record("v=spf1 redirect=fail.test", FAIL);
    assert_record("v=spf1 redirect=neutral.test", NEUTRAL);
    assert_record("v=spf1 redirect=temperror.test", TEMPERROR);
    assert_record("v=spf1 redirect=permerror.test", PERMERROR);
    assert_record("v=spf1 redirect=again.test", PASS);
}

static void s6_1_redirect_to_no_record_is_permerror(void **state)
{
    (void)state;
    zone = ZONE(A("none.test", "192.0.2.1"));
    assert_record("v=spf1 redirect=none.test", PERMERROR);
    assert_record("v=spf1 redirect=nowhere.test", PERMERROR);
    assert_record("v=spf1 redirect=a..test", PERMERROR);
    assert_record("v=spf1 +all redirect=", PERMERROR);
    assert_record("v=spf1 +all redirect=x.test/24", PERMERROR);
}

static void s6_1_redirect_counts_after_all_mechanisms(void **state)
{
    (void)state;
    zone = ZONE(TXT("fail.test", "v=spf1 -all"));
    assert_record("v=spf1 redirect=fail.test ip4:192.0.2.1", PASS);
    assert_record("v=spf1 redirect=fail.test ip4:192.0.2.2", FAIL);
    assert_record("v=spf1 redirect=fail.test ?ip4:192.0.2.1", NEUTRAL);
}

static void s6_1_the_redirected_domain_is_the_current_one(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 a -all"), A("other.test", "192.0.2.1"));
    assert_record("v=spf1 redirect=other.test", PASS);
}

static void s6_2_a_fail_is_explained(void **state)
{
    (void)state;
    zone = ZONE(TXT("why.test", "See http://%{d}/why.html?s=%{S}&i=%{C} at %{r} %%"));
    assert_record("v=spf1 -all exp=why.test", FAIL);
    assert_string_equal(
        spf.explanation,
        "See http://example.com/why.html?s=a%40example.com&i=192.0.2.1 at receiver.test %");
    assert_record("v=spf1 ~all exp=why.test", SOFTFAIL);
    assert_string_equal(spf.explanation, "");
    assert_int_equal(asked_count, 1);
}

static void s6_2_an_explanation_that_cannot_be_had_is_left_out(void **state)
{
    (void)state;
    zone = ZONE(TXT("fails.test", FAILS), A("none.test", "192.0.2.1"), TXT("two.test", "one"),
                TXT("two.test", "two"), TXT("syntax.test", "%{x}"), TXT("end.test", "100%"),
                TXT("ascii.test", "caf\xc3\xa9"), TXT("control.test", "a\r\nb"));
    const char *const names[] = {"fails.test",   "none.test",    "two.test",
                                 "nowhere.test", "syntax.test",  "end.test",
                                 "ascii.test",   "control.test", "a..test"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_record(postern_printf(zone_arena, "v=spf1 -all exp=%s", names[i]), FAIL);
        assert_string_equal(spf.explanation, "");
    }
    assert_record("v=spf1 -all exp=", PERMERROR);
}

static void s6_2_an_explanation_is_one_printable_line_of_bounded_length(void **state)
{
    (void)state;
    char *text = postern_alloc(zone_arena, 60 * 1024);
    for (size_t i = 0; i + 5 < 60 * 1024; i += 4)
        memcpy(text + i, "%{l}", 4);
    zone = ZONE(TXT("long.test", text), TXT("odd.test", "%{l}"));
    assert_record("v=spf1 -all exp=long.test", FAIL);
    assert_int_equal(strlen(spf.explanation), 400);
    assert_result(ask("192.0.2.1", "\"a\r\nb\xc3\xa9\"@example.com"), FAIL);
    own_record = "v=spf1 -all exp=odd.test";
    assert_result(ask("192.0.2.1", "\"a\r\nb\xc3\xa9\"@example.com"), FAIL);
    assert_string_equal(spf.explanation, "\"a??b??\"");
}

static void s6_2_the_explanation_is_that_of_the_last_redirect(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 -all exp=why.test"), TXT("why.test", "%{d} says no"),
                TXT("first.test", "wrong"), TXT("silent.test", "v=spf1 -all"));
    assert_record("v=spf1 exp=first.test redirect=other.test", FAIL);
    assert_string_equal(spf.explanation, "other.test says no");
    assert_record("v=spf1 exp=first.test redirect=silent.test", FAIL);
    assert_string_equal(spf.explanation, "");
}

static void s6_2_what_is_included_explains_nothing(void **state)
{
    (void)state;
    zone = ZONE(TXT("other.test", "v=spf1 -all exp=why.test"), TXT("why.test", "wrong"),
                TXT("mine.test", "%{d} says no"));
    assert_record("v=spf1 include:other.test -all exp=mine.test", FAIL);
    assert_string_equal(spf.explanation, "example.com says no");
    assert_record("v=spf1 include:other.test -all", FAIL);
    assert_string_equal(spf.explanation, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        zone_test(s5_1_all_matches_and_ends_the_record),
        zone_test(s5_1_all_makes_a_redirect_void),
        zone_test(s5_2_include_matches_what_passes),
        zone_test(s5_2_errors_of_what_is_included_are_errors),
        zone_test(s5_2_include_needs_a_domain),
        zone_test(s5_3_a_matches_the_domains_addresses),
        zone_test(s5_3_a_asks_for_the_clients_family_alone),
        zone_test(s5_3_a_compares_as_many_bits_as_it_says),
        zone_test(s5_3_a_length_of_0_matches_any_address),
        zone_test(s5_3_a_length_must_be_possible),
        zone_test(s5_a_failed_lookup_is_temperror),
        zone_test(s5_a_name_that_is_not_there_is_no_match),
        zone_test(s5_4_mx_matches_the_addresses_of_its_hosts),
        zone_test(s5_4_mx_has_no_implicit_host),
        zone_test(s5_4_a_null_mx_is_no_match),
        zone_test(s5_5_ptr_matches_validated_names),
        zone_test(s5_5_ptr_of_ipv6),
        zone_test(s5_5_dns_errors_are_no_match),
        zone_test(s5_5_ptr_has_no_prefix_length),
        zone_test(s5_6_networks_hold_the_client),
        zone_test(s5_6_families_do_not_mix),
        zone_test(s5_6_networks_must_be_written_right),
        zone_test(s5_7_exists_asks_for_an_address_of_any_kind),
        zone_test(s6_redirect_and_exp_stand_once),
        zone_test(s6_1_redirect_takes_the_other_domains_result),
        zone_test(s6_1_redirect_to_no_record_is_permerror),
        zone_test(s6_1_redirect_counts_after_all_mechanisms),
        zone_test(s6_1_the_redirected_domain_is_the_current_one),
        zone_test(s6_2_a_fail_is_explained),
        zone_test(s6_2_an_explanation_that_cannot_be_had_is_left_out),
        zone_test(s6_2_an_explanation_is_one_printable_line_of_bounded_length),
        zone_test(s6_2_the_explanation_is_that_of_the_last_redirect),
        zone_test(s6_2_what_is_included_explains_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
