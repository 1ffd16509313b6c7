#include "db/statement.h"
#include "db/statement_cache.h"
#include "util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct postern_statement in_list = {.sql = "SELECT a FROM t WHERE b IN (?...)"};
static const char *const words[] = {"one", "two", "three", "four", "five"};

static struct postern_value list_of(size_t count)
{
    return (struct postern_value){.type = POSTERN_TEXTS, .texts = words, .length = count};
}

static struct statement_call call_of(struct postern_arena *arena,
                                     const struct postern_statement *statement,
                                     const struct postern_value *values, size_t count)
{
    struct db_query query = {statement, values, count, arena, 0};
    struct statement_call call;
    struct postern_error error;
    assert_true(statement_call(&query, STATEMENT_SQLITE, &call, &error));
    return call;
}

static void expands_to(const struct statement_key *key, const char *expected)
{
    struct postern_error error;
    char *text = statement_expand(key, &error);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void list_is_rounded_up_and_padded_with_its_last_value(void **state)
{
    struct statement_call call = call_of(*state, &in_list, POSTERN_VALUES(list_of(3)));
    expands_to(&call.key, "SELECT a FROM t WHERE b IN (?,?,?,?)");
    assert_int_equal(call.count, 4);
    assert_string_equal(call.values[2].text, "three");
    assert_string_equal(call.values[3].text, "three");
}

static void empty_list_is_one_null(void **state)
{
    struct statement_call call = call_of(*state, &in_list, POSTERN_VALUES(list_of(0)));
    expands_to(&call.key, "SELECT a FROM t WHERE b IN (?)");
    assert_int_equal(call.count, 1);
    assert_int_equal(call.values[0].type, POSTERN_NULL);
}

static void sizes_that_round_alike_share_a_key(void **state)
{
    struct statement_call three = call_of(*state, &in_list, POSTERN_VALUES(list_of(3)));
    struct statement_call four = call_of(*state, &in_list, POSTERN_VALUES(list_of(4)));
    struct statement_call five = call_of(*state, &in_list, POSTERN_VALUES(list_of(5)));
    assert_memory_equal(&three.key, &four.key, sizeof three.key);
    assert_memory_not_equal(&four.key, &five.key, sizeof four.key);
}

static void values_around_lists_keep_their_places(void **state)
{
    static const struct postern_statement statement = {
        .sql = "UPDATE t SET a = ? WHERE b IN (?...) AND c IN (?...) AND d = ?"};
    struct statement_call call =
        call_of(*state, &statement,
                POSTERN_VALUES(postern_integer(7), list_of(2), list_of(1), postern_text("end")));
    expands_to(&call.key, "UPDATE t SET a = ? WHERE b IN (?,?) AND c IN (?) AND d = ?");
    assert_int_equal(call.count, 5);
    assert_int_equal(call.values[0].integer, 7);
    assert_string_equal(call.values[2].text, "two");
    assert_string_equal(call.values[3].text, "one");
    assert_string_equal(call.values[4].text, "end");
}

static void quoted_text_is_left_alone(void **state)
{
    static const struct postern_statement statement = {
        .sql = "SELECT '(?...)', \"(?...)\" -- (?...)\nFROM t WHERE a IN (?...)"};
    struct statement_call call = call_of(*state, &statement, POSTERN_VALUES(list_of(2)));
    expands_to(&call.key, "SELECT '(?...)', \"(?...)\" -- (?...)\nFROM t WHERE a IN (?,?)");
}

static void dialect_goes_before_the_common_text(void **state)
{
    static const struct postern_statement statement = {
        .sql = "common", .sqlite = "own", .mysql = "other"};
    struct statement_call call = call_of(*state, &statement, POSTERN_NO_VALUES);
    expands_to(&call.key, "own");
}

static void missing_dialect_is_an_error(void **state)
{
    static const struct postern_statement statement = {.mysql = "SELECT 1"};
    struct db_query query = {.statement = &statement, .arena = *state};
    struct statement_call call;
    struct postern_error error;
    assert_false(statement_call(&query, STATEMENT_SQLITE, &call, &error));
}

static void list_for_a_statement_without_lists_is_an_error(void **state)
{
    static const struct postern_statement statement = {.sql = "SELECT ?"};
    struct statement_call call = call_of(*state, &statement, POSTERN_VALUES(list_of(2)));
    struct postern_error error;
    assert_null(statement_expand(&call.key, &error));
    assert_non_null(strstr(error.text, "SELECT ?"));
}

static void too_long_list_is_an_error(void **state)
{
    struct postern_value value = list_of(STATEMENT_SQLITE_MAX + 1);
    struct db_query query = {&in_list, &value, 1, *state, 0};
    struct statement_call call;
    struct postern_error error;
    assert_false(statement_call(&query, STATEMENT_SQLITE, &call, &error));
}

static void numbered_values_are_taken_in_the_order_of_the_text(void **state)
{
    static const struct postern_statement statement = {
        .sqlite = "UPDATE t SET a = ?3, b = '?1' -- {?1}\n WHERE c = ?1 AND d = ?3",
        .numbered = true};
    struct statement_call call =
        call_of(*state, &statement,
                POSTERN_VALUES(postern_text("one"), postern_text("two"), postern_integer(3)));
    expands_to(&call.key, "UPDATE t SET a = ?, b = '?1' -- {?1}\n WHERE c = ? AND d = ?");
    assert_int_equal(call.count, 3);
    assert_int_equal(call.values[0].integer, 3);
    assert_string_equal(call.values[1].text, "one");
    assert_int_equal(call.values[2].integer, 3);
}

static void braces_are_repeated_for_each_item_of_their_lists(void **state)
{
    static const struct postern_statement statement = {
        .sql = "f({?2}) VALUES {(CAST(?1 AS INT), ?3, ?2)}", .numbered = true};
    struct statement_call call =
        call_of(*state, &statement, POSTERN_VALUES(list_of(3), list_of(3), postern_text("each")));
    expands_to(&call.key, "f(?,?,?,?) VALUES (CAST(? AS INT), ?, ?),(CAST(? AS INT), ?, ?),"
                          "(CAST(? AS INT), ?, ?),(CAST(? AS INT), ?, ?)");
    assert_int_equal(call.count, 16);
    assert_string_equal(call.values[1].text, "two");
    assert_string_equal(call.values[3].text, "three");
    assert_string_equal(call.values[7].text, "two");
    assert_string_equal(call.values[8].text, "each");
    assert_string_equal(call.values[13].text, "three");
}

static void numbered_statement_is_refused(struct postern_arena *arena, const char *sql,
                                          const struct postern_value *values, size_t count)
{
    struct postern_statement statement = {.sql = sql, .numbered = true};
    struct db_query query = {&statement, values, count, arena, 0};
    struct statement_call call;
    struct postern_error error;
    assert_false(statement_call(&query, STATEMENT_SQLITE, &call, &error));
    assert_non_null(strstr(error.text, sql));
}

static void numbers_without_a_value_are_an_error(void **state)
{
    numbered_statement_is_refused(*state, "a = ?2", POSTERN_VALUES(postern_text("one")));
    numbered_statement_is_refused(*state, "a = ?0", POSTERN_VALUES(postern_text("one")));
    numbered_statement_is_refused(*state, "a = ?", POSTERN_VALUES(postern_text("one")));
    numbered_statement_is_refused(*state, "a = ?1", POSTERN_VALUES(list_of(2)));
    numbered_statement_is_refused(*state, "{(?1, ?2)}", POSTERN_VALUES(list_of(3), list_of(2)));
    numbered_statement_is_refused(*state, "{?2}", POSTERN_VALUES(postern_text("one"), list_of(2)));
}

static int released;

static void release(void *context, void *prepared)
{
    (void)context;
    released = *(int *)prepared;
}

static void cache_releases_the_least_recently_used(void **state)
{
    (void)state;
    int numbers[] = {1, 2, 3};
    struct statement_key keys[] = {{.sql = "a"}, {.sql = "b"}, {.sql = "c"}};
    struct statement_cache *cache = statement_cache_new(2, release, NULL);
    statement_cache_add(cache, &keys[0], &numbers[0]);
    statement_cache_add(cache, &keys[1], &numbers[1]);
    assert_ptr_equal(statement_cache_find(cache, &keys[0]), &numbers[0]);
    released = 0;
    statement_cache_add(cache, &keys[2], &numbers[2]);
    assert_int_equal(released, 2);
    assert_null(statement_cache_find(cache, &keys[1]));
    assert_ptr_equal(statement_cache_find(cache, &keys[0]), &numbers[0]);
    statement_cache_free(cache);
}

static void cache_forgets_one_that_is_removed(void **state)
{
    (void)state;
    int number = 7;
    released = 0;
    struct statement_key key = {.sql = "SELECT 1"}, other = {.sql = "SELECT 2"};
    struct statement_cache *cache = statement_cache_new(2, release, NULL);
    statement_cache_add(cache, &key, &number);
    statement_cache_remove(cache, &other);
    assert_int_equal(released, 0);
    statement_cache_remove(cache, &key);
    assert_int_equal(released, 7);
    assert_null(statement_cache_find(cache, &key));
    statement_cache_free(cache);
}

static void placeholders_are_numbered_outside_of_quotes(void **state)
{
    (void)state;
    size_t count;
    char *text = statement_number("SELECT '?', \"?\", ? -- ?\n FROM t WHERE a IN (?,?)", &count);
    assert_string_equal(text, "SELECT '?', \"?\", $1 -- ?\n FROM t WHERE a IN ($2,$3)");
    assert_int_equal(count, 3);
    free(text);
}

static void only_a_select_is_read_only(void **state)
{
    (void)state;
    assert_true(statement_is_read_only("SELECT 1"));
    assert_true(statement_is_read_only("\n  -- why\n (select\n1)"));
    assert_false(statement_is_read_only("SELECTED"));
    assert_false(statement_is_read_only("INSERT INTO t SELECT 1"));
    assert_false(statement_is_read_only("WITH a AS (SELECT 1) DELETE FROM t"));
    assert_false(statement_is_read_only("-- SELECT"));
    assert_false(statement_is_read_only(""));
}

static void reads_and_what_says_so_are_repeatable(void **state)
{
    (void)state;
    static const struct postern_statement read = {.sqlite = "SELECT 1", .pgsql = "SELECT 2"};
    static const struct postern_statement half = {.sqlite = "SELECT 1", .pgsql = "DELETE FROM t"};
    static const struct postern_statement said = {.sql = "DELETE FROM t", .repeatable = true};
    assert_true(statement_is_repeatable(&read));
    assert_false(statement_is_repeatable(&half));
    assert_true(statement_is_repeatable(&said));
}

static int arena_make(void **state)
{
    *state = arena_new();
    return 0;
}

static int arena_end(void **state)
{
    arena_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_make, arena_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(list_is_rounded_up_and_padded_with_its_last_value),
        TEST(empty_list_is_one_null),
        TEST(sizes_that_round_alike_share_a_key),
        TEST(values_around_lists_keep_their_places),
        TEST(quoted_text_is_left_alone),
        TEST(dialect_goes_before_the_common_text),
        TEST(missing_dialect_is_an_error),
        TEST(list_for_a_statement_without_lists_is_an_error),
        TEST(too_long_list_is_an_error),
        TEST(numbered_values_are_taken_in_the_order_of_the_text),
        TEST(braces_are_repeated_for_each_item_of_their_lists),
        TEST(numbers_without_a_value_are_an_error),
        TEST(cache_releases_the_least_recently_used),
        TEST(cache_forgets_one_that_is_removed),
        TEST(placeholders_are_numbered_outside_of_quotes),
        TEST(only_a_select_is_read_only),
        TEST(reads_and_what_says_so_are_repeatable),
    };
    return cmocka_run_group_tests_name("statement", tests, NULL, NULL);
}
