#include "build_config.h"
#include "runtime/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define VARIABLE "POSTERN_FAKE_TIME"
#define THEN     INT64_C(1700000000)

static void assert_now_plus(int64_t offset)
{
    int64_t before = time(NULL), told = clock_wall(), after = time(NULL);
    assert_in_range(told - offset, before, after);
}

static int forget(void **state)
{
    (void)state;
    unsetenv(VARIABLE);
    return 0;
}

static void clock_is_the_real_one_without_the_variable(void **state)
{
    (void)state;
    assert_now_plus(0);
}

#if POSTERN_TEST_HOOKS

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void number_stops_the_clock(void **state)
{
    (void)state;
    setenv(VARIABLE, "1700000000", 1);
    assert_int_equal(clock_wall(), THEN);
}

static void signed_number_moves_the_clock(void **state)
{
    (void)state;
    setenv(VARIABLE, "+3600", 1);
    assert_now_plus(3600);
    setenv(VARIABLE, "-86400", 1);
    assert_now_plus(-86400);
}

static void file_moves_a_running_program(void **state)
{
    (void)state;
    char path[] = "/tmp/postern-clock-XXXXXX";
    close(mkstemp(path));
    setenv(VARIABLE, path, 1);
    file_write(path, "1700000000\n");
    assert_int_equal(clock_wall(), THEN);
    file_write(path, "+60\n");
    assert_now_plus(60);
    file_write(path, "");
    assert_now_plus(60);
    unlink(path);
    assert_now_plus(60);
}

#else

static void variable_is_ignored_without_test_hooks(void **state)
{
    (void)state;
    setenv(VARIABLE, "1700000000", 1);
    assert_now_plus(0);
    setenv(VARIABLE, "+3600", 1);
    assert_now_plus(0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(clock_is_the_real_one_without_the_variable, forget),
#if POSTERN_TEST_HOOKS
        cmocka_unit_test_teardown(number_stops_the_clock, forget),
        cmocka_unit_test_teardown(signed_number_moves_the_clock, forget),
        cmocka_unit_test_teardown(file_moves_a_running_program, forget),
#else
        cmocka_unit_test_teardown(variable_is_ignored_without_test_hooks, forget),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
