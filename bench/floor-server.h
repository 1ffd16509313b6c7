/*
 * What floor-pgsql and floor-mysql have in common: as many threads as connections, each writing
 * one new triplet after another on a plain blocking connection. They differ in these functions.
 */
#ifndef POSTERN_BENCH_FLOOR_SERVER_H
#define POSTERN_BENCH_FLOOR_SERVER_H

#include "triplet.h"

#include <stdint.h>

struct floor_server {
    const char *host; /* a path: its Unix socket, or for PostgreSQL the folder of it */
    unsigned port;
    const char *name, *user, *password;
};

extern const char floor_program[];

/* Connected, with the upsert prepared. Called from one thread, before all others. */
void *floor_connect(const struct floor_server *server);

/* Writes one triplet, first seen now, as a transaction of its own. Ends the program if it fails. */
void floor_upsert(void *connection, const struct triplet *triplet, int64_t now);

void floor_disconnect(void *connection);

/* Prints what failed and why, and ends the program. */
_Noreturn void floor_die(const char *what, const char *why);

#endif
