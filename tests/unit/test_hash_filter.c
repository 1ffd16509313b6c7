#include "db/hash_filter.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#define MANY 50000

/* Different for each number, and for numbers below 2^20 never twice. */
static uint32_t hash_of(uint32_t number)
{
    return number * 2654435761u;
}

static void what_was_added_passes_and_most_else_does_not(void **state)
{
    (void)state;
    struct hash_filter filter = {0};
    hash_filter_make(&filter, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        hash_filter_add(&filter, hash_of(i));
    unsigned passed = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        assert_true(hash_filter_passes(&filter, hash_of(i)));
        passed += hash_filter_passes(&filter, hash_of(MANY + i));
    }
    assert_in_range(passed, 0, MANY / 20);
    hash_filter_clear(&filter);
}

static void nothing_passes_what_is_empty_unless_it_was_made_for_few(void **state)
{
    (void)state;
    struct hash_filter filter = {0};
    assert_true(hash_filter_passes(&filter, 7));
    hash_filter_make(&filter, MANY);
    assert_false(hash_filter_passes(&filter, 7));
    hash_filter_make(&filter, 3);
    assert_true(hash_filter_passes(&filter, 7));
    hash_filter_add(&filter, 7);
    hash_filter_clear(&filter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_passes_and_most_else_does_not),
        cmocka_unit_test(nothing_passes_what_is_empty_unless_it_was_made_for_few),
    };
    return cmocka_run_group_tests_name("hash_filter", tests, NULL, NULL);
}
