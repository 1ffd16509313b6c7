#include "build_config.h"
#include "srs/srs.h"
#include "util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if HAVE_CRYPTO

#define DAY   INT64_C(86400)
#define CYCLE (1024 * DAY)
#define NOW   (20 * CYCLE + 297 * DAY + 5000) /* 297 is JJ */

static struct postern_arena *arena;
static const char *one[] = {"test-secret-one", "older-secret"};
static const char *other[] = {"another secret"};
static const struct srs srs = {"srs.example", {1, one}};

static int open_arena(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static const char *forward_at(const struct srs *with, const char *address, int64_t now)
{
    const char *rewritten = NULL;
    if (srs_forward(with, arena, address, now, &rewritten) != SRS_REWRITTEN)
        fail_msg("%s is not rewritten", address);
    return rewritten;
}

static const char *forward(const char *address)
{
    return forward_at(&srs, address, NOW);
}

static enum srs_result reversed_at(const struct srs *with, const char *address, int64_t now)
{
    const char *original;
    return srs_reverse(with, arena, address, now, &original);
}

static const char *reverse(const char *address)
{
    const char *original = NULL;
    enum srs_result result = srs_reverse(&srs, arena, address, NOW, &original);
    if (result != SRS_REWRITTEN)
        fail_msg("%s is not reversed: %d", address, (int)result);
    return original;
}

/* What PostSRSd 1.10 wrote with the same secret on the same day. */
static const struct {
    const char *original, *rewritten, *reversed;
} known[] = {
    {"alice@remote.example", "SRS0=ii9F=JJ=remote.example=alice@srs.example", NULL},
    {"Alice@Remote.Example", "SRS0=ii9F=JJ=Remote.Example=Alice@srs.example", NULL},
    {"a=b@remote.example", "SRS0=YeFg=JJ=remote.example=a=b@srs.example", NULL},
    {"\xc3\xa4@remote.example", "SRS0=FntJ=JJ=remote.example=\xc3\xa4@srs.example", NULL},
    {"x@nodot", "SRS0=ooLT=JJ=nodot=x@srs.example", NULL},
    {"srs0foo@remote.example", "SRS0=vDVM=JJ=remote.example=srs0foo@srs.example", NULL},
    {"SRS0=abcd=ef=h.example=l@remote.example",
     "SRS1=QC7z=remote.example==abcd=ef=h.example=l@srs.example", NULL},
    {"SRS0-abcd=ef=h.example=l@remote.example",
     "SRS1=sd8r=remote.example=-abcd=ef=h.example=l@srs.example", NULL},
    {"srs0+abcd=ef=h.example=l@remote.example",
     "SRS1=xLvo=remote.example=+abcd=ef=h.example=l@srs.example",
     "SRS0+abcd=ef=h.example=l@remote.example"},
    {"SRS1=abcd=h.example==abcd=ef=x=l@remote.example",
     "SRS1=UV8m=h.example==abcd=ef=x=l@srs.example", "SRS0=abcd=ef=x=l@h.example"},
    {"SRS1+abcd=h.example=+foo@remote.example", "SRS1=okqn=h.example=+foo@srs.example",
     "SRS0+foo@h.example"},
    {"SRS1=abcd=h.example=foo@remote.example", "SRS1=Is6i=h.example=foo@srs.example",
     "SRS0foo@h.example"},
};

static void addresses_are_those_of_postsrsd(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_string_equal(forward(known[i].original), known[i].rewritten);
        assert_string_equal(reverse(known[i].rewritten),
                            known[i].reversed != NULL ? known[i].reversed : known[i].original);
    }
}

static void every_separator_after_the_tag_is_read_in_any_case(void **state)
{
    (void)state;
    static const char *const tagged[] = {
        "SRS0+ii9F=JJ=remote.example=alice@srs.example",
        "SRS0-ii9F=JJ=remote.example=alice@srs.example",
        "srs0=ii9f=jj=remote.example=alice@srs.example",
        "Srs0=II9F=Jj=remote.example=alice@SRS.Example",
    };
    for (size_t i = 0; i < sizeof tagged / sizeof tagged[0]; i++)
        assert_string_equal(reverse(tagged[i]), "alice@remote.example");
    assert_string_equal(reverse("srs1-qc7z=remote.example==abcd=ef=h.example=l@srs.example"),
                        "SRS0=abcd=ef=h.example=l@remote.example");
}

static void local_part_keeps_its_characters(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "!#$%&'*+-/=?^_`{|}~@remote.example",
        "=@remote.example",
        "a..b@remote.example",
        "-@remote.example",
        "SRS0@remote.example",
        "srs1@remote.example",
        "SRS2=a=b=c=d@remote.example",
        "gr\xc3\xbc\xc3\x9f"
        "e@b\xc3\xbc"
        "cher.example",
        "x@remote_host.example",
        "==@remote.example",
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_string_equal(reverse(forward(odd[i])), odd[i]);
}

/* Postfix gives a local part in quotes as a whole, and takes one so. */
static void quotes_are_around_the_whole_local_part(void **state)
{
    (void)state;
    static const char *const quoted[] = {"\"a b\"@remote.example", "\"a\\\"b\\\\c\"@remote.example",
                                         "\"a@b\"@remote.example", "\".\"@remote.example"};
    for (size_t i = 0; i < sizeof quoted / sizeof quoted[0]; i++) {
        const char *rewritten = forward(quoted[i]);
        assert_int_equal(strncmp(rewritten, "\"SRS0=", 6), 0);
        assert_true(postern_address_is_valid(rewritten));
        assert_string_equal(reverse(rewritten), quoted[i]);
    }
    assert_string_equal(forward("\"alice\"@remote.example"), forward("alice@remote.example"));
    assert_string_equal(forward("al\"i\"ce@remote.example"), forward("alice@remote.example"));
    assert_string_equal(reverse("\"SRS0=ii9F=JJ=remote.example=alice\"@srs.example"),
                        "alice@remote.example");
    const char *next = forward("\"SRS0=abcd=ef=h.example=a b\"@remote.example");
    assert_int_equal(strncmp(next, "\"SRS1=", 6), 0);
    assert_string_equal(reverse(next), "\"SRS0=abcd=ef=h.example=a b\"@remote.example");
}

static void brackets_of_a_literal_are_quoted_and_come_back_without_quotes(void **state)
{
    (void)state;
    static const char *const literals[] = {"alice@[192.0.2.1]", "alice@[IPv6:2001:db8::1]",
                                           "alice@[\"]", "\"a b\"@[192.0.2.1]"};
    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
        const char *rewritten = forward(literals[i]);
        assert_int_equal(strncmp(rewritten, "\"SRS0=", 6), 0);
        assert_string_equal(reverse(rewritten), literals[i]);
    }
    assert_string_equal(forward("x@[192.0.2.1]"), "\"SRS0=agpt=JJ=[192.0.2.1]=x\"@srs.example");
    assert_string_equal(reverse("SRS0=agpt=JJ=[192.0.2.1]=x@srs.example"), "x@[192.0.2.1]");
}

/* That is how PostSRSd and iRedAPD sign it. */
static void quotes_within_the_local_part_are_read_as_they_were_signed(void **state)
{
    (void)state;
    assert_string_equal(reverse("SRS0=awsj=JJ=remote.example=\"a b\"@srs.example"),
                        "\"a b\"@remote.example");
}

static void what_is_no_address_is_not_rewritten(void **state)
{
    (void)state;
    static const char *const nothing[] = {"\"\"@remote.example",
                                          "",
                                          "alice",
                                          "@remote.example",
                                          "alice@",
                                          "a b@x.example",
                                          "a@b@x.example",
                                          "a\n@x.example",
                                          "a@x..example",
                                          "a@[x=y]",
                                          "\xff@x.example"};
    const char *rewritten;
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++)
        if (srs_forward(&srs, arena, nothing[i], NOW, &rewritten) != SRS_NOT_AN_ADDRESS)
            fail_msg("`%s` became %s", nothing[i], rewritten);
}

/* Nobody could send a bounce on from there, so it is an address like any other. */
static void broken_srs1_is_signed_as_a_whole(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "SRS1=foo@remote.example",
        "SRS1=abcd=h.example@remote.example",
        "SRS1=abcd=h.example=@remote.example",
        "SRS1==h.example=rest@remote.example",
        "SRS1=abcd==rest@remote.example",
        "SRS1=abcd=h..example=rest@remote.example",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(strncmp(forward(broken[i]), "SRS0=", 5), 0);
        assert_string_equal(reverse(forward(broken[i])), broken[i]);
    }
}

static void what_is_not_ours_is_not_reversed(void **state)
{
    (void)state;
    static const char *const foreign[] = {
        "",
        "alice",
        "alice@srs.example",
        "SRS0@srs.example",
        "SRS0=@srs.example",
        "SRS0=ii9F@srs.example",
        "SRS0=ii9F=JJ@srs.example",
        "SRS0=ii9F=JJ=remote.example@srs.example",
        "SRS0=ii9F=JJ=remote.example=@srs.example",
        "SRS0=ii9F=JJJ=remote.example=alice@srs.example",
        "SRS0=ii9F=J=remote.example=alice@srs.example",
        "SRS0==JJ=remote.example=alice@srs.example",
        "SRS0ii9F=JJ=remote.example=alice@srs.example",
        "SRS0.ii9F=JJ=remote.example=alice@srs.example",
        "SRS2=ii9F=JJ=remote.example=alice@srs.example",
        "SRS0=ii9F=JJ=remote.example=alice@other.example",
        "SRS0=ii9F=JJ=remote.example=alice@sub.srs.example",
        "SRS1=@srs.example",
        "SRS1=QC7z@srs.example",
        "SRS1=QC7z=remote.example@srs.example",
        "SRS1=QC7z=remote.example=@srs.example",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (reversed_at(&srs, foreign[i], NOW) != SRS_NOT_AN_ADDRESS)
            fail_msg("`%s` is taken for ours", foreign[i]);
}

static void every_signed_byte_counts(void **state)
{
    (void)state;
    static const char *const forged[] = {
        "SRS0=ii9G=JJ=remote.example=alice@srs.example",
        "SRS0=ii9F=JK=remote.example=alice@srs.example",
        "SRS0=ii9F=JJ=remotf.example=alice@srs.example",
        "SRS0=ii9F=JJ=remote.example=alicf@srs.example",
        "SRS0=ii9=JJ=remote.example=alice@srs.example",
        "SRS0=ii9FAA=JJ=remote.example=alice@srs.example",
        "SRS1=QC7a=remote.example==abcd=ef=h.example=l@srs.example",
        "SRS1=QC7z=remotf.example==abcd=ef=h.example=l@srs.example",
        "SRS1=QC7z=remote.example=+abcd=ef=h.example=l@srs.example",
        "SRS1=QC7z=remote.example==abcd=ef=h.example=m@srs.example",
        "SRS1=ii9F=JJ=remote.example=alice@srs.example",
        "SRS0=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=JJ=remote.example=alice@srs.example",
    };
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++)
        if (reversed_at(&srs, forged[i], NOW) != SRS_BAD_HASH)
            fail_msg("`%s` is believed", forged[i]);
}

/* PostSRSd can be told to write more of it (-n). */
static void longer_hash_is_compared_in_full(void **state)
{
    (void)state;
    assert_string_equal(reverse("SRS0=ii9FY9dBVUcoChJB=JJ=remote.example=alice@srs.example"),
                        "alice@remote.example");
}

static void all_secrets_verify_and_the_first_one_signs(void **state)
{
    (void)state;
    const char *both[] = {other[0], one[0]};
    const struct srs rotated = {"srs.example", {2, both}};
    const struct srs foreign = {"srs.example", {1, other}};
    const char *before = forward("alice@remote.example");
    const char *after = forward_at(&rotated, "alice@remote.example", NOW);
    assert_string_not_equal(before, after);
    assert_string_equal(forward_at(&foreign, "alice@remote.example", NOW), after);
    assert_int_equal(reversed_at(&rotated, before, NOW), SRS_REWRITTEN);
    assert_int_equal(reversed_at(&rotated, after, NOW), SRS_REWRITTEN);
    assert_int_equal(reversed_at(&foreign, before, NOW), SRS_BAD_HASH);
}

static void nothing_is_signed_without_a_secret(void **state)
{
    (void)state;
    const struct srs none = {"srs.example", {0, NULL}};
    const char *rewritten;
    assert_int_equal(srs_forward(&none, arena, "alice@remote.example", NOW, &rewritten),
                     SRS_NOT_AN_ADDRESS);
    assert_int_equal(reversed_at(&none, forward("alice@remote.example"), NOW), SRS_BAD_HASH);
}

static void address_is_valid_for_21_days(void **state)
{
    (void)state;
    for (int64_t start = NOW; start < NOW + CYCLE; start += 41 * DAY) {
        const char *address = forward_at(&srs, "alice@remote.example", start);
        for (int64_t days = 0; days <= 21; days++)
            assert_int_equal(reversed_at(&srs, address, start + days * DAY), SRS_REWRITTEN);
        for (int64_t days = 22; days < 1023; days += 7)
            assert_int_equal(reversed_at(&srs, address, start + days * DAY), SRS_EXPIRED);
    }
}

static void days_begin_again_after_1024(void **state)
{
    (void)state;
    int64_t last = 21 * CYCLE - 1; /* the last second of day 1023 */
    const char *address = forward_at(&srs, "alice@remote.example", last);
    assert_non_null(strstr(address, "=77="));
    assert_non_null(strstr(forward_at(&srs, "alice@remote.example", last + 1), "=AA="));
    assert_int_equal(reversed_at(&srs, address, last + 1), SRS_REWRITTEN);
    assert_int_equal(reversed_at(&srs, address, last + 21 * DAY), SRS_REWRITTEN);
    assert_int_equal(reversed_at(&srs, address, last + 22 * DAY), SRS_EXPIRED);
}

static void clock_of_another_host_may_be_ahead_by_a_day(void **state)
{
    (void)state;
    const char *address = forward("alice@remote.example");
    assert_int_equal(reversed_at(&srs, address, NOW - DAY), SRS_REWRITTEN);
    assert_int_equal(reversed_at(&srs, address, NOW - 2 * DAY), SRS_EXPIRED);
    const char *first_day = forward_at(&srs, "alice@remote.example", 21 * CYCLE);
    assert_int_equal(reversed_at(&srs, first_day, 21 * CYCLE - 1), SRS_REWRITTEN);
}

static void addresses_may_be_long(void **state)
{
    (void)state;
    size_t length = 90000;
    char *address = postern_alloc(arena, length + sizeof "@remote.example");
    memset(address, 'a', length);
    memcpy(address + length, "@remote.example", sizeof "@remote.example");
    assert_string_equal(reverse(forward(address)), address);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_those_of_postsrsd),
        cmocka_unit_test(every_separator_after_the_tag_is_read_in_any_case),
        cmocka_unit_test(local_part_keeps_its_characters),
        cmocka_unit_test(quotes_are_around_the_whole_local_part),
        cmocka_unit_test(brackets_of_a_literal_are_quoted_and_come_back_without_quotes),
        cmocka_unit_test(quotes_within_the_local_part_are_read_as_they_were_signed),
        cmocka_unit_test(what_is_no_address_is_not_rewritten),
        cmocka_unit_test(broken_srs1_is_signed_as_a_whole),
        cmocka_unit_test(what_is_not_ours_is_not_reversed),
        cmocka_unit_test(every_signed_byte_counts),
        cmocka_unit_test(longer_hash_is_compared_in_full),
        cmocka_unit_test(all_secrets_verify_and_the_first_one_signs),
        cmocka_unit_test(nothing_is_signed_without_a_secret),
        cmocka_unit_test(address_is_valid_for_21_days),
        cmocka_unit_test(days_begin_again_after_1024),
        cmocka_unit_test(clock_of_another_host_may_be_ahead_by_a_day),
        cmocka_unit_test(addresses_may_be_long),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}

#else

static void without_libcrypto_nothing_is_rewritten_or_reversed(void **state)
{
    (void)state;
    const char *secrets[] = {"secret"}, *result;
    const struct srs srs = {"srs.example", {1, secrets}};
    struct postern_arena *arena = arena_new();
    assert_int_equal(srs_forward(&srs, arena, "alice@remote.example", 0, &result),
                     SRS_NOT_AN_ADDRESS);
    assert_int_equal(
        srs_reverse(&srs, arena, "SRS0=ii9F=JJ=remote.example=alice@srs.example", 0, &result),
        SRS_BAD_HASH);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_libcrypto_nothing_is_rewritten_or_reversed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
