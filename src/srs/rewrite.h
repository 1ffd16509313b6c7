/*
 * Which addresses are rewritten, and into what: the rules of behaviour.md, "SRS", which the
 * network services and posternctl share. The algorithm itself is srs/srs.h.
 */
#ifndef POSTERN_SRS_REWRITE_H
#define POSTERN_SRS_REWRITE_H

#include "db/db.h"
#include "runtime/config.h"
#include "srs/srs.h"

enum rewrite_result {
    REWRITE_DONE,
    REWRITE_NOT_FOUND, /* the address stays as it is */
    REWRITE_TRY_AGAIN  /* a lookup failed: nobody knows whether it is to be rewritten */
};

struct rewrite {
    const struct config *config;
    struct databases *databases;
    struct db_cache *cache; /* NULL asks every time */
    struct srs srs;
    const char *host; /* this host's name, in lower case; "" when it is not known */
};

/* The SRS domain and secrets of the config, and this host's name; all three must outlive it. */
void rewrite_init(struct rewrite *rewrite, const struct config *config, struct databases *databases,
                  struct db_cache *cache);

/*
 * Both take an address as it was received, in any case. *result, in arena, is set with DONE only.
 * *why is for a log line: which rule or which lookup it was; with DONE what is to be said of the
 * result, mostly "".
 */

/* A sender of mail that leaves this host. Waits in the calling fiber, until deadline at most. */
enum rewrite_result rewrite_forward(const struct rewrite *rewrite, struct postern_arena *arena,
                                    const char *address, double deadline, const char **result,
                                    const char **why);

/* A recipient that may be one of our addresses. Asks no database, and never says TRY_AGAIN. */
enum rewrite_result rewrite_reverse(const struct rewrite *rewrite, struct postern_arena *arena,
                                    const char *address, const char **result, const char **why);

#endif
