/*
 * The amavisd tables in memory. Their addresses are bytes in PostgreSQL and MySQL, which the
 * drivers return, and compare, as they are.
 *
 * A page is cut out of the list by its key first; then each row's addresses are looked up by their
 * ids. They are missing where a row was left over from a deleted account, which must not make the
 * page look like the last one.
 */
#include "wblist.h"

#include <stdlib.h>

/* A row's values. */
enum { ACCOUNT_PRIORITY, SUBJECT_PRIORITY, WORD };

#define COLUMNS                                                                                    \
    "SELECT list.rid, list.sid, users.email, mailaddr.email, users.priority, mailaddr.priority,"   \
    " CASE list.wb WHEN 'W' THEN 1 WHEN 'B' THEN 2 ELSE 0 END FROM "

#define PAGE_OF(table, after)                                                                      \
    "(SELECT rid, sid, wb FROM " table " WHERE " after " ORDER BY rid, sid LIMIT ?) AS list"
#define AFTER       "+rid >= ? AND (rid, sid) > (?, ?)"
#define AFTER_MYSQL "rid > ? OR (rid = ? AND sid > ?)"

#define WITH_ADDRESSES(local, other)                                                               \
    " LEFT JOIN users ON users.id = list." local " LEFT JOIN mailaddr ON mailaddr.id = "           \
    "list." other

/* OFFSET 0 keeps PostgreSQL from reading all addresses for each page. */
#define WITH_ADDRESSES_PGSQL(local, other)                                                         \
    " LEFT JOIN LATERAL (SELECT email, priority FROM users WHERE id = list." local                 \
    " OFFSET 0) AS users ON true"                                                                  \
    " LEFT JOIN LATERAL (SELECT email, priority FROM mailaddr WHERE id = list." other              \
    " OFFSET 0) AS mailaddr ON true"

#define IN_ORDER " ORDER BY list.rid, list.sid"

/* Addresses first, and then the pairs of those that there are: in this order, or everything that is
 * listed for everybody would be read. CROSS JOIN says so to SQLite. */
#define FIND(table, local, other, join)                                                            \
    "users " join " mailaddr " join " " table " AS list WHERE users.email IN (?...)"               \
    " AND mailaddr.email IN (?...) AND list." local " = users.id AND list." other " = mailaddr.id"

/* What follows the names of the columns is the statement for networks, if there is one. */
#define LIST(table, local, other, ...)                                                             \
    {                                                                                              \
        .database = "amavisd", .pair = true,                                                       \
        .page = {.sqlite = COLUMNS PAGE_OF(table, AFTER) WITH_ADDRESSES(local, other) IN_ORDER,    \
                 .pgsql =                                                                          \
                     COLUMNS PAGE_OF(table, AFTER) WITH_ADDRESSES_PGSQL(local, other) IN_ORDER,    \
                 .mysql =                                                                          \
                     COLUMNS PAGE_OF(table, AFTER_MYSQL) WITH_ADDRESSES(local, other) IN_ORDER},   \
        .find = {.sql = COLUMNS FIND(table, local, other, "CROSS JOIN"),                           \
                 .mysql = COLUMNS FIND(table, local, other, "STRAIGHT_JOIN")},                     \
        __VA_ARGS__                                                                                \
    }

static const struct postern_listing_table inbound =
    LIST("wblist", "rid", "sid",
         .networks = {.sql = "SELECT id, '', email FROM mailaddr WHERE id > ?"
                             " AND (email LIKE '%/%' OR email LIKE '%*%') ORDER BY id LIMIT ?"});
static const struct postern_listing_table outbound = LIST("outbound_wblist", "sid", "rid", );

struct lists {
    struct postern_listing *inbound, *outbound;
};

struct lists *lists_new(void)
{
    struct lists *lists = malloc(sizeof *lists);
    if (lists == NULL)
        abort();
    lists->inbound = postern_listing_new(&inbound);
    lists->outbound = postern_listing_new(&outbound);
    return lists;
}

void lists_free(struct lists *lists)
{
    postern_listing_free(lists->inbound);
    postern_listing_free(lists->outbound);
    free(lists);
}

/* Of a network; a name has none. */
static unsigned prefix_of(const struct postern_listing_row *row)
{
    struct postern_network network;
    return postern_network_parse(row->subject, &network) ? network.prefix : 0;
}

/* By the account's priority, then the subject's; then the smaller network, then the whitelist. */
static bool is_stronger(const struct postern_listing_row *row,
                        const struct postern_listing_row *than)
{
    for (size_t i = ACCOUNT_PRIORITY; i <= SUBJECT_PRIORITY; i++)
        if (row->values[i] != than->values[i])
            return row->values[i] > than->values[i];
    unsigned prefix = prefix_of(row), other = prefix_of(than);
    return prefix != other ? prefix > other : row->values[WORD] < than->values[WORD];
}

static const struct postern_listing_row *strongest(const struct postern_listing_rows *rows)
{
    const struct postern_listing_row *best = NULL;
    for (size_t i = 0; i < rows->count; i++) {
        const struct postern_listing_row *row = &rows->items[i];
        if (row->values[WORD] != LIST_SAYS_NOTHING && (best == NULL || is_stronger(row, best)))
            best = row;
    }
    return best;
}

enum list_word lists_ask(struct postern_request *req, struct lists *lists,
                         const struct list_question *question)
{
    struct postern_listing *list = question->outbound ? lists->outbound : lists->inbound;
    struct postern_listing_rows rows;
    if (postern_listing_match(req, list, question->accounts, question->subjects, &question->client,
                              &rows) == POSTERN_FAILED)
        return LIST_FAILED;
    const struct postern_listing_row *row = strongest(&rows);
    if (row == NULL)
        return LIST_SAYS_NOTHING;
    enum list_word word = (enum list_word)row->values[WORD];
    postern_reason(req, "%s %s of %s: %s", question->outbound ? "outbound" : "inbound",
                   word == LIST_SAYS_WHITE ? "whitelist" : "blacklist", row->account, row->subject);
    return word;
}
