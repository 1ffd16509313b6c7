/*
 * What a database driver provides. One file per driver: sqlite.c (pgsql.c and mysql.c
 * when they are built). db.c owns pools, metrics and error texts; a driver knows one
 * connection and its protocol.
 */
#ifndef POSTERN_DB_DRIVER_H
#define POSTERN_DB_DRIVER_H

#include "db/db.h"

enum db_result {
    DB_OK,
    DB_ERROR,       /* the statement failed; the connection is good */
    DB_BUSY,        /* could not be run before the deadline; the connection is good */
    DB_LOST_UNSENT, /* the connection is dead and the statement never reached the server */
    DB_LOST         /* the connection is dead; the statement may have been run */
};

struct db_connection; /* each driver's own */

struct db_driver {
    const char *name;
    bool shared; /* one connection serves all fibers at once; otherwise it is one fiber's at a time
                  */

    struct db_connection *(*connect)(const struct database_config *config, double deadline,
                                     struct postern_error *error);
    enum db_result (*query)(struct db_connection *connection, const struct db_query *query,
                            struct postern_rows *rows, struct postern_error *error);
    enum db_result (*script)(struct db_connection *connection, const char *sql, double deadline,
                             struct postern_error *error);
    void (*close)(struct db_connection *connection);
};

extern const struct db_driver db_sqlite_driver;

/* NULL when this build has no such driver. */
const struct db_driver *db_driver_find(const char *name);

#endif
