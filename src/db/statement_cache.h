/* What a connection has prepared, least recently used out first. */
#ifndef POSTERN_DB_STATEMENT_CACHE_H
#define POSTERN_DB_STATEMENT_CACHE_H

#include "db/statement.h"

#define STATEMENT_CACHE_SIZE 256

struct statement_cache;

/* release is called for each one that leaves the cache. */
struct statement_cache *
statement_cache_new(size_t capacity, void (*release)(void *context, void *prepared), void *context);
void statement_cache_free(struct statement_cache *cache); /* releases all; NULL is fine */

/* What was added under the key, or NULL; valid until the next statement_cache_add. */
void *statement_cache_find(struct statement_cache *cache, const struct statement_key *key);

/* The key must not be there yet. */
void statement_cache_add(struct statement_cache *cache, const struct statement_key *key,
                         void *prepared);

/* Releases what was added under the key; nothing when there is none. */
void statement_cache_remove(struct statement_cache *cache, const struct statement_key *key);

#endif
