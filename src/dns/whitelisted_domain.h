/*
 * Domains whose mail is not greylisted: rows of greylisting_whitelist_domains, whose SPF records
 * become rows of greylisting_whitelist_domain_spf, with the account "@." and the comment
 * "AUTO-UPDATE: domain". Rows with another comment are an admin's, and stay as they are.
 *
 * A network has one row there, and may be that of several domains. So what each domain has come to
 * is kept in greylisting_whitelist_domain_networks: when one of them gives a network up, its row
 * becomes another's. A network that an admin has written has no row of a domain, until
 * the admin removes it and the domain is refreshed.
 *
 * What is written is one transaction, and transactions wait for each other. Where there is nothing
 * to change, nothing is.
 *
 * Source: behaviour.md, "Housekeeping".
 */
#ifndef POSTERN_DNS_WHITELISTED_DOMAIN_H
#define POSTERN_DNS_WHITELISTED_DOMAIN_H

#include "db/db.h"
#include "dns/spf_networks.h"

#define WHITELISTED_DOMAIN_SCHEMA 3   /* version of the iredapd database that it takes */
#define WHITELISTED_DOMAIN_LENGTH 240 /* bytes: it must fit into a comment with its prefix */
#define WHITELISTED_DOMAIN_TIME   60  /* seconds that an expansion may take */

struct whitelisted_change {
    int64_t added, removed; /* rows of networks */
};

/*
 * The domain's networks are those from now on. One that is not whitelisted any more loses what is
 * not among them, and gets none. False with error set.
 */
bool whitelisted_domain_replace(struct db *db, const char *domain,
                                const struct spf_networks *networks, double deadline,
                                struct whitelisted_change *change, struct postern_error *error);

/* The networks of a domain that is gone go too. */
bool whitelisted_domain_clear(struct db *db, const char *domain, double deadline,
                              struct whitelisted_change *change, struct postern_error *error);

/* The domain is not whitelisted any more, and its networks go. NOT_FOUND: it was not, which may
 * have left networks, and they go as well. */
enum postern_lookup whitelisted_domain_remove(struct db *db, const char *domain, double deadline,
                                              struct whitelisted_change *change,
                                              struct postern_error *error);

/* Some domains, in their order, that come after one ("": from the first); false with error set.
 * Those that are whitelisted, or those that are not, and have networks still. */
bool whitelisted_domains_next(struct db *db, const char *after, struct postern_arena *arena,
                              double deadline, struct postern_names *domains,
                              struct postern_error *error);
bool whitelisted_domains_gone(struct db *db, const char *after, struct postern_arena *arena,
                              double deadline, struct postern_names *domains,
                              struct postern_error *error);

#endif
