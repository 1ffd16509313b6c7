/*
 * The PostgreSQL driver (libpq): one fiber at a time on a connection, parked on its socket.
 *
 * Each statement is a transaction, so what a deadlock or a serialization failure has undone is
 * run again here, until the deadline. One that is still running at its deadline can't be
 * withdrawn without blocking (PQcancel), so its connection is closed; a server of version 14 or
 * newer sees that within a second and ends it.
 */
#include "db/pgsql_connection.h"
#include "db/retry.h"

#include <stdlib.h>
#include <string.h>

/* "postern": what two hosts that migrate one database wait for. */
#define SCRIPT_BEGIN                                                                               \
    "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(31647739056321134);\n"
#define SCRIPT_END "\n;COMMIT"

/*
 * A server that ended an idle session has said so by now: then nothing is sent to it.
 * libpq reads without waiting, and gives what it finds to on_notice.
 */
static bool is_usable(struct db_connection *connection, struct postern_error *error)
{
    PGconn *pg = connection->pg;
    if (!connection->ended && PQconsumeInput(pg) && !PQisBusy(pg) && !connection->ended &&
        PQstatus(pg) == CONNECTION_OK)
        return true;
    connection->ended = true;
    return postern_error_set(error, "%s: the server ended the session while it was idle",
                             connection->place);
}

static enum db_result retry_run(struct db_connection *connection, const struct statement_call *call,
                                const struct db_query *query, struct postern_rows *rows,
                                struct postern_error *error)
{
    bool renewed = false;
    for (int tries = 0;; tries++) {
        enum db_result result = pgsql_run(connection, call, query, rows, error);
        if (result != DB_ERROR || connection->ended)
            return result;
        if (pgsql_is_stale(connection) && !renewed) {
            renewed = true;
            pgsql_forget(connection, &call->key);
        } else if (!pgsql_is_transient(connection)) {
            return result;
        } else if (!retry_pause(tries, query->deadline)) {
            return DB_BUSY;
        }
    }
}

static enum db_result pgsql_query(struct db_connection *connection, const struct db_query *query,
                                  struct postern_rows *rows, struct postern_error *error)
{
    struct statement_call call;
    if (!statement_call(query, STATEMENT_PGSQL, &call, error))
        return DB_ERROR;
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    connection->sqlstate[0] = '\0';
    enum db_result result = retry_run(connection, &call, query, rows, error);
    return result == DB_LOST && statement_is_read_only(call.key.sql) ? DB_LOST_UNSENT : result;
}

/* --- scripts --- */

static enum db_result script_run(struct db_connection *connection, const char *sql, double deadline,
                                 struct postern_error *error)
{
    enum db_result result = pgsql_simple(connection, sql, deadline, error);
    if (db_result_is_lost(result) || PQtransactionStatus(connection->pg) == PQTRANS_IDLE)
        return result;
    struct postern_error unimportant;
    char state[sizeof connection->sqlstate];
    memcpy(state, connection->sqlstate, sizeof state);
    pgsql_simple(connection, "ROLLBACK", deadline, &unimportant);
    memcpy(connection->sqlstate, state, sizeof state);
    return result;
}

static enum db_result pgsql_script(struct db_connection *connection, const char *sql,
                                   double deadline, struct postern_error *error)
{
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    struct buffer script = {0};
    buffer_text(&script, SCRIPT_BEGIN);
    buffer_text(&script, sql);
    buffer_text(&script, SCRIPT_END);
    enum db_result result;
    bool again;
    int tries = 0;
    do {
        connection->sqlstate[0] = '\0';
        result = script_run(connection, script.data, deadline, error);
        again = result == DB_ERROR && pgsql_is_transient(connection);
    } while (again && retry_pause(tries++, deadline));
    buffer_free(&script);
    return again ? DB_BUSY : result;
}

/* --- transactions --- */

static enum db_result steps_run(struct db_connection *connection, const struct db_query *queries,
                                size_t count, struct postern_rows *rows,
                                struct postern_error *error)
{
    struct statement_call call;
    enum db_result result = pgsql_simple(connection, "BEGIN", queries[0].deadline, error);
    for (size_t i = 0; result == DB_OK && i < count; i++) {
        if (!statement_call(&queries[i], STATEMENT_PGSQL, &call, error))
            return DB_ERROR;
        result = pgsql_run(connection, &call, &queries[i], &rows[i], error);
        if (result == DB_ERROR && pgsql_is_stale(connection))
            pgsql_forget(connection, &call.key);
    }
    return result == DB_LOST ? DB_LOST_UNSENT : result;
}

/* What ends the connection ends the transaction as well. */
static void roll_back(struct db_connection *connection, double deadline)
{
    struct postern_error unimportant;
    char state[sizeof connection->sqlstate];
    memcpy(state, connection->sqlstate, sizeof state);
    if (connection->ended || pgsql_simple(connection, "ROLLBACK", deadline, &unimportant) != DB_OK)
        connection->ended = true;
    memcpy(connection->sqlstate, state, sizeof state);
}

static enum db_result transaction_try(struct db_connection *connection,
                                      const struct db_query *queries, size_t count,
                                      struct postern_rows *rows, struct postern_error *error)
{
    connection->sqlstate[0] = '\0';
    enum db_result result = steps_run(connection, queries, count, rows, error);
    if (result == DB_OK)
        result = pgsql_simple(connection, "COMMIT", queries[0].deadline, error);
    if (!db_result_is_lost(result) && PQtransactionStatus(connection->pg) != PQTRANS_IDLE)
        roll_back(connection, queries[0].deadline);
    return result;
}

static enum db_result pgsql_transaction(struct db_connection *connection,
                                        const struct db_query *queries, size_t count,
                                        struct postern_rows *rows, struct postern_error *error)
{
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    for (int tries = 0;; tries++) {
        enum db_result result = transaction_try(connection, queries, count, rows, error);
        bool again = result == DB_ERROR && !connection->ended &&
                     (pgsql_is_transient(connection) || pgsql_is_stale(connection));
        if (!again)
            return result;
        if (!retry_pause(tries, queries[0].deadline))
            return DB_BUSY;
    }
}

static bool pgsql_can_join(const struct db_connection *connection)
{
    (void)connection;
    return true;
}

const struct db_driver db_pgsql_driver = {
    .name = "pgsql",
    .dialect = STATEMENT_PGSQL,
    .shared = false,
    .connect = pgsql_connect,
    .query = pgsql_query,
    .transaction = pgsql_transaction,
    .script = pgsql_script,
    .close = pgsql_close,
    .can_join = pgsql_can_join,
};
