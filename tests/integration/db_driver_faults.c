/* What happens to connections, and to statements that meet one another. */
#include "db_driver_check.h"

static const struct postern_statement own_id = {.pgsql = "SELECT pg_backend_pid()",
                                                .mysql = "SELECT CONNECTION_ID()"};

static const struct postern_statement update_slowly = {
    .pgsql = "UPDATE counters SET n = n + 1 FROM (SELECT pg_sleep(3)) AS wait WHERE name = ?",
    .mysql = "UPDATE counters SET n = n + 1 WHERE name = ? AND SLEEP(3) = 0"};

static int64_t counter(struct db_connection *connection, const char *name)
{
    return must_integer(connection, &counter_read, POSTERN_VALUES(postern_text(name)));
}

static void count(struct db_connection *connection, const char *name)
{
    must_integer(connection, &counter_add, POSTERN_VALUES(postern_text(name), postern_integer(1)));
}

static void terminate(struct db_connection *admin, int64_t id)
{
    static const struct postern_statement kill = {.pgsql = "SELECT pg_terminate_backend(?::int)",
                                                  .mysql = "KILL ?"};
    struct answer answer = {0};
    must(&answer, admin, &kill, POSTERN_VALUES(postern_integer(id)));
    answer_free(&answer);
}

/* Until the server has no such session any more. */
static void wait_until_gone(struct db_connection *admin, int64_t id)
{
    static const struct postern_statement is_there = {
        .pgsql = "SELECT count(*) FROM pg_stat_activity WHERE pid = ?",
        .mysql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = ?"};
    double end = fiber_now() + check_seconds;
    while (must_integer(admin, &is_there, POSTERN_VALUES(postern_integer(id))) > 0)
        CHECK(fiber_sleep(0.01, end), "session %d is still there", (int)id);
}

/* --- sessions that end --- */

static void terminated_while_idle_is_lost_unsent(void)
{
    struct db_connection *admin = check_connect(), *idle = check_connect();
    struct answer answer = {0};
    counters_make(admin);
    count(idle, "a");
    int64_t id = must_integer(idle, &own_id, POSTERN_NO_VALUES);
    terminate(admin, id);
    wait_until_gone(admin, id);
    ask_within(&answer, idle, check_seconds, &counter_add,
               POSTERN_VALUES(postern_text("a"), postern_integer(1)));
    CHECK(answer.result == DB_LOST_UNSENT, "%s: %s", result_name(answer.result), answer.error.text);
    ask_within(&answer, idle, check_seconds, &counter_read, POSTERN_VALUES(postern_text("a")));
    CHECK(answer.result == DB_LOST_UNSENT, "%s", result_name(answer.result));
    CHECK(counter(admin, "a") == 1, "it was done");
    answer_free(&answer);
    check_driver->close(idle);
    check_driver->close(admin);
}

/* Not waited for: the statement meets the server's goodbye on its way, or before it is sent. */
static void terminated_just_before_is_lost_unsent(void)
{
    struct db_connection *admin = check_connect();
    struct answer answer = {0};
    int64_t done = 0;
    counters_make(admin);
    for (int i = 0; i < 100; i++) {
        struct db_connection *idle = check_connect();
        terminate(admin, must_integer(idle, &own_id, POSTERN_NO_VALUES));
        ask_within(&answer, idle, check_seconds, &counter_add,
                   POSTERN_VALUES(postern_text("a"), postern_integer(1)));
        CHECK(answer.result == DB_OK || answer.result == DB_LOST_UNSENT, "%s: %s",
              result_name(answer.result), answer.error.text);
        done += answer.result == DB_OK;
        check_driver->close(idle);
    }
    CHECK(counter(admin, "a") == done, "%d were done", (int)counter(admin, "a"));
    answer_free(&answer);
    check_driver->close(admin);
}

struct background {
    struct db_connection *connection;
    const struct postern_statement *statement;
    const char *name;
    double seconds;
    enum db_result result;
    bool ended;
};

static void background_run(void *arg)
{
    struct background *background = arg;
    struct answer answer = {0};
    ask_within(&answer, background->connection, background->seconds, background->statement,
               POSTERN_VALUES(postern_text(background->name)));
    background->result = answer.result;
    background->ended = true;
    answer_free(&answer);
}

static void background_start(struct background *background)
{
    background->ended = false;
    CHECK(fiber_spawn(background_run, background), "no memory");
}

static void background_wait(const struct background *background)
{
    double end = fiber_now() + check_seconds;
    while (!background->ended)
        CHECK(fiber_sleep(0.005, end), "the statement did not end");
}

static void terminated_while_running_did_nothing(void)
{
    struct db_connection *admin = check_connect();
    struct background slow = {.connection = check_connect(),
                              .statement = &update_slowly,
                              .name = "a",
                              .seconds = check_seconds};
    counters_make(admin);
    count(admin, "a");
    int64_t id = must_integer(slow.connection, &own_id, POSTERN_NO_VALUES);
    background_start(&slow);
    fiber_sleep(0.2, NEVER);
    terminate(admin, id);
    background_wait(&slow);
    /* MariaDB closes the socket without a word, as it does after a statement's commit. */
    enum db_result expected = is_pgsql() ? DB_LOST_UNSENT : DB_LOST;
    CHECK(slow.result == expected, "%s", result_name(slow.result));
    CHECK(counter(admin, "a") == 1, "it was done");
    check_driver->close(slow.connection);
    check_driver->close(admin);
}

/* --- deadlines --- */

static void late_statement_ends_at_its_deadline(void)
{
    struct db_connection *admin = check_connect();
    struct background slow = {
        .connection = check_connect(), .statement = &update_slowly, .name = "a", .seconds = 0.3};
    counters_make(admin);
    count(admin, "a");
    int64_t id = must_integer(slow.connection, &own_id, POSTERN_NO_VALUES);
    double start = fiber_now();
    background_start(&slow);
    for (int turns = 0; !slow.ended; turns++) {
        double asked = fiber_now();
        counter(admin, "a");
        CHECK(fiber_now() - asked < 0.2, "others were held up for %.3f s", fiber_now() - asked);
        fiber_sleep(0.01, NEVER);
    }
    CHECK(slow.result == DB_TIMEOUT, "%s", result_name(slow.result));
    CHECK(fiber_now() - start < 0.6, "%.3f s", fiber_now() - start);
    check_driver->close(slow.connection);
    if (is_pgsql()) /* MariaDB does not look whether its client is still there */
        wait_until_gone(admin, id);
    CHECK(fiber_now() - start < 2.5, "the server went on for %.3f s", fiber_now() - start);
    CHECK(counter(admin, "a") == 1, "it was done");
    check_driver->close(admin);
}

/* --- statements that meet --- */

/* Each locks its first row, sleeps, and wants the other's. */
static const struct postern_statement upwards = {
    .pgsql = "WITH rows AS MATERIALIZED (SELECT name, pg_sleep(0.1) FROM counters"
             " WHERE name <> ? ORDER BY name FOR UPDATE)"
             " UPDATE counters SET n = n + 1 FROM rows WHERE rows.name = counters.name",
    .mysql = "UPDATE counters SET n = n + 1 + SLEEP(0.1) WHERE name <> ? ORDER BY name"};
static const struct postern_statement downwards = {
    .pgsql = "WITH rows AS MATERIALIZED (SELECT name, pg_sleep(0.1) FROM counters"
             " WHERE name <> ? ORDER BY name DESC FOR UPDATE)"
             " UPDATE counters SET n = n + 1 FROM rows WHERE rows.name = counters.name",
    .mysql = "UPDATE counters SET n = n + 1 + SLEEP(0.1) WHERE name <> ? ORDER BY name DESC"};

static void deadlocked_statements_are_both_done(void)
{
    struct db_connection *admin = check_connect();
    struct background up = {check_connect(), &upwards, "", check_seconds, DB_OK, false};
    struct background down = {check_connect(), &downwards, "", check_seconds, DB_OK, false};
    counters_make(admin);
    count(admin, "a");
    count(admin, "b");
    for (int i = 1; i <= 3; i++) {
        background_start(&up);
        background_start(&down);
        background_wait(&up);
        background_wait(&down);
        CHECK(up.result == DB_OK && down.result == DB_OK, "%s %s", result_name(up.result),
              result_name(down.result));
        CHECK(counter(admin, "a") == 1 + 2 * i && counter(admin, "b") == 1 + 2 * i, "turn %d", i);
    }
    check_driver->close(up.connection);
    check_driver->close(down.connection);
    check_driver->close(admin);
}

static void changed_tables_are_prepared_for_again(void)
{
    static const struct postern_statement all = {.sql = "SELECT * FROM shapes WHERE a = ?"};
    struct db_connection *admin = check_connect(), *connection = check_connect();
    struct answer answer = {0};
    must_script(admin, "DROP TABLE IF EXISTS shapes; CREATE TABLE shapes (a INTEGER);"
                       "INSERT INTO shapes VALUES (1)");
    must(&answer, connection, &all, POSTERN_VALUES(postern_integer(1)));
    CHECK(answer.rows.columns == 1, "%zu", answer.rows.columns);
    must_script(admin, "ALTER TABLE shapes ADD COLUMN b INTEGER DEFAULT 2");
    if (!is_pgsql()) { /* libmariadb gives up an answer with more columns than there were */
        ask_within(&answer, connection, check_seconds, &all, POSTERN_VALUES(postern_integer(1)));
        CHECK(answer.result == DB_LOST_UNSENT, "%s", result_name(answer.result));
        check_driver->close(connection);
        connection = check_connect();
    }
    must(&answer, connection, &all, POSTERN_VALUES(postern_integer(1)));
    CHECK(answer.rows.columns == 2 && postern_row_integer(&answer.rows, 0, 1) == 2, "%zu",
          answer.rows.columns);
    if (is_pgsql()) {
        must_script(connection, "DEALLOCATE ALL");
        must(&answer, connection, &all, POSTERN_VALUES(postern_integer(1)));
        CHECK(answer.rows.count == 1, "%zu", answer.rows.count);
    }
    answer_free(&answer);
    check_driver->close(connection);
    check_driver->close(admin);
}

#define ROW_IF_MISSING                                                                             \
    "INSERT INTO counters SELECT 'made', 0 WHERE NOT EXISTS"                                       \
    " (SELECT 1 FROM counters WHERE name = 'made');"

static void script_fiber(void *arg)
{
    struct background *background = arg;
    struct postern_error error;
    const char *script =
        is_pgsql() ? ROW_IF_MISSING "SELECT pg_sleep(0.2)" : ROW_IF_MISSING "SELECT SLEEP(0.2)";
    background->result =
        check_driver->script(background->connection, script, fiber_now() + check_seconds, &error);
    background->ended = true;
}

static void scripts_of_two_hosts_take_turns(void)
{
    struct background scripts[2] = {{.connection = check_connect()},
                                    {.connection = check_connect()}};
    struct db_connection *admin = check_connect();
    counters_make(admin);
    for (size_t i = 0; i < 2; i++)
        CHECK(fiber_spawn(script_fiber, &scripts[i]), "no memory");
    for (size_t i = 0; i < 2; i++) {
        background_wait(&scripts[i]);
        CHECK(scripts[i].result == DB_OK, "%s", result_name(scripts[i].result));
        check_driver->close(scripts[i].connection);
    }
    check_driver->close(admin);
}

const struct scenario fault_scenarios[] = {
    {"terminated_while_idle_is_lost_unsent", terminated_while_idle_is_lost_unsent},
    {"terminated_just_before_is_lost_unsent", terminated_just_before_is_lost_unsent},
    {"terminated_while_running_did_nothing", terminated_while_running_did_nothing},
    {"late_statement_ends_at_its_deadline", late_statement_ends_at_its_deadline},
    {"deadlocked_statements_are_both_done", deadlocked_statements_are_both_done},
    {"changed_tables_are_prepared_for_again", changed_tables_are_prepared_for_again},
    {"scripts_of_two_hosts_take_turns", scripts_of_two_hosts_take_turns},
    {NULL, NULL},
};
