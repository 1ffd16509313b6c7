#include "ctl/greylist.h"
#include "ctl/output.h"

/* whitelist_outbound_recipient marks its rows with their comment. */
static const struct postern_statement LIST = {
    .sql = "SELECT account, sender, "
           "CASE WHEN comment = 'AUTO-WHITELISTED' THEN 'outbound' ELSE 'admin' END AS origin, "
           "comment FROM greylisting_whitelists "
           "WHERE (? = '' OR sender = ?) AND (? = '' OR account = ?) "
           "UNION ALL SELECT account, sender, 'domain' AS origin, comment "
           "FROM greylisting_whitelist_domain_spf "
           "WHERE (? = '' OR sender = ?) AND (? = '' OR account = ?) ORDER BY 1, 2, 3"};

static const struct postern_statement SET = {
    .sql = "INSERT INTO greylisting_whitelists (account, sender, comment) VALUES (?, ?, ?) "
           "ON CONFLICT (account, sender) DO UPDATE SET comment = "
           "CASE WHEN ? = 1 THEN excluded.comment ELSE greylisting_whitelists.comment END",
    .mysql = "INSERT INTO greylisting_whitelists (account, sender, comment) VALUES (?, ?, ?) "
             "ON DUPLICATE KEY UPDATE comment = IF(? = 1, VALUES(comment), comment)"};

static const struct postern_statement DELETE = {
    .sql = "DELETE FROM greylisting_whitelists WHERE account = ? AND sender = ?"};

static const struct column columns[] = {
    {"ACCOUNT", "account", COLUMN_TEXT},
    {"SENDER", "sender", COLUMN_TEXT},
    {"ORIGIN", "origin", COLUMN_TEXT},
    {"COMMENT", "comment", COLUMN_TEXT},
};

enum ctl_status whitelist_list(struct ctl *ctl)
{
    struct route route;
    struct postern_rows rows;
    enum ctl_status status = route_read(ctl, "", &route);
    if (status != CTL_DONE)
        return status;
    struct postern_value from = postern_text(route.sender.text);
    struct postern_value to = postern_text(route.account.text);
    enum postern_lookup lookup =
        ctl_query(ctl, &LIST, POSTERN_VALUES(from, from, to, to, from, from, to, to), &rows);
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       route_is_given(ctl));
}

enum ctl_status whitelist_add(struct ctl *ctl)
{
    struct route route;
    struct postern_rows rows;
    enum ctl_status status = route_read(ctl, "@.", &route);
    if (status != CTL_DONE)
        return status;
    const char *comment = ctl_option(ctl, "comment");
    enum postern_lookup lookup =
        ctl_query(ctl, &SET,
                  POSTERN_VALUES(postern_text(route.account.text), postern_text(route.sender.text),
                                 postern_text(comment != NULL ? comment : ""),
                                 postern_integer(comment != NULL)),
                  &rows);
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    return output_change(ctl, 1, "mail from %s to %s is never greylisted", route.sender.text,
                         route.account.text);
}

enum ctl_status whitelist_delete(struct ctl *ctl)
{
    struct route route = route_named(ctl);
    struct postern_rows rows;
    enum postern_lookup lookup = ctl_query(
        ctl, &DELETE,
        POSTERN_VALUES(postern_text(route.account.text), postern_text(route.sender.text)), &rows);
    if (lookup == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    if (lookup == POSTERN_NOT_FOUND && route_refuse(&route) != CTL_DONE)
        return CTL_USAGE;
    if (lookup == POSTERN_NOT_FOUND)
        return output_change(ctl, 0,
                             "no entry for mail from %s to %s that could be deleted here (those "
                             "of origin `domain` are made from whitelisted domains); `posternctl "
                             "greylist whitelist list` shows what is there",
                             route.sender.text, route.account.text);
    return output_change(ctl, rows.changed, "the entry for mail from %s to %s is deleted",
                         route.sender.text, route.account.text);
}
