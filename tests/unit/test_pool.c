#include "db/breaker.h"
#include "db/driver.h"
#include "db/pool.h"
#include "fibers.h"
#include "runtime/metrics.h"
#include "util/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a server --- */

#define CONNECTIONS_MAX 64

struct db_connection {
    size_t id;
    bool dead;
};

static struct {
    const char *refusal; /* why it lets nobody in */
    double connect_takes, statement_takes;
    size_t room;
    enum db_result results[8]; /* of the next statements; then DB_OK */
    size_t results_length, results_used;

    size_t attempts, open, open_most, used_last;
    struct db_connection *connections[CONNECTIONS_MAX];
    char order[64]; /* the statements it has seen, by their first letter */
    size_t seen;
} server;

static struct db_connection *server_connect(const struct database_config *config, double deadline,
                                            struct postern_error *error)
{
    (void)config;
    server.attempts++;
    if (server.connect_takes > 0 && !fiber_sleep(server.connect_takes, deadline)) {
        postern_error_set(error, "the server does not answer");
        return NULL;
    }
    if (server.refusal != NULL || server.open == server.room) {
        postern_error_set(error, "%s", server.refusal != NULL ? server.refusal : "too many");
        return NULL;
    }
    struct db_connection *connection = test_calloc(1, sizeof *connection);
    while (server.connections[connection->id] != NULL)
        connection->id++;
    server.connections[connection->id] = connection;
    if (++server.open > server.open_most)
        server.open_most = server.open;
    return connection;
}

static void server_close(struct db_connection *connection)
{
    server.open--;
    server.connections[connection->id] = NULL;
    test_free(connection);
}

static enum db_result server_run(struct db_connection *connection, const char *sql, double deadline,
                                 struct postern_error *error)
{
    postern_error_set(error, "the statement's failure");
    if (connection->dead)
        return DB_LOST_UNSENT;
    server.used_last = connection->id;
    server.order[server.seen++ % sizeof server.order] = sql[0];
    if (server.statement_takes > 0 && !fiber_sleep(server.statement_takes, deadline))
        return DB_TIMEOUT;
    if (connection->dead)
        return DB_LOST;
    if (server.results_used == server.results_length)
        return DB_OK;
    return server.results[server.results_used++];
}

static enum db_result server_query(struct db_connection *connection, const struct db_query *query,
                                   struct postern_rows *rows, struct postern_error *error)
{
    rows->changed = 1;
    return server_run(connection, query->statement->sql, query->deadline, error);
}

static const struct db_driver driver = {
    .name = "test",
    .connect = server_connect,
    .query = server_query,
    .script = server_run,
    .close = server_close,
};
static const struct db_driver shared_driver = {
    .name = "test",
    .shared = true,
    .connect = server_connect,
    .query = server_query,
    .script = server_run,
    .close = server_close,
};

static void server_kill_all(void)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (server.connections[i] != NULL)
            server.connections[i]->dead = true;
}

static void server_answers(const enum db_result *results, size_t length)
{
    memcpy(server.results, results, length * sizeof *results);
    server.results_length = length;
    server.results_used = 0;
}

/* --- asking it --- */

static const struct pool_times times = {.idle = 60, .connect = 0.1, .probe = 0.03};
static struct database_config config = {.name = "iredapd", .driver = "test"};
static struct db *db;

static const struct postern_statement reading = {.sql = "SELECT 1"};
static const struct postern_statement writing = {.sql = "UPDATE t SET n = n + 1"};
static const struct postern_statement setting = {.sql = "UPDATE t SET n = 1", .repeatable = true};

static char failure[600];

static bool ask_until(const struct postern_statement *statement, double deadline)
{
    struct postern_arena *arena = arena_new();
    struct db_query query = {statement, NULL, 0, arena, deadline};
    struct postern_rows rows;
    struct postern_error error = {.text = ""};
    enum postern_lookup lookup = db_query(db, &query, &rows, &error);
    snprintf(failure, sizeof failure, "%s", error.text);
    arena_free(arena);
    return lookup == POSTERN_FOUND;
}

static bool ask(const struct postern_statement *statement)
{
    return ask_until(statement, fiber_now() + 10);
}

static void assert_failure(const char *text)
{
    if (strstr(failure, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", failure, text);
}

/* Fibers that ask at the same time. */
struct crowd {
    const struct postern_statement *statement;
    double deadline;
    size_t times, left, found;
    struct fiber_cond done;
};

static void crowd_member(void *arg)
{
    struct crowd *crowd = arg;
    for (size_t i = 0; i < crowd->times; i++)
        crowd->found += ask_until(crowd->statement, crowd->deadline);
    crowd->left--;
    fiber_cond_signal(&crowd->done);
}

static void crowd_start(struct crowd *crowd, size_t count)
{
    if (crowd->deadline == 0)
        crowd->deadline = fiber_now() + 10;
    if (crowd->times == 0)
        crowd->times = 1;
    crowd->left = count;
    for (size_t i = 0; i < count; i++)
        assert_true(fiber_spawn(crowd_member, crowd));
}

static size_t crowd_end(struct crowd *crowd)
{
    while (crowd->left > 0)
        fiber_cond_wait(&crowd->done, NEVER);
    return crowd->found;
}

static size_t crowd_ask(const struct postern_statement *statement, size_t count)
{
    struct crowd crowd = {.statement = statement};
    crowd_start(&crowd, count);
    return crowd_end(&crowd);
}

static void open_pool(int64_t size, const struct pool_times *use)
{
    config.pool_size = size;
    db = db_new_on(&driver, &config, use);
}

/* So many idle connections. */
static void fill_pool(size_t count)
{
    double takes = server.statement_takes;
    server.statement_takes = 0.005;
    assert_int_equal(crowd_ask(&reading, count), count);
    assert_int_equal(server.open, count);
    server.statement_takes = takes;
}

static void wait_until_open(size_t count)
{
    for (int i = 0; i < 2000 && server.open != count; i++)
        fiber_sleep(0.001, NEVER);
    assert_int_equal(server.open, count);
}

static int reset(void **state)
{
    (void)state;
    memset(&server, 0, sizeof server);
    server.room = CONNECTIONS_MAX;
    return 0;
}

/* Every connection that was made has been closed. */
static void run(void (*body)(void *arg))
{
    in_fiber(body, NULL);
    assert_int_equal(server.open, 0);
}

/* --- connections --- */

static void ask_alone_then_many(void *arg)
{
    (void)arg;
    open_pool(3, &times);
    assert_int_equal(server.attempts, 0);
    for (int i = 0; i < 5; i++)
        assert_true(ask(&reading));
    assert_int_equal(server.open, 1);
    server.statement_takes = 0.002;
    assert_int_equal(crowd_ask(&reading, 20), 20);
    assert_int_equal(server.open_most, 3);
    assert_int_equal(server.attempts, 3);
    db_free(db);
}

static void connections_are_made_when_needed_and_bounded(void **state)
{
    (void)state;
    run(ask_alone_then_many);
}

static void ask_in_order(void *arg)
{
    (void)arg;
    static const struct postern_statement names[] = {{.sql = "a"}, {.sql = "b"}, {.sql = "c"}};
    struct crowd crowds[3];
    open_pool(1, &times);
    server.statement_takes = 0.002;
    for (size_t i = 0; i < 3; i++) {
        crowds[i] = (struct crowd){.statement = &names[i], .times = 3};
        crowd_start(&crowds[i], 1);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(crowd_end(&crowds[i]), 3);
    assert_string_equal(server.order, "abcabcabc");
    db_free(db);
}

static void connection_goes_to_the_longest_waiting(void **state)
{
    (void)state;
    run(ask_in_order);
}

static void wait_too_long(void *arg)
{
    (void)arg;
    open_pool(1, &times);
    server.statement_takes = 0.1;
    struct crowd holder = {.statement = &reading};
    crowd_start(&holder, 1);
    fiber_sleep(0.02, NEVER);
    double start = fiber_now();
    assert_false(ask_until(&reading, start + 0.02));
    assert_true(fiber_now() - start < 0.07);
    assert_failure("database iredapd: no connection was free before the deadline: the 1 of "
                   "pool_size are in use");
    assert_int_equal(crowd_end(&holder), 1);
    db_free(db);
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    run(wait_too_long);
}

static void leave_idle(void *arg)
{
    (void)arg;
    static const struct pool_times hasty = {.idle = 0.05, .connect = 1, .probe = 0.03};
    open_pool(3, &hasty);
    fill_pool(3);
    assert_true(ask(&reading));
    size_t used = server.used_last;
    for (int i = 0; i < 2000 && server.open > 1; i++) {
        assert_true(ask(&reading));
        assert_int_equal(server.used_last, used);
        fiber_sleep(0.001, NEVER);
    }
    assert_int_equal(server.open, 1);
    wait_until_open(0);
    assert_true(ask(&reading));
    assert_int_equal(server.attempts, 4);
    db_free(db);
}

static void last_used_is_used_next_and_unused_ones_are_closed(void **state)
{
    (void)state;
    run(leave_idle);
}

static void ask_and_leave(void *arg)
{
    (void)arg;
    open_pool(1, &times);
    assert_true(ask(&reading));
}

static void idle_connection_does_not_keep_the_loop_running(void **state)
{
    (void)state;
    fiber_runtime_start();
    assert_true(fiber_spawn(ask_and_leave, NULL));
    fiber_runtime_run();
    assert_int_equal(server.open, 1);
    db_free(db);
    fiber_runtime_end();
    assert_int_equal(server.open, 0);
}

static void connect_slowly(void *arg)
{
    (void)arg;
    open_pool(2, &times);
    server.connect_takes = 0.05;
    assert_false(ask_until(&reading, fiber_now() + 0.01));
    assert_failure("no connection was made before the deadline");
    wait_until_open(1);
    double start = fiber_now();
    assert_true(ask(&reading));
    assert_true(fiber_now() - start < 0.02);
    assert_int_equal(server.attempts, 1);
    db_free(db);
}

static void slow_connection_serves_the_next_one_who_asks(void **state)
{
    (void)state;
    run(connect_slowly);
}

/* --- connections that die --- */

static void ask_on_dead_ones(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    for (int i = 0; i < 3; i++) {
        fill_pool(4);
        server_kill_all();
        assert_true(ask(&writing));
        assert_int_equal(server.open, 1);
    }
    db_free(db);
}

static void dead_connections_are_replaced_unnoticed(void **state)
{
    (void)state;
    run(ask_on_dead_ones);
}

static void kill_under_load(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    server.statement_takes = 0.002;
    struct crowd crowd = {.statement = &setting, .times = 40};
    crowd_start(&crowd, 20);
    for (int i = 0; i < 10; i++) {
        fiber_sleep(0.011, NEVER);
        server_kill_all();
    }
    assert_int_equal(crowd_end(&crowd), 800);
    assert_true(server.open_most <= 4);
    db_free(db);
}

static void no_request_sees_that_all_connections_are_killed(void **state)
{
    (void)state;
    run(kill_under_load);
}

struct loss {
    const struct postern_statement *statement;
    size_t losses;
    bool found;
    size_t seen;
};

static void lose(void *arg)
{
    const struct loss *loss = arg;
    static const enum db_result lost[] = {DB_LOST, DB_LOST, DB_LOST, DB_LOST};
    open_pool(2, &times);
    server_answers(lost, loss->losses);
    assert_int_equal(ask(loss->statement), loss->found);
    assert_int_equal(server.seen, loss->seen);
    db_free(db);
}

static void lost_write_is_not_repeated(void **state)
{
    (void)state;
    in_fiber(lose, &(struct loss){&writing, 1, false, 1});
    assert_failure("database iredapd: the statement's failure");
}

static void lost_read_is_repeated(void **state)
{
    (void)state;
    in_fiber(lose, &(struct loss){&reading, 1, true, 2});
}

static void lost_repeatable_write_is_repeated(void **state)
{
    (void)state;
    in_fiber(lose, &(struct loss){&setting, 2, true, 3});
}

static void statement_that_ends_every_connection_is_given_up(void **state)
{
    (void)state;
    in_fiber(lose, &(struct loss){&setting, 4, false, 3});
}

static void lose_script(void *arg)
{
    (void)arg;
    static const enum db_result results[] = {DB_LOST_UNSENT, DB_LOST};
    struct postern_error error;
    open_pool(2, &times);
    server_answers(results, 2);
    assert_false(db_script(db, "SELECT 1", fiber_now() + 10, &error));
    assert_int_equal(server.seen, 2);
    db_free(db);
}

static void script_is_repeated_only_when_it_was_not_sent(void **state)
{
    (void)state;
    run(lose_script);
}

/* --- a server that is away --- */

static void ask_away(void *arg)
{
    (void)arg;
    open_pool(2, &times);
    server.refusal = "cannot connect to 127.0.0.1:1: Connection refused";
    assert_false(ask(&reading));
    assert_string_equal(failure, "database iredapd: cannot connect to 127.0.0.1:1: Connection "
                                 "refused");
    double start = fiber_now();
    for (int i = 0; i < 100; i++)
        assert_false(ask(&reading));
    assert_true(fiber_now() - start < 0.02);
    assert_int_equal(server.attempts, 1);

    fiber_sleep(1.01, NEVER);
    assert_false(ask(&reading));
    assert_failure("Connection refused (since 1 s)");
    assert_in_range(server.attempts, 5, 35);

    server.refusal = NULL;
    wait_until_open(1);
    size_t attempts = server.attempts;
    assert_true(ask(&reading));
    assert_int_equal(server.attempts, attempts);
    db_free(db);
}

static void asking_an_absent_server_fails_at_once_until_a_probe_finds_it(void **state)
{
    (void)state;
    run(ask_away);
}

static void refuse_late(void *arg)
{
    (void)arg;
    open_pool(1, &times);
    server.connect_takes = 0.02;
    server.refusal = "the server is starting up";
    struct crowd crowd = {.statement = &reading};
    double start = fiber_now();
    crowd_start(&crowd, 10);
    assert_int_equal(crowd_end(&crowd), 0);
    assert_true(fiber_now() - start < 0.08);
    assert_failure("the server is starting up");
    assert_int_equal(server.attempts, 1);
    db_free(db);
}

static void all_who_wait_are_told_when_the_server_refuses(void **state)
{
    (void)state;
    run(refuse_late);
}

static void never_answer(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    server.connect_takes = 1000;
    double start = fiber_now();
    assert_false(ask_until(&reading, start + 0.02));
    assert_true(fiber_now() - start < 0.07);
    assert_false(ask(&reading));
    assert_in_range((fiber_now() - start) * 1000, 80, 200);
    assert_failure("the server does not answer");
    start = fiber_now();
    assert_false(ask(&reading));
    assert_true(fiber_now() - start < 0.02);
    db_free(db);
}

static void server_that_accepts_and_never_answers_costs_one_patience(void **state)
{
    (void)state;
    run(never_answer);
}

static void let_in_few(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    server.room = 1;
    server.statement_takes = 0.002;
    assert_true(ask(&reading));
    struct crowd crowd = {.statement = &reading, .times = 5};
    crowd_start(&crowd, 10);
    assert_int_equal(crowd_end(&crowd), 50);
    server.room = 2;
    struct crowd again = {.statement = &reading, .times = 20};
    crowd_start(&again, 10);
    assert_int_equal(crowd_end(&again), 200);
    assert_int_equal(server.open, 2);
    db_free(db);
}

static void too_many_connections_leaves_those_there_in_use(void **state)
{
    (void)state;
    run(let_in_few);
}

static void freeze(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    fill_pool(4);
    server.statement_takes = server.connect_takes = 1000;
    struct crowd crowd = {.statement = &reading, .deadline = fiber_now() + BREAKER_PATIENCE + 0.1};
    crowd_start(&crowd, BREAKER_TIMEOUTS);
    assert_int_equal(crowd_end(&crowd), 0);
    assert_int_equal(server.open, 0);
    double start = fiber_now();
    assert_false(ask(&reading));
    assert_true(fiber_now() - start < 0.02);
    assert_failure("3 statements in a row got no answer");
    server.statement_takes = server.connect_takes = 0;
    wait_until_open(1);
    assert_true(ask(&reading));
    db_free(db);
}

static void server_that_freezes_is_asked_no_more(void **state)
{
    (void)state;
    run(freeze);
}

static void ask_hastily(void *arg)
{
    (void)arg;
    open_pool(4, &times);
    server.statement_takes = 0.05;
    for (int i = 0; i < 2 * BREAKER_TIMEOUTS; i++)
        assert_false(ask_until(&reading, fiber_now() + 0.01));
    assert_true(ask(&reading));
    db_free(db);
}

static void hasty_requests_say_nothing_of_the_server(void **state)
{
    (void)state;
    run(ask_hastily);
}

static void look_at_metrics(void *arg)
{
    (void)arg;
    const struct config whole = {.databases = &config, .databases_length = 1};
    metrics_create();
    db_prepare(&whole);
    const char *labels = "database=\"iredapd\"";
    metric up = metric_register(METRIC_STATE, "postern_db_up", labels, "");
    metric in_use = metric_register(METRIC_GAUGE, "postern_db_pool_in_use", labels, "");
    open_pool(2, &times);
    fill_pool(2);
    assert_int_equal(metric_read(up), 1);
    assert_int_equal(metric_read(in_use), 0);
    server.statement_takes = 0.02;
    struct crowd crowd = {.statement = &reading};
    crowd_start(&crowd, 5);
    fiber_sleep(0.01, NEVER);
    assert_int_equal(metric_read(in_use), 2);
    assert_int_equal(crowd_end(&crowd), 5);
    server_kill_all();
    server.refusal = "gone";
    assert_false(ask(&reading));
    assert_int_equal(metric_read(up), 0);
    server.refusal = NULL;
    wait_until_open(1);
    assert_int_equal(metric_read(up), 1);
    db_free(db);
}

static void metrics_say_what_is_in_use_and_reachable(void **state)
{
    (void)state;
    run(look_at_metrics);
}

/* --- ending --- */

static void end_while_connecting(void *arg)
{
    (void)arg;
    static const struct pool_times patient = {.idle = 60, .connect = 1000, .probe = 0.01};
    open_pool(2, &patient);
    server.connect_takes = 1000;
    assert_false(ask_until(&reading, fiber_now() + 0.01));
    db_free(db);
    open_pool(2, &patient);
    server.connect_takes = 0;
    server.refusal = "no";
    assert_false(ask(&reading));
    size_t attempts = server.attempts;
    server.connect_takes = 1.9;
    while (server.attempts == attempts)
        fiber_sleep(0.001, NEVER);
    double start = fiber_now();
    db_free(db);
    assert_true(fiber_now() - start < 0.5);
}

static void ending_cuts_short_whoever_connects_or_probes(void **state)
{
    (void)state;
    run(end_while_connecting);
}

static void ask_briefly(void *arg)
{
    (void)arg;
    open_pool(1, &times);
    server.connect_takes = 1000;
    assert_false(ask_until(&reading, fiber_now() + 0.01));
    fiber_runtime_stop();
}

static void ending_after_the_loop_leaves_an_attempt_behind(void **state)
{
    (void)state;
    fiber_runtime_start();
    assert_true(fiber_spawn(ask_briefly, NULL));
    fiber_runtime_run();
    db_free(db);
    fiber_runtime_end();
}

/* --- shared connections --- */

static void ask_shared(void *arg)
{
    (void)arg;
    config.pool_size = 4;
    db = db_new_on(&shared_driver, &config, &times);
    server.connect_takes = 0.005;
    server.statement_takes = 0.02;
    double start = fiber_now();
    assert_int_equal(crowd_ask(&reading, 20), 20);
    assert_true(fiber_now() - start < 0.2);
    assert_int_equal(server.open_most, 1);

    struct crowd crowd = {.statement = &reading};
    crowd_start(&crowd, 10);
    fiber_sleep(0.01, NEVER);
    server_kill_all();
    assert_int_equal(crowd_end(&crowd), 10);
    assert_int_equal(server.open, 1);
    assert_int_equal(server.attempts, 2);
    db_free(db);
}

static void shared_connection_serves_all_at_once(void **state)
{
    (void)state;
    run(ask_shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(connections_are_made_when_needed_and_bounded, reset),
        cmocka_unit_test_setup(connection_goes_to_the_longest_waiting, reset),
        cmocka_unit_test_setup(waiting_ends_at_the_deadline, reset),
        cmocka_unit_test_setup(last_used_is_used_next_and_unused_ones_are_closed, reset),
        cmocka_unit_test_setup(idle_connection_does_not_keep_the_loop_running, reset),
        cmocka_unit_test_setup(slow_connection_serves_the_next_one_who_asks, reset),
        cmocka_unit_test_setup(dead_connections_are_replaced_unnoticed, reset),
        cmocka_unit_test_setup(no_request_sees_that_all_connections_are_killed, reset),
        cmocka_unit_test_setup(lost_write_is_not_repeated, reset),
        cmocka_unit_test_setup(lost_read_is_repeated, reset),
        cmocka_unit_test_setup(lost_repeatable_write_is_repeated, reset),
        cmocka_unit_test_setup(statement_that_ends_every_connection_is_given_up, reset),
        cmocka_unit_test_setup(script_is_repeated_only_when_it_was_not_sent, reset),
        cmocka_unit_test_setup(asking_an_absent_server_fails_at_once_until_a_probe_finds_it, reset),
        cmocka_unit_test_setup(all_who_wait_are_told_when_the_server_refuses, reset),
        cmocka_unit_test_setup(server_that_accepts_and_never_answers_costs_one_patience, reset),
        cmocka_unit_test_setup(too_many_connections_leaves_those_there_in_use, reset),
        cmocka_unit_test_setup(server_that_freezes_is_asked_no_more, reset),
        cmocka_unit_test_setup(hasty_requests_say_nothing_of_the_server, reset),
        cmocka_unit_test_setup(metrics_say_what_is_in_use_and_reachable, reset),
        cmocka_unit_test_setup(ending_cuts_short_whoever_connects_or_probes, reset),
        cmocka_unit_test_setup(shared_connection_serves_all_at_once, reset),
        cmocka_unit_test_setup(ending_after_the_loop_leaves_an_attempt_behind, reset),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
