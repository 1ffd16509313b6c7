#include "db/statement_cache.h"

#include "util/memory.h"
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct entry {
    UT_hash_handle hh;
    struct statement_key key;
    void *prepared;
    struct entry *prev, *next; /* in `recent` */
};

struct statement_cache {
    struct entry *table;
    struct entry *recent; /* the last used one first */
    size_t capacity;
    void (*release)(void *context, void *prepared);
    void *context;
};

struct statement_cache *
statement_cache_new(size_t capacity, void (*release)(void *context, void *prepared), void *context)
{
    struct statement_cache *cache = memory_new(sizeof *cache);
    cache->capacity = capacity;
    cache->release = release;
    cache->context = context;
    return cache;
}

static void entry_remove(struct statement_cache *cache, struct entry *entry)
{
    HASH_DEL(cache->table, entry);
    DL_DELETE(cache->recent, entry);
    cache->release(cache->context, entry->prepared);
    free(entry);
}

void statement_cache_free(struct statement_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->recent != NULL)
        entry_remove(cache, cache->recent);
    free(cache);
}

void *statement_cache_find(struct statement_cache *cache, const struct statement_key *key)
{
    struct entry *entry;
    HASH_FIND(hh, cache->table, key, sizeof *key, entry);
    if (entry == NULL)
        return NULL;
    if (entry != cache->recent) {
        DL_DELETE(cache->recent, entry);
        DL_PREPEND(cache->recent, entry);
    }
    return entry->prepared;
}

void statement_cache_add(struct statement_cache *cache, const struct statement_key *key,
                         void *prepared)
{
    if (HASH_COUNT(cache->table) >= cache->capacity)
        entry_remove(cache, cache->recent->prev);
    struct entry *entry = memory_new(sizeof *entry);
    entry->key = *key;
    entry->prepared = prepared;
    HASH_ADD(hh, cache->table, key, sizeof entry->key, entry);
    DL_PREPEND(cache->recent, entry);
}

void statement_cache_remove(struct statement_cache *cache, const struct statement_key *key)
{
    struct entry *entry;
    HASH_FIND(hh, cache->table, key, sizeof *key, entry);
    if (entry != NULL)
        entry_remove(cache, entry);
}
