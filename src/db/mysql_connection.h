/*
 * The parts of the MySQL driver, and what they share: one connection, used by one fiber at a time.
 *
 * mysql.c is the driver; mysql_connect.c reaches a server; mysql_run.c prepares and executes;
 * mysql_answer.c copies rows; mysql_async.c waits; mysql_error.c says what a failure means.
 */
#ifndef POSTERN_DB_MYSQL_CONNECTION_H
#define POSTERN_DB_MYSQL_CONNECTION_H

#include "db/driver.h"
#include "db/statement_cache.h"
#include "runtime/fiber.h"
#include <mysql.h>

struct db_connection {
    MYSQL *mysql;
    char *place;     /* host:port/dbname */
    double deadline; /* of the call that runs now */
    bool late;       /* that deadline has passed, so the socket was shut down */
    bool ended;      /* it is of no use any more */
    int watched;     /* the socket that `readable` is for; -1 for none */
    struct fiber_watch readable;
    struct statement_cache *statements;
    unsigned code; /* of the last failure: the server's or libmariadb's; 0 for our own */
};

/* --- mysql_async.c: libmariadb's calls, parked until connection->deadline --- */

int mysql_await_prepare(struct db_connection *connection, MYSQL_STMT *statement, const char *sql);
int mysql_await_execute(struct db_connection *connection, MYSQL_STMT *statement);
int mysql_await_fetch(struct db_connection *connection, MYSQL_STMT *statement);
void mysql_await_free_result(struct db_connection *connection, MYSQL_STMT *statement);
void mysql_await_statement_close(struct db_connection *connection, MYSQL_STMT *statement);
int mysql_await_multi_statements(struct db_connection *connection, bool on);
int mysql_await_query(struct db_connection *connection, const char *sql);
MYSQL_RES *mysql_await_store_result(struct db_connection *connection);
int mysql_await_next_result(struct db_connection *connection); /* as mysql_next_result has it */
void mysql_await_close(struct db_connection *connection);

/* --- mysql_connect.c --- */

struct db_connection *mysql_connect_server(const struct database_config *config, double deadline,
                                           struct postern_error *error);
void mysql_close_connection(struct db_connection *connection);

/* --- mysql_run.c --- */

/* Prepares if need be, and executes once. */
enum db_result mysql_run(struct db_connection *connection, const struct statement_call *call,
                         const struct db_query *query, struct postern_rows *rows,
                         struct postern_error *error);

/* What this connection has prepared for the call is prepared anew when next asked for. */
void mysql_forget(struct db_connection *connection, const struct statement_key *key);

/* --- mysql_answer.c --- */

/* Fetches the rows of an executed statement. */
enum db_result mysql_answer_read(struct db_connection *connection, MYSQL_STMT *statement,
                                 const struct db_query *query, const char *sql,
                                 struct postern_rows *rows, struct postern_error *error);

/* --- mysql_error.c --- */

/* What libmariadb says of the connection, or of the statement. */
enum db_result mysql_failure(struct db_connection *connection, struct postern_error *error);
enum db_result mysql_statement_failure(struct db_connection *connection, MYSQL_STMT *statement,
                                       struct postern_error *error);
void mysql_connect_failure(const char *place, MYSQL *mysql, struct postern_error *error);

/* What the statement met that is likely gone when it is run again: it has done nothing. */
bool mysql_is_transient(const struct db_connection *connection);
/* What was prepared is not there, or no longer right. */
bool mysql_is_stale(const struct db_connection *connection);

#endif
