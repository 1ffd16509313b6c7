/* The rules of the throttle plugin that need no database. */
#include "../../plugins/throttle/limits.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONE                                                                                       \
    {                                                                                              \
        -1, -1, -1, -1                                                                             \
    }

static void applied(const struct throttle_row *rows, size_t count, int64_t (*limits)[LIMITS])
{
    const struct throttle_row *list[8];
    for (size_t i = 0; i < count; i++)
        list[i] = &rows[i];
    limits_apply(list, count, limits);
}

static void each_limit_has_its_own_deciding_row(void **state)
{
    (void)state;
    const struct throttle_row rows[] = {{.priority = 0, .limits = {1, 2, 3, 4}},
                                        {.priority = 10, .limits = {100, -1, -1, 0}},
                                        {.priority = 5, .limits = {50, 500, -1, 7}}};
    int64_t limits[3][LIMITS];
    applied(rows, 3, limits);
    const int64_t expected[3][LIMITS] = {{0, 0, 3, 0}, {100, 0, 0, 0}, {0, 500, 0, 0}};
    assert_memory_equal(limits, expected, sizeof expected);
}

static void rows_of_the_deciding_priority_apply_together(void **state)
{
    (void)state;
    const struct throttle_row rows[] = {{.priority = 10, .limits = {100, -1, -1, -1}},
                                        {.priority = 10, .limits = {500, 7, 0, -1}},
                                        {.priority = 9, .limits = {1, 1, 1, 1}}};
    int64_t limits[3][LIMITS];
    applied(rows, 3, limits);
    const int64_t expected[3][LIMITS] = {{100, 0, 0, 0}, {500, 7, 0, 0}, {0, 0, 0, 1}};
    assert_memory_equal(limits, expected, sizeof expected);
}

static void negative_priorities_decide_when_there_is_no_other(void **state)
{
    (void)state;
    const struct throttle_row rows[] = {{.priority = -3, .limits = {8, -1, -1, -1}},
                                        {.priority = 4, .limits = NONE}};
    int64_t limits[2][LIMITS];
    applied(rows, 2, limits);
    assert_int_equal(limits[0][LIMIT_MESSAGES], 8);
    assert_int_equal(limits[1][LIMIT_MESSAGES], 0);
}

static void no_rows_have_no_limits(void **state)
{
    (void)state;
    limits_apply(NULL, 0, NULL);
}

static void key_follows_the_form_of_the_account(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"u@d.example", "u@d.example"},
                                           {"@d.example", "u@d.example"},
                                           {"@.d.example", "u@d.example"},
                                           {"@.example", "u@d.example"},
                                           {"@.", "u@d.example"},
                                           {"u@*", "u@*"},
                                           {"192.0.2.7", "192.0.2.7"},
                                           {"192.0.2.*", "192.0.2.*"},
                                           {"192.0.2.0/24", "192.0.2.0/24"},
                                           {"@ip", "192.0.2.7"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct throttle_row row = {.account = cases[i][0]};
        assert_string_equal(limits_key(&row, "u@d.example", "192.0.2.7"), cases[i][1]);
    }
}

static void shared_row_counts_under_its_own_account(void **state)
{
    (void)state;
    struct throttle_row row = {.account = "@ip", .shared = true};
    assert_string_equal(limits_key(&row, "u@d.example", "192.0.2.7"), "@ip");
}

static void nobody_counts_by_the_client(void **state)
{
    (void)state;
    struct throttle_row row = {.account = "@."};
    assert_string_equal(limits_key(&row, "", "192.0.2.7"), "192.0.2.7");
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_limit_has_its_own_deciding_row),
        TEST(rows_of_the_deciding_priority_apply_together),
        TEST(negative_priorities_decide_when_there_is_no_other),
        TEST(no_rows_have_no_limits),
        TEST(key_follows_the_form_of_the_account),
        TEST(shared_row_counts_under_its_own_account),
        TEST(nobody_counts_by_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
