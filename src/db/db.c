/*
 * Asking: a query borrows a connection from its database's pool, runs on it, and gives it back
 * with what it has learned of it; it is run again where its connection died and that does no
 * harm. Every statement is counted by how it ended.
 */
#include "db/driver.h"

#include "build_config.h"
#include "db/joint.h"
#include "db/pool.h"
#include "db/statement.h"
#include "runtime/fiber.h"
#include "runtime/metrics.h"
#include "util/memory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More often and it is the statement that ends its connections. */
#define RUNS_MAX 3

struct db_metrics {
    char name[32];
    metric queries[3]; /* by enum postern_lookup */
    metric duration, in_use, up;
};

struct db {
    const struct database_config *config;
    const struct db_driver *driver; /* NULL: this build has none for it */
    const struct db_metrics *metrics;
    struct pool *pool; /* if there is a driver */
    size_t in_use;
    bool can_join; /* the server that answered last */
    struct joints *joints;
};

static const struct db_driver *const drivers[] = {
    &db_sqlite_driver,
#if HAVE_LIBMARIADB
    &db_mysql_driver,
#endif
#if HAVE_LIBPQ
    &db_pgsql_driver,
#endif
};

const struct db_driver *db_driver_find(const char *name)
{
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}

/* --- metrics --- */

static struct db_metrics registered[8];
static size_t registered_count;

static const struct db_metrics *metrics_find(const char *name)
{
    for (size_t i = 0; i < registered_count; i++)
        if (strcmp(registered[i].name, name) == 0)
            return &registered[i];
    return NULL;
}

static void metrics_register(const char *name)
{
    static const char *const results[] = {"found", "not_found", "failed"};
    if (metrics_find(name) != NULL || registered_count == sizeof registered / sizeof registered[0])
        return;
    struct db_metrics *m = &registered[registered_count++];
    snprintf(m->name, sizeof m->name, "%s", name);

    char labels[96];
    for (size_t i = 0; i < 3; i++) {
        snprintf(labels, sizeof labels, "database=\"%.31s\",result=\"%s\"", m->name, results[i]);
        m->queries[i] = metric_register(METRIC_COUNTER, "postern_db_queries_total", labels,
                                        "Statements by how they ended.");
    }
    snprintf(labels, sizeof labels, "database=\"%.31s\"", m->name);
    m->duration =
        metric_register(METRIC_HISTOGRAM, "postern_db_query_duration_seconds", labels,
                        "Time of a statement with its wait for a connection and for its turn.");
    m->in_use = metric_register(METRIC_GAUGE, "postern_db_pool_in_use", labels,
                                "Connections that statements use, or statements on a shared one.");
    m->up = metric_register(METRIC_STATE, "postern_db_up", labels,
                            "Whether the database can be reached.");
}

void db_prepare(const struct config *config)
{
    for (size_t i = 0; i < config->databases_length; i++) {
        const struct database_config *database = &config->databases[i];
        const struct db_driver *driver = db_driver_find(database->driver);
        metrics_register(database->name);
        if (driver != NULL && driver->prepare != NULL)
            driver->prepare(database);
    }
}

static void set_up(void *context, bool up)
{
    const struct db *db = context;
    if (db->metrics != NULL)
        metric_set(db->metrics->up, up);
}

static void count_in_use(struct db *db, int change)
{
    db->in_use += (size_t)change;
    if (db->metrics != NULL)
        metric_set(db->metrics->in_use, db->in_use);
}

static void count_query(const struct db *db, enum postern_lookup lookup, double start)
{
    if (db->metrics == NULL)
        return;
    metric_add(db->metrics->queries[lookup], 1);
    metric_observe(db->metrics->duration, fiber_now() - start);
}

/* --- asking --- */

/* What a query, a transaction and a script have in common. */
struct task {
    const struct db_query *queries;
    size_t count; /* of them, in one transaction; 0: it is a single query, or a script */
    struct postern_rows *rows;
    const char *script; /* NULL: it is none */
    double deadline;
    bool repeatable;
};

static enum db_result task_run_on(struct db *db, struct db_connection *connection,
                                  const struct task *task, struct postern_error *error)
{
    const struct db_driver *driver = db->driver;
    db->can_join = driver->can_join != NULL && driver->can_join(connection);
    if (task->script != NULL)
        return driver->script(connection, task->script, task->deadline, error);
    if (task->count > 0)
        return driver->transaction(connection, task->queries, task->count, task->rows, error);
    return driver->query(connection, task->queries, task->rows, error);
}

static enum db_result task_try(struct db *db, const struct task *task, bool again,
                               struct postern_error *error)
{
    if (db->driver == NULL) {
        postern_error_set(error, "this build has no driver \"%s\"", db->config->driver);
        return DB_ERROR;
    }
    struct link *link = pool_take(db->pool, again, task->deadline, error);
    if (link == NULL)
        return DB_ERROR;
    count_in_use(db, 1);
    enum db_result result = task_run_on(db, link->connection, task, error);
    pool_give(db->pool, link, result);
    count_in_use(db, -1);
    return result;
}

/*
 * Each connection of the pool may have died since it was used last: that many tries and one
 * more can end before the server has seen anything.
 */
static enum db_result task_run(struct db *db, const struct task *task, struct postern_error *error)
{
    struct postern_error cause = {.text = "no connection"};
    enum db_result result;
    size_t unsent = 0, runs = 0;
    do {
        result = task_try(db, task, unsent + runs > 0, &cause);
        unsent += result == DB_LOST_UNSENT;
        runs += result == DB_LOST;
    } while ((result == DB_LOST_UNSENT && unsent <= pool_size(db->pool)) ||
             (result == DB_LOST && task->repeatable && runs < RUNS_MAX));
    if (result != DB_OK)
        postern_error_set(error, "database %s: %s", db->config->name, cause.text);
    return result;
}

static enum db_result query_run(struct db *db, const struct db_query *query,
                                struct postern_rows *rows, struct postern_error *error)
{
    *rows = (struct postern_rows){0};
    struct task task = {.queries = query,
                        .rows = rows,
                        .deadline = query->deadline,
                        .repeatable = statement_is_repeatable(query->statement)};
    enum db_result result = task_run(db, &task, error);
    if (result != DB_OK)
        *rows = (struct postern_rows){0};
    return result;
}

static enum db_result joint_run(void *context, const struct db_query *query,
                                struct postern_rows *rows, struct postern_error *error)
{
    return query_run(context, query, rows, error);
}

/* A shared connection has nothing to gain. */
static enum joint_answer query_join(struct db *db, const struct db_query *query,
                                    struct postern_rows *rows, struct postern_error *error)
{
    const struct postern_statement *statement = query->statement;
    if (db->driver == NULL || db->driver->shared)
        return JOINT_ALONE;
    if (statement->merge != NULL)
        return joints_ask(db->joints, query, NULL, rows, error);
    const char *sql = statement_joint(statement, db->driver->dialect);
    if (sql == NULL || !db->can_join || !statement->repeatable)
        return JOINT_ALONE;
    return joints_ask(db->joints, query, sql, rows, error);
}

enum postern_lookup db_query(struct db *db, const struct db_query *query, struct postern_rows *rows,
                             struct postern_error *error)
{
    double start = fiber_now();
    enum postern_lookup lookup = POSTERN_FAILED;
    enum joint_answer answer = query_join(db, query, rows, error);
    bool good = answer == JOINT_ANSWERED ||
                (answer == JOINT_ALONE && query_run(db, query, rows, error) == DB_OK);
    if (good)
        lookup = rows->count > 0 || rows->changed > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND;
    count_query(db, lookup, start);
    return lookup;
}

static void clear_rows(struct postern_rows *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct postern_rows){0};
}

bool db_transaction(struct db *db, const struct db_query *queries, size_t count,
                    struct postern_rows *rows, struct postern_error *error)
{
    double start = fiber_now();
    struct task task = {.queries = queries,
                        .count = count,
                        .rows = rows,
                        .deadline = queries[0].deadline,
                        .repeatable = true};
    clear_rows(rows, count);
    bool done = task_run(db, &task, error) == DB_OK;
    if (!done)
        clear_rows(rows, count);
    count_query(db, done ? POSTERN_FOUND : POSTERN_FAILED, start);
    return done;
}

bool db_script(struct db *db, const char *sql, double deadline, struct postern_error *error)
{
    struct task task = {.script = sql, .deadline = deadline};
    return task_run(db, &task, error) == DB_OK;
}

/* --- databases --- */

struct db *db_new_on(const struct db_driver *driver, const struct database_config *config,
                     const struct pool_times *times)
{
    struct db *db = memory_new(sizeof *db);
    db->config = config;
    db->driver = driver;
    db->metrics = metrics_find(config->name);
    if (times == NULL)
        times = &pool_times_default;
    if (driver != NULL)
        db->pool = pool_new(driver, config, times, set_up, db);
    db->joints = joints_new(joint_run, db);
    return db;
}

struct db *db_new(const struct database_config *config)
{
    return db_new_on(db_driver_find(config->driver), config, NULL);
}

void db_free(struct db *db)
{
    if (db == NULL)
        return;
    assert(db->in_use == 0);
    pool_free(db->pool);
    joints_free(db->joints);
    free(db);
}

const char *db_name(const struct db *db)
{
    return db->config->name;
}

bool db_has_driver(const struct db *db)
{
    return db->driver != NULL;
}

void databases_open(struct databases *databases, const struct config *config)
{
    *databases = (struct databases){0};
    size_t room = sizeof databases->list / sizeof databases->list[0];
    for (size_t i = 0; i < config->databases_length && i < room; i++)
        databases->list[databases->count++] = db_new(&config->databases[i]);
}

void databases_close(struct databases *databases)
{
    for (size_t i = 0; i < databases->count; i++)
        db_free(databases->list[i]);
    databases->count = 0;
}

struct db *databases_find(const struct databases *databases, const char *name)
{
    for (size_t i = 0; i < databases->count; i++)
        if (strcmp(db_name(databases->list[i]), name) == 0)
            return databases->list[i];
    return NULL;
}
