/* RFC 7208, sections 2 to 4 but for the limits of 4.6.4, and the examples of appendix A. */
#include "spf_zone.h"

static void s2_3_helo_is_checked_when_the_sender_has_no_domain(void **state)
{
    (void)state;
    zone = ZONE(TXT("helo.example.net", "v=spf1 ip4:192.0.2.1 -all"));
    assert_result(ask("192.0.2.1", ""), PASS);
    assert_true(spf.is_helo);
    assert_string_equal(spf.domain, "helo.example.net");
    assert_result(ask("192.0.2.2", ""), FAIL);
}

static void s2_4_the_null_sender_is_postmaster_at_helo(void **state)
{
    (void)state;
    zone = ZONE(TXT("helo.example.net", "v=spf1 exists:%{l}.%{o}.test -all"),
                A("postmaster.helo.example.net.test", "127.0.0.2"));
    assert_result(ask("192.0.2.1", ""), PASS);
    assert_string_equal(spf.sender, "postmaster@helo.example.net");
}

static void s2_4_mail_from_is_checked_when_it_has_a_domain(void **state)
{
    (void)state;
    zone = ZONE(TXT("helo.example.net", "v=spf1 -all"), TXT("example.com", "v=spf1 +all"));
    assert_result(ask("192.0.2.1", "a@example.com"), PASS);
    assert_false(spf.is_helo);
    assert_string_equal(spf.sender, "a@example.com");
    assert_string_equal(spf.domain, "example.com");
}

static void s2_6_each_result_is_told_apart(void **state)
{
    (void)state;
    zone = ZONE(TXT("broken.example.com", FAILS));
    assert_record("v=spf1 -all", FAIL);
    assert_record("v=spf1 ~all", SOFTFAIL);
    assert_record("v=spf1 ?all", NEUTRAL);
    assert_record("v=spf1 +all", PASS);
    assert_record("v=spf1 all", PASS);
    assert_record("v=spf1 include:broken.example.com", TEMPERROR);
    assert_record("v=spf1 nonsense", PERMERROR);
    assert_result(ask("192.0.2.1", "a@example.org"), NONE);
}

static void s3_1_only_txt_records_count(void **state)
{
    (void)state;
    zone = ZONE(A("example.com", "192.0.2.1"), MX("example.com", "v=spf1 +all"));
    assert_result(ask("192.0.2.1", "a@example.com"), NONE);
    assert_int_equal(asked_count, 1);
    assert_asked("TXT example.com");
}

static void s3_1_records_are_ascii(void **state)
{
    (void)state;
    assert_record("v=spf1 a:caf\xc3\xa9.example.com +all", PERMERROR);
    assert_record("v=spf1 x=caf\xc3\xa9 +all", PERMERROR);
    assert_record("v=spf1 +all\x7f", PERMERROR);
    own_length = sizeof "v=spf1 ip4:192.0.2.1\0 +all" - 1;
    assert_record("v=spf1 ip4:192.0.2.1\0 +all", PERMERROR);
}

static void s3_2_a_domain_with_two_records_is_permerror(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", "v=spf1 +all"), TXT("example.com", "v=spf1 +all"));
    assert_result(ask("192.0.2.1", "a@example.com"), PERMERROR);
}

static void s3_4_a_record_of_60_kb_is_evaluated(void **state)
{
    (void)state;
    char *record = postern_alloc(zone_arena, 64 * 1024);
    size_t length = strlen(strcpy(record, "v=spf1"));
    while (length < 60 * 1024)
        length += strlen(strcpy(record + length, " ip4:203.0.113.7"));
    strcpy(record + length, " ip4:192.0.2.1 -all");
    assert_record(record, PASS);
    assert_string_equal(spf.mechanism, "ip4:192.0.2.1");
    assert_result(ask("192.0.2.2", "a@example.com"), FAIL);
}

static void s4_3_a_malformed_domain_is_none_and_not_asked_for(void **state)
{
    (void)state;
    char longest[80] = "a@";
    memset(longest + 2, 'x', 64);
    strcpy(longest + 66, ".com");
    const char *senders[] = {"a@example..com",
                             "a@.example.com",
                             "a@localhost",
                             "a@[192.0.2.1]",
                             longest,
                             "a@192.0.2.1",
                             "a@",
                             "a@b c.example",
                             "a@caf\xc3\xa9.example",
                             "a@a\\.example"};
    for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++) {
        assert_result(ask("192.0.2.1", senders[i]), NONE);
        assert_int_equal(asked_count, 0);
    }
    assert_result(ask_helo("192.0.2.1", "", "[192.0.2.1]"), NONE);
    assert_result(ask_helo("192.0.2.1", "", "localhost"), NONE);
    assert_result(ask_helo("192.0.2.1", "", ""), NONE);
}

static void s4_3_a_final_dot_does_no_harm(void **state)
{
    (void)state;
    own_record = "v=spf1 +all";
    assert_result(ask("192.0.2.1", "a@example.com."), PASS);
}

static void s4_3_a_missing_local_part_is_postmaster(void **state)
{
    (void)state;
    own_record = "v=spf1 +all";
    assert_result(ask("192.0.2.1", "@example.com"), PASS);
    assert_string_equal(spf.sender, "postmaster@example.com");
}

static void s4_3_no_such_name_is_none(void **state)
{
    (void)state;
    assert_result(ask("192.0.2.1", "a@example.com"), NONE);
    assert_string_equal(spf.mechanism, "");
}

static void s4_4_a_failed_lookup_of_the_record_is_temperror(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", FAILS));
    assert_result(ask("192.0.2.1", "a@example.com"), TEMPERROR);
    assert_string_equal(spf.problem, "example.com: SERVFAIL");
}

static void s4_5_what_is_not_version_1_is_no_record(void **state)
{
    (void)state;
    const char *others[] = {
        "v=spf10 +all", "v=spf2.0/pra +all", "v=spf1+all", "spf1 +all", " v=spf1 +all", "v=spf", "",
        "v=spf1\t+all"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_record(others[i], NONE);
}

static void s4_5_the_version_is_compared_without_case(void **state)
{
    (void)state;
    assert_record("V=SPF1 -ALL", FAIL);
}

static void s4_5_the_version_alone_is_a_record(void **state)
{
    (void)state;
    assert_record("v=spf1", NEUTRAL);
    assert_record("v=spf1   ", NEUTRAL);
}

static void s4_5_other_txt_records_are_passed_over(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", "google-site-verification=x"), TXT("example.com", "\xff\xfe"),
                TXT("example.com", "v=spf10 -all"), TXT("example.com", "v=spf1 +all"));
    assert_result(ask("192.0.2.1", "a@example.com"), PASS);
}

static void s4_5_no_record_is_none(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", "hello"));
    assert_result(ask("192.0.2.1", "a@example.com"), NONE);
}

static void s4_5_two_records_are_permerror(void **state)
{
    (void)state;
    zone = ZONE(TXT("example.com", "v=spf1"), TXT("example.com", "v=spf1 ip4:192.0.2.1 -all"));
    assert_result(ask("192.0.2.1", "a@example.com"), PERMERROR);
    assert_string_equal(spf.problem, "example.com has 2 SPF records");
}

static void s4_6_a_syntax_error_anywhere_is_permerror(void **state)
{
    (void)state;
    assert_record("v=spf1 ip4:192.0.2.1 -all nonsense", PERMERROR);
    assert_record("v=spf1 +all moo", PERMERROR);
    assert_int_equal(asked_count, 1);
    assert_record("v=spf1 a +all redirect=", PERMERROR);
    assert_int_equal(asked_count, 1);
    assert_string_equal(spf.problem,
                        "example.com: \"redirect=\": is not followed by a domain name");
}

static void s4_6_a_problem_names_no_more_than_it_must(void **state)
{
    (void)state;
    char record[2000] = "v=spf1 ";
    memset(record + 7, 'x', sizeof record - 8);
    assert_record(record, PERMERROR);
    assert_true(strlen(spf.problem) < 150);
}

static void s4_6_1_terms_are_separated_by_spaces_alone(void **state)
{
    (void)state;
    assert_record("v=spf1   ip4:192.0.2.1   -all  ", PASS);
    assert_record("v=spf1 ip4:192.0.2.1\t-all", PERMERROR);
    assert_record("v=spf1 ip4:192.0.2.1\r\n-all", PERMERROR);
    assert_record("v=spf1 ip4:192.0.2.1,-all", PERMERROR);
}

static void s4_6_1_unknown_modifiers_are_ignored(void **state)
{
    (void)state;
    assert_record("v=spf1 moo=example match.sophie:x=y=z empty= +all", PERMERROR);
    assert_record("v=spf1 moo=example a-b_c.d=y=z empty= a=b all=c %=d +all", PERMERROR);
    assert_record("v=spf1 moo=example a-b_c.d=y=z empty= a=b all=c moo=again +all", PASS);
}

static void s4_6_1_a_modifier_must_be_a_macro_string(void **state)
{
    (void)state;
    assert_record("v=spf1 moo=%{d2r}%%%_%- +all", PASS);
    assert_record("v=spf1 moo=%x +all", PERMERROR);
    assert_record("v=spf1 moo=%{x} +all", PERMERROR);
    assert_record("v=spf1 moo=%{d +all", PERMERROR);
    assert_record("v=spf1 +moo=x +all", PERMERROR);
    assert_record("v=spf1 =x +all", PERMERROR);
    assert_record("v=spf1 1moo=x +all", PERMERROR);
}

static void s4_6_2_qualifiers_make_the_result(void **state)
{
    (void)state;
    assert_record("v=spf1 +ip4:192.0.2.1", PASS);
    assert_record("v=spf1 ip4:192.0.2.1", PASS);
    assert_record("v=spf1 -ip4:192.0.2.1", FAIL);
    assert_record("v=spf1 ~ip4:192.0.2.1", SOFTFAIL);
    assert_record("v=spf1 ?ip4:192.0.2.1", NEUTRAL);
    assert_record("v=spf1 --all", PERMERROR);
    assert_record("v=spf1 *all", PERMERROR);
    assert_record("v=spf1 -", PERMERROR);
}

static void s4_6_2_mechanisms_are_tried_from_left_to_right(void **state)
{
    (void)state;
    assert_record("v=spf1 ~ip4:192.0.2.0/24 -ip4:192.0.2.1 +all", SOFTFAIL);
    assert_string_equal(spf.mechanism, "~ip4:192.0.2.0/24");
}

static void s4_6_2_names_are_compared_without_case(void **state)
{
    (void)state;
    assert_record("v=spf1 IP4:192.0.2.1 -ALL", PASS);
    assert_record("v=spf1 REDIRECT=example.org", PERMERROR);
    assert_asked("TXT example.org");
}

static void s4_6_3_modifiers_may_stand_anywhere(void **state)
{
    (void)state;
    zone = ZONE(TXT("why.example.com", "because"));
    assert_record("v=spf1 exp=why.example.com -all", FAIL);
    assert_string_equal(spf.explanation, "because");
    assert_record("v=spf1 -all exp=why.example.com", FAIL);
    assert_string_equal(spf.explanation, "because");
}

static void s4_7_nothing_that_matches_is_neutral(void **state)
{
    (void)state;
    assert_record("v=spf1 -ip4:203.0.113.1", NEUTRAL);
    assert_string_equal(spf.mechanism, "");
}

static void s4_8_a_domain_must_end_in_a_top_label(void **state)
{
    (void)state;
    const char *const wrong[] = {"a:",
                                 "a:museum",
                                 "a:museum.",
                                 "a:example.com:8080",
                                 "a:111.222.33.44",
                                 "a:example.-com",
                                 "a:example.com-",
                                 "a:example.c_m",
                                 "a:%{d}museum",
                                 "a:example..",
                                 "a:example.com..",
                                 "a:exa mple.com",
                                 "exists:example.com/24",
                                 "include:"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 +all %s", wrong[i]), PERMERROR);
    const char *const right[] = {"a:example.com",    "a:example.com.", "a:foo:bar/baz.example.com",
                                 "a:%{d}",           "a:%{d}.museum",  "a:example.xn--zckzah",
                                 "a:example.1a",     "a:example.1-1",  "a:!$&'*+,;=.example.com",
                                 "a:example.com.%%", "a:%{d}.%{d}"};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_record(postern_printf(zone_arena, "v=spf1 +all %s", right[i]), PASS);
}

static void s4_8_a_name_that_cannot_be_is_no_match_without_a_query(void **state)
{
    (void)state;
    assert_record("v=spf1 a:a..example.com mx:.example.com exists:a%_b.example.com "
                  "a:b..example.com -all",
                  FAIL);
    assert_int_equal(asked_count, 1);
}

static const struct zone_record appendix_a[] = {
    MX("example.com", "mail-a.example.com"),
    MX("example.com", "mail-b.example.com"),
    A("example.com", "192.0.2.10"),
    A("example.com", "192.0.2.11"),
    A("amy.example.com", "192.0.2.65"),
    A("bob.example.com", "192.0.2.66"),
    A("mail-a.example.com", "192.0.2.129"),
    A("mail-b.example.com", "192.0.2.130"),
    MX("example.org", "mail-c.example.org"),
    A("mail-c.example.org", "192.0.2.140"),
    PTR("65.2.0.192.in-addr.arpa", "amy.example.com"),
    PTR("140.2.0.192.in-addr.arpa", "mail-c.example.org"),
    PTR("4.0.0.10.in-addr.arpa", "bob.example.com"),
    TXT("example.org", "v=spf1 include:example.com include:example.net -all"),
    TXT("la.example.org", "v=spf1 redirect=example.org"),
    TXT("example.net", "v=spf1 ip4:198.51.100.7 -all"),
    TXT("mobile-users._spf.example.com", "v=spf1 exists:%{l1r+}.%{d}"),
    A("mary.mobile-users._spf.example.com", "127.0.0.2"),
    TXT("remote-users._spf.example.com", "v=spf1 exists:%{ir}.%{l1r+}.%{d}"),
    A("15.15.168.192.joel.remote-users._spf.example.com", "127.0.0.2"),
    TXT("ip4._spf.example.com", "v=spf1 -ip4:192.0.2.0/24 +all"),
    TXT("ptr._spf.example.com", "v=spf1 -ptr +all"),
    {POSTERN_DNS_A, NULL, NULL}};

static void assert_appendix(const char *record, const char *client, enum postern_spf_result result)
{
    zone = appendix_a;
    own_record = record;
    assert_result(ask(client, "a@example.com"), result);
}

static void a_1_simple_examples(void **state)
{
    (void)state;
    assert_appendix("v=spf1 +all", "203.0.113.1", PASS);
    assert_appendix("v=spf1 a -all", "192.0.2.10", PASS);
    assert_appendix("v=spf1 a -all", "192.0.2.65", FAIL);
    assert_appendix("v=spf1 a:example.org -all", "192.0.2.10", FAIL);
    assert_appendix("v=spf1 mx -all", "192.0.2.129", PASS);
    assert_appendix("v=spf1 mx -all", "192.0.2.140", FAIL);
    assert_appendix("v=spf1 mx:example.org -all", "192.0.2.140", PASS);
    assert_appendix("v=spf1 mx mx:example.org -all", "192.0.2.130", PASS);
    assert_appendix("v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.131", PASS);
    assert_appendix("v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.143", PASS);
    assert_appendix("v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.144", FAIL);
    assert_appendix("v=spf1 ptr -all", "192.0.2.65", PASS);
    assert_appendix("v=spf1 ptr -all", "192.0.2.140", FAIL);
    assert_appendix("v=spf1 ptr -all", "10.0.0.4", FAIL);
    assert_appendix("v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.65", FAIL);
    assert_appendix("v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129", PASS);
}

static void a_2_several_domains(void **state)
{
    (void)state;
    zone = appendix_a;
    own_record = "v=spf1 mx -all";
    assert_result(ask("192.0.2.129", "a@la.example.org"), PASS);
    assert_result(ask("198.51.100.7", "a@la.example.org"), PASS);
    assert_result(ask("203.0.113.1", "a@la.example.org"), FAIL);
}

static void a_3_lists_of_users(void **state)
{
    (void)state;
    zone = appendix_a;
    own_record = "v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all";
    assert_result(ask("203.0.113.1", "mary@example.com"), PASS);
    assert_result(ask("203.0.113.1", "list+mary@example.com"), FAIL);
    assert_result(ask("203.0.113.1", "mary+list@example.com"), PASS);
    assert_result(ask("192.168.15.15", "joel@example.com"), PASS);
    assert_result(ask("192.168.15.16", "joel@example.com"), FAIL);
}

static void a_4_several_requirements(void **state)
{
    (void)state;
    const char *record = "v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all";
    assert_appendix(record, "203.0.113.1", FAIL);
    assert_appendix(record, "192.0.2.140", FAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        zone_test(s2_3_helo_is_checked_when_the_sender_has_no_domain),
        zone_test(s2_4_the_null_sender_is_postmaster_at_helo),
        zone_test(s2_4_mail_from_is_checked_when_it_has_a_domain),
        zone_test(s2_6_each_result_is_told_apart),
        zone_test(s3_1_only_txt_records_count),
        zone_test(s3_1_records_are_ascii),
        zone_test(s3_2_a_domain_with_two_records_is_permerror),
        zone_test(s3_4_a_record_of_60_kb_is_evaluated),
        zone_test(s4_3_a_malformed_domain_is_none_and_not_asked_for),
        zone_test(s4_3_a_final_dot_does_no_harm),
        zone_test(s4_3_a_missing_local_part_is_postmaster),
        zone_test(s4_3_no_such_name_is_none),
        zone_test(s4_4_a_failed_lookup_of_the_record_is_temperror),
        zone_test(s4_5_what_is_not_version_1_is_no_record),
        zone_test(s4_5_the_version_is_compared_without_case),
        zone_test(s4_5_the_version_alone_is_a_record),
        zone_test(s4_5_other_txt_records_are_passed_over),
        zone_test(s4_5_no_record_is_none),
        zone_test(s4_5_two_records_are_permerror),
        zone_test(s4_6_a_syntax_error_anywhere_is_permerror),
        zone_test(s4_6_a_problem_names_no_more_than_it_must),
        zone_test(s4_6_1_terms_are_separated_by_spaces_alone),
        zone_test(s4_6_1_unknown_modifiers_are_ignored),
        zone_test(s4_6_1_a_modifier_must_be_a_macro_string),
        zone_test(s4_6_2_qualifiers_make_the_result),
        zone_test(s4_6_2_mechanisms_are_tried_from_left_to_right),
        zone_test(s4_6_2_names_are_compared_without_case),
        zone_test(s4_6_3_modifiers_may_stand_anywhere),
        zone_test(s4_7_nothing_that_matches_is_neutral),
        zone_test(s4_8_a_domain_must_end_in_a_top_label),
        zone_test(s4_8_a_name_that_cannot_be_is_no_match_without_a_query),
        zone_test(a_1_simple_examples),
        zone_test(a_2_several_domains),
        zone_test(a_3_lists_of_users),
        zone_test(a_4_several_requirements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
