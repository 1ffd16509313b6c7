/*
 * The tables are amavisd's, which other programs fill as well: addresses that are there keep what
 * they have, and none is ever deleted, so that a row that another has just found stays there.
 */
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "ctl/wb.h"
#include <inttypes.h>

/* --- statements --- */

#define ITEMS_SQLITE "json_each(?) AS item"
#define ITEMS_PGSQL  "jsonb_array_elements(CAST(? AS jsonb)) AS item"
#define ITEMS_MYSQL                                                                                \
    "JSON_TABLE(?, '$[*]' COLUMNS (email VARCHAR(255) CHARACTER SET utf8mb4 PATH '$[0]', "         \
    "priority INT PATH '$[1]', wb CHAR(1) PATH '$[2]')) AS item"
#define EMAIL_SQLITE "json_extract(item.value, '$[0]')"
#define EMAIL_PGSQL  "convert_to(item->>0, 'UTF8')"
#define EMAIL_MYSQL  "CAST(item.email AS BINARY)"

/* It is asked first whether they are there, because a conflict costs an id. */
static const struct postern_statement USER_ADD = {
    .sql = "INSERT INTO users (priority, policy_id, email) SELECT ?, 0, ? "
           "WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = ?) ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO users (priority, policy_id, email) "
             "SELECT CAST(? AS integer), 0, convert_to(CAST(? AS text), 'UTF8') "
             "WHERE NOT EXISTS (SELECT 1 FROM users "
             "WHERE email = convert_to(CAST(? AS text), 'UTF8')) ON CONFLICT DO NOTHING",
    .mysql = "INSERT INTO users (priority, policy_id, email) SELECT ?, 0, CAST(? AS BINARY) "
             "FROM DUAL WHERE NOT EXISTS "
             "(SELECT 1 FROM users AS there WHERE there.email = CAST(? AS BINARY)) "
             "ON DUPLICATE KEY UPDATE email = VALUES(email)",
    .repeatable = true};

static const struct postern_statement ADDRESSES_ADD = {
    .sqlite = "INSERT INTO mailaddr (priority, email) SELECT json_extract(item.value, "
              "'$[1]'), " EMAIL_SQLITE " FROM " ITEMS_SQLITE " WHERE NOT EXISTS "
              "(SELECT 1 FROM mailaddr AS there WHERE there.email = " EMAIL_SQLITE ") "
              "ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO mailaddr (priority, email) SELECT CAST(item->>1 AS integer), " EMAIL_PGSQL
             " FROM " ITEMS_PGSQL " WHERE NOT EXISTS "
             "(SELECT 1 FROM mailaddr AS there WHERE there.email = " EMAIL_PGSQL ") "
             "ON CONFLICT DO NOTHING",
    .mysql = "INSERT INTO mailaddr (priority, email) SELECT item.priority, " EMAIL_MYSQL
             " FROM " ITEMS_MYSQL " WHERE NOT EXISTS "
             "(SELECT 1 FROM mailaddr AS there WHERE there.email = " EMAIL_MYSQL ") "
             "ON DUPLICATE KEY UPDATE email = VALUES(email)",
    .repeatable = true};

/* rid is the recipient's side, sid the sender's: which of them is here depends on the direction. */
#define ADD(table, rid, sid)                                                                       \
    {                                                                                              \
        .sqlite = "INSERT INTO " table " (rid, sid, wb) SELECT " rid ".id, " sid                   \
                  ".id, json_extract(item.value, '$[2]') FROM " ITEMS_SQLITE                       \
                  " JOIN mailaddr ON mailaddr.email = " EMAIL_SQLITE                               \
                  " JOIN users ON users.email = ? WHERE true "                                     \
                  "ON CONFLICT (rid, sid) DO UPDATE SET wb = excluded.wb",                         \
        .pgsql =                                                                                   \
            "INSERT INTO " table " (rid, sid, wb) SELECT " rid ".id, " sid                         \
            ".id, item->>2 FROM " ITEMS_PGSQL " JOIN mailaddr ON mailaddr.email = " EMAIL_PGSQL    \
            " JOIN users ON users.email = convert_to(CAST(? AS text), 'UTF8') "                    \
            "ON CONFLICT (rid, sid) DO UPDATE SET wb = excluded.wb",                               \
        .mysql =                                                                                   \
            "INSERT INTO " table " (rid, sid, wb) SELECT " rid ".id, " sid                         \
            ".id, item.wb FROM " ITEMS_MYSQL " JOIN mailaddr ON mailaddr.email = " EMAIL_MYSQL     \
            " JOIN users ON users.email = CAST(? AS BINARY) "                                      \
            "ON DUPLICATE KEY UPDATE wb = VALUES(wb)",                                             \
        .repeatable = true                                                                         \
    }

/* Arrays keep PostgreSQL from joining tables of whose size it has no idea yet, row by row. */
#define DELETE(table, user, address)                                                               \
    {                                                                                              \
        .sqlite = "DELETE FROM " table " WHERE wb = ? AND " user                                   \
                  " IN (SELECT id FROM users WHERE email = ?) AND " address                        \
                  " IN (SELECT mailaddr.id FROM " ITEMS_SQLITE                                     \
                  " JOIN mailaddr ON mailaddr.email = " EMAIL_SQLITE ")",                          \
        .pgsql =                                                                                   \
            "DELETE FROM " table " WHERE wb = ? AND " user " = ANY (ARRAY(SELECT id FROM "         \
            "users WHERE email = convert_to(CAST(? AS text), 'UTF8'))) AND " address               \
            " = ANY (ARRAY(SELECT id FROM mailaddr WHERE email = ANY (ARRAY(SELECT " EMAIL_PGSQL   \
            " FROM " ITEMS_PGSQL "))))",                                                           \
        .mysql = "DELETE " table " FROM " table " JOIN users ON users.id = " user                  \
                 " JOIN mailaddr ON mailaddr.id = " address " WHERE " table                        \
                 ".wb = ? AND users.email = CAST(? AS BINARY) "                                    \
                 "AND mailaddr.email IN (SELECT " EMAIL_MYSQL " FROM " ITEMS_MYSQL ")",            \
        .repeatable = true                                                                         \
    }

#define CLEAR(table, user)                                                                         \
    {                                                                                              \
        .sql = "DELETE FROM " table " WHERE " user " IN (SELECT id FROM users WHERE email = ?)",   \
        .pgsql = "DELETE FROM " table " WHERE " user " IN (SELECT id FROM users "                  \
                 "WHERE email = convert_to(CAST(? AS text), 'UTF8'))",                             \
        .mysql = "DELETE " table " FROM " table " JOIN users ON users.id = " user                  \
                 " WHERE users.email = CAST(? AS BINARY)",                                         \
        .repeatable = true                                                                         \
    }

#define LIST_FROM(table, user, address)                                                            \
    "SELECT users.email, mailaddr.email, " WB_NAME ", mailaddr.priority FROM " table               \
    " JOIN users ON users.id = " user " JOIN mailaddr ON mailaddr.id = " address
#define LIST_ORDER                                                                                 \
    " ORDER BY users.priority DESC, users.email, mailaddr.priority DESC, mailaddr.email "          \
    "LIMIT ? OFFSET ?"
#define LIST(table, user, address)                                                                 \
    {                                                                                              \
        .sql = LIST_FROM(table, user, address) " WHERE (? = '' OR users.email = ?)" LIST_ORDER,    \
        .pgsql = LIST_FROM(table, user, address) " WHERE (? = '' OR users.email = "                \
                                                 "convert_to(CAST(? AS text), 'UTF8'))" LIST_ORDER \
    }

static const struct direction {
    const char *name; /* of mail */
    unsigned remote;  /* what the addresses of the other side may be */
    struct postern_statement list, add, delete, clear;
} inbound = {.name = "to",
             .remote = ENTRY_ACCOUNTS | ENTRY_CLIENT | 1u << POSTERN_ACCOUNT_USER_ANYWHERE,
             .list = LIST("wblist", "rid", "sid"),
             .add = ADD("wblist", "users", "mailaddr"),
             .delete = DELETE("wblist", "rid", "sid"),
             .clear = CLEAR("wblist", "rid")},
  outbound = {.name = "from",
              .remote = ENTRY_ACCOUNTS | 1u << POSTERN_ACCOUNT_USER_ANYWHERE,
              .list = LIST("outbound_wblist", "sid", "rid"),
              .add = ADD("outbound_wblist", "mailaddr", "users"),
              .delete = DELETE("outbound_wblist", "sid", "rid"),
              .clear = CLEAR("outbound_wblist", "sid")};

static const struct column columns[] = {
    {"ACCOUNT", "account", COLUMN_TEXT},
    {"ADDRESS", "address", COLUMN_TEXT},
    {"LIST", "list", COLUMN_TEXT},
    {"PRIORITY", "priority", COLUMN_INTEGER},
};

/* --- what the options say --- */

struct request {
    const struct direction *direction;
    struct entry_rule rule;
    const char *given; /* --account; NULL */
    struct entry account;
};

static struct request request_read(struct ctl *ctl)
{
    const char *given = ctl_option(ctl, "account");
    const struct direction *direction = ctl_option(ctl, "outbound") != NULL ? &outbound : &inbound;
    return (struct request){
        .direction = direction,
        .rule = {.forms = direction->remote, .priority = postern_amavisd_priority},
        .given = given,
        .account = entry_read(ctl->arena, given != NULL ? given : "@.", ENTRY_ACCOUNTS)};
}

static enum ctl_status account_refuse(const struct request *request)
{
    if (request->account.form == POSTERN_ACCOUNT_INVALID)
        return entry_refuse("account", request->account.text, ENTRY_ACCOUNTS);
    return CTL_DONE;
}

/* --- verbs --- */

static enum ctl_status list(struct ctl *ctl)
{
    struct postern_rows rows;
    struct request request = request_read(ctl);
    enum ctl_status status = account_refuse(&request);
    if (status != CTL_DONE)
        return status;
    struct postern_value account = postern_text(request.given != NULL ? request.account.text : "");
    enum postern_lookup lookup = ctl_query_all(ctl, "amavisd", &request.direction->list,
                                               POSTERN_VALUES(account, account), &rows);
    if (lookup != POSTERN_FAILED)
        status = wb_filter(ctl, &request.rule, &rows, 1, 2);
    if (status != CTL_DONE)
        return status;
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       request.given != NULL || wb_is_filtered(ctl));
}

static enum ctl_status add(struct ctl *ctl)
{
    struct entries entries;
    struct request request = request_read(ctl);
    enum ctl_status status = account_refuse(&request);
    if (status == CTL_DONE)
        status = wb_read(ctl, &request.rule, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t changed;
    int priority = postern_amavisd_priority(request.account.form);
    struct postern_value account = postern_text(request.account.text);
    struct entries_step steps[] = {
        {&USER_ADD, POSTERN_VALUES(postern_integer(priority), account, account)},
        {&ADDRESSES_ADD, POSTERN_VALUES(entries_json())},
        {&request.direction->add, POSTERN_VALUES(entries_json(), account)}};
    if (!entries_write(ctl, "amavisd", &entries, steps, 3, &changed))
        return CTL_UNREACHABLE;
    return output_change(ctl, (int64_t)entries.count, "%s for mail %s %s",
                         wb_sentence(ctl, &entries, "addresses"), request.direction->name,
                         request.account.text);
}

static enum ctl_status delete_entries(struct ctl *ctl)
{
    struct input input = {0};
    struct entries entries;
    struct request request = request_read(ctl);
    enum ctl_status status = wb_named(ctl, &request.rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t changed;
    struct entries_step step = {
        &request.direction->delete,
        POSTERN_VALUES(postern_null(), postern_text(request.account.text), entries_json())};
    if (!wb_delete(ctl, "amavisd", &entries, &step, &changed))
        return CTL_UNREACHABLE;
    if (changed == 0 && account_refuse(&request) != CTL_DONE)
        return CTL_USAGE;
    return wb_deleted(ctl, &request.rule, &input, &entries, "wblist", changed);
}

static enum ctl_status clear(struct ctl *ctl)
{
    struct postern_rows rows;
    struct request request = request_read(ctl);
    enum postern_lookup lookup =
        ctl_query_on(ctl, "amavisd", &request.direction->clear,
                     POSTERN_VALUES(postern_text(request.account.text)), &rows);
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    if (lookup == POSTERN_NOT_FOUND && account_refuse(&request) != CTL_DONE)
        return CTL_USAGE;
    if (lookup == POSTERN_NOT_FOUND)
        return output_change(ctl, 0, "nothing is listed for mail %s %s", request.direction->name,
                             request.account.text);
    return output_change(ctl, rows.changed, "%" PRId64 " are not listed any more for mail %s %s",
                         rows.changed, request.direction->name, request.account.text);
}

/* --- the table --- */

#define ACCOUNT                                                                                    \
    {                                                                                              \
        "account", "ACCOUNT", "a local address or @domain (default: @., everybody)"                \
    }
#define OUTBOUND                                                                                   \
    {                                                                                              \
        "outbound", NULL, "the lists for mail that the account sends"                              \
    }

static const struct command_option filters[] = {
    {"account", "ACCOUNT", "only the lists of exactly this account"},
    OUTBOUND,
    {"whitelist", "ADDR...", "only whitelists, or only these of them", .values = VALUES_ANY},
    {"blacklist", "ADDR...", "only blacklists, or only these of them", .values = VALUES_ANY},
    {NULL}};
static const struct command_option entries[] = {
    ACCOUNT,
    OUTBOUND,
    {"whitelist", "ADDR...", "whom the account gets mail from, or sends to; - is standard input",
     .values = VALUES_SEVERAL},
    {"blacklist", "ADDR...", "the same for the other list", .values = VALUES_SEVERAL},
    {NULL}};
static const struct command_option account_only[] = {ACCOUNT, OUTBOUND, {NULL}};

static const struct command commands[] = {
    {"list", NULL, "whose mail is white- and blacklisted", filters, NEEDS_AMAVISD, list},
    {"add", NULL, "white- or blacklists the mail of addresses, domains and clients", entries,
     NEEDS_AMAVISD, add},
    {"delete", NULL, "removes entries from the lists", entries, NEEDS_AMAVISD, delete_entries},
    {"clear", NULL, "removes everything from the lists of an account", account_only, NEEDS_AMAVISD,
     clear},
    {NULL},
};

const struct noun noun_wblist = {"wblist", "white- and blacklists of mail, in both directions",
                                 commands};
