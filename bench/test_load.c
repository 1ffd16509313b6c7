#include "histogram.h"
#include "reply.h"
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void quantiles_are_within_one_percent(void **state)
{
    (void)state;
    struct histogram *histogram = calloc(1, sizeof *histogram);
    for (uint64_t value = 1; value <= 100000; value++)
        histogram_record(histogram, value * 100);
    assert_in_range(histogram_quantile(histogram, 0.5), 5000000, 5050000);
    assert_in_range(histogram_quantile(histogram, 0.99), 9900000, 9999000);
    assert_int_equal(histogram_quantile(histogram, 1), 10000000);
    assert_int_equal(histogram->min, 100);
    free(histogram);
}

static void huge_latency_counts_as_the_largest(void **state)
{
    (void)state;
    struct histogram *histogram = calloc(1, sizeof *histogram);
    histogram_record(histogram, UINT64_MAX);
    assert_int_equal(histogram_quantile(histogram, 0.5), ((uint64_t)1 << HISTOGRAM_WIDTH) - 1);
    free(histogram);
}

static void assert_reply(const char *text, enum reply_state state, enum load_action action)
{
    enum load_action found = LOAD_ACTIONS;
    assert_int_equal(reply_read(text, strlen(text), &found), state);
    if (state == REPLY_COMPLETE)
        assert_int_equal(found, action);
}

static void replies_count_under_their_action(void **state)
{
    (void)state;
    assert_reply("action=DUNNO\n\n", REPLY_COMPLETE, ACTION_DUNNO);
    assert_reply("action=451 4.7.1 later\n\n", REPLY_COMPLETE, ACTION_DEFER);
    assert_reply("action=550 5.7.23 no\n\n", REPLY_COMPLETE, ACTION_REJECT);
    assert_reply("action=reject no\n\n", REPLY_COMPLETE, ACTION_REJECT);
    assert_reply("action=HOLD\n\n", REPLY_COMPLETE, ACTION_OTHER);
}

static void incomplete_replies_are_waited_for(void **state)
{
    (void)state;
    assert_reply("act", REPLY_PARTIAL, 0);
    assert_reply("action=DUNNO\n", REPLY_PARTIAL, 0);
}

static void anything_else_is_wrong(void **state)
{
    (void)state;
    assert_reply("500 what?\n\n", REPLY_WRONG, 0);
    assert_reply("action=\n\n", REPLY_WRONG, 0);
    assert_reply("action=DUNNO\nmore=1\n\n", REPLY_WRONG, 0);
    assert_reply("action=DUNNO\n\naction=DUNNO\n\n", REPLY_WRONG, 0);
}

static void mixes_are_names_and_weights(void **state)
{
    (void)state;
    struct mix mix;
    assert_true(mix_parse(&mix, "first-seen=8,retry"));
    assert_int_equal(mix.weights[REQUEST_FIRST_SEEN], 8);
    assert_int_equal(mix.total, 9);
    assert_false(mix_parse(&mix, "first-seen=8,"));
    assert_false(mix_parse(&mix, "nonsense"));
    assert_false(mix_parse(&mix, "dunno=0"));
    assert_false(mix_parse(&mix, "dunno=-1"));
}

static char *next_text(struct request_source *source)
{
    const struct request_template *request = request_render(source, request_next(source));
    return strndup(request->text, request->length);
}

static void first_seen_never_repeats_and_a_seed_always_does(void **state)
{
    (void)state;
    struct mix mix;
    struct request_source source, same;
    mix_parse(&mix, "first-seen");
    request_source_init(&source, &mix, 7, 0);
    request_source_init(&same, &mix, 7, 0);
    char *first = next_text(&source), *second = next_text(&source), *again = next_text(&same);
    assert_string_not_equal(first, second);
    assert_string_equal(first, again);
    assert_non_null(strstr(first, "\nprotocol_state=RCPT\n"));
    assert_string_equal(first + strlen(first) - 2, "\n\n");
    free(first), free(second), free(again);
    request_source_end(&source);
    request_source_end(&same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_one_percent),
        cmocka_unit_test(huge_latency_counts_as_the_largest),
        cmocka_unit_test(replies_count_under_their_action),
        cmocka_unit_test(incomplete_replies_are_waited_for),
        cmocka_unit_test(anything_else_is_wrong),
        cmocka_unit_test(mixes_are_names_and_weights),
        cmocka_unit_test(first_seen_never_repeats_and_a_seed_always_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
