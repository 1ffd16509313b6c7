/*
 * Work that one process at a time does, of all that share the iredapd database: a row of
 * postern_leases says whose turn it is, and until when. Who dies loses the turn when that time is
 * over. The clocks of the hosts must agree to within seconds, as they must for all else.
 */
#ifndef POSTERN_DB_LEASE_H
#define POSTERN_DB_LEASE_H

#include "db/db.h"

#define LEASE_SCHEMA 3 /* version of the iredapd database that has the table */

struct lease {
    struct db *db;
    const char *name; /* a row that a migration has made */
    int64_t seconds;  /* that it lasts without being taken again */
    char holder[128]; /* filled in when it is taken first */
};

/* FOUND: it is ours, from now on or still. NOT_FOUND: somebody else's. */
enum postern_lookup lease_take(struct lease *lease, double deadline, struct postern_error *error);

/* For the next one. Where that fails, it ends by itself. */
void lease_give(struct lease *lease, double deadline);

#endif
