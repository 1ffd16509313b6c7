/*
 * The rows of a table of what is configured (settings, white- and blacklists), kept in memory.
 *
 * Such a table changes rarely and is asked for on every request, under dozens of names at once;
 * and the networks in it can't be found with an index at all. So each process keeps the whole
 * table and reads it again, page by page in the background, before what it has is older than
 * `cache_ttl`. Names are looked up in a hash table; networks too, by each prefix length that
 * occurs: at most 33 probes for IPv4 and 129 for IPv6, however many networks there are.
 *
 * A table of more than POSTERN_LISTING_ROWS rows is not kept whole: then only its networks
 * are, and the other rows are asked for with a query.
 */
#ifndef POSTERN_LISTING_H
#define POSTERN_LISTING_H

#include <postern/db.h>

#define POSTERN_LISTING_ROWS 100000

/*
 * A row says something (`values`) of a subject (an address, a network, a name) to an account
 * (whom it is for). All three statements return the columns id, account, subject, value...,
 * where values are integers.
 *
 * Where the table's key is a pair of integers, page and find return both, in place of id, and
 * page is given the last pair seen with its first half twice. The key's index is used with the
 * following, in which + keeps SQLite from looking up the first half alone:
 *
 *     sqlite, pgsql    WHERE +a >= ? AND (a, b) > (?, ?) ORDER BY a, b LIMIT ?
 *     mysql            WHERE a > ? OR (a = ? AND b > ?) ORDER BY a, b LIMIT ?
 */
struct postern_listing_table {
    const char *database;
    bool pair;                         /* the key is a pair */
    struct postern_statement page;     /* values: last id seen, rows wanted; in the order of id */
    struct postern_statement networks; /* values: last id seen, rows wanted; rows whose subject has
                                          a '/' or '*', of which only the subject counts. Empty
                                          when no subject is ever a network */
    struct postern_statement find;     /* values: accounts (?...), subjects (?...) */
};

struct postern_listing_row {
    const char *account;
    const char *subject;
    const int64_t *values;
};

struct postern_listing_rows {
    size_t count;
    struct postern_listing_row *items;
};

struct postern_listing;

/* The table must outlive the listing. Nothing is asked before the first match. */
struct postern_listing *postern_listing_new(const struct postern_listing_table *table);
void postern_listing_free(struct postern_listing *listing);

/*
 * Rows whose account is one of accounts, and whose subject is one of subjects or a network that
 * holds ip (which may be none), in no order; they live in the request's arena. FAILED as
 * postern_query.
 */
enum postern_lookup
postern_listing_match(struct postern_request *req, struct postern_listing *listing,
                      struct postern_names accounts, struct postern_names subjects,
                      const struct postern_ip *ip, struct postern_listing_rows *rows);

#endif
