#include "../../plugins/throttle/additions.c"
#include "util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NO_LIMIT "9223372036854775807"

/* A message's values with one counter of throttle 7, or with two. */
struct message {
    const char *names[2], *tids[2], *keys[2], *messages[2], *room_messages[2], *room_size[2],
        *expired[2], *periods[2], *sizes[2];
    size_t count;
    struct postern_value values[ADDED_VALUES];
};

static const struct postern_value *one(struct message *message, const char *key,
                                       const char *messages, const char *room_messages,
                                       const char *size, const char *room_size, int64_t now)
{
    *message = (struct message){.names = {key, key},
                                .tids = {"7", "9"},
                                .keys = {key, key},
                                .messages = {messages, messages},
                                .room_messages = {room_messages, room_messages},
                                .room_size = {room_size, room_size},
                                .expired = {"100", "100"},
                                .periods = {"3600", "3600"},
                                .sizes = {size, size},
                                .count = 1};
    const char **lists[] = {message->names,    message->tids,          message->keys,
                            message->messages, message->room_messages, message->room_size,
                            message->expired,  message->periods,       message->sizes};
    for (int list = 0; list < ADDED_NOW; list++)
        message->values[list] = postern_texts((struct postern_names){1, lists[list]});
    message->values[ADDED_NOW] = postern_integer(now);
    message->values[ADDED_COUNT] = postern_integer(1);
    return message->values;
}

static int arena_make(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_drop(void **state)
{
    arena_free(*state);
    return 0;
}

static void what_one_counter_gets_is_added_up(void **state)
{
    struct message a, b;
    const struct postern_value *given[] = {one(&a, "u", "1", "99", "10", NO_LIMIT, 3700),
                                           one(&b, "u", "5", "95", "20", NO_LIMIT, 3701)};
    const struct postern_value *merged = additions_merge(*state, given, 2);
    assert_int_equal(merged[ADDED_COUNT].integer, 1);
    assert_int_equal(merged[ADDED_NAMES].length, 1);
    assert_string_equal(merged[ADDED_MESSAGES].texts[0], "6");
    assert_string_equal(merged[ADDED_ROOM_MESSAGES].texts[0], "94");
    assert_string_equal(merged[ADDED_SIZES].texts[0], "30");
    assert_string_equal(merged[ADDED_ROOM_SIZE].texts[0], NO_LIMIT);
    assert_int_equal(merged[ADDED_NOW].integer, 3701);
}

static void other_counters_stay_apart_in_order(void **state)
{
    struct message a, b;
    const struct postern_value *given[] = {one(&a, "v", "1", "9", "10", "90", 3700),
                                           one(&b, "u", "2", "8", "20", "80", 3700)};
    const struct postern_value *merged = additions_merge(*state, given, 2);
    assert_int_equal(merged[ADDED_COUNT].integer, 2);
    assert_string_equal(merged[ADDED_KEYS].texts[0], "u");
    assert_string_equal(merged[ADDED_MESSAGES].texts[0], "2");
    assert_string_equal(merged[ADDED_SIZES].texts[1], "10");
}

static void what_cannot_fit_together_is_not_merged(void **state)
{
    struct message a, b;
    const struct postern_value *given[] = {one(&a, "u", "6", "4", "1", NO_LIMIT, 3700),
                                           one(&b, "u", "5", "5", "1", NO_LIMIT, 3700)};
    assert_null(additions_merge(*state, given, 2));
    given[0] = one(&a, "u", "1", "9", "60", "40", 3700);
    given[1] = one(&b, "u", "1", "9", "50", "50", 3700);
    assert_null(additions_merge(*state, given, 2));
}

static void smaller_limit_of_two_counts(void **state)
{
    struct message a, b;
    const struct postern_value *given[] = {one(&a, "u", "1", "99", "1", NO_LIMIT, 3700),
                                           one(&b, "u", "1", "9", "1", "99", 3700)};
    const struct postern_value *merged = additions_merge(*state, given, 2);
    assert_string_equal(merged[ADDED_ROOM_MESSAGES].texts[0], "8");
    assert_string_equal(merged[ADDED_ROOM_SIZE].texts[0], "98");
}

static void sum_that_overflows_is_not_merged(void **state)
{
    struct message a, b;
    const struct postern_value *given[] = {one(&a, "u", "1", NO_LIMIT, NO_LIMIT, NO_LIMIT, 3700),
                                           one(&b, "u", "1", NO_LIMIT, "1", NO_LIMIT, 3700)};
    assert_null(additions_merge(*state, given, 2));
}

static void more_counters_than_a_statement_takes_are_not_merged(void **state)
{
    static struct message messages[COUNTERS_MAX + 1];
    static char keys[COUNTERS_MAX + 1][8];
    const struct postern_value *given[COUNTERS_MAX + 1];
    for (size_t i = 0; i < COUNTERS_MAX + 1; i++) {
        snprintf(keys[i], sizeof keys[i], "k%zu", i);
        given[i] = one(&messages[i], keys[i], "1", "9", "1", "9", 3700);
    }
    assert_non_null(additions_merge(*state, given, COUNTERS_MAX));
    assert_null(additions_merge(*state, given, COUNTERS_MAX + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_make, arena_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_counter_gets_is_added_up),
        TEST(other_counters_stay_apart_in_order),
        TEST(what_cannot_fit_together_is_not_merged),
        TEST(smaller_limit_of_two_counts),
        TEST(sum_that_overflows_is_not_merged),
        TEST(more_counters_than_a_statement_takes_are_not_merged),
    };
    return cmocka_run_group_tests_name("throttle_additions", tests, NULL, NULL);
}
