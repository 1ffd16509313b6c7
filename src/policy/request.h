/*
 * A request under evaluation: what the daemon keeps beside struct postern_request.
 */
#ifndef POSTERN_POLICY_REQUEST_H
#define POSTERN_POLICY_REQUEST_H

#include "db/db.h"
#include "runtime/config.h"
#include <postern/plugin.h>
#include <postern/spf.h>

struct chain_link;

/* What a plugin has said, or nothing (DUNNO). Texts are in the request's arena. */
struct verdict {
    enum postern_action action;
    const char *reply;   /* a Postfix action: "REJECT Not authorized"; NULL with DUNNO */
    const char *reason;  /* NULL when none was given */
    const char *failure; /* a lookup failed: its cause */
};

struct request_work {
    const struct config *config;
    struct databases *databases;
    struct db_cache *cache;
    const struct postern_spf *spf; /* NULL until a plugin asks */

    const struct chain_link *link; /* the plugin that is running */
    struct verdict verdict;        /* of the running plugin */
    const char *header;            /* what the running plugin prepends */
};

/*
 * Fills what follows from the attributes: state, domains, addresses without extension, client,
 * trust, time and deadline. The request's attributes are as protocol.h left them.
 */
void request_derive(struct postern_request *request, const struct config *config);

#endif
