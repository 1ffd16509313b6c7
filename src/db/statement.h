/*
 * From a query to what a driver prepares and binds.
 *
 * A list "(?...)" becomes as many '?' as its values need, rounded up to a power of two with
 * the last value repeated, so that few different texts are ever prepared. An empty list
 * is one NULL: IN (NULL) matches nothing.
 */
#ifndef POSTERN_DB_STATEMENT_H
#define POSTERN_DB_STATEMENT_H

#include "db/db.h"

#define STATEMENT_LISTS_MAX  16
#define STATEMENT_VALUES_MAX 65000 /* under the limit of PostgreSQL and MySQL (65535) */
#define STATEMENT_SQLITE_MAX 32000 /* under its own (32766) */

enum statement_dialect { STATEMENT_SQLITE, STATEMENT_PGSQL, STATEMENT_MYSQL };

/* Two queries with equal keys have the same text; compare with memcmp. */
struct statement_key {
    const char *sql; /* the dialect's text: a constant, so its address says which it is */
    uint8_t lists[STATEMENT_LISTS_MAX]; /* of each list 1 + log2 of its rounded size; then 0 */
    uint64_t callers;                   /* of a joint statement */
    uint64_t numbered;                  /* or 0 */
};

/* A query with its lists spread: values[i] belongs to the i-th '?' of the expanded text. */
struct statement_call {
    struct statement_key key;
    const struct postern_value *values; /* the query's own when it has no lists */
    size_t count;
};

/* In the query's arena. False when the statement has no text for this dialect, or too many
 * lists or values. */
bool statement_call(const struct db_query *query, enum statement_dialect dialect,
                    struct statement_call *call, struct postern_error *error);

/* The text to prepare, with '?' placeholders and without brackets; the caller frees it. NULL when
 * its lists are not those of the key. */
char *statement_expand(const struct statement_key *key, struct postern_error *error);

/* The same two for a numbered statement: call->values in the order of its text, of which there are
 * at most so many, and the text. */
bool statement_numbers_call(const struct db_query *query, struct statement_call *call, size_t most,
                            struct postern_error *error);
char *statement_numbers_expand(const struct statement_key *key, struct postern_error *error);

/* How many items a list of this code is rounded to. */
size_t statement_list_size(uint8_t code);

/* Length of the quoted text, quoted name or comment that starts here, in which '?' is no
 * placeholder; 0 when none does. */
size_t statement_quoted_length(const char *sql);

/* The text with $1, $2 ... in place of its '?', as PostgreSQL has them; the caller frees it. */
char *statement_number(const char *sql, size_t *count);

/* The joint form for that dialect, or NULL. */
const char *statement_joint(const struct postern_statement *statement,
                            enum statement_dialect dialect);

/* How many '?' stand in the brackets of a joint statement. */
size_t statement_joint_width(const char *sql);

/* Whether it is a plain SELECT: run again, it does no more than it did the first time. */
bool statement_is_read_only(const char *sql);

/* Whether it may be run again when nobody knows if it was run. */
bool statement_is_repeatable(const struct postern_statement *statement);

#endif
