/* Values come as text, whatever their type: one format for all, and no byte order to mind. */
#include "db/pgsql_connection.h"

#include <stdlib.h>
#include <string.h>

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* bytea_output is hex: \x and two digits a byte. */
static void bytes_read(struct answer *answer, struct postern_value *cell, const char *text,
                       size_t length)
{
    cell->type = POSTERN_BYTES;
    cell->length = length >= 2 ? (length - 2) / 2 : 0;
    char *bytes = postern_alloc(answer->arena, cell->length + 1);
    for (size_t i = 0; i < cell->length; i++)
        bytes[i] = (char)(hex_digit(text[2 + 2 * i]) << 4 | hex_digit(text[3 + 2 * i]));
    cell->text = bytes;
}

static void integer_read(struct answer *answer, struct postern_value *cell, const char *text,
                         size_t length)
{
    cell->type = POSTERN_INTEGER;
    cell->integer = strtoll(text, NULL, 10);
    cell->text = postern_strndup(answer->arena, text, length);
    cell->length = length;
}

static void cell_read(struct answer *answer, const PGresult *result, int row, int column,
                      struct postern_value *cell)
{
    if (PQgetisnull(result, row, column))
        return;
    const char *text = PQgetvalue(result, row, column);
    size_t length = (size_t)PQgetlength(result, row, column);
    answer->bytes += length;
    switch (PQftype(result, column)) {
    case PGSQL_BOOL:
        integer_read(answer, cell, *text == 't' ? "1" : "0", 1);
        break;
    case PGSQL_INT2:
    case PGSQL_INT4:
    case PGSQL_INT8:
        integer_read(answer, cell, text, length);
        break;
    case PGSQL_BYTEA:
        bytes_read(answer, cell, text, length);
        break;
    default:
        cell->type = POSTERN_TEXT;
        cell->text = postern_strndup(answer->arena, text, length);
        cell->length = length;
    }
}

bool pgsql_answer_add(struct answer *answer, const PGresult *result, struct postern_error *error)
{
    answer->columns = (size_t)PQnfields(result);
    if (answer->columns == 0)
        answer->changed += strtoll(PQcmdTuples((PGresult *)result), NULL, 10);
    int rows = answer->columns > 0 ? PQntuples(result) : 0;
    for (int row = 0; row < rows; row++) {
        struct postern_value *cells = answer_row(answer, error);
        if (cells == NULL)
            return false;
        for (size_t i = 0; i < answer->columns; i++)
            cell_read(answer, result, row, (int)i, &cells[i]);
        if (!answer_fits(answer, error))
            return false;
    }
    return true;
}
