#include "db/mysql_connection.h"

#include "util/memory.h"
#include <stdlib.h>
#include <string.h>

/* --- preparing --- */

static enum db_result prepare_text(struct db_connection *connection, const char *sql,
                                   MYSQL_STMT **prepared, struct postern_error *error)
{
    MYSQL_STMT *statement = mysql_stmt_init(connection->mysql);
    if (statement == NULL)
        return mysql_failure(connection, error);
    if (mysql_await_prepare(connection, statement, sql) == 0) {
        *prepared = statement;
        return DB_OK;
    }
    enum db_result result = mysql_statement_failure(connection, statement, error);
    mysql_await_statement_close(connection, statement);
    return result == DB_LOST ? DB_LOST_UNSENT : result;
}

static enum db_result prepare(struct db_connection *connection, const struct statement_key *key,
                              MYSQL_STMT **statement, struct postern_error *error)
{
    *statement = statement_cache_find(connection->statements, key);
    if (*statement != NULL)
        return DB_OK;
    char *sql = statement_expand(key, error);
    if (sql == NULL)
        return DB_ERROR;
    enum db_result result = prepare_text(connection, sql, statement, error);
    free(sql);
    if (result == DB_OK)
        statement_cache_add(connection->statements, key, *statement);
    return result;
}

void mysql_forget(struct db_connection *connection, const struct statement_key *key)
{
    statement_cache_remove(connection->statements, key);
}

/* --- executing --- */

static void value_bind(MYSQL_BIND *bind, const struct postern_value *value)
{
    switch (value->type) {
    case POSTERN_INTEGER:
        bind->buffer_type = MYSQL_TYPE_LONGLONG;
        bind->buffer = (void *)&value->integer;
        break;
    case POSTERN_TEXT:
    case POSTERN_BYTES:
        bind->buffer_type = value->type == POSTERN_TEXT ? MYSQL_TYPE_STRING : MYSQL_TYPE_BLOB;
        bind->buffer = (void *)(value->text != NULL ? value->text : "");
        bind->buffer_length = value->length;
        bind->length = &bind->buffer_length;
        break;
    default:
        bind->buffer_type = MYSQL_TYPE_NULL;
    }
}

/* They stay where they are until the statement has been sent. */
static MYSQL_BIND *values_bind(const struct statement_call *call, struct postern_arena *arena)
{
    MYSQL_BIND *binds = postern_alloc(arena, call->count * sizeof *binds);
    for (size_t i = 0; i < call->count; i++)
        value_bind(&binds[i], &call->values[i]);
    return binds;
}

static enum db_result execute(struct db_connection *connection, MYSQL_STMT *statement,
                              const struct statement_call *call, const struct db_query *query,
                              struct postern_error *error)
{
    size_t wanted = mysql_stmt_param_count(statement);
    if (wanted != call->count) {
        postern_error_set(error, "a statement of %zu values was given %zu: %s", wanted, call->count,
                          call->key.sql);
        return DB_ERROR;
    }
    if (wanted > 0 && mysql_stmt_bind_param(statement, values_bind(call, query->arena)))
        return mysql_statement_failure(connection, statement, error);
    if (mysql_await_execute(connection, statement) != 0)
        return mysql_statement_failure(connection, statement, error);
    return DB_OK;
}

/* What the statement gave to LAST_INSERT_ID(), or the id of the row that it made. */
static void number_return(MYSQL_STMT *statement, const struct db_query *query,
                          struct postern_rows *rows)
{
    if (rows->changed == 0)
        return;
    struct postern_value *cell = postern_alloc(query->arena, sizeof *cell);
    *cell = postern_integer((int64_t)mysql_stmt_insert_id(statement));
    cell->text = postern_printf(query->arena, "%lld", (long long)cell->integer);
    cell->length = strlen(cell->text);
    *rows = (struct postern_rows){.count = 1, .columns = 1, .cells = cell};
}

enum db_result mysql_run(struct db_connection *connection, const struct statement_call *call,
                         const struct db_query *query, struct postern_rows *rows,
                         struct postern_error *error)
{
    MYSQL_STMT *statement;
    connection->code = 0;
    enum db_result result = prepare(connection, &call->key, &statement, error);
    if (result == DB_OK)
        result = execute(connection, statement, call, query, error);
    if (result != DB_OK)
        return result;
    if (mysql_stmt_field_count(statement) > 0)
        return mysql_answer_read(connection, statement, query, call->key.sql, rows, error);
    *rows = (struct postern_rows){.changed = (int64_t)mysql_stmt_affected_rows(statement)};
    if (query->statement->mysql_number)
        number_return(statement, query, rows);
    return DB_OK;
}
