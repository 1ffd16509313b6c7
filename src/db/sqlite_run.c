#include "db/sqlite_connection.h"

#include "db/answer.h"

#include "runtime/fiber.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YIELD_TRIES 8

/* --- preparing --- */

static int prepare_text(struct db_connection *connection, const char *sql, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v3(connection->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, statement,
                              NULL);
}

enum db_result sqlite_prepare(struct db_connection *connection, const struct statement_key *key,
                              sqlite3_stmt **statement, struct postern_error *error)
{
    *statement = statement_cache_find(connection->statements, key);
    if (*statement != NULL)
        return DB_OK;
    char *sql = statement_expand(key, error);
    if (sql == NULL)
        return DB_ERROR;
    int code = prepare_text(connection, sql, statement);
    free(sql);
    if (code != SQLITE_OK)
        return sqlite_failure(connection, code, error);
    statement_cache_add(connection->statements, key, *statement);
    return DB_OK;
}

/*
 * SQLite never finds a text equal to a blob, so what is bytes elsewhere (bytea, varbinary: the
 * addresses of the amavisd tables) is text here, as it is when a list is asked for.
 */
static int bind_value(sqlite3_stmt *statement, int index, const struct postern_value *value)
{
    switch (value->type) {
    case POSTERN_INTEGER:
        return sqlite3_bind_int64(statement, index, value->integer);
    case POSTERN_TEXT:
    case POSTERN_BYTES:
        return sqlite3_bind_text64(statement, index, value->text != NULL ? value->text : "",
                                   value->length, SQLITE_STATIC, SQLITE_UTF8);
    default:
        return sqlite3_bind_null(statement, index);
    }
}

static enum db_result bind(struct db_connection *connection, sqlite3_stmt *statement,
                           const struct statement_call *call, struct postern_error *error)
{
    int wanted = sqlite3_bind_parameter_count(statement);
    if ((size_t)wanted != call->count) {
        postern_error_set(error, "a statement of %d values was given %zu: %s", wanted, call->count,
                          sqlite3_sql(statement));
        return DB_ERROR;
    }
    for (int i = 0; i < wanted; i++) {
        int code = bind_value(statement, i + 1, &call->values[i]);
        if (code != SQLITE_OK)
            return sqlite_failure(connection, code, error);
    }
    return DB_OK;
}

/* --- rows --- */

static char *integer_text(struct postern_arena *arena, int64_t integer, size_t *length)
{
    char digits[24];
    *length = (size_t)snprintf(digits, sizeof digits, "%" PRId64, integer);
    return postern_strndup(arena, digits, *length);
}

static void cell_read(struct answer *answer, sqlite3_stmt *statement, int column,
                      struct postern_value *cell)
{
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_NULL)
        return;
    if (type == SQLITE_INTEGER) {
        cell->type = POSTERN_INTEGER;
        cell->integer = sqlite3_column_int64(statement, column);
        cell->text = integer_text(answer->arena, cell->integer, &cell->length);
        return;
    }
    cell->type = type == SQLITE_BLOB ? POSTERN_BYTES : POSTERN_TEXT;
    const char *text = type == SQLITE_BLOB ? sqlite3_column_blob(statement, column)
                                           : (const char *)sqlite3_column_text(statement, column);
    cell->length = (size_t)sqlite3_column_bytes(statement, column);
    cell->text = postern_strndup(answer->arena, text != NULL ? text : "", cell->length);
    answer->bytes += cell->length;
}

static bool answer_add(struct answer *answer, sqlite3_stmt *statement, struct postern_error *error)
{
    struct postern_value *row = answer_row(answer, error);
    if (row == NULL)
        return false;
    for (size_t i = 0; i < answer->columns; i++)
        cell_read(answer, statement, (int)i, &row[i]);
    return answer_fits(answer, error);
}

static int answer_collect(struct answer *answer, sqlite3_stmt *statement,
                          struct postern_error *error)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!answer_add(answer, statement, error))
            break;
    return code;
}

/* --- running --- */

static enum db_result collect(struct db_connection *connection, sqlite3_stmt *statement,
                              const struct db_query *query, struct postern_rows *rows,
                              struct postern_error *error)
{
    struct answer answer = {.arena = query->arena,
                            .sql = sqlite3_sql(statement),
                            .columns = (size_t)sqlite3_column_count(statement)};
    connection->deadline = query->deadline;
    int code = answer_collect(&answer, statement, error);
    connection->deadline = NEVER;
    if (code == SQLITE_ROW)
        return DB_ERROR;
    if (code != SQLITE_DONE)
        return sqlite_failure(connection, code, error);

    if (answer.columns == 0 && !sqlite3_stmt_readonly(statement))
        answer.changed = sqlite3_changes64(connection->handle);
    *rows = answer_rows(&answer);
    return DB_OK;
}

enum db_result sqlite_run(struct db_connection *connection, const struct statement_call *call,
                          const struct db_query *query, struct postern_rows *rows,
                          struct postern_error *error)
{
    sqlite3_stmt *statement;
    enum db_result result = sqlite_prepare(connection, &call->key, &statement, error);
    if (result != DB_OK)
        return result;
    result = bind(connection, statement, call, error);
    if (result == DB_OK)
        result = collect(connection, statement, query, rows, error);
    sqlite3_reset(statement);
    return result;
}

enum db_result sqlite_step(struct db_connection *connection, sqlite3_stmt *statement,
                           struct postern_error *error)
{
    int code = sqlite3_step(statement);
    enum db_result result = code == SQLITE_DONE ? DB_OK : sqlite_failure(connection, code, error);
    sqlite3_reset(statement);
    return result;
}

void sqlite_rollback(struct db_connection *connection)
{
    if (sqlite3_get_autocommit(connection->handle))
        return;
    sqlite3_step(connection->rollback);
    sqlite3_reset(connection->rollback);
}

bool sqlite_backoff(struct sqlite_backoff *backoff, double deadline)
{
    if (backoff->tries++ < YIELD_TRIES) {
        fiber_yield();
        return fiber_now() < deadline;
    }
    return sqlite_turn_wait(backoff->turn, SQLITE_WAIT, deadline);
}
