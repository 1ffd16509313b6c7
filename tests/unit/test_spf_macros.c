/* RFC 7208, section 7. */
#include "spf_zone.h"

/* The macro string as the explanation of a fail. */
static const char *explained(const char *client, const char *sender, const char *text)
{
    own_record = NULL;
    zone = ZONE(TXT("why.test", text), TXT("email.example.com", "v=spf1 -all exp=why.test"),
                TXT("example.com", "v=spf1 -all exp=why.test"),
                PTR("3.2.0.192.in-addr.arpa", "mx.example.org"), A("mx.example.org", "192.0.2.3"));
    assert_result(ask(client, sender), FAIL);
    return spf.explanation;
}

static void assert_expansion(const char *text, const char *expected)
{
    assert_string_equal(explained("192.0.2.3", "strong-bad@email.example.com", text), expected);
}

static void s7_1_literals_stand_for_themselves(void **state)
{
    (void)state;
    assert_expansion("!\"#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~ a  b",
                     "!\"#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~ a  b");
    assert_expansion("a%%b%_c%-d", "a%b c%20d");
}

static void s7_1_what_is_no_macro_is_permerror(void **state)
{
    (void)state;
    const char *const wrong[] = {"%",           "%.example.com", "%(d).test",   "%{}.test",
                                 "%{d.test",    "%{z}.test",     "%{d0}.test",  "%{dx}.test",
                                 "%{d2x}.test", "%{dr2}.test",   "%{d|}.test",  "%{ d}.test",
                                 "%{d-r}.test", "%{d00}.test",   "%{drr}.test", "%{dd}.test"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_record(postern_printf(zone_arena, "v=spf1 +all exists:%s", wrong[i]), PERMERROR);
        assert_record(postern_printf(zone_arena, "v=spf1 +all x=%s", wrong[i]), PERMERROR);
    }
}

static void s7_2_c_r_and_t_are_for_explanations(void **state)
{
    (void)state;
    assert_record("v=spf1 +all exists:%{c}.test", PERMERROR);
    assert_record("v=spf1 +all include:%{r}.test", PERMERROR);
    assert_record("v=spf1 +all exp=%{t}.test", PERMERROR);
    assert_expansion("%{c} %{r}", "192.0.2.3 receiver.test");
    assert_string_equal(explained("2001:db8::cb01", "a@example.com", "%{c}"), "2001:db8::cb01");
    assert_true(strtoll(explained("192.0.2.1", "a@example.com", "%{t}"), NULL, 10) > 1700000000);
}

static void s7_2_letters_have_their_values(void **state)
{
    (void)state;
    assert_expansion("%{s} %{l} %{o} %{d}",
                     "strong-bad@email.example.com strong-bad email.example.com email.example.com");
    assert_expansion("%{i} %{p} %{v} %{h}", "192.0.2.3 mx.example.org in-addr helo.example.net");
    assert_string_equal(explained("2001:db8::cb01", "a@example.com", "%{i} %{v}"),
                        "2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.b.0.1 ip6");
}

static void s7_3_d_is_the_current_domain_and_o_the_senders(void **state)
{
    (void)state;
    zone = ZONE(TXT("_spf.example.com", "v=spf1 exists:%{d}.%{o}.test -all"),
                A("_spf.example.com.example.com.test", "127.0.0.2"));
    assert_record("v=spf1 include:_spf.%{d} -all", PASS);
    assert_record("v=spf1 redirect=_spf.%{d}", PASS);
}

static void s7_3_transformers_split_reverse_and_cut(void **state)
{
    (void)state;
    assert_expansion("%{d4} %{d3} %{d2} %{d1}",
                     "email.example.com email.example.com example.com com");
    assert_expansion("%{dr} %{d2r} %{d1r}", "com.example.email example.email email");
    assert_expansion("%{l-} %{lr} %{lr-} %{l1r-}", "strong.bad strong-bad bad.strong strong");
    assert_expansion("%{d999}", "email.example.com");
    assert_expansion("%{d4294967298}", "email.example.com");
    assert_expansion("%{dR} %{D2R}", "com.example.email example.email");
}

static void s7_3_each_delimiter_splits(void **state)
{
    (void)state;
    assert_string_equal(explained("192.0.2.1", "a.b-c+d,e/f_g=h@example.com", "%{lr.-+,/_=}"),
                        "h.g.f.e.d.c.b.a");
    assert_string_equal(explained("192.0.2.1", "a,b/c@example.com", "%{l,} %{l/} %{l1r,}"),
                        "a.b/c a,b.c a");
    assert_string_equal(explained("192.0.2.1", "--a--@example.com", "%{l-}"), "..a..");
}

static void s7_3_upper_case_letters_escape(void **state)
{
    (void)state;
    assert_string_equal(explained("192.0.2.1", "jack&jill=up!*'()@example.com", "%{L} %{S}"),
                        "jack%26jill%3Dup%21%2A%27%28%29 "
                        "jack%26jill%3Dup%21%2A%27%28%29%40example.com");
    assert_string_equal(explained("192.0.2.1", "a-._~Z9@example.com", "%{L}"), "a-._~Z9");
    assert_string_equal(explained("192.0.2.1", "\xc3\xa9@example.com", "%{L}"), "%C3%A9");
}

static void s7_3_p_is_the_name_that_fits_best(void **state)
{
    (void)state;
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", "other.test"),
                PTR("1.2.0.192.in-addr.arpa", "mail.example.com"),
                PTR("1.2.0.192.in-addr.arpa", "example.com"), A("other.test", "192.0.2.1"),
                A("mail.example.com", "192.0.2.1"), A("example.com", "192.0.2.1"),
                A("example.com.x.test", "127.0.0.2"));
    assert_record("v=spf1 exists:%{p}.x.test -all", PASS);
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", "other.test"),
                PTR("1.2.0.192.in-addr.arpa", "mail.example.com"),
                PTR("1.2.0.192.in-addr.arpa", "example.com"), A("other.test", "192.0.2.1"),
                A("mail.example.com", "192.0.2.1"), A("example.com", "192.0.2.2"),
                A("mail.example.com.x.test", "127.0.0.2"));
    assert_record("v=spf1 exists:%{p}.x.test -all", PASS);
}

static void s7_3_p_is_unknown_without_a_validated_name(void **state)
{
    (void)state;
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", "forged.test"), A("forged.test", "203.0.113.1"),
                A("unknown.x.test", "127.0.0.2"));
    assert_record("v=spf1 exists:%{p}.x.test -all", PASS);
    zone = ZONE(PTR("1.2.0.192.in-addr.arpa", FAILS), A("unknown.x.test", "127.0.0.2"));
    assert_record("v=spf1 exists:%{p}.x.test -all", PASS);
}

static void s7_3_names_that_are_too_long_are_cut_from_the_left(void **state)
{
    (void)state;
    char local[260] = "first.";
    for (size_t i = 0; i < 24; i++)
        strcat(local, "123456789.");
    strcat(local, "x");
    own_record = "v=spf1 exists:%{l}.%{d} -all";
    assert_result(ask("192.0.2.1", postern_printf(zone_arena, "%s@example.com", local)), FAIL);
    assert_asked(postern_printf(zone_arena, "A %s.example.com", local + sizeof "first." - 1));
    assert_true(strlen(asked[1]) <= 2 + 253);
}

static void s7_3_a_domain_of_ever_so_many_macros_is_refused(void **state)
{
    (void)state;
    char macros[4 * 1000 + 1] = "";
    for (size_t i = 0; i < 1000; i++)
        memcpy(macros + 4 * i, "%{s}", 5);
    assert_record(postern_printf(zone_arena, "v=spf1 +all exists:%s", macros), PERMERROR);
    assert_record(postern_printf(zone_arena, "v=spf1 exists:%.800s -all", macros), FAIL);
}

static void s7_4_examples(void **state)
{
    (void)state;
    assert_expansion("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com");
    assert_expansion("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com");
    assert_expansion("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}",
                     "bad.strong.lp.3.2.0.192.in-addr._spf.example.com");
    assert_expansion("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
                     "3.2.0.192.in-addr.strong.lp._spf.example.com");
    assert_expansion("%{d2}.trusted-domains.example.net",
                     "example.com.trusted-domains.example.net");
    assert_string_equal(
        explained("2001:db8::cb01", "strong-bad@email.example.com", "%{ir}.%{v}._spf.%{d2}"),
        "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        zone_test(s7_1_literals_stand_for_themselves),
        zone_test(s7_1_what_is_no_macro_is_permerror),
        zone_test(s7_2_c_r_and_t_are_for_explanations),
        zone_test(s7_2_letters_have_their_values),
        zone_test(s7_3_d_is_the_current_domain_and_o_the_senders),
        zone_test(s7_3_transformers_split_reverse_and_cut),
        zone_test(s7_3_each_delimiter_splits),
        zone_test(s7_3_upper_case_letters_escape),
        zone_test(s7_3_p_is_the_name_that_fits_best),
        zone_test(s7_3_p_is_unknown_without_a_validated_name),
        zone_test(s7_3_names_that_are_too_long_are_cut_from_the_left),
        zone_test(s7_3_a_domain_of_ever_so_many_macros_is_refused),
        zone_test(s7_4_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
