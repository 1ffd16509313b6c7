#include "ctl/entry.h"
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "util/names.h"
#include <inttypes.h>

/*
 * Rows of this time never expire, in the plugin and in the housekeeper; it is the last one that
 * iRedAPD's columns hold.
 */
#define FOREVER    "2147483647"
#define IS_FOREVER "CASE WHEN time = " FOREVER " THEN 1 ELSE 0 END"
#define OR_NO_TIME "CASE WHEN time = " FOREVER " THEN 0 ELSE time END"

#define NEWEST_FIRST " ORDER BY senderscore_cache.time DESC, client_address LIMIT ?"

static const struct postern_statement LIST = {
    .sql = "SELECT client_address, score, " IS_FOREVER " AS whitelisted, " OR_NO_TIME " AS asked "
           "FROM senderscore_cache WHERE (? = 0 OR client_address IN (?...))" NEWEST_FIRST};

static const struct postern_statement WHITELIST = {
    .sql = "INSERT INTO senderscore_cache (client_address, score, time) "
           "VALUES (?, 100, " FOREVER ") ON CONFLICT (client_address) DO UPDATE SET "
           "score = excluded.score, time = excluded.time",
    .mysql = "INSERT INTO senderscore_cache (client_address, score, time) "
             "VALUES (?, 100, " FOREVER ") ON DUPLICATE KEY UPDATE "
             "score = VALUES(score), time = VALUES(time)",
    .repeatable = true};

static const struct postern_statement FORGET = {
    .sql = "DELETE FROM senderscore_cache WHERE client_address IN (?...)"};

static const struct column columns[] = {
    {"CLIENT", "client_address", COLUMN_TEXT},
    {"SCORE", "score", COLUMN_INTEGER},
    {"WHITELISTED", "whitelisted", COLUMN_YES_NO},
    {"ASKED", "asked", COLUMN_TIME},
};

/* The operands, in canonical form. */
static bool read_clients(struct ctl *ctl, struct postern_names *clients)
{
    struct postern_ip ip;
    *clients = (struct postern_names){0};
    for (size_t i = 0; i < ctl->operands.count; i++) {
        if (!postern_ip_parse(ctl->operands.items[i], &ip) || ip.family != POSTERN_IPV4) {
            ctl_complain("`%s` is not an IPv4 address, and nothing else has a score; expected "
                         "192.0.2.1",
                         ctl->operands.items[i]);
            return false;
        }
        const char *text = entry_ip(ctl->arena, ctl->operands.items[i]);
        if (!names_hold(clients, text))
            names_add(ctl->arena, clients, text);
    }
    return true;
}

static bool read_some_clients(struct ctl *ctl, struct postern_names *clients)
{
    if (!read_clients(ctl, clients))
        return false;
    if (clients->count == 0)
        ctl_complain("which clients? Give one or more IPv4 addresses");
    return clients->count > 0;
}

static enum ctl_status list(struct ctl *ctl)
{
    struct postern_names clients;
    struct postern_rows rows;
    int64_t limit;
    if (!read_clients(ctl, &clients) || !ctl_limit(ctl, &limit))
        return CTL_USAGE;
    enum postern_lookup lookup =
        ctl_query(ctl, &LIST,
                  POSTERN_VALUES(postern_integer(clients.count > 0), postern_texts(clients),
                                 postern_integer(limit + 1)),
                  &rows);
    if (lookup == POSTERN_FOUND && rows.count > (size_t)limit) {
        rows.count = (size_t)limit;
        ctl_complain("there are more than %" PRId64 "; --limit N shows more, and IP ... those of "
                     "these clients",
                     limit);
    }
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       clients.count > 0);
}

static enum ctl_status whitelist(struct ctl *ctl)
{
    struct postern_names clients;
    struct postern_rows rows;
    if (!read_some_clients(ctl, &clients))
        return CTL_USAGE;
    for (size_t i = 0; i < clients.count; i++)
        if (ctl_query(ctl, &WHITELIST, POSTERN_VALUES(postern_text(clients.items[i])), &rows) ==
            POSTERN_FAILED)
            return CTL_UNREACHABLE;
    return output_change(ctl, (int64_t)clients.count,
                         "%zu client%s whitelisted, whatever the score", clients.count,
                         clients.count == 1 ? " is" : "s are");
}

static enum ctl_status forget(struct ctl *ctl)
{
    struct postern_names clients;
    struct postern_rows rows;
    if (!read_some_clients(ctl, &clients))
        return CTL_USAGE;
    enum postern_lookup lookup =
        ctl_query(ctl, &FORGET, POSTERN_VALUES(postern_texts(clients)), &rows);
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    if (rows.changed == 0)
        return output_change(ctl, 0,
                             "nothing is known of that; `posternctl senderscore list` shows what "
                             "is");
    return output_change(ctl, rows.changed,
                         "%" PRId64 " forgotten; the score is asked for with the next mail",
                         rows.changed);
}

static const struct command_option limited[] = {
    {"limit", "N", "at most so many, the newest first (default: 100)"}, {NULL}};

static const struct command commands[] = {
    {"list", "[IP ...]", "scores that are known, and clients that are whitelisted", limited,
     NEEDS_DATABASE, list},
    {"whitelist", "IP ...", "lets clients through whatever their score", NULL, NEEDS_DATABASE,
     whitelist},
    {"forget", "IP ...", "removes scores, and clients from the whitelist", NULL, NEEDS_DATABASE,
     forget},
    {NULL},
};

const struct noun noun_senderscore = {"senderscore",
                                      "scores of clients, for the plugin senderscore", commands};
