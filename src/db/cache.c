/*
 * An answer is one block of memory: its structure, its key, its cells, their texts. While
 * it is being asked for it stands in the table without cells, and who asks the same
 * waits on it. Entries that are out of the table live on until the last one waiting has left.
 */
#include "db/db.h"

#include "runtime/fiber.h"
#include "util/buffer.h"
#include "util/memory.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define ANSWERS_MAX 10000
#define BYTES_MAX   (16 * 1024 * 1024)

struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* in `recent`, once answered */
    struct buffer key;
    bool loading, listed; /* listed: in the table */
    size_t waiting;
    struct fiber_cond answered;
    enum postern_lookup lookup;
    struct postern_error error;
    bool late; /* failed at the deadline of the one who asked */
    double expires;
    struct postern_rows rows; /* cells and texts are one block */
    size_t size;
};

struct db_cache {
    double ttl;
    struct entry *table;
    struct entry *recent; /* the last used one first */
    size_t bytes;
};

struct db_cache *db_cache_new(int64_t ttl)
{
    struct db_cache *cache = memory_new(sizeof *cache);
    cache->ttl = (double)ttl;
    return cache;
}

/* --- keys --- */

static void key_add_text(struct buffer *key, const char *text, size_t length)
{
    buffer_append(key, &length, sizeof length);
    if (length > 0)
        buffer_append(key, text, length);
}

static void key_add_value(struct buffer *key, const struct postern_value *value)
{
    buffer_append(key, &value->type, sizeof value->type);
    if (value->type == POSTERN_INTEGER) {
        buffer_append(key, &value->integer, sizeof value->integer);
    } else if (value->type == POSTERN_TEXTS) {
        buffer_append(key, &value->length, sizeof value->length);
        for (size_t i = 0; i < value->length; i++)
            key_add_text(key, value->texts[i], strlen(value->texts[i]));
    } else if (value->type != POSTERN_NULL) {
        key_add_text(key, value->text, value->length);
    }
}

/* The addresses of the statement's texts say which statement it is. */
static struct buffer key_of(const struct db *db, const struct db_query *query)
{
    struct buffer key = {0};
    buffer_append(&key, &db, sizeof db);
    const struct postern_statement *statement = query->statement;
    const char *texts[] = {statement->sql, statement->sqlite, statement->pgsql, statement->mysql};
    buffer_append(&key, texts, sizeof texts);
    for (size_t i = 0; i < query->count; i++)
        key_add_value(&key, &query->values[i]);
    return key;
}

/* --- rows --- */

static size_t rows_size(const struct postern_rows *rows)
{
    size_t cells = rows->count * rows->columns;
    size_t size = cells * sizeof *rows->cells;
    for (size_t i = 0; i < cells; i++)
        size += rows->cells[i].text != NULL ? rows->cells[i].length + 1 : 0;
    return size;
}

/* Cells and texts go to memory, which has room for rows_size. */
static struct postern_rows rows_copy(const struct postern_rows *rows, void *memory)
{
    struct postern_rows copy = *rows;
    size_t count = rows->count * rows->columns;
    if (count == 0)
        return copy;
    struct postern_value *cells = memory;
    char *text = (char *)(cells + count);
    memcpy(cells, rows->cells, count * sizeof *cells);
    for (size_t i = 0; i < count; i++) {
        if (cells[i].text == NULL)
            continue;
        memcpy(text, cells[i].text, cells[i].length + 1);
        cells[i].text = text;
        text += cells[i].length + 1;
    }
    copy.cells = cells;
    return copy;
}

/* --- entries --- */

static void entry_free(struct entry *entry)
{
    buffer_free(&entry->key);
    free((void *)entry->rows.cells);
    free(entry);
}

static void entry_release(struct entry *entry)
{
    if (!entry->listed && !entry->loading && entry->waiting == 0)
        entry_free(entry);
}

static void entry_unlist(struct db_cache *cache, struct entry *entry)
{
    HASH_DEL(cache->table, entry);
    entry->listed = false;
    if (!entry->loading) {
        DL_DELETE(cache->recent, entry);
        cache->bytes -= entry->size;
    }
    entry_release(entry);
}

static struct entry *entry_new(struct db_cache *cache, struct buffer *key)
{
    struct entry *entry = memory_new(sizeof *entry);
    entry->key = *key;
    *key = (struct buffer){0};
    entry->loading = entry->listed = true;
    HASH_ADD_KEYPTR(hh, cache->table, entry->key.data, entry->key.length, entry);
    return entry;
}

/* The answered entry that is still good, or one being asked for; NULL when there is none. */
static struct entry *entry_find(struct db_cache *cache, const struct buffer *key)
{
    struct entry *entry;
    HASH_FIND(hh, cache->table, key->data, key->length, entry);
    if (entry == NULL || entry->loading)
        return entry;
    if (fiber_now() >= entry->expires) {
        entry_unlist(cache, entry);
        return NULL;
    }
    DL_DELETE(cache->recent, entry);
    DL_PREPEND(cache->recent, entry);
    return entry;
}

static void entry_keep(struct db_cache *cache, struct entry *entry, const struct postern_rows *rows)
{
    size_t size = rows_size(rows);
    entry->rows = rows_copy(rows, size > 0 ? memory_new(size) : NULL);
    entry->size = sizeof *entry + entry->key.capacity + size;
    entry->expires = fiber_now() + cache->ttl;
    cache->bytes += entry->size;
    DL_PREPEND(cache->recent, entry);
}

static void cache_trim(struct db_cache *cache)
{
    while (cache->recent != NULL &&
           (cache->bytes > BYTES_MAX || HASH_COUNT(cache->table) > ANSWERS_MAX))
        entry_unlist(cache, cache->recent->prev);
}

/* --- asking --- */

static enum postern_lookup entry_load(struct db_cache *cache, struct entry *entry, struct db *db,
                                      const struct db_query *query, struct postern_rows *rows,
                                      struct postern_error *error)
{
    enum postern_lookup lookup = db_query(db, query, rows, error);
    entry->lookup = lookup;
    if (lookup != POSTERN_FAILED) {
        entry_keep(cache, entry, rows);
    } else {
        entry->error = *error;
        entry->late = fiber_now() >= query->deadline;
    }
    entry->loading = false;
    fiber_cond_broadcast(&entry->answered);
    if (lookup == POSTERN_FAILED) {
        HASH_DEL(cache->table, entry);
        entry->listed = false;
        entry_release(entry);
    }
    cache_trim(cache);
    return lookup;
}

static enum postern_lookup entry_read(const struct entry *entry, const struct db_query *query,
                                      struct postern_rows *rows, struct postern_error *error)
{
    if (entry->lookup == POSTERN_FAILED) {
        *error = entry->error;
        return POSTERN_FAILED;
    }
    size_t size = rows_size(&entry->rows);
    *rows = rows_copy(&entry->rows, size > 0 ? postern_alloc(query->arena, size) : NULL);
    return entry->lookup;
}

/* False when the one who asks had less time than we have, and ran out of it. */
static bool entry_wait(struct entry *entry, struct db *db, const struct db_query *query,
                       struct postern_rows *rows, struct postern_error *error,
                       enum postern_lookup *lookup)
{
    entry->waiting++;
    while (entry->loading && fiber_cond_wait(&entry->answered, query->deadline))
        ;
    entry->waiting--;
    bool answered = true;
    if (entry->loading) {
        *lookup = POSTERN_FAILED;
        postern_error_set(error, "database %s: no answer before the deadline", db_name(db));
    } else if (entry->lookup == POSTERN_FAILED && entry->late && fiber_now() < query->deadline) {
        answered = false;
    } else {
        *lookup = entry_read(entry, query, rows, error);
    }
    entry_release(entry);
    return answered;
}

static enum postern_lookup cache_ask(struct db_cache *cache, struct buffer *key, struct db *db,
                                     const struct db_query *query, struct postern_rows *rows,
                                     struct postern_error *error)
{
    for (;;) {
        struct entry *entry = entry_find(cache, key);
        if (entry == NULL)
            return entry_load(cache, entry_new(cache, key), db, query, rows, error);
        enum postern_lookup lookup;
        if (!entry->loading)
            return entry_read(entry, query, rows, error);
        if (entry_wait(entry, db, query, rows, error, &lookup))
            return lookup;
    }
}

enum postern_lookup db_query_cached(struct db_cache *cache, struct db *db,
                                    const struct db_query *query, struct postern_rows *rows,
                                    struct postern_error *error)
{
    if (cache->ttl <= 0)
        return db_query(db, query, rows, error);
    *rows = (struct postern_rows){0};
    struct buffer key = key_of(db, query);
    enum postern_lookup lookup = cache_ask(cache, &key, db, query, rows, error);
    buffer_free(&key);
    return lookup;
}

void db_cache_free(struct db_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->recent != NULL)
        entry_unlist(cache, cache->recent);
    free(cache);
}
