/*
 * The MySQL driver (libmariadb, for servers of MariaDB and of MySQL): one fiber at a time on a
 * connection, parked on its socket.
 *
 * Each statement is a transaction, so what a deadlock or a lock's timeout has undone is run again
 * here, until the deadline. One that is still running at its deadline can't be withdrawn
 * without another connection, so its own is closed; the server ends it when it next looks.
 */
#include "db/mysql_connection.h"
#include "db/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define GOODBYE_TIME 0.1 /* seconds for what is sent after a failure */

/*
 * A server says nothing to a session that asks nothing, but that it has ended: what can be read
 * now is its goodbye. Then nothing is sent to it.
 */
static bool is_usable(struct db_connection *connection, struct postern_error *error)
{
    char byte;
    int fd = connection->ended ? -1 : mysql_get_socket(connection->mysql);
    if (fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
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
        enum db_result result = mysql_run(connection, call, query, rows, error);
        if (result != DB_ERROR)
            return result;
        if (mysql_is_stale(connection) && !renewed) {
            renewed = true;
            mysql_forget(connection, &call->key);
        } else if (!mysql_is_transient(connection)) {
            return result;
        } else if (!retry_pause(tries, query->deadline)) {
            return DB_BUSY;
        } else if (!is_usable(connection, error)) {
            return DB_LOST_UNSENT;
        }
    }
}

static enum db_result mysql_query_run(struct db_connection *connection,
                                      const struct db_query *query, struct postern_rows *rows,
                                      struct postern_error *error)
{
    struct statement_call call;
    if (!statement_call(query, STATEMENT_MYSQL, &call, error))
        return DB_ERROR;
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    connection->deadline = query->deadline;
    enum db_result result = retry_run(connection, &call, query, rows, error);
    return result == DB_LOST && statement_is_read_only(call.key.sql) ? DB_LOST_UNSENT : result;
}

/* --- scripts --- */

/* Reads all results of what was sent, though only the last failure matters. */
static enum db_result results_read(struct db_connection *connection, struct postern_error *error)
{
    int outcome;
    do {
        MYSQL_RES *result = mysql_await_store_result(connection);
        if (result == NULL && mysql_errno(connection->mysql) != 0)
            return mysql_failure(connection, error);
        mysql_free_result(result);
    } while ((outcome = mysql_await_next_result(connection)) == 0);
    return outcome < 0 ? DB_OK : mysql_failure(connection, error);
}

static enum db_result text_run(struct db_connection *connection, const char *sql,
                               struct postern_error *error)
{
    connection->code = 0;
    if (mysql_await_query(connection, sql) != 0)
        return mysql_failure(connection, error);
    return results_read(connection, error);
}

static enum db_result multi_statements_set(struct db_connection *connection, bool on,
                                           struct postern_error *error)
{
    return mysql_await_multi_statements(connection, on) == 0 ? DB_OK
                                                             : mysql_failure(connection, error);
}

/* What must be done whatever the script came to, and adds nothing to its failure. */
static void script_end(struct db_connection *connection, double deadline)
{
    struct postern_error unimportant;
    double end = fiber_now() + GOODBYE_TIME;
    connection->deadline = deadline > end ? deadline : end;
    if (!connection->ended)
        text_run(connection, "ROLLBACK", &unimportant);
    if (!connection->ended)
        text_run(connection, "DO RELEASE_LOCK('postern_migrate')", &unimportant);
    if (!connection->ended)
        multi_statements_set(connection, false, &unimportant);
}

/*
 * Each DDL statement commits what was before it, so the lock is not the transaction's: two hosts
 * that migrate take turns by name. GET_LOCK waits for the deadline, which is ours to know.
 */
static enum db_result script_run(struct db_connection *connection, const char *sql,
                                 struct postern_error *error)
{
    enum db_result result = text_run(connection, "DO GET_LOCK('postern_migrate', 86400)", error);
    if (result == DB_OK)
        result = multi_statements_set(connection, true, error);
    if (result == DB_OK)
        result = text_run(connection, "START TRANSACTION", error);
    if (result == DB_OK)
        result = text_run(connection, sql, error);
    if (result == DB_OK)
        result = text_run(connection, "COMMIT", error);
    return result;
}

static enum db_result mysql_script(struct db_connection *connection, const char *sql,
                                   double deadline, struct postern_error *error)
{
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    connection->deadline = deadline;
    enum db_result result = script_run(connection, sql, error);
    script_end(connection, deadline);
    return connection->ended && result == DB_OK ? DB_LOST : result;
}

/* --- transactions --- */

static enum db_result steps_run(struct db_connection *connection, const struct db_query *queries,
                                size_t count, struct postern_rows *rows,
                                struct postern_error *error)
{
    struct statement_call call;
    enum db_result result = text_run(connection, "START TRANSACTION", error);
    for (size_t i = 0; result == DB_OK && i < count; i++) {
        if (!statement_call(&queries[i], STATEMENT_MYSQL, &call, error))
            return DB_ERROR;
        result = mysql_run(connection, &call, &queries[i], &rows[i], error);
        if (result == DB_ERROR && mysql_is_stale(connection))
            mysql_forget(connection, &call.key);
    }
    return result == DB_LOST ? DB_LOST_UNSENT : result;
}

static void roll_back(struct db_connection *connection)
{
    struct postern_error unimportant;
    unsigned code = connection->code;
    if (text_run(connection, "ROLLBACK", &unimportant) != DB_OK)
        connection->ended = true;
    connection->code = code;
}

static enum db_result transaction_try(struct db_connection *connection,
                                      const struct db_query *queries, size_t count,
                                      struct postern_rows *rows, struct postern_error *error)
{
    enum db_result result = steps_run(connection, queries, count, rows, error);
    if (result == DB_OK)
        result = text_run(connection, "COMMIT", error);
    if (result != DB_OK && !connection->ended)
        roll_back(connection);
    return result;
}

static enum db_result mysql_transaction(struct db_connection *connection,
                                        const struct db_query *queries, size_t count,
                                        struct postern_rows *rows, struct postern_error *error)
{
    if (!is_usable(connection, error))
        return DB_LOST_UNSENT;
    connection->deadline = queries[0].deadline;
    for (int tries = 0;; tries++) {
        enum db_result result = transaction_try(connection, queries, count, rows, error);
        bool again = result == DB_ERROR && !connection->ended &&
                     (mysql_is_transient(connection) || mysql_is_stale(connection));
        if (!again)
            return result;
        if (!retry_pause(tries, queries[0].deadline))
            return DB_BUSY;
    }
}

/* INSERT ... RETURNING. */
static bool mysql_can_join(const struct db_connection *connection)
{
    return mariadb_connection(connection->mysql) &&
           mysql_get_server_version(connection->mysql) >= 100500;
}

const struct db_driver db_mysql_driver = {
    .name = "mysql",
    .dialect = STATEMENT_MYSQL,
    .shared = false,
    .connect = mysql_connect_server,
    .query = mysql_query_run,
    .transaction = mysql_transaction,
    .script = mysql_script,
    .close = mysql_close_connection,
    .can_join = mysql_can_join,
};
