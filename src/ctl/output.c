#include "ctl/output.h"

#include "runtime/log_escape.h"
#include "util/quantity.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void output_text(struct buffer *out, const char *text)
{
    log_escape_message(out, text, strlen(text), SIZE_MAX);
}

/* --- text --- */

static void time_text(struct buffer *out, int64_t seconds)
{
    char text[64];
    struct tm local;
    time_t when = (time_t)seconds;
    if (seconds == 0)
        buffer_char(out, '-');
    else if (localtime_r(&when, &local) != NULL &&
             strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local) > 0)
        buffer_text(out, text);
    else
        buffer_printf(out, "%" PRId64, seconds);
}

static void duration_text(struct buffer *out, int64_t seconds)
{
    char text[64];
    buffer_text(out, quantity_duration_text(seconds, text, sizeof text));
}

/* "117.7MB": people compare sizes, they do not add them. */
static void size_text(struct buffer *out, int64_t bytes)
{
    static const char units[] = "KMGT";
    char text[64];
    quantity_size_text(bytes, text, sizeof text);
    double number = (double)bytes;
    size_t unit = 0;
    for (; number >= 1024 && unit < sizeof units - 1; unit++)
        number /= 1024;
    if (strlen(text) > 6 && unit > 0)
        buffer_printf(out, "%.1f%cB", number, units[unit - 1]);
    else
        buffer_text(out, text);
}

static void limit_text(struct buffer *out, enum column_kind kind, int64_t limit)
{
    if (limit <= 0)
        buffer_text(out, limit < 0 ? "inherit" : "unlimited");
    else if (kind == COLUMN_SIZE_LIMIT)
        size_text(out, limit);
    else
        buffer_printf(out, "%" PRId64, limit);
}

static void number_text(struct buffer *out, enum column_kind kind, int64_t number)
{
    if (kind == COLUMN_YES_NO)
        buffer_text(out, number != 0 ? "yes" : "no");
    else if (kind == COLUMN_TIME)
        time_text(out, number);
    else if (kind == COLUMN_DURATION)
        duration_text(out, number);
    else if (kind == COLUMN_SIZE)
        size_text(out, number);
    else if (kind == COLUMN_LIMIT || kind == COLUMN_SIZE_LIMIT)
        limit_text(out, kind, number);
    else
        buffer_printf(out, "%" PRId64, number);
}

static void cell_text(struct buffer *out, enum column_kind kind, const struct postern_rows *rows,
                      size_t row, size_t column)
{
    if (postern_row_is_null(rows, row, column))
        buffer_char(out, '-');
    else if (kind == COLUMN_TEXT)
        output_text(out, postern_row_text(rows, row, column));
    else
        number_text(out, kind, postern_row_integer(rows, row, column));
}

/* Columns that it takes on a terminal, where no character is wider than another. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void pad(struct buffer *out, const char *text, size_t width)
{
    for (size_t have = text_width(text); have < width; have++)
        buffer_char(out, ' ');
}

/* The texts of a table, the titles first. */
static const char **table_texts(struct ctl *ctl, const struct column *columns,
                                const struct postern_rows *rows)
{
    const char **texts =
        postern_alloc(ctl->arena, (rows->count + 1) * rows->columns * sizeof *texts);
    struct buffer text = {0};
    for (size_t i = 0; i < rows->columns; i++)
        texts[i] = columns[i].title;
    for (size_t i = 0; i < rows->count * rows->columns; i++) {
        size_t row = i / rows->columns, column = i % rows->columns;
        buffer_clear(&text);
        cell_text(&text, columns[column].kind, rows, row, column);
        texts[rows->columns + i] = postern_strdup(ctl->arena, text.length > 0 ? text.data : "");
    }
    buffer_free(&text);
    return texts;
}

static void write_table(struct ctl *ctl, const char *const *texts, size_t lines, size_t columns)
{
    bool aligned = isatty(STDOUT_FILENO);
    size_t *widths = postern_alloc(ctl->arena, columns * sizeof *widths);
    for (size_t i = 0; i < lines * columns; i++)
        if (text_width(texts[i]) > widths[i % columns])
            widths[i % columns] = text_width(texts[i]);
    for (size_t i = 0; i < lines * columns; i++) {
        bool last = i % columns == columns - 1;
        buffer_text(ctl->out, texts[i]);
        if (!last && aligned)
            pad(ctl->out, texts[i], widths[i % columns] + 2);
        else
            buffer_char(ctl->out, last ? '\n' : '\t');
    }
}

/* --- JSON --- */

static void cell_json(struct json *json, enum column_kind kind, const struct postern_rows *rows,
                      size_t row, size_t column)
{
    if (postern_row_is_null(rows, row, column))
        json_null(json);
    else if (kind == COLUMN_TEXT)
        json_string(json, postern_row_text(rows, row, column));
    else if (kind == COLUMN_YES_NO)
        json_bool(json, postern_row_integer(rows, row, column) != 0);
    else
        json_integer(json, postern_row_integer(rows, row, column));
}

static void row_json(struct json *json, const struct column *columns,
                     const struct postern_rows *rows, size_t row)
{
    json_object(json);
    for (size_t column = 0; column < rows->columns; column++) {
        json_key(json, columns[column].key);
        cell_json(json, columns[column].kind, rows, row, column);
    }
    json_object_end(json);
}

/* --- what commands call --- */

void output_table(struct ctl *ctl, const struct column *columns, const struct postern_rows *rows)
{
    if (!ctl->json) {
        const char **texts = table_texts(ctl, columns, rows);
        write_table(ctl, texts, rows->count + 1, rows->columns);
        return;
    }
    struct json json = json_on(ctl->out);
    json_array(&json);
    for (size_t row = 0; row < rows->count; row++)
        row_json(&json, columns, rows, row);
    json_array_end(&json);
}

enum ctl_status output_list(struct ctl *ctl, const struct column *columns, size_t count,
                            enum postern_lookup lookup, struct postern_rows *rows, bool filtered)
{
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    if (lookup == POSTERN_NOT_FOUND)
        *rows = (struct postern_rows){.columns = count};
    output_table(ctl, columns, rows);
    if (rows->count > 0 || !filtered)
        return CTL_DONE;
    ctl_complain("nothing matches");
    return CTL_NOTHING;
}

void output_record(struct ctl *ctl, const struct column *columns, const struct postern_rows *rows)
{
    struct json json = json_on(ctl->out);
    if (ctl->json) {
        row_json(&json, columns, rows, 0);
        return;
    }
    for (size_t column = 0; column < rows->columns; column++) {
        buffer_printf(ctl->out, "%s: ", columns[column].title);
        cell_text(ctl->out, columns[column].kind, rows, 0, column);
        buffer_char(ctl->out, '\n');
    }
}

static void change_json(struct ctl *ctl, int64_t changed, const char *message)
{
    struct json json = json_on(ctl->out);
    json_object(&json);
    json_key(&json, "changed");
    json_integer(&json, changed);
    json_key(&json, "message");
    json_string(&json, message);
    json_object_end(&json);
}

static void say(struct ctl *ctl, const char *message)
{
    output_text(ctl->out, message);
    buffer_char(ctl->out, '\n');
}

enum ctl_status output_change(struct ctl *ctl, int64_t changed, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *message = postern_vprintf(ctl->arena, format, args);
    va_end(args);
    if (ctl->json)
        change_json(ctl, changed, message);
    if (changed == 0)
        ctl_complain("%s", message);
    else if (!ctl->json)
        say(ctl, message);
    return changed == 0 ? CTL_NOTHING : CTL_DONE;
}

enum ctl_status output_unchanged(struct ctl *ctl, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *message = postern_vprintf(ctl->arena, format, args);
    va_end(args);
    if (ctl->json)
        change_json(ctl, 0, message);
    else
        say(ctl, message);
    return CTL_DONE;
}
