#include "sqlite_file.h"

/* A question that counts how often it was asked. */
static const struct postern_statement counting = {
    .sql = "UPDATE t SET n = n + 1 WHERE name = ? RETURNING n, name"};
static const struct postern_statement counting_too = {
    .sql = "UPDATE t SET n = n + 100 WHERE name = ? RETURNING n, name"};

static struct db *db;
static struct db_cache *cache;

static int folder_with_file(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    file_make("CREATE TABLE t (name TEXT PRIMARY KEY, n INTEGER);"
              "INSERT INTO t VALUES ('one', 0), ('two', 0)");
    return 0;
}

static void open_cache(int64_t ttl)
{
    db = db_new(&file_config);
    cache = db_cache_new(ttl);
}

static void close_cache(void)
{
    db_cache_free(cache);
    db_free(db);
}

static struct answer ask_cached(const struct postern_statement *statement,
                                struct postern_value value, double seconds)
{
    struct answer answer = {.arena = arena_new()};
    struct db_query query = {statement, &value, 1, answer.arena, fiber_now() + seconds};
    answer.lookup = db_query_cached(cache, db, &query, &answer.rows, &answer.error);
    return answer;
}

static int64_t count_of(const struct postern_statement *statement, struct postern_value value)
{
    struct answer answer = ask_cached(statement, value, 10);
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    int64_t count = postern_row_integer(&answer.rows, 0, 0);
    answer_free(&answer);
    return count;
}

static int64_t count(const char *name)
{
    return count_of(&counting, postern_text(name));
}

static void ask_twice(void *arg)
{
    (void)arg;
    open_cache(60);
    assert_int_equal(count("one"), 1);
    assert_int_equal(count("one"), 1);
    struct answer answer = ask_cached(&counting, postern_text("one"), 10);
    assert_int_equal(answer.rows.count, 1);
    assert_int_equal(answer.rows.columns, 2);
    assert_string_equal(postern_row_text(&answer.rows, 0, 1), "one");
    answer_free(&answer);
    close_cache();
}

static void answer_is_remembered(void **state)
{
    (void)state;
    in_fiber(ask_twice, NULL);
}

static void ask_differently(void *arg)
{
    (void)arg;
    open_cache(60);
    assert_int_equal(count("one"), 1);
    assert_int_equal(count("two"), 1);
    assert_int_equal(count_of(&counting_too, postern_text("one")), 101);
    close_cache();
}

static void other_values_and_statements_are_other_questions(void **state)
{
    (void)state;
    in_fiber(ask_differently, NULL);
}

static void ask_for_nothing(void *arg)
{
    (void)arg;
    open_cache(60);
    struct answer answer = ask_cached(&counting, postern_text("three"), 10);
    assert_int_equal(answer.lookup, POSTERN_NOT_FOUND);
    answer_free(&answer);
    ask_integer(db, "INSERT INTO t VALUES ('three', 0) RETURNING n");
    answer = ask_cached(&counting, postern_text("three"), 10);
    assert_int_equal(answer.lookup, POSTERN_NOT_FOUND);
    answer_free(&answer);
    close_cache();
}

static void not_found_is_remembered_too(void **state)
{
    (void)state;
    in_fiber(ask_for_nothing, NULL);
}

static void ask_after_a_second(void *arg)
{
    (void)arg;
    open_cache(1);
    assert_int_equal(count("one"), 1);
    assert_true(fiber_sleep(1.01, NEVER));
    assert_int_equal(count("one"), 2);
    close_cache();
}

static void answer_is_forgotten_after_ttl(void **state)
{
    (void)state;
    in_fiber(ask_after_a_second, NULL);
}

static void ask_uncached(void *arg)
{
    (void)arg;
    open_cache(0);
    assert_int_equal(count("one"), 1);
    assert_int_equal(count("one"), 2);
    close_cache();
}

static void ttl_of_zero_asks_every_time(void **state)
{
    (void)state;
    in_fiber(ask_uncached, NULL);
}

static int left;

static void ask_in_flight(void *arg)
{
    (void)arg;
    assert_int_equal(count("one"), 1);
    if (--left == 0)
        close_cache();
}

static void spawn_many(void *arg)
{
    (void)arg;
    open_cache(60);
    left = 50;
    for (int i = 0; i < 50; i++)
        assert_true(fiber_spawn(ask_in_flight, NULL));
}

static void equal_questions_in_flight_are_asked_once(void **state)
{
    (void)state;
    in_fiber(spawn_many, NULL);
}

static sqlite3 *other;

static void ask_locked(void *arg)
{
    (void)arg;
    open_cache(60);
    struct answer answer = ask_cached(&counting, postern_text("one"), 0.02);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_true(strlen(answer.error.text) > 0);
    answer_free(&answer);
    file_exec(other, "ROLLBACK");
    assert_int_equal(count("one"), 1);
    close_cache();
}

static void failure_is_not_remembered(void **state)
{
    (void)state;
    other = file_open();
    file_exec(other, "BEGIN IMMEDIATE");
    in_fiber(ask_locked, NULL);
    sqlite3_close(other);
}

static void ask_for_short(void *arg)
{
    (void)arg;
    struct answer answer = ask_cached(&counting, postern_text("one"), 0.02);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    answer_free(&answer);
    file_exec(other, "ROLLBACK");
}

static void ask_for_long(void *arg)
{
    (void)arg;
    assert_int_equal(count("one"), 1);
    close_cache();
}

static void ask_for_shortest(void *arg)
{
    (void)arg;
    double start = fiber_now();
    struct answer answer = ask_cached(&counting, postern_text("one"), 0.005);
    assert_true(fiber_now() - start < 5);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    answer_free(&answer);
}

static void spawn_impatient(void *arg)
{
    (void)arg;
    open_cache(60);
    assert_true(fiber_spawn(ask_for_short, NULL));
    assert_true(fiber_spawn(ask_for_long, NULL));
    assert_true(fiber_spawn(ask_for_shortest, NULL));
}

static void each_who_waits_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    other = file_open();
    file_exec(other, "BEGIN IMMEDIATE");
    in_fiber(spawn_impatient, NULL);
    sqlite3_close(other);
}

static void ask_too_many(void *arg)
{
    (void)arg;
    static const struct postern_statement any = {
        .sql = "UPDATE t SET n = n + 1 WHERE name = 'one' AND ? >= 0 RETURNING n"};
    open_cache(600);
    assert_int_equal(count_of(&any, postern_integer(0)), 1);
    assert_int_equal(count_of(&any, postern_integer(1)), 2);
    for (int i = 2; i < 10000; i++)
        count_of(&any, postern_integer(i));
    assert_int_equal(count_of(&any, postern_integer(0)), 1); /* used again: it stays */
    count_of(&any, postern_integer(10000));
    assert_int_equal(count_of(&any, postern_integer(0)), 1);
    assert_int_equal(count_of(&any, postern_integer(1)), 10002);
    close_cache();
}

static void least_recently_used_of_ten_thousand_goes(void **state)
{
    (void)state;
    in_fiber(ask_too_many, NULL);
}

static void ask_large(void *arg)
{
    (void)arg;
    static const struct postern_statement large = {
        .sql = "UPDATE t SET n = n + 1 WHERE name = 'one' AND ? > 0 "
               "RETURNING n, hex(zeroblob(2500000))"};
    open_cache(600);
    for (int i = 1; i <= 4; i++)
        assert_int_equal(count_of(&large, postern_integer(i)), i);
    assert_int_equal(count_of(&large, postern_integer(4)), 4);
    assert_int_equal(count_of(&large, postern_integer(1)), 5); /* 4 times 5 MB were too much */
    close_cache();
}

static void sixteen_megabytes_are_kept_at_most(void **state)
{
    (void)state;
    in_fiber(ask_large, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_with_file, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answer_is_remembered),
        TEST(other_values_and_statements_are_other_questions),
        TEST(not_found_is_remembered_too),
        TEST(answer_is_forgotten_after_ttl),
        TEST(ttl_of_zero_asks_every_time),
        TEST(equal_questions_in_flight_are_asked_once),
        TEST(failure_is_not_remembered),
        TEST(each_who_waits_has_a_deadline_of_its_own),
        TEST(least_recently_used_of_ten_thousand_goes),
        TEST(sixteen_megabytes_are_kept_at_most),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
