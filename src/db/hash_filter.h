/*
 * Says of most things that are not in a large hash table that they are not, from a few bits for
 * each item. They fit into the processor's cache, which the table does not: a lookup in vain, as
 * nearly all of them are, would wait for memory twice.
 */
#ifndef POSTERN_DB_HASH_FILTER_H
#define POSTERN_DB_HASH_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A zeroed structure lets everything pass. */
struct hash_filter {
    uint64_t *words;
    uint32_t mask; /* for the number of a hash's word */
};

/* Empty, for so many items; of few it stays one that lets everything pass. */
void hash_filter_make(struct hash_filter *filter, size_t items);
void hash_filter_clear(struct hash_filter *filter);
void hash_filter_add(struct hash_filter *filter, uint32_t hash);

/* Both bits of a hash are in one word. */
static inline uint64_t hash_filter_bits(uint32_t hash)
{
    return UINT64_C(1) << (hash & 63) | UINT64_C(1) << (hash >> 6 & 63);
}

/* False: nothing with this hash was added. */
static inline bool hash_filter_passes(const struct hash_filter *filter, uint32_t hash)
{
    uint64_t bits = hash_filter_bits(hash);
    return filter->words == NULL || (filter->words[hash >> 12 & filter->mask] & bits) == bits;
}

#endif
