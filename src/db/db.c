/*
 * A query borrows a connection (link_take), runs on it, and gives it back (link_give) with
 * what it has learned of it. A shared connection is borrowed by many at once: when it is lost,
 * new queries make another, and the last borrower closes it.
 */
#include "db/driver.h"

#include "build_config.h"
#include "runtime/fiber.h"
#include "runtime/metrics.h"
#include "util/memory.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILED_CONNECT_KEPT 1.0 /* seconds in which nobody tries again */

struct db_metrics {
    char name[32];
    metric queries[3]; /* by enum postern_lookup */
    metric duration, in_use, up;
};

struct link {
    struct db_connection *connection;
    size_t users;
};

struct db {
    const struct database_config *config;
    const struct db_driver *driver; /* NULL: this build has none for it */
    const struct db_metrics *metrics;
    struct link *link; /* the shared connection; NULL when there is none */
    struct fiber_mutex connecting;
    double failed_until;
    struct postern_error failure;
    size_t in_use;
};

static const struct db_driver *const drivers[] = {
    &db_sqlite_driver,
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
    m->in_use =
        metric_register(METRIC_GAUGE, "postern_db_pool_in_use", labels, "Statements under way.");
    m->up = metric_register(METRIC_STATE, "postern_db_up", labels,
                            "Whether the last connection attempt succeeded.");
}

void db_register_metrics(const struct config *config)
{
    for (size_t i = 0; i < config->databases_length; i++)
        metrics_register(config->databases[i].name);
}

static void set_up(const struct db *db, bool up)
{
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

/* --- connections --- */

static bool failed_lately(const struct db *db, struct postern_error *error)
{
    if (fiber_now() >= db->failed_until)
        return false;
    *error = db->failure;
    return true;
}

static void link_connect(struct db *db, double deadline, struct postern_error *error)
{
    struct db_connection *connection = db->driver->connect(db->config, deadline, error);
    set_up(db, connection != NULL);
    if (connection == NULL) {
        db->failed_until = fiber_now() + FAILED_CONNECT_KEPT;
        db->failure = *error;
        return;
    }
    db->link = memory_new(sizeof *db->link);
    db->link->connection = connection;
}

/* One fiber connects, the others wait for it. */
static void link_ensure(struct db *db, double deadline, struct postern_error *error)
{
    if (failed_lately(db, error))
        return;
    if (!fiber_mutex_lock(&db->connecting, deadline)) {
        postern_error_set(error, "no connection before the deadline");
        return;
    }
    if (db->link == NULL && !failed_lately(db, error))
        link_connect(db, deadline, error);
    fiber_mutex_unlock(&db->connecting);
}

static struct link *link_take(struct db *db, double deadline, struct postern_error *error)
{
    if (db->driver == NULL) {
        postern_error_set(error, "this build has no driver \"%s\"", db->config->driver);
        return NULL;
    }
    if (db->link == NULL)
        link_ensure(db, deadline, error);
    if (db->link != NULL) {
        db->link->users++;
        count_in_use(db, 1);
    }
    return db->link;
}

static void link_free(struct db *db, struct link *link)
{
    db->driver->close(link->connection);
    free(link);
}

static void link_give(struct db *db, struct link *link, enum db_result result)
{
    if (db_result_is_lost(result) && db->link == link) {
        db->link = NULL;
        set_up(db, false);
    }
    count_in_use(db, -1);
    if (--link->users == 0 && db->link != link)
        link_free(db, link);
}

/* --- asking --- */

/* What a query and a script have in common. */
struct task {
    const struct db_query *query; /* NULL: it is a script */
    struct postern_rows *rows;
    const char *script;
    double deadline;
};

static enum db_result task_run_on(struct db *db, struct link *link, const struct task *task,
                                  struct postern_error *error)
{
    if (task->query != NULL)
        return db->driver->query(link->connection, task->query, task->rows, error);
    return db->driver->script(link->connection, task->script, task->deadline, error);
}

/* A statement that never reached the server is sent once more, on a new connection. */
static enum db_result task_run(struct db *db, const struct task *task, struct postern_error *error)
{
    enum db_result result = DB_ERROR;
    struct postern_error cause = {.text = "no connection"};
    for (int tries = 0; tries < 2; tries++) {
        struct link *link = link_take(db, task->deadline, &cause);
        if (link == NULL) {
            result = DB_LOST_UNSENT;
            break;
        }
        result = task_run_on(db, link, task, &cause);
        link_give(db, link, result);
        if (result != DB_LOST_UNSENT)
            break;
    }
    if (result != DB_OK)
        postern_error_set(error, "database %s: %s", db->config->name, cause.text);
    return result;
}

enum postern_lookup db_query(struct db *db, const struct db_query *query, struct postern_rows *rows,
                             struct postern_error *error)
{
    double start = fiber_now();
    *rows = (struct postern_rows){0};
    struct task task = {.query = query, .rows = rows, .deadline = query->deadline};
    enum postern_lookup lookup = POSTERN_FAILED;
    if (task_run(db, &task, error) == DB_OK)
        lookup = rows->count > 0 || rows->changed > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND;
    else
        *rows = (struct postern_rows){0};
    count_query(db, lookup, start);
    return lookup;
}

bool db_script(struct db *db, const char *sql, double deadline, struct postern_error *error)
{
    struct task task = {.script = sql, .deadline = deadline};
    return task_run(db, &task, error) == DB_OK;
}

/* --- databases --- */

struct db *db_new(const struct database_config *config)
{
    struct db *db = memory_new(sizeof *db);
    db->config = config;
    db->driver = db_driver_find(config->driver);
    db->metrics = metrics_find(config->name);
    return db;
}

void db_free(struct db *db)
{
    if (db == NULL)
        return;
    assert(db->in_use == 0);
    if (db->link != NULL)
        link_free(db, db->link);
    free(db);
}

const char *db_name(const struct db *db)
{
    return db->config->name;
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
