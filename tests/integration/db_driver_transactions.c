/* Several statements that are all done or none. */
#include "db_driver_check.h"

static const struct postern_statement add = {.sql = "UPDATE counters SET n = n + ? WHERE name = ?"};
static const struct postern_statement wrong = {
    .sql = "INSERT INTO counters (name, n) VALUES ('a', 1)"}; /* it is there */
static const struct postern_statement wait_a_moment = {.pgsql = "SELECT pg_sleep(0.2)",
                                                       .mysql = "SELECT SLEEP(0.2)"};

struct transaction {
    struct db_connection *connection;
    const struct postern_statement *second;
    const char *first_name, *last_name;
    enum db_result result;
    int64_t changed;
    bool done;
    struct postern_error error;
};

static void run(void *arg)
{
    struct transaction *transaction = arg;
    struct postern_arena *arena = arena_new();
    struct postern_value first[] = {postern_integer(1), postern_text(transaction->first_name)};
    struct postern_value last[] = {postern_integer(10), postern_text(transaction->last_name)};
    double deadline = fiber_now() + check_seconds;
    struct db_query queries[] = {{&add, first, 2, arena, deadline, 0},
                                 {transaction->second, NULL, 0, arena, deadline, 0},
                                 {&add, last, 2, arena, deadline, 0}};
    struct postern_rows rows[3] = {{0}};
    transaction->result =
        check_driver->transaction(transaction->connection, queries, 3, rows, &transaction->error);
    transaction->changed = rows[0].changed + rows[2].changed;
    transaction->done = true;
    arena_free(arena);
}

static int64_t counter(struct db_connection *connection, const char *name)
{
    return must_integer(connection, &counter_read, POSTERN_VALUES(postern_text(name)));
}

static struct db_connection *connect_with_counters(void)
{
    struct db_connection *connection = check_connect();
    counters_make(connection);
    must_script(connection, "INSERT INTO counters (name, n) VALUES ('a', 0), ('b', 0)");
    return connection;
}

static void transaction_is_done_wholly(void)
{
    struct db_connection *other = connect_with_counters();
    struct transaction transaction = {check_connect(), &wait_a_moment, "a", "b", .done = false};
    for (int i = 1; i <= 2; i++) {
        CHECK(fiber_spawn(run, &transaction), "no memory");
        fiber_sleep(0.1, NEVER);
        CHECK(counter(other, "a") == i - 1, "half of it is seen");
        while (!transaction.done)
            fiber_sleep(0.01, NEVER);
        CHECK(transaction.result == DB_OK, "%s", transaction.error.text);
        CHECK(transaction.changed == 2, "%d", (int)transaction.changed);
        CHECK(counter(other, "a") == i && counter(other, "b") == 10 * i, "turn %d", i);
        transaction.done = false;
    }
    check_driver->close(transaction.connection);
    check_driver->close(other);
}

static void failed_transaction_leaves_nothing(void)
{
    struct db_connection *other = connect_with_counters();
    struct transaction transaction = {check_connect(), &wrong, "a", "b", .done = false};
    run(&transaction);
    CHECK(transaction.result == DB_ERROR, "%s", result_name(transaction.result));
    CHECK(counter(other, "a") == 0 && counter(transaction.connection, "a") == 0, "it left some");
    must_integer(transaction.connection, &counter_add,
                 POSTERN_VALUES(postern_text("a"), postern_integer(5)));
    CHECK(counter(other, "a") == 5, "the connection is in the transaction still");
    check_driver->close(transaction.connection);
    check_driver->close(other);
}

static void deadlocked_transactions_are_both_done(void)
{
    struct db_connection *other = connect_with_counters();
    struct transaction up = {check_connect(), &wait_a_moment, "a", "b", .done = false};
    struct transaction down = {check_connect(), &wait_a_moment, "b", "a", .done = false};
    CHECK(fiber_spawn(run, &up) && fiber_spawn(run, &down), "no memory");
    while (!up.done || !down.done)
        fiber_sleep(0.01, NEVER);
    CHECK(up.result == DB_OK && down.result == DB_OK, "%s %s", result_name(up.result),
          result_name(down.result));
    CHECK(counter(other, "a") == 11 && counter(other, "b") == 11, "some is missing, or twice");
    check_driver->close(up.connection);
    check_driver->close(down.connection);
    check_driver->close(other);
}

const struct scenario transaction_scenarios[] = {
    {"transaction_is_done_wholly", transaction_is_done_wholly},
    {"failed_transaction_leaves_nothing", failed_transaction_leaves_nothing},
    {"deadlocked_transactions_are_both_done", deadlocked_transactions_are_both_done},
    {NULL, NULL},
};
