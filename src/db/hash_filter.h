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
#include <string.h>

/* For tables of thousands of short keys: eight bytes at a time, not one. */
static inline uint32_t hash_bytes(const void *key, size_t length)
{
    const unsigned char *bytes = key;
    uint64_t hash = length, word;
    for (; length >= sizeof word; bytes += sizeof word, length -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    for (word = 0; length > 0; length--)
        word = word << 8 | *bytes++;
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

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
