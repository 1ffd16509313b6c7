/*
 * Group commit. SQLite lets one connection write at a time, and a transaction costs several
 * times what a small statement in it does. So fibers queue what they write; one fiber
 * per connection takes the file's write lock, runs all that stands in the queue (bounded, so
 * that neither the loop nor another process waits long), commits once, and tells each
 * fiber its own result. It ends when the queue is empty: the next write starts another,
 * and whatever is ready to write meanwhile is in the queue by the time it runs.
 */
#include "db/sqlite_connection.h"

#include "runtime/fiber.h"
#include <utlist.h>

#define BATCH_JOBS    64
#define BATCH_SECONDS 0.002

/* Stands on the stack of the fiber that waits for it. */
struct sqlite_job {
    const struct statement_call *calls;
    const struct db_query *queries;
    size_t count; /* of both; more than one are all done or none */
    struct postern_rows *rows;
    struct postern_error *error;
    enum db_result result;
    bool done;
    struct fiber_cond finished;
    struct sqlite_job *prev, *next; /* in connection->jobs, or in a batch */
};

static void job_finish(struct sqlite_job *job)
{
    job->done = true;
    fiber_cond_signal(&job->finished);
}

static void jobs_finish(struct sqlite_job *jobs)
{
    struct sqlite_job *job, *next;
    DL_FOREACH_SAFE(jobs, job, next)
    {
        job_finish(job);
    }
}

static void jobs_fail(struct sqlite_job *jobs, enum db_result result,
                      const struct postern_error *error)
{
    struct sqlite_job *job;
    DL_FOREACH(jobs, job)
    {
        job->result = result;
        *job->error = *error;
    }
    jobs_finish(jobs);
}

/* Their fibers are about to see it; run now, they could be interrupted amid a transaction. */
static void late_jobs_drop(struct db_connection *connection)
{
    double now = fiber_now();
    struct sqlite_job *job, *next;
    DL_FOREACH_SAFE(connection->jobs, job, next)
    {
        if (job->queries->deadline > now)
            continue;
        DL_DELETE(connection->jobs, job);
        job->result = sqlite_locked_out(connection, true, job->error);
        job_finish(job);
    }
}

static enum db_result command(struct db_connection *connection, const char *sql,
                              struct postern_error *error)
{
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? DB_OK : sqlite_failure(connection, code, error);
}

static enum db_result steps_run(struct db_connection *connection, struct sqlite_job *job)
{
    enum db_result result = DB_OK;
    for (size_t i = 0; result == DB_OK && i < job->count; i++)
        result =
            sqlite_run(connection, &job->calls[i], &job->queries[i], &job->rows[i], job->error);
    return result;
}

/* Within the transaction of its batch. */
static enum db_result steps_run_as_one(struct db_connection *connection, struct sqlite_job *job)
{
    struct postern_error unimportant;
    enum db_result result = command(connection, "SAVEPOINT job", job->error);
    if (result != DB_OK)
        return result;
    result = steps_run(connection, job);
    if (result != DB_OK && !sqlite3_get_autocommit(connection->handle))
        command(connection, "ROLLBACK TO job", &unimportant);
    if (!sqlite3_get_autocommit(connection->handle))
        command(connection, "RELEASE job", &unimportant);
    return result;
}

static void job_run(struct db_connection *connection, struct sqlite_job *job)
{
    job->result = job->count > 1 ? steps_run_as_one(connection, job) : steps_run(connection, job);
}

/* Until the batch is full; false when SQLite has rolled the whole transaction back. */
static bool batch_run(struct db_connection *connection, struct sqlite_job **batch)
{
    double end = fiber_now() + BATCH_SECONDS;
    for (size_t count = 0; connection->jobs != NULL && count < BATCH_JOBS; count++) {
        if (count > 0 && fiber_now() >= end)
            break;
        struct sqlite_job *job = connection->jobs;
        DL_DELETE(connection->jobs, job);
        DL_APPEND(*batch, job);
        job_run(connection, job);
        if (job->result == DB_BUSY)
            sqlite_locked_out(connection, true, job->error);
        if (sqlite3_get_autocommit(connection->handle))
            return false;
    }
    return true;
}

/* The last of the batch is the one at which the transaction ended, and knows why. */
static void batch_lost(struct sqlite_job *batch)
{
    struct sqlite_job *last = batch->prev;
    enum db_result result = last->result == DB_OK ? DB_ERROR : last->result;
    struct postern_error error;
    postern_error_set(&error, "%s",
                      last->result == DB_OK ? "a statement ended the transaction of others"
                                            : last->error->text);
    jobs_fail(batch, result, &error);
}

static void batch_commit(struct db_connection *connection, struct sqlite_job *batch)
{
    struct postern_error error;
    enum db_result result = sqlite_step(connection, connection->commit, &error);
    if (result == DB_OK) {
        jobs_finish(batch);
        return;
    }
    if (result == DB_BUSY)
        sqlite_locked_out(connection, true, &error);
    sqlite_rollback(connection);
    jobs_fail(batch, result, &error);
}

/* False when the file is locked: nothing has been done. */
static bool write_many(struct db_connection *connection)
{
    struct postern_error error;
    enum db_result result = sqlite_step(connection, connection->begin, &error);
    if (result == DB_BUSY)
        return false;
    struct sqlite_job *batch = NULL;
    if (result != DB_OK) {
        DL_CONCAT(batch, connection->jobs);
        connection->jobs = NULL;
        jobs_fail(batch, result, &error);
    } else if (batch_run(connection, &batch)) {
        batch_commit(connection, batch);
    } else {
        batch_lost(batch);
    }
    return true;
}

/* One statement is a transaction by itself. */
static bool write_one(struct db_connection *connection)
{
    struct sqlite_job *job = connection->jobs;
    job_run(connection, job);
    if (job->result == DB_BUSY)
        return false;
    DL_DELETE(connection->jobs, job);
    job_finish(job);
    return true;
}

static bool write_some(struct db_connection *connection)
{
    late_jobs_drop(connection);
    if (connection->jobs == NULL)
        return true;
    bool alone = connection->jobs->next == NULL && connection->jobs->count == 1;
    return alone ? write_one(connection) : write_many(connection);
}

static void write_jobs(void *arg)
{
    struct db_connection *connection = arg;
    struct sqlite_backoff backoff = {.turn = connection->turn};
    while (connection->jobs != NULL) {
        connection->locked_out = !write_some(connection);
        if (connection->locked_out) {
            sqlite_backoff(&backoff, NEVER);
        } else {
            backoff.tries = 0;
            sqlite_turn_pass(connection->turn);
        }
    }
    connection->writing = false;
}

enum db_result sqlite_write(struct db_connection *connection, const struct statement_call *calls,
                            const struct db_query *queries, size_t count, struct postern_rows *rows,
                            struct postern_error *error)
{
    if (!connection->writing && !fiber_spawn(write_jobs, connection)) {
        postern_error_set(error, "%s: no memory for another fiber", connection->path);
        return DB_ERROR;
    }
    connection->writing = true;

    struct sqlite_job job = {
        .calls = calls, .queries = queries, .count = count, .rows = rows, .error = error};
    DL_APPEND(connection->jobs, &job);
    while (!job.done && fiber_cond_wait(&job.finished, queries->deadline))
        ;
    if (job.done)
        return job.result;
    DL_DELETE(connection->jobs, &job);
    return sqlite_locked_out(connection, true, error);
}
