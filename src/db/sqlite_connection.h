/*
 * What the parts of the SQLite driver share: sqlite.c opens and closes, sqlite_run.c runs one
 * statement, sqlite_writer.c gathers writes into transactions, sqlite_error.c finds the words.
 *
 * Fibers are switched only between statements of their own transactions: by sqlite_backoff, and by
 * sqlite_write while others' writes go on. A transaction is begun and committed without
 * a switch between. A statement that finds the file locked is given up (DB_BUSY) and tried anew.
 */
#ifndef POSTERN_DB_SQLITE_CONNECTION_H
#define POSTERN_DB_SQLITE_CONNECTION_H

#include "db/driver.h"
#include "db/sqlite_turn.h"
#include "db/statement_cache.h"
#include <sqlite3.h>

/*
 * Seconds between two tries at a locked file, unless the process that has it passes the turn on.
 * Longer waits would save little, and let a process that writes all the time starve the
 * others: between its transactions the file is free for some microseconds only.
 */
#define SQLITE_WAIT 0.001

struct sqlite_job;

struct db_connection {
    sqlite3 *handle;
    const char *path;
    struct sqlite_turn *turn;
    struct statement_cache *statements;
    sqlite3_stmt *begin, *commit, *rollback;
    double opened;
    double looked;           /* when the file was last seen to be in its place */
    double deadline;         /* of the statement that runs now */
    struct sqlite_job *jobs; /* writes that wait for their transaction, in their order */
    bool writing;            /* the writer's fiber lives */
    bool locked_out;         /* its last try found the file locked */
};

/* --- sqlite_error.c --- */

/* DB_BUSY where another try may succeed, DB_LOST where only a new connection can. */
enum db_result sqlite_failure(struct db_connection *connection, int code,
                              struct postern_error *error);
enum db_result sqlite_open_failure(const char *path, sqlite3 *handle, int code,
                                   struct postern_error *error);
enum db_result sqlite_locked_out(const struct db_connection *connection, bool writing,
                                 struct postern_error *error);

/* --- sqlite_run.c --- */

/* Prepared before or now. */
enum db_result sqlite_prepare(struct db_connection *connection, const struct statement_key *key,
                              sqlite3_stmt **statement, struct postern_error *error);

/* One try. */
enum db_result sqlite_run(struct db_connection *connection, const struct statement_call *call,
                          const struct db_query *query, struct postern_rows *rows,
                          struct postern_error *error);

/* A statement of the connection's own, without values and rows. */
enum db_result sqlite_step(struct db_connection *connection, sqlite3_stmt *statement,
                           struct postern_error *error);

/* Ends whatever transaction is open. */
void sqlite_rollback(struct db_connection *connection);

/* Waits a little, at first only for a turn of the loop; false when the deadline has passed. Zeroed
 * to begin with. */
struct sqlite_backoff {
    unsigned tries;
    struct sqlite_turn *turn; /* may be NULL */
};
bool sqlite_backoff(struct sqlite_backoff *backoff, double deadline);

/* --- sqlite_writer.c --- */

/*
 * Runs a statement that writes in the next transaction, or several of which all are done or none;
 * waits until that is committed.
 */
enum db_result sqlite_write(struct db_connection *connection, const struct statement_call *calls,
                            const struct db_query *queries, size_t count, struct postern_rows *rows,
                            struct postern_error *error);

#endif
