/*
 * The connections of one logical database in one process.
 *
 * At most pool_size exist, made when somebody asks and none is free. Who waits gets one in
 * the order of asking. The connection used last is used next, so that those not needed
 * stay idle, and are closed. Attempts to connect run in fibers of their own: a slow one
 * serves the next when its first asker has given up. While the server is away (breaker.h)
 * asking fails at once, and an attempt every half second to a second notices its return.
 *
 * The connection of a `shared` driver is one, and serves all at once.
 */
#ifndef POSTERN_DB_POOL_H
#define POSTERN_DB_POOL_H

#include "db/driver.h"

struct pool;

/* In seconds. */
struct pool_times {
    double idle;    /* after which an unused connection is closed */
    double connect; /* that an attempt may take */
    double probe;   /* between attempts while the server is away */
};
extern const struct pool_times pool_times_default;

/* A borrowed connection. */
struct link {
    struct db_connection *connection;
    size_t users; /* more than one when it is shared */
    bool lost;
    double since; /* when it was borrowed, or when it was given back */
    struct link *prev, *next;
};

/* Config and times must outlive it. on_reachable, if any, is told what attempts have shown. */
struct pool *pool_new(const struct db_driver *driver, const struct database_config *config,
                      const struct pool_times *times,
                      void (*on_reachable)(void *context, bool reachable), void *context);

/*
 * No connection may be borrowed. In a fiber it waits for attempts under way, which are cut
 * short; outside of one the loop must have ended.
 */
void pool_free(struct pool *pool);

/*
 * NULL with error set at the deadline, or at once while the server is away. Who asks again, having
 * lost a connection, has waited before, and stands first.
 */
struct link *pool_take(struct pool *pool, bool again, double deadline, struct postern_error *error);

/*
 * Back, with how the statement on it ended. One that is lost makes all idle ones suspect, which
 * are closed too: whatever ended it (a restart, KILL of all) has likely ended them.
 */
void pool_give(struct pool *pool, struct link *link, enum db_result result);

/* How often asking can end on a connection that has died unnoticed. */
size_t pool_size(const struct pool *pool);

#endif
