/* Many fibers on few connections: the right sum, through faults too, and the rate. */
#include "db_driver_check.h"

#define FIBERS 50

static struct {
    struct db_connection *free[64];
    size_t count;
    struct fiber_cond given;
} pool;

static struct {
    size_t fibers, running;
    double end;   /* or */
    int64_t each; /* statements */
    bool own_rows;
    int64_t results[DB_LOST + 1], refused;
    double longest;
} load;

/* --- a pool of few words --- */

static struct db_connection *pool_take(void)
{
    while (pool.count == 0)
        CHECK(fiber_cond_wait(&pool.given, fiber_now() + check_seconds), "no connection");
    return pool.free[--pool.count];
}

static void pool_give(struct db_connection *connection)
{
    pool.free[pool.count++] = connection;
    fiber_cond_signal(&pool.given);
}

static void pool_open(void)
{
    CHECK(check_config.pool_size <= 64, "pool_size is too large");
    for (int64_t i = 0; i < check_config.pool_size; i++)
        pool_give(check_connect());
}

static void pool_close(void)
{
    while (pool.count > 0)
        check_driver->close(pool.free[--pool.count]);
}

/* Until there is a server, in place of a dead connection. */
static struct db_connection *pool_replace(struct db_connection *dead)
{
    struct postern_error error;
    struct db_connection *connection;
    check_driver->close(dead);
    double end = fiber_now() + check_seconds;
    while ((connection = check_driver->connect(&check_config, end, &error)) == NULL) {
        load.refused++;
        CHECK(fiber_sleep(0.05, end), "%s", error.text);
    }
    return connection;
}

/* --- the load --- */

/* With the time that a new connection takes, without that of waiting for a free one. */
static enum db_result upsert(const char *name)
{
    struct answer answer = {0};
    struct db_connection *connection = pool_take();
    double start = fiber_now();
    do {
        if (db_result_is_lost(answer.result))
            connection = pool_replace(connection);
        ask_within(&answer, connection, check_seconds, &counter_add,
                   POSTERN_VALUES(postern_text(name), postern_integer(1)));
    } while (answer.result == DB_LOST_UNSENT);
    if (answer.result == DB_ERROR || answer.result == DB_LOST)
        printf("%s\n", answer.error.text);
    double took = fiber_now() - start;
    load.longest = took > load.longest ? took : load.longest;
    if (db_result_is_lost(answer.result))
        connection = pool_replace(connection);
    pool_give(connection);
    answer_free(&answer);
    return answer.result;
}

static void load_fiber(void *arg)
{
    char name[32];
    snprintf(name, sizeof name, "row%zu", load.own_rows ? (size_t)arg : 0);
    for (int64_t i = 0; load.each > 0 ? i < load.each : fiber_now() < load.end; i++)
        load.results[upsert(name)]++;
    load.running--;
}

static void load_run(void)
{
    load.running = load.fibers;
    for (size_t i = 0; i < load.fibers; i++)
        CHECK(fiber_spawn(load_fiber, (void *)i), "no memory");
    while (load.running > 0)
        fiber_sleep(0.01, NEVER);
}

static int64_t counted(void)
{
    static const struct postern_statement sum = {.sql = "SELECT SUM(n) FROM counters"};
    struct answer answer = {0};
    struct db_connection *connection = pool_take();
    do {
        if (db_result_is_lost(answer.result))
            connection = pool_replace(connection);
        ask_within(&answer, connection, check_seconds, &sum, POSTERN_NO_VALUES);
    } while (answer.result == DB_LOST_UNSENT);
    CHECK(answer.result == DB_OK, "%s: %s", result_name(answer.result), answer.error.text);
    int64_t n = postern_row_integer(&answer.rows, 0, 0);
    answer_free(&answer);
    pool_give(connection);
    return n;
}

static void many_fibers_count_exactly(void)
{
    pool_open();
    struct db_connection *connection = pool_take();
    counters_make(connection);
    pool_give(connection);
    load.fibers = FIBERS;
    load.each = 20;
    load_run();
    CHECK(load.results[DB_OK] == FIBERS * load.each, "%d", (int)load.results[DB_OK]);
    CHECK(counted() == FIBERS * load.each, "%d were counted", (int)counted());
    pool_close();
}

/*
 * Upserts for as long as a line on stdin says ("go SECONDS"), while the test ends sessions or the
 * server: prints how many there were of each result, and how many the table has.
 */
static void load_through_faults(void)
{
    double seconds;
    pool_open();
    struct db_connection *connection = pool_take();
    counters_make(connection);
    pool_give(connection);
    puts("ready");
    fflush(stdout);
    CHECK(scanf("go %lf", &seconds) == 1, "expected: go SECONDS");
    load.fibers = FIBERS;
    load.own_rows = true;
    load.end = fiber_now() + seconds;
    load_run();
    for (enum db_result result = DB_OK; result <= DB_LOST; result++)
        printf("%s=%d ", result_name(result), (int)load.results[result]);
    printf("refused=%d counted=%d longest=%.3f\n", (int)load.refused, (int)counted(), load.longest);
    pool_close();
}

static void rate_of_upserts(void)
{
    double seconds = 5;
    pool_open();
    struct db_connection *connection = pool_take();
    counters_make(connection);
    pool_give(connection);
    load.fibers = 32;
    load.own_rows = true;
    load.end = fiber_now() + seconds;
    load_run();
    printf("%.0f upserts a second by %zu fibers on %d connections\n",
           (double)load.results[DB_OK] / seconds, load.fibers, (int)check_config.pool_size);
    pool_close();
}

const struct scenario rate_scenarios[] = {
    {"many_fibers_count_exactly", many_fibers_count_exactly},
    {"load_through_faults", load_through_faults},
    {"rate_of_upserts", rate_of_upserts},
    {NULL, NULL},
};
