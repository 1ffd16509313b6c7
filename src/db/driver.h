/*
 * What a database driver provides. One file per driver: sqlite.c, and where their client
 * libraries are there pgsql.c and mysql.c. db.c and pool.c own connections, metrics and error
 * texts; a driver knows one connection and its protocol.
 */
#ifndef POSTERN_DB_DRIVER_H
#define POSTERN_DB_DRIVER_H

#include "db/db.h"
#include "db/statement.h"

enum db_result {
    DB_OK,
    DB_ERROR,       /* the statement failed; the connection is good */
    DB_BUSY,        /* could not be run before the deadline; the connection is good */
    DB_TIMEOUT,     /* the deadline came while it ran: it may yet be done; the connection is dead */
    DB_LOST_UNSENT, /* the connection is dead and the statement did nothing: it did not reach the
                     * server, ended with the connection, or only reads; it may be run again */
    DB_LOST         /* the connection is dead; the statement may have been run */
};

/* Whether the connection can only be closed. */
static inline bool db_result_is_lost(enum db_result result)
{
    return result >= DB_TIMEOUT;
}

struct db_connection; /* each driver's own */

struct db_driver {
    const char *name;
    enum statement_dialect dialect;
    bool shared; /* one connection serves all fibers at once; otherwise it is one fiber's at a time
                  */

    /* Before fork, in the master; NULL when the driver's processes share nothing. */
    void (*prepare)(const struct database_config *config);
    struct db_connection *(*connect)(const struct database_config *config, double deadline,
                                     struct postern_error *error);
    enum db_result (*query)(struct db_connection *connection, const struct db_query *query,
                            struct postern_rows *rows, struct postern_error *error);
    /* Nothing of it is done but with DB_OK and, perhaps, with DB_LOST and DB_TIMEOUT. */
    enum db_result (*transaction)(struct db_connection *connection, const struct db_query *queries,
                                  size_t count, struct postern_rows *rows,
                                  struct postern_error *error);
    enum db_result (*script)(struct db_connection *connection, const char *sql, double deadline,
                             struct postern_error *error);
    void (*close)(struct db_connection *connection);
    bool (*can_join)(const struct db_connection *connection); /* joint statements; NULL: never */
};

extern const struct db_driver db_sqlite_driver;
extern const struct db_driver db_mysql_driver; /* with HAVE_LIBMARIADB */
extern const struct db_driver db_pgsql_driver; /* with HAVE_LIBPQ */

/* NULL when this build has no such driver. */
const struct db_driver *db_driver_find(const char *name);

/* db_new with a driver and times (NULL: the usual ones) of the caller's; both must outlive it. */
struct pool_times;
struct db *db_new_on(const struct db_driver *driver, const struct database_config *config,
                     const struct pool_times *times);

#endif
