/*
 * Asking the databases, from a plugin.
 *
 * SQL is a constant with '?' placeholders, one per value; "(?...)" stands for a
 * list of any length. Drivers prepare it once per connection. Text is never put
 * into SQL. The three databases are "iredapd", "vmail" and "amavisd".
 *
 * A `numbered` statement names its values: ?1 is the first. So each dialect can take them in its
 * own order, more than once, or not at all. Lists come before all other values; what stands in
 * {braces} is there once for each item of the lists in it, which are of one length, with commas
 * between: "IN ({?1})", "VALUES {(?1, ?2, 0)}". The last item may be there several times.
 */
#ifndef POSTERN_DB_H
#define POSTERN_DB_H

#include <postern/address.h>
#include <postern/request.h>

struct postern_value;

/*
 * For a statement that does something for a caller or does nothing: makes of the values of several
 * callers one set, of as many values, with which it does something for all of them or nothing. NULL
 * when they can't go together. In arena; given[i] are the i-th caller's.
 */
typedef const struct postern_value *(*postern_merge)(struct postern_arena *arena,
                                                     const struct postern_value *const *given,
                                                     size_t callers);

/* A statement that is the same everywhere has only `sql`; a dialect that differs has its own. */
struct postern_statement {
    const char *sql;
    const char *sqlite;
    const char *pgsql;
    const char *mysql;
    const char *pgsql_joint; /* for several callers at once: what stands in [brackets] is there
                                once for each, with commas between, for the first of their values.
                                It returns a row for each, in their order, which may have columns
                                of its own. Only what is repeatable can be joint. */
    const char *mysql_joint; /* the same for MariaDB 10.5 and newer, which have RETURNING */
    bool numbered;
    postern_merge merge; /* NULL: each caller has its own. Where the merged one has changed no
                            row, each is run alone; when nobody knows whether it was run, it has
                            failed for all */
    bool repeatable;     /* running it twice does no harm: it is run again when its connection dies
                            before the server has answered. A SELECT always is. */
    bool
        mysql_number; /* mysql, which has no RETURNING: when the statement changed a row, its answer
                         is one row of one cell, the number that it gave to LAST_INSERT_ID(), or
                         else the id, which is positive, of the row that it inserted */
};

enum postern_type { POSTERN_NULL, POSTERN_INTEGER, POSTERN_TEXT, POSTERN_BYTES, POSTERN_TEXTS };

struct postern_value {
    enum postern_type type;
    int64_t integer;
    const char *text; /* NUL-terminated also for BYTES */
    size_t length;    /* bytes of text, or items of texts */
    const char *const *texts;
};

struct postern_value postern_null(void);
struct postern_value postern_integer(int64_t integer);
struct postern_value postern_text(const char *text);
struct postern_value postern_bytes(const char *bytes, size_t length); /* bytea, varbinary */
struct postern_value postern_texts(struct postern_names names); /* for "(?...)"; may be empty */

/* Two arguments for a call: the values and how many they are. */
#define POSTERN_VALUES(...)                                                                        \
    (const struct postern_value[]){__VA_ARGS__},                                                   \
        sizeof((struct postern_value[]){__VA_ARGS__}) / sizeof(struct postern_value)
#define POSTERN_NO_VALUES NULL, 0

struct postern_rows {
    size_t count;
    size_t columns;
    const struct postern_value *cells; /* row by row */
    int64_t changed;                   /* rows that a statement without result rows changed */
};

/* Reading a cell; NULL reads as "" and 0, numbers in text columns are converted. */
const char *postern_row_text(const struct postern_rows *rows, size_t row, size_t column);
int64_t postern_row_integer(const struct postern_rows *rows, size_t row, size_t column);
bool postern_row_is_null(const struct postern_rows *rows, size_t row, size_t column);

/* FAILED has already been told to the request (postern_fail): just return. */
enum postern_lookup { POSTERN_FOUND, POSTERN_NOT_FOUND, POSTERN_FAILED };

/*
 * Runs one statement, waiting at most until the request's deadline. FOUND means at least
 * one row came back, or was changed. Rows live in the request's arena.
 */
enum postern_lookup postern_query(struct postern_request *req, const char *database,
                                  const struct postern_statement *statement,
                                  const struct postern_value *values, size_t count,
                                  struct postern_rows *rows);

/*
 * The same for a write that no verdict depends on, to a cache for example: it is given a second at
 * most, and when it fails, that is logged and the request is not told.
 */
enum postern_lookup postern_query_optional(struct postern_request *req, const char *database,
                                           const struct postern_statement *statement,
                                           const struct postern_value *values, size_t count,
                                           struct postern_rows *rows);

/*
 * The same for what is configured (settings, lists, domains): an answer is remembered per
 * process for `cache_ttl`. Never for what is counted.
 */
enum postern_lookup postern_query_cached(struct postern_request *req, const char *database,
                                         const struct postern_statement *statement,
                                         const struct postern_value *values, size_t count,
                                         struct postern_rows *rows);

#endif
