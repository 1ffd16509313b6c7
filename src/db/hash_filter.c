#include "db/hash_filter.h"

#include "util/memory.h"

#include <stdlib.h>

#define FEW            1000 /* items; their table is small enough itself */
#define ITEMS_PER_WORD 4
#define WORDS_MAX      (1u << 20) /* there are no more bits in a hash */

void hash_filter_make(struct hash_filter *filter, size_t items)
{
    hash_filter_clear(filter);
    if (items < FEW)
        return;
    uint32_t words = 1;
    while (words < WORDS_MAX && words * (size_t)ITEMS_PER_WORD < items)
        words *= 2;
    filter->words = memory_new(words * sizeof *filter->words);
    filter->mask = words - 1;
}

void hash_filter_clear(struct hash_filter *filter)
{
    free(filter->words);
    *filter = (struct hash_filter){0};
}

void hash_filter_add(struct hash_filter *filter, uint32_t hash)
{
    if (filter->words != NULL)
        filter->words[hash >> 12 & filter->mask] |= hash_filter_bits(hash);
}
