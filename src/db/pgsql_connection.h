/*
 * The parts of the PostgreSQL driver, and what they share: one connection, used by one fiber
 * at a time.
 *
 * pgsql.c is the driver; pgsql_connect.c reaches a server; pgsql_run.c prepares and executes;
 * pgsql_answer.c copies rows; pgsql_error.c says what a failure means.
 */
#ifndef POSTERN_DB_PGSQL_CONNECTION_H
#define POSTERN_DB_PGSQL_CONNECTION_H

#include "db/answer.h"
#include "db/driver.h"
#include "db/statement_cache.h"
#include "runtime/fiber.h"
#include "util/buffer.h"
#include <libpq-fe.h>

/* Types by their fixed numbers in pg_type. */
enum {
    PGSQL_BOOL = 16,
    PGSQL_BYTEA = 17,
    PGSQL_INT8 = 20,
    PGSQL_INT2 = 21,
    PGSQL_INT4 = 23,
};

/* What the cache of statements holds. */
struct pgsql_statement {
    char name[24];
    size_t count;
    Oid types[];
};

struct db_connection {
    PGconn *pg;
    char *place;         /* host:port/dbname */
    bool follows_writer; /* one of several hosts, the one that takes writes */
    bool ended;          /* it is of no use any more, though the socket may still be open */
    struct fiber_watch readable;
    struct statement_cache *statements;
    unsigned statements_named;
    struct buffer retired; /* DEALLOCATE statements of what has left the cache */
    char sqlstate[6];      /* of the last failure; "" when it was not the server's */
};

/* --- pgsql_connect.c --- */

struct db_connection *pgsql_connect(const struct database_config *config, double deadline,
                                    struct postern_error *error);
void pgsql_close(struct db_connection *connection);

/* --- pgsql_run.c --- */

/* Sends what libpq has still to send. */
enum db_result pgsql_flush(struct db_connection *connection, double deadline,
                           struct postern_error *error);

/* Waits for the next result of what was sent; NULL as PQgetResult has it. The caller's to clear. */
enum db_result pgsql_next(struct db_connection *connection, double deadline, PGresult **result,
                          struct postern_error *error);

/* Several statements in one message; the first failure is what is returned. */
enum db_result pgsql_simple(struct db_connection *connection, const char *sql, double deadline,
                            struct postern_error *error);

/* Prepares if need be, and executes once. */
enum db_result pgsql_run(struct db_connection *connection, const struct statement_call *call,
                         const struct db_query *query, struct postern_rows *rows,
                         struct postern_error *error);

/* What this connection has prepared for the call is prepared anew when next asked for. */
void pgsql_forget(struct db_connection *connection, const struct statement_key *key);

/* --- pgsql_answer.c --- */

/* The rows of a result, which comes in pieces; false when they are too many. */
bool pgsql_answer_add(struct answer *answer, const PGresult *result, struct postern_error *error);

/* --- pgsql_error.c --- */

/* DB_ERROR, or what the failure says of the connection. */
enum db_result pgsql_failure(struct db_connection *connection, const PGresult *result,
                             struct postern_error *error);
enum db_result pgsql_lost(struct db_connection *connection, struct postern_error *error);
enum db_result pgsql_late(struct db_connection *connection, struct postern_error *error);
void pgsql_connect_failure(const char *place, PGconn *pg, struct postern_error *error);

/* What the statement met that is likely gone when it is run again: it has done nothing. */
bool pgsql_is_transient(const struct db_connection *connection);
/* What was prepared is not there, or no longer right. */
bool pgsql_is_stale(const struct db_connection *connection);

#endif
