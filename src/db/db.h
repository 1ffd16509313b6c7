/*
 * The logical databases of this process.
 *
 * A `struct db` is one of iredapd, vmail, amavisd: it connects when first asked, and
 * its calls wait in the calling fiber, never in the loop. The same interface serves
 * the daemon, posternctl and the housekeeper; plugins reach it through <postern/db.h>.
 *
 * Driver modules implement db/driver.h. SQL text is as <postern/db.h> says.
 */
#ifndef POSTERN_DB_DB_H
#define POSTERN_DB_DB_H

#include "runtime/config.h"
#include <postern/db.h>

struct db;

/* What is asked: a statement, its values, where the rows are to live, until when. */
struct db_query {
    const struct postern_statement *statement;
    const struct postern_value *values;
    size_t count;
    struct postern_arena *arena;
    double deadline;
    size_t callers; /* 0, or of how many callers it is the joint statement */
};

/* Before fork, in the master: the metrics of this config's databases, and what the processes that
 * use them share. */
void db_prepare(const struct config *config);

/* Never fails and does not connect; the config must outlive it. */
struct db *db_new(const struct database_config *config);

/* No query may be under way. Outside of a fiber only when the loop has ended: a fiber that connects
 * is not waited for there. */
void db_free(struct db *db);

const char *db_name(const struct db *db);

/* False when this build lacks the driver: no query can ever succeed. */
bool db_has_driver(const struct db *db);

/* FOUND when rows came back or were changed; FAILED with error set (and counted). */
enum postern_lookup db_query(struct db *db, const struct db_query *query, struct postern_rows *rows,
                             struct postern_error *error);

/*
 * Several statements in one transaction: all of them are done, or none. All must be repeatable.
 * rows has room for what each returns; the first one's deadline is that of all. False with error
 * set. It is for work like a housekeeper's: while it runs, others may wait for what it has locked.
 */
bool db_transaction(struct db *db, const struct db_query *queries, size_t count,
                    struct postern_rows *rows, struct postern_error *error);

/*
 * A script of several statements without placeholders, in one transaction where the
 * server can do that (migrations). On failure nothing of it remains, or, on servers that
 * commit with every DDL statement, running it again completes it.
 */
bool db_script(struct db *db, const char *sql, double deadline, struct postern_error *error);

/* The databases of a process, found by name. */
struct databases {
    struct db *list[3];
    size_t count;
};
void databases_open(struct databases *databases, const struct config *config);
void databases_close(struct databases *databases);
struct db *databases_find(const struct databases *databases, const char *name);

/*
 * What is configured, remembered: db_query whose FOUND and NOT_FOUND answers are kept for
 * ttl seconds, in a table of this process bounded to 10,000 answers and 16 MB, least
 * recently used out first. ttl 0 asks every time. Rows are copied to the query's arena.
 */
struct db_cache;
struct db_cache *db_cache_new(int64_t ttl);
void db_cache_free(struct db_cache *cache);
enum postern_lookup db_query_cached(struct db_cache *cache, struct db *db,
                                    const struct db_query *query, struct postern_rows *rows,
                                    struct postern_error *error);

#endif
