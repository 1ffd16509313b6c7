/*
 * Mail addresses and the forms under which lists and settings name them.
 * All text is expected, and returned, in lower case (the request's is).
 *
 * Source: behaviour.md, "Addresses in lists and settings".
 */
#ifndef POSTERN_ADDRESS_H
#define POSTERN_ADDRESS_H

#include <postern/arena.h>
#include <postern/network.h>
#include <stdbool.h>

/* Strings in the order of their priority, most specific first. */
struct postern_names {
    size_t count;
    const char **items;
};

/* What an account or list entry is. */
enum postern_account_form {
    POSTERN_ACCOUNT_INVALID,
    POSTERN_ACCOUNT_ADDRESS,       /* user@example.com */
    POSTERN_ACCOUNT_USER_ANYWHERE, /* user@* */
    POSTERN_ACCOUNT_IP,            /* 192.0.2.1, 2001:db8::1 */
    POSTERN_ACCOUNT_IP_WILDCARD,   /* 192.0.2.*, 192.0.*.1 */
    POSTERN_ACCOUNT_NETWORK,       /* 192.0.2.0/24, 2001:db8::/32 */
    POSTERN_ACCOUNT_DOMAIN,        /* @example.com */
    POSTERN_ACCOUNT_SUBDOMAINS,    /* @.example.com */
    POSTERN_ACCOUNT_TOP_LEVEL,     /* @.com */
    POSTERN_ACCOUNT_EACH_IP,       /* @ip */
    POSTERN_ACCOUNT_EVERYBODY      /* @. */
};

enum postern_account_form postern_account_form(const char *account);

/* The two priority columns of the table in behaviour.md; 0 for EVERYBODY and INVALID. */
int postern_greylisting_priority(enum postern_account_form form);
int postern_amavisd_priority(enum postern_account_form form);

/* Whether text is local@domain by the subset of RFC 5321 that mail servers meet:
 * one unquoted @ that splits two non-empty parts, no control characters or spaces
 * outside quotes, UTF-8 throughout (RFC 6531), domain of letters, digits, '-', '_' or bytes over
 * 127 in non-empty labels between dots (so no dot at either end), or a [literal]; at most
 * 64+1+255 bytes are NOT enforced (limits are commonly exceeded). */
bool postern_address_is_valid(const char *address);

/* Whether text is a domain as an address may have it: no [literal], at most 253 bytes. */
bool postern_domain_is_valid(const char *domain);

/* Points into address, after its last @; "" when the address is not valid. */
const char *postern_address_domain(const char *address);

/* user+ext@d becomes user@d; delimiters is a set of characters ("+", "+-"). The
 * local part's first byte is never taken for a delimiter. Invalid, or a local part with
 * quotes: a copy. */
char *postern_address_without_ext(struct postern_arena *arena, const char *address,
                                  const char *delimiters);

/* u@a.example.com: itself, @a.example.com, @.a.example.com, @.example.com, @.com, @.
 * A null or invalid address: @. alone. Parents longer than a DNS name (253 bytes, which also
 * means over 127 labels) are left out; a [literal] has none. */
struct postern_names postern_address_candidates(struct postern_arena *arena, const char *address);

/* Those of user+ext@d and of user@d, without repeats. */
struct postern_names postern_address_names(struct postern_arena *arena, const char *address,
                                           const char *delimiters);

/* user@* of user+ext@d; none of what is not an address. */
struct postern_names postern_user_anywhere(struct postern_arena *arena, const char *address,
                                           const char *delimiters);

/* IPv4 w.x.y.z: itself, w.x.y.*, w.x.*.z; with all_wildcards every combination of '*'.
 * IPv6: its canonical text. No address: none. */
struct postern_names postern_ip_candidates(struct postern_arena *arena, const struct postern_ip *ip,
                                           bool all_wildcards);

/* a then b, without repeats. */
struct postern_names postern_names_join(struct postern_arena *arena, struct postern_names a,
                                        struct postern_names b);

#endif
