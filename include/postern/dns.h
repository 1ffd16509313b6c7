/*
 * Asking the DNS, from a plugin. The calling fiber waits, nobody else does: at most for
 * `dns { timeout }` per try, and never beyond the request's deadline.
 *
 * Answers are remembered per process for as long as their TTL says, and equal questions under way
 * are asked once.
 *
 * Source: RFC 1035; RFC 2308 (negative answers).
 */
#ifndef POSTERN_DNS_H
#define POSTERN_DNS_H

#include <postern/request.h>
#include <stddef.h>

enum postern_dns_type {
    POSTERN_DNS_A,
    POSTERN_DNS_AAAA,
    POSTERN_DNS_MX,
    POSTERN_DNS_TXT,
    POSTERN_DNS_PTR
};

enum postern_dns_status {
    POSTERN_DNS_FOUND,   /* at least one record */
    POSTERN_DNS_NO_DATA, /* the name exists, but has none of this type */
    POSTERN_DNS_NO_NAME, /* NXDOMAIN */
    POSTERN_DNS_FAILED   /* no answer in time, SERVFAIL, REFUSED, an answer that can't be read */
};

struct postern_dns_record {
    struct postern_ip ip; /* A, AAAA */
    const char *name;     /* MX: the host, PTR: the name; lower case, without the last dot.
                             "" for the root (a null MX, RFC 7505) */
    unsigned preference;  /* MX */
    const char *text;     /* TXT: its strings joined; NUL-terminated, and may hold NULs */
    size_t length;        /* bytes of text */
};

/* CNAMEs have been followed: only records of the type asked for, in the order received. */
struct postern_dns_answer {
    enum postern_dns_status status;
    size_t count;
    const struct postern_dns_record *records;
    const char *failure; /* FAILED: why, for a log line; else "" */
};

/*
 * What lives, lives in the request's arena. A name that can't be asked for (too long, an empty
 * label) is NO_NAME without a query. FAILED is the caller's to judge: the request is not told.
 */
enum postern_dns_status postern_dns(struct postern_request *req, enum postern_dns_type type,
                                    const char *name, struct postern_dns_answer *answer);

/* 192.0.2.7: "7.2.0.192" (IPv6: nibbles), to be followed by a zone: ".in-addr.arpa", a list's. */
const char *postern_dns_reversed(struct postern_arena *arena, const struct postern_ip *ip);

#endif
