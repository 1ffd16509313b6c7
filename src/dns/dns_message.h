/*
 * The messages of the DNS: writing a query, reading what an answer says about it.
 *
 * Reading takes time in proportion to the message and memory up to DNS_ANSWER_MAX, whatever the
 * message holds.
 *
 * Source: RFC 1035, 4; RFC 2181, 8 (TTLs); RFC 2308 (negative answers); RFC 6604 (codes of
 * aliases); RFC 6891 (EDNS).
 */
#ifndef POSTERN_DNS_DNS_MESSAGE_H
#define POSTERN_DNS_DNS_MESSAGE_H

#include "dns/dns_name.h"
#include <postern/dns.h>
#include <stdint.h>

#define DNS_UDP_SIZE   1232 /* of answers by UDP: what passes everywhere without fragments */
#define DNS_OPT_SIZE   11   /* the OPT record that a query ends with */
#define DNS_QUERY_MAX  (12 + DNS_NAME_MAX + 4 + DNS_OPT_SIZE)
#define DNS_ANSWER_MAX ((size_t)128 * 1024) /* bytes of the records of an answer */

struct dns_question {
    enum postern_dns_type type;
    struct dns_name name;
};

/* "A", "AAAA", ... */
const char *dns_type_word(enum postern_dns_type type);

/* Returns its length. The id, the first two bytes, is the caller's to set. */
size_t dns_message_write(const struct dns_question *question, unsigned char query[DNS_QUERY_MAX]);

/* RCODE, 0 to 15; the message has a header. */
unsigned dns_message_code(const unsigned char *message);

/* Cut off by a server that has more to say than fits. */
bool dns_message_is_truncated(const unsigned char *message, size_t size);

struct dns_reply {
    enum postern_dns_status status;
    const char *failure;   /* FAILED: a constant; else "" */
    uint32_t ttl;          /* seconds that it may be remembered */
    struct dns_name alias; /* NO_DATA: the answer ends with this name, of which it says nothing;
                              length 0 otherwise */
    size_t count;
    struct postern_dns_record *records; /* one block with their texts, for free(); or NULL */
    size_t size;                        /* of that block */
};

void dns_message_read(const unsigned char *message, size_t size,
                      const struct dns_question *question, struct dns_reply *reply);

/* Records and their texts copied to memory, which has room for `size` bytes. */
const struct postern_dns_record *dns_records_copy(const struct postern_dns_record *records,
                                                  size_t count, size_t size, void *memory);

#endif
