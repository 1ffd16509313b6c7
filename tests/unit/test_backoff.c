#include "daemon/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void child_that_lived_a_second_is_restarted_at_once(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    assert_float_equal(backoff_next(&backoff, 1.0), 0, 0);
    assert_float_equal(backoff_next(&backoff, 5000), 0, 0);
}

static void early_deaths_double_the_wait_up_to_30_seconds(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    static const double waits[] = {0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        assert_float_equal(backoff_next(&backoff, 0.01), waits[i], 1e-9);
}

static void life_of_ten_seconds_makes_a_new_start(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    for (int i = 0; i < 5; i++)
        backoff_next(&backoff, 0);
    assert_float_equal(backoff_next(&backoff, 10), 0, 0);
    assert_float_equal(backoff_next(&backoff, 0), 0.1, 1e-9);
}

static void life_of_five_seconds_does_not_forget_the_wait(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    backoff_next(&backoff, 0);
    backoff_next(&backoff, 0);
    assert_float_equal(backoff_next(&backoff, 5), 0, 0);
    assert_float_equal(backoff_next(&backoff, 0), 0.4, 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_that_lived_a_second_is_restarted_at_once),
        cmocka_unit_test(early_deaths_double_the_wait_up_to_30_seconds),
        cmocka_unit_test(life_of_ten_seconds_makes_a_new_start),
        cmocka_unit_test(life_of_five_seconds_does_not_forget_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
