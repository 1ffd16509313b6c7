/*
 * Numbered statements. Their text is walked in the same way for both of its uses: once to prepare
 * it, and for each call to put the values into the order of their placeholders.
 */
#include "db/statement.h"

#include "util/buffer.h"

#include <stdlib.h>
#include <string.h>

#define NO_ITEM SIZE_MAX

struct walk {
    const struct statement_key *key;
    const struct db_query *query; /* NULL where only the text is wanted */
    struct buffer *text;          /* NULL where only the values are */
    struct postern_value *values; /* NULL to count them */
    size_t count;
    struct postern_error *error; /* set when walk_part returns false */
};

static void write_text(const struct walk *walk, const char *text, size_t length)
{
    if (walk->text != NULL)
        buffer_append(walk->text, text, length);
}

/* 0 for a value that is no list. */
static size_t size_of(const struct walk *walk, unsigned long number)
{
    if (number == 0 || number > STATEMENT_LISTS_MAX || walk->key->lists[number - 1] == 0)
        return 0;
    return statement_list_size(walk->key->lists[number - 1]);
}

static struct postern_value item_of(const struct postern_value *value, size_t item)
{
    if (value->type != POSTERN_TEXTS)
        return *value;
    if (value->length == 0)
        return postern_null();
    return postern_text(value->texts[item < value->length ? item : value->length - 1]);
}

/* Lists stand in braces, with others of their length, and before what is no list. */
static bool has_value(const struct walk *walk, unsigned long number, size_t item)
{
    size_t size = size_of(walk, number);
    if (number == 0 || (size > 0 && item >= size))
        return false;
    return walk->query == NULL ||
           (number <= walk->query->count &&
            (walk->query->values[number - 1].type == POSTERN_TEXTS) == (size > 0));
}

/* sql is at a '?'; returns where its number ends, or NULL. */
static const char *placeholder_walk(struct walk *walk, const char *sql, size_t item)
{
    char *end;
    unsigned long number = strtoul(sql + 1, &end, 10);
    if (!has_value(walk, number, item)) {
        postern_error_set(walk->error, "a statement has no value for %.12s here: %s", sql,
                          walk->key->sql);
        return NULL;
    }
    write_text(walk, "?", 1);
    if (walk->values != NULL)
        walk->values[walk->count] = item_of(&walk->query->values[number - 1], item);
    walk->count++;
    return end;
}

/* The size of the longest list in the braces: a shorter one is an error. */
static size_t repetitions(const struct walk *walk, const char *sql, const char *end)
{
    size_t longest = 1;
    for (; sql < end; sql++) {
        size_t size = *sql == '?' ? size_of(walk, strtoul(sql + 1, NULL, 10)) : 0;
        if (size > longest)
            longest = size;
    }
    return longest;
}

static const char *brace_end(const char *sql, const char *end)
{
    const char *close = memchr(sql, '}', (size_t)(end - sql));
    return close != NULL ? close : end;
}

/* From sql to end, as the item-th of the repetitions in braces, or outside of them. */
static bool walk_part(struct walk *walk, const char *sql, const char *end, size_t item)
{
    while (sql < end) {
        size_t plain = strcspn(sql, "?{'\"`-");
        size_t quoted = statement_quoted_length(sql + plain);
        if (plain + quoted > 0) {
            plain = plain + quoted < (size_t)(end - sql) ? plain + quoted : (size_t)(end - sql);
            write_text(walk, sql, plain);
            sql += plain;
        } else if (*sql == '?') {
            sql = placeholder_walk(walk, sql, item);
            if (sql == NULL)
                return false;
        } else if (*sql == '{' && item == NO_ITEM) {
            const char *close = brace_end(sql, end);
            size_t count = repetitions(walk, sql, close);
            for (size_t i = 0; i < count; i++) {
                write_text(walk, ",", i > 0);
                if (!walk_part(walk, sql + 1, close, i))
                    return false;
            }
            sql = close + 1;
        } else {
            write_text(walk, sql++, 1);
        }
    }
    return true;
}

static bool walk_all(struct walk *walk)
{
    const char *sql = walk->key->sql;
    walk->count = 0;
    return walk_part(walk, sql, sql + strlen(sql), NO_ITEM);
}

bool statement_numbers_call(const struct db_query *query, struct statement_call *call, size_t most,
                            struct postern_error *error)
{
    struct walk walk = {.key = &call->key, .query = query, .error = error};
    if (!walk_all(&walk))
        return false;
    if (walk.count > most)
        return postern_error_set(error, "%zu values are too many for a statement (at most %zu)",
                                 walk.count, most);
    walk.values = postern_alloc(query->arena, (walk.count + 1) * sizeof *walk.values);
    walk_all(&walk);
    call->values = walk.values;
    call->count = walk.count;
    return true;
}

char *statement_numbers_expand(const struct statement_key *key, struct postern_error *error)
{
    struct buffer text = {0};
    struct walk walk = {.key = key, .text = &text, .error = error};
    if (walk_all(&walk) && text.data != NULL)
        return text.data;
    buffer_free(&text);
    return NULL;
}
