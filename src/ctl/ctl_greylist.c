#include "ctl/greylist.h"

#include "ctl/nouns.h"
#include "ctl/output.h"

static const struct postern_statement SETTING_LIST = {
    .sql = "SELECT account, sender, active, priority, sender_priority, comment FROM greylisting "
           "WHERE (? = '' OR sender = ?) AND (? = '' OR account = ?) "
           "ORDER BY priority DESC, sender_priority DESC, account, sender"};

static const struct postern_statement SETTING_SET = {
    .sql = "INSERT INTO greylisting (account, priority, sender, sender_priority, active, comment) "
           "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, sender) DO UPDATE SET "
           "priority = excluded.priority, sender_priority = excluded.sender_priority, "
           "active = excluded.active, "
           "comment = CASE WHEN ? = 1 THEN excluded.comment ELSE greylisting.comment END",
    .mysql = "INSERT INTO greylisting (account, priority, sender, sender_priority, active, comment)"
             " VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE priority = VALUES(priority), "
             "sender_priority = VALUES(sender_priority), active = VALUES(active), "
             "comment = IF(? = 1, VALUES(comment), comment)"};

static const struct postern_statement SETTING_DELETE = {
    .sql = "DELETE FROM greylisting WHERE account = ? AND sender = ?"};

static const struct column setting_columns[] = {
    {"ACCOUNT", "account", COLUMN_TEXT},
    {"SENDER", "sender", COLUMN_TEXT},
    {"ACTIVE", "active", COLUMN_YES_NO},
    {"PRIORITY", "priority", COLUMN_INTEGER},
    {"SENDER PRIORITY", "sender_priority", COLUMN_INTEGER},
    {"COMMENT", "comment", COLUMN_TEXT},
};

/* --- routes --- */

static struct entry read_side(struct ctl *ctl, const char *option, const char *fallback,
                              unsigned forms)
{
    const char *given = ctl_option(ctl, option);
    if (given == NULL && fallback[0] == '\0')
        return (struct entry){"", POSTERN_ACCOUNT_EVERYBODY};
    return entry_read(ctl->arena, given != NULL ? given : fallback, forms);
}

enum ctl_status route_refuse(const struct route *route)
{
    if (route->sender.form == POSTERN_ACCOUNT_INVALID)
        return entry_refuse("from", route->sender.text, GREYLIST_SENDERS);
    if (route->account.form == POSTERN_ACCOUNT_INVALID)
        return entry_refuse("to", route->account.text, GREYLIST_ACCOUNTS);
    return CTL_DONE;
}

enum ctl_status route_read(struct ctl *ctl, const char *fallback, struct route *route)
{
    route->sender = read_side(ctl, "from", fallback, GREYLIST_SENDERS);
    route->account = read_side(ctl, "to", fallback, GREYLIST_ACCOUNTS);
    return route_refuse(route);
}

struct route route_named(struct ctl *ctl)
{
    return (struct route){read_side(ctl, "from", "@.", GREYLIST_SENDERS),
                          read_side(ctl, "to", "@.", GREYLIST_ACCOUNTS)};
}

bool route_is_given(const struct ctl *ctl)
{
    return ctl_option(ctl, "from") != NULL || ctl_option(ctl, "to") != NULL;
}

/* --- settings --- */

static enum ctl_status list(struct ctl *ctl)
{
    struct route route;
    struct postern_rows rows;
    enum ctl_status status = route_read(ctl, "", &route);
    if (status != CTL_DONE)
        return status;
    struct postern_value from = postern_text(route.sender.text);
    struct postern_value to = postern_text(route.account.text);
    enum postern_lookup lookup =
        ctl_query(ctl, &SETTING_LIST, POSTERN_VALUES(from, from, to, to), &rows);
    return output_list(ctl, setting_columns, sizeof setting_columns / sizeof setting_columns[0],
                       lookup, &rows, route_is_given(ctl));
}

static enum ctl_status set_active(struct ctl *ctl, bool active)
{
    struct route route;
    struct postern_rows rows;
    enum ctl_status status = route_read(ctl, "@.", &route);
    if (status != CTL_DONE)
        return status;
    const char *comment = ctl_option(ctl, "comment");
    enum postern_lookup lookup = ctl_query(
        ctl, &SETTING_SET,
        POSTERN_VALUES(postern_text(route.account.text),
                       postern_integer(postern_greylisting_priority(route.account.form)),
                       postern_text(route.sender.text),
                       postern_integer(postern_greylisting_priority(route.sender.form)),
                       postern_integer(active), postern_text(comment != NULL ? comment : ""),
                       postern_integer(comment != NULL)),
        &rows);
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    return output_change(ctl, 1, "mail from %s to %s is %s", route.sender.text, route.account.text,
                         active ? "greylisted" : "not greylisted");
}

static enum ctl_status enable(struct ctl *ctl)
{
    return set_active(ctl, true);
}

static enum ctl_status disable(struct ctl *ctl)
{
    return set_active(ctl, false);
}

static enum ctl_status delete (struct ctl *ctl) {
    struct route route = route_named(ctl); struct postern_rows rows;
    enum postern_lookup lookup = ctl_query(ctl, &SETTING_DELETE,
                                           POSTERN_VALUES(postern_text(route.account.text),
                                                          postern_text(route.sender.text)),
                                           &rows);
    if (lookup == POSTERN_FAILED) return CTL_UNREACHABLE;
    if (lookup == POSTERN_NOT_FOUND && route_refuse(&route) != CTL_DONE) return CTL_USAGE;
    if (lookup == POSTERN_NOT_FOUND) return output_change(
        ctl, 0,
        "no setting for mail from %s to %s; `posternctl greylist list` "
        "shows those that are there",
        route.sender.text, route.account.text);
    return output_change(ctl, rows.changed, "the setting for mail from %s to %s is deleted",
                         route.sender.text, route.account.text);
}

/* --- the table --- */

#define FROM_ANYBODY                                                                               \
    {                                                                                              \
        "from", "SENDER", "an address, @domain, client or network (default: @., everybody)"        \
    }
#define TO_ANYBODY                                                                                 \
    {                                                                                              \
        "to", "ACCOUNT", "a recipient's address or @domain (default: @., everybody)"               \
    }
#define COMMENT                                                                                    \
    {                                                                                              \
        "comment", "TEXT", "why; without it the old comment is kept"                               \
    }
#define OPTIONS_END                                                                                \
    {                                                                                              \
        NULL                                                                                       \
    }

static const struct command_option filters[] = {
    {"from", "SENDER", "only what is set for exactly this sender"},
    {"to", "ACCOUNT", "only what is set for exactly this account"},
    OPTIONS_END};
static const struct command_option setting[] = {FROM_ANYBODY, TO_ANYBODY, COMMENT, OPTIONS_END};
static const struct command_option named[] = {FROM_ANYBODY, TO_ANYBODY, OPTIONS_END};
static const struct command_option whitelisted[] = {
    {"from", "SENDER", "an address, @domain, client or network; - reads them from standard input",
     .required = true},
    TO_ANYBODY,
    COMMENT,
    OPTIONS_END};
static const struct command_option whitelist_named[] = {
    {"from", "SENDER", "the sender of the entry; - reads them from standard input",
     .required = true},
    TO_ANYBODY,
    OPTIONS_END};
static const struct command_option tracked[] = {
    {"client", "IP", "only this client"},
    {"sender", "ADDRESS", "only this sender ('' is the null sender)"},
    {"recipient", "ADDRESS", "only this recipient"},
    {"limit", "N", "at most so many, the newest first (default: 100)"},
    OPTIONS_END};
static const struct command_option forgotten[] = {
    {"client", "IP", "what is known of this client"},
    {"sender", "ADDRESS", "what is known of this sender ('' is the null sender)"},
    {"recipient", "ADDRESS", "what is known of this recipient"},
    {"all", NULL, "everything, which makes all senders new again"},
    OPTIONS_END};

static const struct command commands[] = {
    {"list", NULL, "who is greylisted for whom", filters, NEEDS_DATABASE, list},
    {"enable", NULL, "greylists mail from SENDER to ACCOUNT", setting, NEEDS_DATABASE, enable},
    {"disable", NULL, "does not greylist mail from SENDER to ACCOUNT", setting, NEEDS_DATABASE,
     disable},
    {"delete", NULL, "removes a setting, so that a less specific one decides", named,
     NEEDS_DATABASE, delete},
    {"whitelist list", NULL, "who is never greylisted, and where that comes from", filters,
     NEEDS_DATABASE, whitelist_list},
    {"whitelist add", NULL, "never greylists mail from SENDER to ACCOUNT", whitelisted,
     NEEDS_DATABASE, whitelist_add},
    {"whitelist delete", NULL, "removes an entry of the whitelist", whitelist_named, NEEDS_DATABASE,
     whitelist_delete},
    {"domain list", NULL, "domains whose networks, by their SPF records, are never greylisted",
     NULL, NEEDS_MIGRATED, domain_list},
    {"domain add", "DOMAIN...", "never greylists mail from the networks of DOMAIN", NULL,
     NEEDS_MIGRATED, domain_add},
    {"domain delete", "DOMAIN...", "removes domains, and the networks that only they have", NULL,
     NEEDS_MIGRATED, domain_delete},
    {"domain refresh", "[DOMAIN...]", "looks up the networks of these domains, or of all, at once",
     NULL, NEEDS_MIGRATED, domain_refresh},
    {"tracking list", NULL, "who was deferred or has passed, and when", tracked, NEEDS_DATABASE,
     tracking_list},
    {"tracking forget", NULL, "makes senders new again", forgotten, NEEDS_DATABASE,
     tracking_forget},
    {NULL},
};

const struct noun noun_greylist = {"greylist", "who is greylisted, and what is known of them",
                                   commands};
