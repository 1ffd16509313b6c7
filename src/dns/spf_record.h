/*
 * The text of an SPF record: read term by term, once it has been checked as a whole, since a
 * syntax error anywhere in it is an error whatever comes before. Nothing is allocated: what is
 * read points into the text.
 *
 * Source: RFC 7208, 4.5, 4.6, 5, 6 and 12.
 */
#ifndef POSTERN_DNS_SPF_RECORD_H
#define POSTERN_DNS_SPF_RECORD_H

#include "dns/spf_text.h"
#include <postern/plugin.h>
#include <postern/spf.h>

#define SPF_DOMAIN_SPEC 1000 /* bytes; a domain name has 253, its macros may need some more */

enum spf_term_kind {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
    SPF_MECHANISMS, /* those above; what follows are modifiers */
    SPF_REDIRECT = SPF_MECHANISMS,
    SPF_EXP,
    SPF_UNKNOWN_MODIFIER
};

struct spf_term {
    enum spf_term_kind kind;
    enum postern_spf_result result; /* of a mechanism that matches */
    struct spf_text text;           /* as written */
    struct spf_text domain;         /* its domain-spec, macros and all; empty: it has none */
    unsigned prefix4, prefix6;      /* a, mx */
    struct postern_network network; /* ip4, ip6; ::ffff:0:0/96 stays IPv6 */
};

struct spf_record {
    struct spf_text terms;
    struct spf_text redirect, explanation; /* the domain-specs; empty: none */
};

/* Whether a TXT record is an SPF record: "v=spf1", and then a space or nothing. */
bool spf_record_is(struct spf_text text);

/* False, saying what is wrong, where such a record is not one by the grammar. */
bool spf_record_read(struct spf_text text, struct spf_record *record, struct postern_error *error);

/* Takes the next term off *rest, which begins as record->terms; false at the end. */
bool spf_record_next(struct spf_text *rest, struct spf_term *term);

#endif
