/* RFC 7208, 4.6.4 and 11.1: what an evaluation may cost, whatever the records say. */
#include "spf_zone.h"

#include <stdio.h>
#include <stdlib.h>

/* before, `count` times `term` with its number for %d, after */
static char *repeated(const char *before, size_t count, const char *term, const char *after)
{
    size_t length = strlen(before), room = length + count * (strlen(term) + 8) + strlen(after) + 1;
    char *text = postern_alloc(zone_arena, room);
    const char *number = strstr(term, "%d");
    memcpy(text, before, length);
    for (size_t i = 0; i < count; i++)
        length += (size_t)(number == NULL ? snprintf(text + length, room - length, "%s", term)
                                          : snprintf(text + length, room - length, "%.*s%zu%s",
                                                     (int)(number - term), term, i, number + 2));
    memcpy(text + length, after, strlen(after));
    return text;
}

static const char *const dns_terms[] = {" a:%{d}", " mx:mx.test", " ptr", " include:neutral.test"};

static const struct zone_record plain[] = {A("example.com", "203.0.113.1"),
                                           A("a.test", "203.0.113.1"),
                                           MX("mx.test", "a.test"),
                                           TXT("neutral.test", "v=spf1 ?all"),
                                           PTR("1.2.0.192.in-addr.arpa", "a.test"),
                                           {POSTERN_DNS_A, NULL, NULL}};

static void assert_terms(const char *term, size_t count, enum postern_spf_result expected)
{
    assert_record(repeated("v=spf1", count, term, " +all"), expected);
}

static void s4_6_4_ten_terms_that_need_the_dns_are_allowed(void **state)
{
    (void)state;
    zone = plain;
    for (size_t i = 0; i < sizeof dns_terms / sizeof dns_terms[0]; i++)
        assert_terms(dns_terms[i], 10, PASS);
}

static void s4_6_4_more_than_ten_terms_is_permerror(void **state)
{
    (void)state;
    zone = plain;
    for (size_t i = 0; i < sizeof dns_terms / sizeof dns_terms[0]; i++)
        assert_terms(dns_terms[i], 11, PERMERROR);
    assert_record(repeated("v=spf1", 10, " a:a.test", " exists:a.test"), PERMERROR);
    assert_record(repeated("v=spf1", 10, " a:a.test", " redirect=neutral.test"), PERMERROR);
    assert_string_equal(spf.problem, "more than 10 terms need the DNS");
    assert_int_equal(asked_count, 11);
}

static void s4_6_4_terms_after_the_one_that_matches_do_not_count(void **state)
{
    (void)state;
    zone = plain;
    assert_record(repeated("v=spf1 ip4:192.0.2.1", 20, " a:a.test", " -all"), PASS);
}

static void s4_6_4_terms_without_dns_do_not_count(void **state)
{
    (void)state;
    zone = ZONE(TXT("why.test", "no"));
    assert_record(repeated("v=spf1", 300, " ip4:203.0.113.1 ip6:::1 x=y", " -all exp=why.test"),
                  FAIL);
    assert_int_equal(asked_count, 2);
}

static void s4_6_4_terms_of_included_records_count(void **state)
{
    (void)state;
    const char *five = repeated("v=spf1", 4, " a:a.test", "");
    zone = ZONE(TXT("one.test", five), TXT("two.test", five), A("a.test", "203.0.113.1"));
    assert_record("v=spf1 include:one.test include:two.test +all", PASS);
    assert_record("v=spf1 include:one.test include:two.test a:a.test +all", PERMERROR);
    assert_record("v=spf1 include:one.test redirect=two.test", NEUTRAL);
    assert_record("v=spf1 a:a.test include:one.test redirect=two.test", PERMERROR);
}

static void s4_6_4_two_void_lookups_are_allowed(void **state)
{
    (void)state;
    zone = ZONE(TXT("there.test", "an A is not"));
    assert_record("v=spf1 a:no1.test exists:there.test +all", PASS);
    assert_record("v=spf1 mx:no1.test mx:there.test +all", PASS);
}

static void s4_6_4_a_third_void_lookup_is_permerror(void **state)
{
    (void)state;
    zone = ZONE(TXT("there.test", "v=spf1 a:no2.test a:no3.test ?all"));
    assert_record("v=spf1 a:no1.test a:no2.test a:no3.test +all", PERMERROR);
    assert_string_equal(spf.problem, "more than 2 lookups found nothing");
    assert_record("v=spf1 a:no1.test mx:no2.test exists:there.test ip4:192.0.2.1", PERMERROR);
    assert_record("v=spf1 a:no1.test include:there.test +all", PERMERROR);
    assert_record("v=spf1 a:no1.test redirect=there.test", PERMERROR);
    assert_int_equal(asked_count, 5);
}

static void s4_6_4_the_hosts_of_one_mx_are_at_most_one_void_lookup(void **state)
{
    (void)state;
    zone = ZONE(MX("example.com", "a.test"), MX("example.com", "b.test"),
                MX("example.com", "c.test"), MX("example.com", "d.test"));
    assert_record6("v=spf1 mx +all", PASS);
    assert_int_equal(asked_count, 6);
    assert_record6("v=spf1 mx mx mx +all", PERMERROR);
}

static struct zone_record *many_names(enum postern_dns_type type, const char *name, size_t count,
                                      size_t real)
{
    struct zone_record *records = postern_alloc(zone_arena, (2 * count + 1) * sizeof *records);
    for (size_t i = 0; i < count; i++) {
        char *host = postern_printf(zone_arena, "host%zu.example.com", i);
        records[2 * i] = (struct zone_record){type, name, host};
        records[2 * i + 1] =
            (struct zone_record){POSTERN_DNS_A, host, i == real ? "192.0.2.1" : "203.0.113.1"};
    }
    return records;
}

static void s4_6_4_more_than_ten_mx_hosts_are_permerror(void **state)
{
    (void)state;
    zone = many_names(POSTERN_DNS_MX, "example.com", 10, 9);
    assert_record("v=spf1 mx -all", PASS);
    zone = many_names(POSTERN_DNS_MX, "example.com", 11, 0);
    assert_record("v=spf1 mx -all", PERMERROR);
    assert_string_equal(spf.problem, "example.com has more than 10 MX hosts");
    assert_int_equal(asked_count, 2);
}

static void s4_6_4_ptr_names_after_the_tenth_are_ignored(void **state)
{
    (void)state;
    zone = many_names(POSTERN_DNS_PTR, "1.2.0.192.in-addr.arpa", 11, 9);
    assert_record("v=spf1 ptr -all", PASS);
    zone = many_names(POSTERN_DNS_PTR, "1.2.0.192.in-addr.arpa", 11, 10);
    assert_record("v=spf1 ptr -all", FAIL);
    assert_int_equal(asked_count, 2 + 10);
    zone = many_names(POSTERN_DNS_PTR, "1.2.0.192.in-addr.arpa", 60, 10);
    assert_record("v=spf1 exists:%{p}.test -all", FAIL);
    assert_asked("A unknown.test");
}

static void s4_6_4_any_number_of_addresses_is_allowed(void **state)
{
    (void)state;
    struct zone_record records[61] = {0};
    for (size_t i = 0; i < 60; i++)
        records[i] = (struct zone_record)A("example.com", i < 59 ? "203.0.113.1" : "192.0.2.1");
    zone = records;
    assert_record("v=spf1 a -all", PASS);
}

static void s4_6_4_an_evaluation_that_takes_too_long_is_temperror(void **state)
{
    (void)state;
    zone_deadline = fiber_now() - 1;
    assert_record("v=spf1 +all", TEMPERROR);
    assert_int_equal(asked_count, 0);
}

static enum postern_dns_status late_lookup(enum postern_dns_type type, const char *name,
                                           struct postern_arena *arena, double deadline,
                                           struct postern_dns_answer *answer)
{
    if (type == POSTERN_DNS_PTR)
        while (fiber_now() < deadline)
            ;
    return zone_lookup(type, name, arena, deadline, answer);
}

static void s4_6_4_names_of_the_client_are_not_asked_for_after_the_time_limit(void **state)
{
    (void)state;
    zone = many_names(POSTERN_DNS_PTR, "1.2.0.192.in-addr.arpa", 10, 9);
    own_record = "v=spf1 ptr +all";
    zone_deadline = fiber_now() + 0.1;
    struct spf_question question = {.sender = "a@example.com",
                                    .helo = "",
                                    .host = "",
                                    .lookup = late_lookup,
                                    .deadline = zone_deadline,
                                    .arena = zone_arena};
    assert_true(postern_ip_parse("192.0.2.1", &question.client));
    spf_evaluate(&question, &spf);
    assert_result(spf.result, TEMPERROR);
    assert_int_equal(asked_count, 2);
}

static char *repeat(const char *text, size_t count)
{
    size_t length = strlen(text);
    char *all = postern_alloc(zone_arena, length * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(all + i * length, text, length);
    return all;
}

static const char *wide_record(const char *end)
{
    return postern_printf(zone_arena, "v=spf1%s %s", repeat(" ip4:203.0.113.1", 3750), end);
}

static void records_of_more_than_100_kilobytes_are_permerror(void **state)
{
    (void)state;
    const struct zone_record records[] = {
        TXT("wide.test", wide_record("+all")), TXT("short.test", "v=spf1 +all"), {0}};
    zone = records;
    assert_record(wide_record("include:short.test -all"), PASS);
    assert_record(wide_record("include:wide.test -all"), PERMERROR);
}

/* Seconds would pass if each of the 480000 bytes of a name were looked at for each of its labels.
 */
static void macros_of_any_length_are_expanded_in_no_time(void **state)
{
    (void)state;
    const char *sender = postern_printf(zone_arena, "%sa@example.com", repeat("a.", 990));
    const char *term = postern_printf(zone_arena, " exists:%s.test", repeat("%{s}", 240));
    own_record = postern_printf(zone_arena, "v=spf1%s +all", repeat(term, 10));
    zone_deadline = fiber_now() + 1;
    ask("192.0.2.1", sender);
    assert_result(spf.result, PERMERROR);
    assert_int_equal(asked_count, 1 + 3);
    assert_in_range(strlen(asked[1]), strlen("A ") + 250, strlen("A ") + 253);
}

static void a_record_that_includes_itself_is_permerror(void **state)
{
    (void)state;
    assert_record("v=spf1 include:example.com +all", PERMERROR);
    assert_int_equal(asked_count, 11);
    assert_record("v=spf1 redirect=example.com", PERMERROR);
    assert_int_equal(asked_count, 11);
    assert_record("v=spf1 include:example.com include:example.com redirect=example.com", PERMERROR);
    assert_int_equal(asked_count, 11);
}

static void assert_chain(const char *link)
{
    struct zone_record *records = postern_alloc(zone_arena, 41 * sizeof *records);
    for (size_t i = 0; i < 40; i++)
        records[i] =
            (struct zone_record)TXT(postern_printf(zone_arena, "c%zu.test", i),
                                    postern_printf(zone_arena, "v=spf1 %sc%zu.test", link, i + 1));
    zone = records;
    assert_result(ask("192.0.2.1", "a@c0.test"), PERMERROR);
    assert_int_equal(asked_count, 11);
}

static void a_chain_of_40_records_is_permerror_after_10(void **state)
{
    (void)state;
    assert_chain("include:");
    assert_chain("redirect=");
}

static void a_record_of_500_includes_is_permerror_after_10(void **state)
{
    (void)state;
    zone = plain;
    assert_record(repeated("v=spf1", 500, " include:neutral.test", " +all"), PERMERROR);
    assert_int_equal(asked_count, 11);
}

/* 10 terms of 1 and 10 names, the record and the explanation; and the client's names, once. */
#define MOST_QUERIES (1 + 10 * 11 + 1 + 11)

static void no_evaluation_sends_more_queries_than_the_limits_allow(void **state)
{
    (void)state;
    struct zone_record records[100] = {0};
    struct zone_record *mx = many_names(POSTERN_DNS_MX, "mx.test", 10, 10);
    struct zone_record *ptr = many_names(POSTERN_DNS_PTR, "1.2.0.192.in-addr.arpa", 10, 10);
    memcpy(records, mx, 20 * sizeof *mx);
    memcpy(records + 20, ptr, 20 * sizeof *ptr);
    records[40] = (struct zone_record)TXT("why.test", "%{p} %{p} %{p}");
    records[41] = (struct zone_record)A("unknown.test", "203.0.113.1");
    zone = records;
    assert_record(repeated("v=spf1 a:%{p}.test", 9, " mx:mx.test/32//128", " -all exp=why.test"),
                  FAIL);
    assert_true(asked_count > 9 * 11 && asked_count <= MOST_QUERIES);
    assert_record(repeated("v=spf1", 10, " ptr:%{p}.test", " -all exp=why.test"), FAIL);
    assert_int_equal(asked_count, 1 + 11 + 1);
}

/* --- many at once --- */

#define FIBERS 200

static size_t finished;

static enum postern_dns_status parking_lookup(enum postern_dns_type type, const char *name,
                                              struct postern_arena *arena, double deadline,
                                              struct postern_dns_answer *answer)
{
    asked_count = 0;
    fiber_sleep(0.001 * (rand() % 5), deadline);
    return zone_lookup(type, name, arena, deadline, answer);
}

static void evaluate_one(void *arg)
{
    size_t number = (size_t)(uintptr_t)arg;
    char client[32];
    snprintf(client, sizeof client, "192.0.2.%zu", number);
    struct postern_arena *arena = arena_new();
    struct spf_question question = {.sender = postern_printf(arena, "u%zu@example.com", number),
                                    .helo = "helo.test",
                                    .host = "receiver.test",
                                    .lookup = parking_lookup,
                                    .deadline = NEVER,
                                    .arena = arena};
    assert_true(postern_ip_parse(client, &question.client));
    struct postern_spf mine;
    spf_evaluate(&question, &mine);
    bool is_real = number % 2 == 0 && number < 100;
    assert_int_equal(mine.result, is_real ? PASS : FAIL);
    assert_string_equal(mine.explanation,
                        is_real ? "" : postern_printf(arena, "u%zu from %s", number, client));
    arena_free(arena);
    finished++;
}

static void evaluate_in_fiber(void *sender)
{
    struct postern_spf mine;
    struct spf_question question = {.sender = sender,
                                    .helo = "",
                                    .host = "",
                                    .lookup = zone_lookup,
                                    .deadline = NEVER,
                                    .arena = zone_arena};
    assert_true(postern_ip_parse("192.0.2.1", &question.client));
    spf_evaluate(&question, &mine);
    assert_int_equal(mine.result, PASS);
}

static void evaluations_take_turns_where_no_lookup_waits(void **state)
{
    (void)state;
    const struct zone_record records[] = {TXT("one.test", "v=spf1 mx:one.test +all"),
                                          MX("one.test", "one.test"),
                                          A("one.test", "203.0.113.1"),
                                          TXT("two.test", "v=spf1 mx:two.test +all"),
                                          MX("two.test", "two.test"),
                                          A("two.test", "203.0.113.1"),
                                          {0}};
    zone = records;
    asked_count = 0;
    fiber_runtime_start();
    assert_true(fiber_spawn(evaluate_in_fiber, "a@one.test"));
    assert_true(fiber_spawn(evaluate_in_fiber, "a@two.test"));
    fiber_runtime_run();
    fiber_runtime_end();
    assert_int_equal(asked_count, 6);
    for (size_t i = 0; i < asked_count; i++)
        assert_non_null(strstr(asked[i], i % 2 == 0 ? "one" : "two"));
}

static void evaluations_in_many_fibers_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct zone_record records[60] = {MX("example.com", "mx.test"), A("mx.test", "203.0.113.1"),
                                      A("u.test", "203.0.113.1"), TXT("why.test", "%{l} from %{c}"),
                                      TXT("i.test", "v=spf1 mx:example.com exists:%{l}.test -all")};
    for (size_t i = 0; i < 50; i++)
        records[5 + i] =
            (struct zone_record)A(postern_printf(zone_arena, "u%zu.test", 2 * i), "127.0.0.2");
    zone = records;
    own_record = "v=spf1 a:u.test mx include:i.test -all exp=why.test";
    finished = 0;
    fiber_runtime_start();
    for (size_t i = 0; i < FIBERS; i++)
        assert_true(fiber_spawn(evaluate_one, (void *)(uintptr_t)i));
    fiber_runtime_run();
    fiber_runtime_end();
    assert_int_equal(finished, FIBERS);
}

/* --- anything --- */

static const char *const scraps[] = {
    " ",    "v=spf1", "a",      "mx", "ptr",    "include:", "exists:",     "redirect=",   "exp=",
    "ip4:", "ip6:",   "all",    "-",  "~",      "?",        "+",           "/",           "//",
    "0",    "24",     "128",    "%",  "%{",     "}",        "%{d}",        "%{p}",        "%{l1r-}",
    "%{S}", "%{i}",   "%{h2r}", ".",  ".test",  ":",        "example.com", "192.0.2.0",   "::1",
    "=",    "\xff",   "\n",     "\\", "%%%_%-", "a.test",   "mx.test",     "neutral.test"};

static const char *const terms[] = {" -a:a.test/0",
                                    " ?mx:mx.test/24//64",
                                    " -mx:mx.test//0",
                                    " -ptr:%{p}",
                                    " ~exists:%{l1r-}.%{ir}.%{v}.%{d2}",
                                    " -a:%{S}%%.%{O}.%{h}.test",
                                    " include:%{d1r}.%{d}",
                                    " include:neutral.test",
                                    " exp=why.test",
                                    " -ip4:198.51.100.0/9",
                                    " -all",
                                    " redirect=example.com"};

#define PICK(list) (list)[(size_t)rand() % (sizeof(list) / sizeof(list)[0])]

static void random_record(char *record)
{
    bool is_right = rand() % 2 == 0;
    size_t length = strlen(strcpy(record, "v=spf1 ")),
           pieces = (size_t)(rand() % (is_right ? 6 : 40));
    for (size_t i = 0; i < pieces; i++) {
        const char *piece = is_right && rand() % 200 != 0 ? PICK(terms) : PICK(scraps);
        length += strlen(strcpy(record + length, piece));
        if (!is_right && rand() % 3 == 0)
            length += strlen(strcpy(record + length, " "));
    }
}

static void nothing_that_a_record_says_breaks_anything(void **state)
{
    static const char *const clients[] = {"192.0.2.1", "2001:db8::1", "0.0.0.0"};
    static const char *const senders[] = {"a-b+c=\xc3\xa9 %{d}@example.com", "@example.com",
                                          "...@example.com", "a@example.com"};
    (void)state;
    struct zone_record records[16] = {TXT("why.test", "%{p}%{S}%{h1r}%{c}%{t}%{r} %%%_%-")};
    memcpy(records + 1, plain, sizeof plain);
    zone = records;
    srand(7208);
    for (size_t round = 0; round < 20000; round++) {
        char record[1600];
        random_record(record);
        own_record = record;
        ask_helo(PICK(clients), PICK(senders), "%{h}\r\n..");
        assert_true(asked_count <= MOST_QUERIES);
        arena_free(zone_arena);
        zone_arena = arena_new();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        zone_test(s4_6_4_ten_terms_that_need_the_dns_are_allowed),
        zone_test(s4_6_4_more_than_ten_terms_is_permerror),
        zone_test(s4_6_4_terms_after_the_one_that_matches_do_not_count),
        zone_test(s4_6_4_terms_without_dns_do_not_count),
        zone_test(s4_6_4_terms_of_included_records_count),
        zone_test(s4_6_4_two_void_lookups_are_allowed),
        zone_test(s4_6_4_a_third_void_lookup_is_permerror),
        zone_test(s4_6_4_the_hosts_of_one_mx_are_at_most_one_void_lookup),
        zone_test(s4_6_4_more_than_ten_mx_hosts_are_permerror),
        zone_test(s4_6_4_ptr_names_after_the_tenth_are_ignored),
        zone_test(s4_6_4_any_number_of_addresses_is_allowed),
        zone_test(s4_6_4_an_evaluation_that_takes_too_long_is_temperror),
        zone_test(s4_6_4_names_of_the_client_are_not_asked_for_after_the_time_limit),
        zone_test(records_of_more_than_100_kilobytes_are_permerror),
        zone_test(macros_of_any_length_are_expanded_in_no_time),
        zone_test(a_record_that_includes_itself_is_permerror),
        zone_test(a_chain_of_40_records_is_permerror_after_10),
        zone_test(a_record_of_500_includes_is_permerror_after_10),
        zone_test(no_evaluation_sends_more_queries_than_the_limits_allow),
        zone_test(evaluations_take_turns_where_no_lookup_waits),
        zone_test(evaluations_in_many_fibers_do_not_disturb_each_other),
        zone_test(nothing_that_a_record_says_breaks_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
