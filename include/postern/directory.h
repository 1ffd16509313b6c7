/*
 * Who is local: the domains that this installation receives mail for.
 *
 * They are those of `directory { local_domains }` and, where a vmail database is configured, the
 * active ones of its tables. Answers are remembered per process for `cache_ttl`.
 *
 * Source: behaviour.md, "Tables of an existing installation".
 */
#ifndef POSTERN_DIRECTORY_H
#define POSTERN_DIRECTORY_H

#include <postern/db.h>

enum postern_domain_kind {
    POSTERN_DOMAIN_LOCAL,    /* its mail is delivered here */
    POSTERN_DOMAIN_ALIAS,    /* an alias of a local domain */
    POSTERN_DOMAIN_BACKUP_MX /* hosted, but only passed on */
};

struct postern_domain {
    enum postern_domain_kind kind;
    const char *target; /* ALIAS: the domain that it stands for; else "" */
};

/*
 * FOUND: the domain is hosted here. "" and what is no domain is NOT_FOUND without being asked.
 * FAILED has already been told to the request.
 */
enum postern_lookup postern_domain_find(struct postern_request *req, const char *domain,
                                        struct postern_domain *found);

#endif
