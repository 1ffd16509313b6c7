/*
 * The networks of whitelisted domains, brought up to date: each domain's SPF record is expanded,
 * and its rows replaced when that has succeeded; those of domains that are gone go.
 */
#ifndef POSTERN_DAEMON_DOMAIN_REFRESH_H
#define POSTERN_DAEMON_DOMAIN_REFRESH_H

#include "db/db.h"

/* In a fiber. go_on is asked before each domain, and ends it with false. */
void domain_refresh_all(struct db *db, bool (*go_on)(void *context), void *context);

#endif
