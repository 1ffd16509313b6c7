/*
 * Rows are fetched one by one, so that a huge answer is refused before it fills the memory. Cells
 * are then asked for by column, into a buffer that serves nearly all; a longer value is fetched
 * again, whole.
 */
#include "db/mysql_connection.h"

#include "db/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE  256
#define BINARY_BYTES 63 /* the "character set" of what has none */

struct column {
    enum postern_type type; /* INTEGER: fetched as one */
    bool is_unsigned;
    bool is_decimal; /* without a fraction */
};

struct reading {
    struct answer answer;
    struct column *columns;
};

/* --- columns --- */

static bool is_integer(enum enum_field_types type)
{
    return type == MYSQL_TYPE_TINY || type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_INT24 ||
           type == MYSQL_TYPE_LONG || type == MYSQL_TYPE_LONGLONG || type == MYSQL_TYPE_YEAR;
}

static bool is_decimal(enum enum_field_types type)
{
    return type == MYSQL_TYPE_NEWDECIMAL || type == MYSQL_TYPE_DECIMAL;
}

static bool is_bytes(const MYSQL_FIELD *field)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY_BLOB:
    case MYSQL_TYPE_MEDIUM_BLOB:
    case MYSQL_TYPE_LONG_BLOB:
    case MYSQL_TYPE_BLOB:
    case MYSQL_TYPE_VAR_STRING:
    case MYSQL_TYPE_STRING:
        return field->charsetnr == BINARY_BYTES;
    case MYSQL_TYPE_BIT:
    case MYSQL_TYPE_GEOMETRY:
        return true;
    default:
        return false;
    }
}

static struct column column_of(const MYSQL_FIELD *field)
{
    if (is_integer(field->type))
        return (struct column){.type = POSTERN_INTEGER,
                               .is_unsigned = (field->flags & UNSIGNED_FLAG) != 0};
    return (struct column){.type = is_bytes(field) ? POSTERN_BYTES : POSTERN_TEXT,
                           .is_decimal = is_decimal(field->type) && field->decimals == 0};
}

static bool columns_read(struct reading *reading, MYSQL_STMT *statement)
{
    MYSQL_RES *metadata = mysql_stmt_result_metadata(statement);
    if (metadata == NULL)
        return false;
    reading->answer.columns = mysql_num_fields(metadata);
    reading->columns =
        postern_alloc(reading->answer.arena, reading->answer.columns * sizeof *reading->columns);
    for (size_t i = 0; i < reading->answer.columns; i++)
        reading->columns[i] = column_of(mysql_fetch_field_direct(metadata, (unsigned)i));
    mysql_free_result(metadata);
    return true;
}

/* --- cells --- */

static void integer_read(struct reading *reading, MYSQL_STMT *statement, size_t i,
                         struct postern_value *cell)
{
    int64_t integer = 0;
    bool is_unsigned = reading->columns[i].is_unsigned;
    my_bool is_null = 0, is_cut = 0;
    MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_LONGLONG,
                       .is_unsigned = is_unsigned,
                       .buffer = &integer,
                       .is_null = &is_null,
                       .error = &is_cut};
    mysql_stmt_fetch_column(statement, &bind, (unsigned)i, 0);
    if (is_null)
        return;
    bool is_wide = is_unsigned && integer < 0;
    char digits[24];
    int length = snprintf(digits, sizeof digits, is_wide ? "%" PRIu64 : "%" PRId64, integer);
    cell->type = is_wide ? POSTERN_TEXT : POSTERN_INTEGER;
    cell->integer = is_wide ? 0 : integer;
    cell->length = (size_t)length;
    cell->text = postern_strndup(reading->answer.arena, digits, cell->length);
}

/* The buffer's bytes of it; NULL when there is no value. */
static const char *text_fetch(MYSQL_STMT *statement, size_t i, enum postern_type type, char *buffer,
                              unsigned long size, unsigned long *length)
{
    my_bool is_null = 0, is_cut = 0;
    MYSQL_BIND bind = {.buffer_type = type == POSTERN_BYTES ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING,
                       .buffer = buffer,
                       .buffer_length = size,
                       .length = length,
                       .is_null = &is_null,
                       .error = &is_cut};
    mysql_stmt_fetch_column(statement, &bind, (unsigned)i, 0);
    return is_null ? NULL : buffer;
}

/* SUM() of integers is a decimal. */
static void decimal_read(struct postern_value *cell)
{
    char *end;
    errno = 0;
    int64_t integer = strtoll(cell->text, &end, 10);
    if (errno != 0 || *end != '\0')
        return;
    cell->type = POSTERN_INTEGER;
    cell->integer = integer;
}

static bool text_read(struct reading *reading, MYSQL_STMT *statement, size_t i,
                      struct postern_value *cell, struct postern_error *error)
{
    char buffer[BUFFER_SIZE];
    unsigned long length = 0;
    const struct column *column = &reading->columns[i];
    if (text_fetch(statement, i, column->type, buffer, sizeof buffer, &length) == NULL)
        return true;
    reading->answer.bytes += length;
    if (!answer_fits(&reading->answer, error))
        return false;
    cell->type = column->type;
    cell->length = length;
    if (length <= sizeof buffer) {
        cell->text = postern_strndup(reading->answer.arena, buffer, length);
    } else {
        char *whole = postern_alloc(reading->answer.arena, length + 1);
        cell->text = text_fetch(statement, i, column->type, whole, length, &length);
    }
    if (column->is_decimal)
        decimal_read(cell);
    return true;
}

/* --- rows --- */

static bool row_add(struct reading *reading, MYSQL_STMT *statement, struct postern_error *error)
{
    struct postern_value *cells = answer_row(&reading->answer, error);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < reading->answer.columns; i++)
        if (reading->columns[i].type == POSTERN_INTEGER)
            integer_read(reading, statement, i, &cells[i]);
        else if (!text_read(reading, statement, i, &cells[i], error))
            return false;
    return true;
}

/* What is left of an answer that was refused has to be read all the same. */
static enum db_result answer_drain(struct db_connection *connection, MYSQL_STMT *statement)
{
    mysql_await_free_result(connection, statement);
    connection->ended |= connection->late;
    return connection->late ? DB_TIMEOUT : DB_ERROR;
}

enum db_result mysql_answer_read(struct db_connection *connection, MYSQL_STMT *statement,
                                 const struct db_query *query, const char *sql,
                                 struct postern_rows *rows, struct postern_error *error)
{
    struct reading reading = {.answer = {.arena = query->arena, .sql = sql}};
    if (!columns_read(&reading, statement))
        return mysql_statement_failure(connection, statement, error);
    int outcome;
    while ((outcome = mysql_await_fetch(connection, statement)) == 0 ||
           outcome == MYSQL_DATA_TRUNCATED)
        if (!row_add(&reading, statement, error))
            return answer_drain(connection, statement);
    if (outcome != MYSQL_NO_DATA)
        return mysql_statement_failure(connection, statement, error);
    mysql_await_free_result(connection, statement);
    *rows = answer_rows(&reading.answer);
    return DB_OK;
}
