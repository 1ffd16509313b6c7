#include "db/network_table.h"

#include "util/names.h"

#include <stdlib.h>
#include <string.h>
#define HASH_FUNCTION(key, length, hash) ((hash) = hash_bytes(key, length))
#include <uthash.h>

struct network_key {
    uint8_t family, prefix;
    uint8_t bytes[16];
};

struct network_item {
    UT_hash_handle hh;
    struct network_key key;
    struct network_item *same; /* another text of the same network */
    const char *text;
};

static struct network_key key_of(const struct postern_network *network)
{
    struct network_key key = {.family = (uint8_t)network->address.family,
                              .prefix = (uint8_t)network->prefix};
    memcpy(key.bytes, network->address.bytes, sizeof key.bytes);
    return key;
}

static unsigned hash_of(const struct network_key *key)
{
    unsigned hash;
    HASH_VALUE(key, sizeof *key, hash);
    return hash;
}

static struct network_item *item_find(const struct network_table *table,
                                      const struct network_key *key, unsigned hash)
{
    struct network_item *item = NULL;
    if (hash_filter_passes(&table->filter, hash))
        HASH_FIND_BYHASHVALUE(hh, table->items, key, sizeof *key, hash, item);
    return item;
}

static bool has_text(const struct network_item *item, const char *text)
{
    for (; item != NULL; item = item->same)
        if (strcmp(item->text, text) == 0)
            return true;
    return false;
}

void network_table_add(struct network_table *table, struct postern_arena *arena, const char *text)
{
    struct postern_network network;
    if (!postern_network_parse(text, &network))
        return;
    struct network_key key = key_of(&network);
    unsigned hash = hash_of(&key);
    struct network_item *first = item_find(table, &key, hash);
    if (has_text(first, text))
        return;
    struct network_item *item = postern_alloc(arena, sizeof *item);
    item->key = key;
    item->text = text;
    table->count++;
    if (first != NULL) {
        item->same = first->same;
        first->same = item;
        return;
    }
    HASH_ADD_BYHASHVALUE(hh, table->items, key, sizeof item->key, hash, item);
    table->prefixes[network.address.family == POSTERN_IPV6][network.prefix] = true;
}

void network_table_finish(struct network_table *table)
{
    hash_filter_make(&table->filter, HASH_COUNT(table->items));
    for (const struct network_item *item = table->items; item != NULL; item = item->hh.next)
        hash_filter_add(&table->filter, item->hh.hashv);
}

void network_table_match(const struct network_table *table, const struct postern_ip *ip,
                         struct postern_arena *arena, struct postern_names *names)
{
    if (ip->family == POSTERN_NO_IP || table->items == NULL)
        return;
    const bool *prefixes = table->prefixes[ip->family == POSTERN_IPV6];
    for (int prefix = ip->family == POSTERN_IPV6 ? 128 : 32; prefix >= 0; prefix--) {
        if (!prefixes[prefix])
            continue;
        struct postern_network network = postern_network_of(ip, (unsigned)prefix);
        struct network_key key = key_of(&network);
        const struct network_item *item = item_find(table, &key, hash_of(&key));
        for (; item != NULL; item = item->same)
            names_add(arena, names, item->text);
    }
}

void network_table_clear(struct network_table *table)
{
    HASH_CLEAR(hh, table->items);
    hash_filter_clear(&table->filter);
    *table = (struct network_table){0};
}
