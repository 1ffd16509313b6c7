/*
 * One connection serves all fibers of the process: SQLite does not wait for a server, so a
 * read is a function call, and writes are gathered into transactions (sqlite_writer.c). The
 * file is never made here, and never checkpointed, which would hold the loop for as long
 * as the disk takes to sync: see sqlite_checkpoint.h.
 */
#include "db/sqlite_connection.h"

#include "runtime/fiber.h"
#include "util/memory.h"
#include <stdlib.h>
#include <string.h>

#define CALLS_BETWEEN_CLOCKS 20000 /* of the virtual machine: about a millisecond */
#define LOOK_EVERY           0.1   /* seconds */

static const char SETTINGS[] = "PRAGMA synchronous = NORMAL;"
                               "PRAGMA foreign_keys = ON;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA cache_size = -8192;";

static void statement_release(void *context, void *prepared)
{
    (void)context;
    sqlite3_finalize(prepared);
}

static int is_late(void *arg)
{
    const struct db_connection *connection = arg;
    return fiber_now() > connection->deadline;
}

/* --- opening --- */

static bool is_wal(sqlite3 *handle, int *code)
{
    sqlite3_stmt *statement = NULL;
    bool wal = false;
    *code = sqlite3_prepare_v2(handle, "PRAGMA journal_mode", -1, &statement, NULL);
    if (*code == SQLITE_OK && (*code = sqlite3_step(statement)) == SQLITE_ROW) {
        wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
        *code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return wal;
}

/* Reads the file for the first time. One that can't be written serves those who only read. */
static int prepare_file(struct db_connection *connection)
{
    sqlite3 *handle = connection->handle;
    int code;
    if (!is_wal(handle, &code) && code == SQLITE_OK && sqlite3_db_readonly(handle, "main") != 1)
        code = sqlite3_exec(handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, SETTINGS, NULL, NULL, NULL);
    return code;
}

static int prepare_transactions(struct db_connection *connection)
{
    const struct {
        const char *sql;
        sqlite3_stmt **statement;
    } all[] = {
        {"BEGIN IMMEDIATE", &connection->begin},
        {"COMMIT", &connection->commit},
        {"ROLLBACK", &connection->rollback},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && code == SQLITE_OK; i++)
        if (*all[i].statement == NULL)
            code = sqlite3_prepare_v3(connection->handle, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
                                      all[i].statement, NULL);
    return code;
}

static int open_file(struct db_connection *connection)
{
    int code = sqlite3_open_v2(connection->path, &connection->handle,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return code;
    sqlite3 *handle = connection->handle;
    sqlite3_extended_result_codes(handle, 1);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_progress_handler(handle, CALLS_BETWEEN_CLOCKS, is_late, connection);
    return code;
}

static int prepare_connection(struct db_connection *connection, double deadline)
{
    struct sqlite_backoff backoff = {.turn = connection->turn};
    int code;
    do {
        code = prepare_file(connection);
        if (code == SQLITE_OK)
            code = prepare_transactions(connection);
    } while ((code & 0xff) == SQLITE_BUSY && sqlite_backoff(&backoff, deadline));
    return code;
}

static void sqlite_close(struct db_connection *connection)
{
    while (connection->writing && fiber_self() != NULL)
        fiber_sleep(SQLITE_WAIT, NEVER); /* it looks at its empty queue soon */
    statement_cache_free(connection->statements);
    sqlite3_finalize(connection->begin);
    sqlite3_finalize(connection->commit);
    sqlite3_finalize(connection->rollback);
    sqlite3_close(connection->handle);
    free(connection);
}

static struct db_connection *sqlite_connect(const struct database_config *config, double deadline,
                                            struct postern_error *error)
{
    struct db_connection *connection = memory_new(sizeof *connection);
    connection->path = config->path;
    connection->turn = sqlite_turn_find(config->path);
    connection->deadline = NEVER;
    connection->opened = connection->looked = fiber_now();
    connection->statements = statement_cache_new(STATEMENT_CACHE_SIZE, statement_release, NULL);
    int code = open_file(connection);
    if (code == SQLITE_OK)
        code = prepare_connection(connection, deadline);
    if (code == SQLITE_OK)
        return connection;
    if ((code & 0xff) == SQLITE_BUSY)
        sqlite_locked_out(connection, false, error);
    else
        sqlite_open_failure(config->path, connection->handle, code, error);
    sqlite_close(connection);
    return NULL;
}

/* --- asking --- */

/* A file that was moved away goes on to take our writes, and nobody would ever read them. */
static bool is_in_place(struct db_connection *connection, struct postern_error *error)
{
    double now = fiber_now();
    if (now - connection->looked < LOOK_EVERY)
        return true;
    connection->looked = now;
    int moved = 0;
    sqlite3_file_control(connection->handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return !moved || postern_error_set(error, "%s was deleted or replaced while it was open",
                                       connection->path);
}

static enum db_result read_or_find_write(struct db_connection *connection,
                                         const struct statement_call *call,
                                         const struct db_query *query, struct postern_rows *rows,
                                         struct postern_error *error, bool *writes)
{
    sqlite3_stmt *statement;
    enum db_result result = sqlite_prepare(connection, &call->key, &statement, error);
    if (result != DB_OK)
        return result;
    *writes = !sqlite3_stmt_readonly(statement);
    return *writes ? DB_OK : sqlite_run(connection, call, query, rows, error);
}

static enum db_result sqlite_query(struct db_connection *connection, const struct db_query *query,
                                   struct postern_rows *rows, struct postern_error *error)
{
    struct statement_call call;
    if (!statement_call(query, STATEMENT_SQLITE, &call, error))
        return DB_ERROR;
    if (!is_in_place(connection, error))
        return DB_LOST_UNSENT;

    struct sqlite_backoff backoff = {.turn = connection->turn};
    enum db_result result;
    bool writes = false;
    do {
        result = read_or_find_write(connection, &call, query, rows, error, &writes);
        if (result == DB_OK && writes)
            return sqlite_write(connection, &call, query, 1, rows, error);
    } while (result == DB_BUSY && sqlite_backoff(&backoff, query->deadline));
    return result == DB_BUSY ? sqlite_locked_out(connection, false, error) : result;
}

static enum db_result sqlite_transaction(struct db_connection *connection,
                                         const struct db_query *queries, size_t count,
                                         struct postern_rows *rows, struct postern_error *error)
{
    struct statement_call *calls = postern_alloc(queries[0].arena, count * sizeof *calls);
    for (size_t i = 0; i < count; i++)
        if (!statement_call(&queries[i], STATEMENT_SQLITE, &calls[i], error))
            return DB_ERROR;
    if (!is_in_place(connection, error))
        return DB_LOST_UNSENT;
    return sqlite_write(connection, calls, queries, count, rows, error);
}

/* --- scripts --- */

static enum db_result script_run(struct db_connection *connection, const char *sql, double deadline,
                                 struct postern_error *error)
{
    connection->deadline = deadline;
    int code = sqlite3_exec(connection->handle, sql, NULL, NULL, NULL);
    connection->deadline = NEVER;
    enum db_result result = DB_OK;
    if (code != SQLITE_OK)
        result = sqlite_failure(connection, code, error);
    else
        result = sqlite_step(connection, connection->commit, error);
    sqlite_rollback(connection);
    return result;
}

static enum db_result sqlite_script(struct db_connection *connection, const char *sql,
                                    double deadline, struct postern_error *error)
{
    if (!is_in_place(connection, error))
        return DB_LOST_UNSENT;
    struct sqlite_backoff backoff = {.turn = connection->turn};
    enum db_result result;
    do {
        result = sqlite_step(connection, connection->begin, error);
        if (result == DB_OK)
            result = script_run(connection, sql, deadline, error);
    } while (result == DB_BUSY && sqlite_backoff(&backoff, deadline));
    if (result != DB_BUSY)
        return result;
    connection->locked_out = true;
    return sqlite_locked_out(connection, true, error);
}

static void sqlite_prepare_turn(const struct database_config *config)
{
    sqlite_turn_prepare(config->path);
}

const struct db_driver db_sqlite_driver = {
    .name = "sqlite",
    .dialect = STATEMENT_SQLITE,
    .shared = true,
    .prepare = sqlite_prepare_turn,
    .connect = sqlite_connect,
    .query = sqlite_query,
    .transaction = sqlite_transaction,
    .script = sqlite_script,
    .close = sqlite_close,
};
