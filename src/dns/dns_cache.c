#include "dns/dns_cache.h"

#include "util/memory.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ENTRIES_MAX 20000
#define BYTES_MAX   ((size_t)16 * 1024 * 1024)

static size_t entry_size(const struct dns_entry *entry)
{
    return sizeof *entry + entry->key_length + entry->reply.size;
}

static void entry_free(struct dns_entry *entry)
{
    free(entry->reply.records);
    free(entry);
}

static void entry_release(struct dns_entry *entry)
{
    if (!entry->listed && !entry->asking && entry->waiting == 0)
        entry_free(entry);
}

void dns_entry_leave(struct dns_entry *entry)
{
    entry->waiting--;
    entry_release(entry);
}

/* An answered one. */
static void entry_unlist(struct dns_cache *cache, struct dns_entry *entry)
{
    HASH_DEL(cache->table, entry);
    DL_DELETE(cache->recent, entry);
    cache->bytes -= entry_size(entry);
    entry->listed = false;
    entry_release(entry);
}

static size_t key_write(const struct dns_question *question, unsigned char key[1 + DNS_NAME_MAX])
{
    key[0] = (unsigned char)question->type;
    memcpy(key + 1, question->name.wire, question->name.length);
    return 1 + (size_t)question->name.length;
}

struct dns_question dns_entry_question(const struct dns_entry *entry)
{
    struct dns_question question = {.type = entry->key[0]};
    question.name.length = (unsigned char)(entry->key_length - 1);
    memcpy(question.name.wire, entry->key + 1, entry->key_length - 1);
    return question;
}

struct dns_entry *dns_cache_find(struct dns_cache *cache, const struct dns_question *question)
{
    unsigned char key[1 + DNS_NAME_MAX];
    size_t length = key_write(question, key);
    struct dns_entry *entry;
    HASH_FIND(hh, cache->table, key, length, entry);
    if (entry == NULL || entry->asking)
        return entry;
    if (fiber_now() >= entry->expires) {
        entry_unlist(cache, entry);
        return NULL;
    }
    DL_DELETE(cache->recent, entry);
    DL_PREPEND(cache->recent, entry);
    return entry;
}

struct dns_entry *dns_cache_add(struct dns_cache *cache, const struct dns_question *question)
{
    unsigned char key[1 + DNS_NAME_MAX];
    size_t length = key_write(question, key);
    struct dns_entry *entry = memory_new(sizeof *entry + length);
    entry->key_length = length;
    memcpy(entry->key, key, length);
    entry->asking = entry->listed = true;
    HASH_ADD(hh, cache->table, key[0], length, entry);
    cache->asking++;
    return entry;
}

static void cache_trim(struct dns_cache *cache)
{
    while (cache->recent != NULL &&
           (cache->bytes > BYTES_MAX || HASH_COUNT(cache->table) - cache->asking > ENTRIES_MAX))
        entry_unlist(cache, cache->recent->prev);
}

void dns_cache_answer(struct dns_cache *cache, struct dns_entry *entry,
                      const struct dns_reply *reply)
{
    entry->reply = *reply;
    entry->expires = fiber_now() + reply->ttl;
    entry->asking = false;
    cache->asking--;
    cache->bytes += entry_size(entry);
    DL_PREPEND(cache->recent, entry);
    fiber_cond_broadcast(&entry->answered);
    if (reply->ttl == 0)
        entry_unlist(cache, entry);
    cache_trim(cache);
}

void dns_cache_clear(struct dns_cache *cache)
{
    while (cache->recent != NULL)
        entry_unlist(cache, cache->recent);
}
