#include "ctl/entries.h"
#include "ctl/greylist.h"
#include "ctl/output.h"
#include <inttypes.h>

/* whitelist_outbound_recipient marks its rows with their comment. */
static const struct postern_statement LIST = {
    .sql = "SELECT account, sender, "
           "CASE WHEN comment = 'AUTO-WHITELISTED' THEN 'outbound' ELSE 'admin' END AS origin, "
           "comment FROM greylisting_whitelists "
           "WHERE (? = '' OR sender = ?) AND (? = '' OR account = ?) "
           "UNION ALL SELECT account, sender, 'domain' AS origin, comment "
           "FROM greylisting_whitelist_domain_spf "
           "WHERE (? = '' OR sender = ?) AND (? = '' OR account = ?) ORDER BY 1, 2, 3 "
           "LIMIT ? OFFSET ?"};

static const struct postern_statement SET = {
    .sqlite = "INSERT INTO greylisting_whitelists (account, sender, comment) "
              "SELECT ?, json_extract(value, '$[0]'), ? FROM json_each(?) WHERE true "
              "ON CONFLICT (account, sender) DO UPDATE SET comment = "
              "CASE WHEN ? = 1 THEN excluded.comment ELSE greylisting_whitelists.comment END",
    .pgsql = "INSERT INTO greylisting_whitelists (account, sender, comment) "
             "SELECT CAST(? AS text), item->>0, CAST(? AS text) "
             "FROM jsonb_array_elements(CAST(? AS jsonb)) AS item "
             "ON CONFLICT (account, sender) DO UPDATE SET comment = "
             "CASE WHEN ? = 1 THEN excluded.comment ELSE greylisting_whitelists.comment END",
    .mysql = "INSERT INTO greylisting_whitelists (account, sender, comment) "
             "SELECT ?, item.sender, ? FROM JSON_TABLE(?, '$[*]' "
             "COLUMNS (sender VARCHAR(255) CHARACTER SET utf8mb4 PATH '$[0]')) AS item "
             "ON DUPLICATE KEY UPDATE comment = IF(? = 1, VALUES(comment), comment)",
    .repeatable = true};

static const struct postern_statement DELETE = {
    .sql = "DELETE FROM greylisting_whitelists WHERE account = ? AND sender IN (?...)",
    .repeatable = true};

static const struct entry_rule rule = {.forms = GREYLIST_SENDERS};

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
    enum postern_lookup lookup = ctl_query_all(
        ctl, "iredapd", &LIST, POSTERN_VALUES(from, from, to, to, from, from, to, to), &rows);
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       route_is_given(ctl));
}

/* The senders of --from. */
static bool read_senders(struct ctl *ctl, struct input *input)
{
    return input_add(ctl, input, "--from", ctl_values(ctl, "from"), 0);
}

enum ctl_status whitelist_add(struct ctl *ctl)
{
    struct route route = route_named(ctl);
    struct input input = {0};
    struct entries entries;
    if (route.account.form == POSTERN_ACCOUNT_INVALID)
        return entry_refuse("to", route.account.text, GREYLIST_ACCOUNTS);
    if (!read_senders(ctl, &input))
        return CTL_UNREACHABLE;
    enum ctl_status status = entries_read(ctl, &rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    const char *comment = ctl_option(ctl, "comment");
    struct entries_step step = {&SET,
                                POSTERN_VALUES(postern_text(route.account.text),
                                               postern_text(comment != NULL ? comment : ""),
                                               entries_json(), postern_integer(comment != NULL))};
    int64_t changed;
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    if (entries.count == 0)
        return output_change(ctl, 0, "there was no sender to whitelist");
    return output_change(ctl, (int64_t)entries.count, "mail from %s to %s is never greylisted",
                         entries_text(ctl, &entries, "senders"), route.account.text);
}

static enum ctl_status deleted(struct ctl *ctl, const struct entries *entries,
                               const struct route *route, int64_t changed)
{
    const char *senders = entries_text(ctl, entries, "senders");
    if (changed == 0)
        return output_change(ctl, 0,
                             "no entry for mail from %s to %s that could be deleted here (those "
                             "of origin `domain` are made from whitelisted domains); `posternctl "
                             "greylist whitelist list` shows what is there",
                             senders, route->account.text);
    if (entries->count == 1)
        return output_change(ctl, changed, "the entry for mail from %s to %s is deleted", senders,
                             route->account.text);
    return output_change(ctl, changed,
                         "%" PRId64 " of the entries for mail from %s to %s are "
                         "deleted",
                         changed, senders, route->account.text);
}

enum ctl_status whitelist_delete(struct ctl *ctl)
{
    struct route route = route_named(ctl);
    struct input input = {0};
    struct entries entries;
    if (!read_senders(ctl, &input))
        return CTL_UNREACHABLE;
    enum ctl_status status = entries_named(ctl, &rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    struct entries_step step = {&DELETE,
                                POSTERN_VALUES(postern_text(route.account.text), entries_names())};
    int64_t changed;
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    if (changed == 0 && route.account.form == POSTERN_ACCOUNT_INVALID)
        return entry_refuse("to", route.account.text, GREYLIST_ACCOUNTS);
    if (changed == 0 && entries.count == 1 && entries_refuse(ctl, &rule, &input) != CTL_DONE)
        return CTL_USAGE;
    return deleted(ctl, &entries, &route, changed);
}
