#include "db/joint.h"

#include "db/statement.h"
#include "fibers.h"
#include "runtime/fiber.h"
#include "util/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALLERS 40

static const struct postern_statement echo = {.sql = "",
                                              .mysql_joint =
                                                  "INSERT INTO t VALUES [(?, '?]', ?)] RETURNING a",
                                              .repeatable = true};

/* A server that takes its time and returns each caller's first value. */
static struct {
    size_t runs, running, most_running, rows;
    bool fails, is_short, is_unordered;
} server;

static int64_t added;

static int server_reset(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    added = 0;
    return 0;
}

static enum db_result answer(void *context, const struct db_query *query, struct postern_rows *rows,
                             struct postern_error *error)
{
    (void)context, (void)error;
    server.runs++;
    server.rows += query->callers;
    if (++server.running > server.most_running)
        server.most_running = server.running;
    fiber_sleep(0.001, NEVER);
    server.running--;
    assert_int_equal(query->count, 2 * query->callers);
    struct postern_value *cells = postern_alloc(query->arena, query->callers * sizeof *cells);
    for (size_t i = 0; i < query->callers; i++) {
        cells[i] = query->values[2 * i];
        if (i > 0 && strcmp(cells[i - 1].text, cells[i].text) > 0)
            server.is_unordered = true;
    }
    *rows = (struct postern_rows){
        .count = query->callers - server.is_short, .columns = 1, .cells = cells};
    return server.fails ? DB_LOST : DB_OK;
}

/* All or nothing: it sums what they give. */
static const struct postern_value *sum(struct postern_arena *arena,
                                       const struct postern_value *const *given, size_t callers)
{
    struct postern_value *values = postern_alloc(arena, 3 * sizeof *values);
    memcpy(values, given[0], 3 * sizeof *values);
    for (size_t i = 1; i < callers; i++)
        values[1].integer += given[i][1].integer;
    return values;
}

static const struct postern_statement total = {.sql = "", .merge = sum};

static enum db_result add(void *context, const struct db_query *query, struct postern_rows *rows,
                          struct postern_error *error)
{
    (void)context;
    server.runs++;
    fiber_sleep(0.001, NEVER);
    *rows = (struct postern_rows){.changed = server.is_short ? 0 : 1};
    added += server.is_short ? 0 : query->values[1].integer;
    postern_error_set(error, "the connection was lost");
    return server.fails ? DB_LOST : DB_OK;
}

struct caller {
    const struct postern_statement *statement;
    enum joint_answer answer;
    struct joints *joints;
    double patience;
    char name[16];
    bool answered, ended;
};

static void ask(void *arg)
{
    struct caller *caller = arg;
    struct postern_arena *arena = arena_new();
    struct postern_rows rows;
    struct postern_value values[] = {postern_text(caller->name), postern_integer(1),
                                     postern_text("of no use when joint")};
    struct db_query query = {
        caller->statement, values, 3, arena, fiber_now() + caller->patience, 0};
    struct postern_error error;
    caller->answer =
        joints_ask(caller->joints, &query, caller->statement->mysql_joint, &rows, &error);
    caller->answered = caller->answer == JOINT_ANSWERED;
    if (caller->answer == JOINT_FAILED)
        assert_string_equal(error.text, "the connection was lost");
    if (caller->answered && caller->statement == &echo) {
        assert_int_equal(rows.count, 1);
        assert_string_equal(postern_row_text(&rows, 0, 0), caller->name);
    } else {
        assert_int_equal(rows.count, 0);
        assert_true(caller->answered || rows.changed == 0);
    }
    caller->ended = true;
    arena_free(arena);
}

static size_t answered, failed;
static const struct postern_statement *asked;

static void ask_many(void *arg)
{
    double patience = *(double *)arg;
    struct caller callers[CALLERS];
    struct joints *joints = joints_new(asked == &echo ? answer : add, NULL);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.statement = asked, .joints = joints, .patience = patience};
        snprintf(callers[i].name, sizeof callers[i].name, "caller %zu", CALLERS - i);
        assert_true(fiber_spawn(ask, &callers[i]));
    }
    for (size_t i = 0; i < CALLERS; i++) {
        while (!callers[i].ended)
            fiber_sleep(0.001, NEVER);
        answered += callers[i].answered;
        failed += callers[i].answer == JOINT_FAILED;
    }
    joints_free(joints);
}

/* How many of the callers were answered. */
static size_t ask_all_of(const struct postern_statement *statement, double patience)
{
    answered = failed = 0;
    asked = statement;
    in_fiber(ask_many, &patience);
    return answered;
}

static size_t ask_all(double patience)
{
    return ask_all_of(&echo, patience);
}

static void each_of_many_callers_gets_its_own_row(void **state)
{
    (void)state;
    assert_int_equal(ask_all(10), CALLERS);
    assert_int_equal(server.rows, CALLERS);
}

static void those_who_come_meanwhile_go_together(void **state)
{
    (void)state;
    ask_all(10);
    assert_int_equal(server.most_running, 2);
    assert_in_range(server.runs, 3, 2 + CALLERS / JOINT_CALLERS + 2);
}

static void callers_go_in_the_order_of_their_values(void **state)
{
    (void)state;
    ask_all(10);
    assert_false(server.is_unordered);
}

static void failure_leaves_each_to_itself(void **state)
{
    (void)state;
    server.fails = true;
    assert_int_equal(ask_all(10), 0);
}

static void missing_row_leaves_each_to_itself(void **state)
{
    (void)state;
    server.is_short = true;
    assert_int_equal(ask_all(10), 0);
}

static void hasty_caller_does_not_join(void **state)
{
    (void)state;
    assert_int_equal(ask_all(0.5), 0);
    assert_int_equal(server.runs, 0);
}

static void merged_callers_are_done_all_together(void **state)
{
    (void)state;
    assert_int_equal(ask_all_of(&total, 10), CALLERS);
    assert_int_equal(added, CALLERS);
    assert_in_range(server.runs, 3, 2 + CALLERS / JOINT_CALLERS + 2);
}

static void merged_callers_that_did_nothing_are_left_to_themselves_but_for_single_ones(void **state)
{
    (void)state;
    server.is_short = true;
    assert_in_range(ask_all_of(&total, 10), 1, 4); /* who came alone */
    assert_int_equal(added, 0);
    assert_int_equal(failed, 0);
}

static void merged_callers_of_whom_nobody_knows_have_failed(void **state)
{
    (void)state;
    server.fails = true;
    assert_int_equal(ask_all_of(&total, 10), 0);
    assert_int_equal(failed, CALLERS);
}

static void brackets_are_repeated_for_each_caller(void **state)
{
    (void)state;
    struct postern_error error;
    struct statement_key key = {.sql = echo.mysql_joint, .callers = 2};
    char *text = statement_expand(&key, &error);
    assert_string_equal(text, "INSERT INTO t VALUES (?, '?]', ?),(?, '?]', ?) RETURNING a");
    free(text);
}

static void placeholders_in_brackets_are_counted(void **state)
{
    (void)state;
    assert_int_equal(statement_joint_width("SELECT ? [?, ?] ?"), 2);
    assert_int_equal(statement_joint_width("SELECT ?"), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, server_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_of_many_callers_gets_its_own_row),
        TEST(those_who_come_meanwhile_go_together),
        TEST(callers_go_in_the_order_of_their_values),
        TEST(failure_leaves_each_to_itself),
        TEST(missing_row_leaves_each_to_itself),
        TEST(hasty_caller_does_not_join),
        TEST(merged_callers_are_done_all_together),
        TEST(merged_callers_that_did_nothing_are_left_to_themselves_but_for_single_ones),
        TEST(merged_callers_of_whom_nobody_knows_have_failed),
        TEST(brackets_are_repeated_for_each_caller),
        TEST(placeholders_in_brackets_are_counted),
    };
    return cmocka_run_group_tests_name("joint", tests, NULL, NULL);
}
