/*
 * The networks from which a domain's SPF record lets mail be sent, for a whitelist; those of its
 * MX hosts where it has no record.
 *
 * Only what passes counts, and only what can be said as networks: `all`, `ptr`, `exists` and names
 * with macros are left out, and so are networks wider than any sender has (shorter than /8, or
 * /16 of IPv6): a record that lets everybody send is no reason to whitelist everybody. The limits
 * are those of an evaluation.
 *
 * Source: RFC 7208, 4.6.4, 5 and 6; behaviour.md, "Housekeeping".
 */
#ifndef POSTERN_DNS_SPF_NETWORKS_H
#define POSTERN_DNS_SPF_NETWORKS_H

#include "dns/spf.h"

#define SPF_NETWORKS_MAX 2000 /* of a domain */

enum spf_networks_result {
    SPF_NETWORKS_FOUND,
    SPF_NETWORKS_NONE,  /* the domain lets nobody send whom we could name */
    SPF_NETWORKS_FAILED /* nobody knows: DNS trouble, or a record with an error */
};

struct spf_networks {
    enum spf_networks_result result;
    size_t count;
    const struct postern_network *items; /* in order, none within another */
    unsigned left_out;                   /* what passes and is not among them, by mechanism */
    const char *problem;                 /* FAILED: why; else "" */
};

/* What lives, lives in arena. Waits in the calling fiber. */
void spf_networks_find(const char *domain, spf_lookup lookup, struct postern_arena *arena,
                       double deadline, struct spf_networks *networks);

#endif
