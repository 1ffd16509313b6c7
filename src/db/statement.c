#include "db/statement.h"

#include "util/buffer.h"
#include <string.h>
#include <strings.h>

static const char LIST[] = "(?...)";

static const char *dialect_text(const struct postern_statement *statement,
                                enum statement_dialect dialect)
{
    const char *own[] = {
        [STATEMENT_SQLITE] = statement->sqlite,
        [STATEMENT_PGSQL] = statement->pgsql,
        [STATEMENT_MYSQL] = statement->mysql,
    };
    return own[dialect] != NULL ? own[dialect] : statement->sql;
}

const char *statement_joint(const struct postern_statement *statement,
                            enum statement_dialect dialect)
{
    const char *own[] = {
        [STATEMENT_SQLITE] = NULL, /* whose commits are shared by all statements */
        [STATEMENT_PGSQL] = statement->pgsql_joint,
        [STATEMENT_MYSQL] = statement->mysql_joint,
    };
    return own[dialect];
}

static uint8_t list_code(size_t length)
{
    uint8_t code = 1;
    while ((size_t)1 << (code - 1) < length)
        code++;
    return code;
}

size_t statement_list_size(uint8_t code)
{
    return (size_t)1 << (code - 1);
}

size_t statement_quoted_length(const char *sql)
{
    if (sql[0] == '-' && sql[1] == '-')
        return strcspn(sql, "\n");
    if (sql[0] != '\'' && sql[0] != '"' && sql[0] != '`')
        return 0;
    const char *end = strchr(sql + 1, sql[0]);
    return end == NULL ? strlen(sql) : (size_t)(end - sql) + 1;
}

static size_t values_max(enum statement_dialect dialect)
{
    return dialect == STATEMENT_SQLITE ? STATEMENT_SQLITE_MAX : STATEMENT_VALUES_MAX;
}

static bool call_measure(const struct db_query *query, struct statement_call *call, size_t most,
                         struct postern_error *error)
{
    size_t lists = 0;
    for (size_t i = 0; i < query->count; i++) {
        const struct postern_value *value = &query->values[i];
        if (value->type != POSTERN_TEXTS) {
            call->count++;
            continue;
        }
        if (lists == STATEMENT_LISTS_MAX)
            return postern_error_set(error, "a statement has more than %d lists",
                                     STATEMENT_LISTS_MAX);
        if (value->length > most)
            return postern_error_set(error, "a list of %zu values is too long (at most %zu)",
                                     value->length, most);
        call->key.lists[lists] = list_code(value->length);
        call->count += statement_list_size(call->key.lists[lists++]);
    }
    if (call->count > most)
        return postern_error_set(error, "%zu values are too many for a statement (at most %zu)",
                                 call->count, most);
    return true;
}

static struct postern_value *list_spread(struct postern_value *to, const struct postern_value *list,
                                         size_t size)
{
    for (size_t i = 0; i < size; i++) {
        size_t item = i < list->length ? i : list->length - 1;
        *to++ = list->length == 0 ? postern_null() : postern_text(list->texts[item]);
    }
    return to;
}

bool statement_call(const struct db_query *query, enum statement_dialect dialect,
                    struct statement_call *call, struct postern_error *error)
{
    *call = (struct statement_call){.key = {.sql = query->callers > 0
                                                       ? statement_joint(query->statement, dialect)
                                                       : dialect_text(query->statement, dialect),
                                            .callers = query->callers,
                                            .numbered = query->statement->numbered}};
    if (call->key.sql == NULL)
        return postern_error_set(error, "a statement has no text for this kind of database");
    size_t most = values_max(dialect);
    if (!call_measure(query, call, most, error))
        return false;
    if (call->key.numbered)
        return statement_numbers_call(query, call, most, error);
    call->values = query->values;
    if (call->key.lists[0] == 0)
        return true;

    struct postern_value *values = postern_alloc(query->arena, call->count * sizeof *values);
    struct postern_value *to = values;
    const uint8_t *code = call->key.lists;
    for (size_t i = 0; i < query->count; i++) {
        if (query->values[i].type == POSTERN_TEXTS)
            to = list_spread(to, &query->values[i], statement_list_size(*code++));
        else
            *to++ = query->values[i];
    }
    call->values = values;
    return true;
}

static void list_write(struct buffer *text, size_t size)
{
    buffer_char(text, '(');
    for (size_t i = 0; i < size; i++)
        buffer_text(text, i == 0 ? "?" : ",?");
    buffer_char(text, ')');
}

static const char *bracket_end(const char *sql)
{
    while (*sql != '\0' && *sql != ']') {
        size_t quoted = statement_quoted_length(sql);
        sql += quoted > 0 ? quoted : 1;
    }
    return sql;
}

/* What stands in the brackets, without them, for each caller; returns where it ends. */
static const char *bracket_write(struct buffer *text, const char *sql, uint64_t callers)
{
    const char *end = bracket_end(sql + 1);
    for (uint64_t i = 0; i < callers; i++) {
        buffer_text(text, i == 0 ? "" : ",");
        buffer_append(text, sql + 1, (size_t)(end - sql - 1));
    }
    return end + (*end == ']');
}

size_t statement_joint_width(const char *sql)
{
    const char *at = strchr(sql, '[');
    size_t width = 0;
    while (at != NULL && *at != '\0' && *at != ']') {
        size_t quoted = statement_quoted_length(at);
        width += *at == '?';
        at += quoted > 0 ? quoted : 1;
    }
    return width;
}

static size_t parts_write(struct buffer *text, const struct statement_key *key)
{
    const char *sql = key->sql;
    const uint8_t *codes = key->lists;
    size_t lists = 0;
    while (*sql != '\0') {
        size_t quoted = statement_quoted_length(sql);
        if (quoted > 0) {
            buffer_append(text, sql, quoted);
            sql += quoted;
        } else if (strncmp(sql, LIST, sizeof LIST - 1) == 0) {
            if (lists < STATEMENT_LISTS_MAX && codes[lists] != 0)
                list_write(text, statement_list_size(codes[lists]));
            lists++;
            sql += sizeof LIST - 1;
        } else if (*sql == '[' && key->callers > 0) {
            sql = bracket_write(text, sql, key->callers);
        } else {
            buffer_char(text, *sql++);
        }
    }
    return lists;
}

char *statement_expand(const struct statement_key *key, struct postern_error *error)
{
    if (key->numbered)
        return statement_numbers_expand(key, error);
    size_t expected = 0;
    while (expected < STATEMENT_LISTS_MAX && key->lists[expected] != 0)
        expected++;

    struct buffer text = {0};
    size_t lists = parts_write(&text, key);
    if (lists == expected && text.data != NULL)
        return text.data;
    postern_error_set(error, "a statement with %zu lists was given %zu: %s", lists, expected,
                      key->sql);
    buffer_free(&text);
    return NULL;
}

char *statement_number(const char *sql, size_t *count)
{
    struct buffer text = {0};
    *count = 0;
    while (*sql != '\0') {
        size_t quoted = statement_quoted_length(sql);
        if (quoted > 0)
            buffer_append(&text, sql, quoted);
        else if (*sql == '?')
            buffer_printf(&text, "$%zu", ++*count);
        else
            buffer_char(&text, *sql);
        sql += quoted > 0 ? quoted : 1;
    }
    return text.data;
}

bool statement_is_read_only(const char *sql)
{
    while (*sql != '\0') {
        size_t skipped = strspn(sql, " \t\r\n(");
        if (skipped == 0 && sql[0] == '-')
            skipped = statement_quoted_length(sql);
        if (skipped == 0)
            break;
        sql += skipped;
    }
    return strncasecmp(sql, "SELECT", 6) == 0 && strcspn(sql + 6, " \t\r\n") == 0;
}

bool statement_is_repeatable(const struct postern_statement *statement)
{
    const char *texts[] = {statement->sql, statement->sqlite, statement->pgsql, statement->mysql};
    bool reads = true;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        reads = reads && (texts[i] == NULL || statement_is_read_only(texts[i]));
    return reads || statement->repeatable;
}
