/* Making the values of <postern/db.h> and reading the cells of an answer. */
#include <assert.h>
#include <postern/db.h>
#include <stdlib.h>
#include <string.h>

struct postern_value postern_null(void)
{
    return (struct postern_value){.type = POSTERN_NULL};
}

struct postern_value postern_integer(int64_t integer)
{
    return (struct postern_value){.type = POSTERN_INTEGER, .integer = integer};
}

struct postern_value postern_text(const char *text)
{
    return (struct postern_value){.type = POSTERN_TEXT, .text = text, .length = strlen(text)};
}

struct postern_value postern_bytes(const char *bytes, size_t length)
{
    return (struct postern_value){.type = POSTERN_BYTES, .text = bytes, .length = length};
}

struct postern_value postern_texts(struct postern_names names)
{
    return (struct postern_value){
        .type = POSTERN_TEXTS, .texts = names.items, .length = names.count};
}

static const struct postern_value *cell(const struct postern_rows *rows, size_t row, size_t column)
{
    assert(row < rows->count && column < rows->columns);
    return &rows->cells[row * rows->columns + column];
}

const char *postern_row_text(const struct postern_rows *rows, size_t row, size_t column)
{
    const char *text = cell(rows, row, column)->text;
    return text != NULL ? text : "";
}

int64_t postern_row_integer(const struct postern_rows *rows, size_t row, size_t column)
{
    const struct postern_value *value = cell(rows, row, column);
    if (value->type == POSTERN_INTEGER)
        return value->integer;
    return value->text != NULL ? strtoll(value->text, NULL, 10) : 0;
}

bool postern_row_is_null(const struct postern_rows *rows, size_t row, size_t column)
{
    return cell(rows, row, column)->type == POSTERN_NULL;
}
