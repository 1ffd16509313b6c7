/*
 * Answers of the DNS, by question, for as long as they may be remembered; those under way too, so
 * that who asks the same waits for the same. Bounded: the least recently used ones go first.
 */
#ifndef POSTERN_DNS_DNS_CACHE_H
#define POSTERN_DNS_DNS_CACHE_H

#include "dns/dns_message.h"
#include "runtime/fiber.h"
#include <uthash.h>

struct dns_entry {
    UT_hash_handle hh;
    struct dns_entry *prev, *next; /* among the answered ones, the last used one first */
    bool asking;                   /* under way */
    bool listed;                   /* can be found */
    size_t waiting;                /* fibers that use it: it is not freed then */
    struct fiber_cond answered;
    double expires;
    struct dns_reply reply; /* once answered */
    size_t key_length;
    unsigned char key[]; /* the type and the name of the question */
};

struct dns_cache {
    struct dns_entry *table;
    struct dns_entry *recent;
    size_t bytes, asking;
};

/* One that is under way or still good; NULL when there is none. */
struct dns_entry *dns_cache_find(struct dns_cache *cache, const struct dns_question *question);

/* A new one, under way. */
struct dns_entry *dns_cache_add(struct dns_cache *cache, const struct dns_question *question);

/* What an entry asks. */
struct dns_question dns_entry_question(const struct dns_entry *entry);

/* Takes the reply and its records, remembers it if it may be, and wakes who waits for it. */
void dns_cache_answer(struct dns_cache *cache, struct dns_entry *entry,
                      const struct dns_reply *reply);

/* A fiber that has looked at what it waited for. */
void dns_entry_leave(struct dns_entry *entry);

void dns_cache_clear(struct dns_cache *cache);

#endif
