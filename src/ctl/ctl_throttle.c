#include "ctl/throttle.h"

#include "ctl/nouns.h"
#include "ctl/output.h"
#include "util/quantity.h"
#include <inttypes.h>
#include <string.h>

#define PERIOD_MAX (3650 * 86400) /* seconds; a window that never ends is a mistake */

static const struct postern_statement LIST = {
    .sql = "SELECT account, kind, period, max_msgs, max_quota, msg_size, max_rcpts, shared, "
           "priority FROM throttle WHERE (? = '' OR account = ?) AND " THROTTLE_FILTER
           " ORDER BY priority DESC, account, kind, period LIMIT ? OFFSET ?"};

static const struct postern_statement DELETE = {
    .sql = "DELETE FROM throttle WHERE account IN (?...) AND " THROTTLE_FILTER, .repeatable = true};

static const struct column columns[] = {
    {"ACCOUNT", "account", COLUMN_TEXT},           {"KIND", "kind", COLUMN_TEXT},
    {"PERIOD", "period", COLUMN_DURATION},         {"MAX MSGS", "max_msgs", COLUMN_LIMIT},
    {"MAX QUOTA", "max_quota", COLUMN_SIZE_LIMIT}, {"MSG SIZE", "msg_size", COLUMN_SIZE_LIMIT},
    {"MAX RCPTS", "max_rcpts", COLUMN_LIMIT},      {"SHARED", "shared", COLUMN_YES_NO},
    {"PRIORITY", "priority", COLUMN_INTEGER},
};

const struct entry_rule throttle_rule = {.forms = ENTRY_ACCOUNTS | ENTRY_CLIENT |
                                                  1u << POSTERN_ACCOUNT_EACH_IP,
                                         .priority = postern_amavisd_priority};

/* --- reading --- */

enum ctl_status throttle_kind_read(struct ctl *ctl, const char **kind)
{
    static const char *const kinds[] = {"inbound", "outbound", "external"};
    const char *given = ctl_option(ctl, "kind");
    *kind = given != NULL ? postern_lower(ctl->arena, given) : NULL;
    if (given == NULL)
        return CTL_DONE;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(*kind, kinds[i]) == 0)
            return CTL_DONE;
    ctl_complain("--kind: `%s` is none of inbound, outbound, external", given);
    return CTL_USAGE;
}

enum ctl_status throttle_period_read(struct ctl *ctl, int64_t *period)
{
    const char *text = ctl_option(ctl, "period");
    *period = -1;
    if (text == NULL || (quantity_parse_duration(text, period) && *period <= PERIOD_MAX))
        return CTL_DONE;
    ctl_complain("--period: `%s` is not a duration, or too long; expected such as 1h, 12h or 30d",
                 text);
    return CTL_USAGE;
}

enum ctl_status throttle_filter_read(struct ctl *ctl, struct throttle_filter *filter)
{
    int64_t period;
    const char *kind;
    if (throttle_kind_read(ctl, &kind) != CTL_DONE ||
        throttle_period_read(ctl, &period) != CTL_DONE)
        return CTL_USAGE;
    *filter = (struct throttle_filter){
        .values = {postern_integer(kind != NULL), postern_text(kind != NULL ? kind : ""),
                   postern_integer(period >= 0), postern_integer(period)},
        .given = kind != NULL || period >= 0};
    return CTL_DONE;
}

enum ctl_status throttle_account_read(struct ctl *ctl, struct entry *account)
{
    *account = (struct entry){.text = ""};
    if (ctl->operands.count > 1) {
        ctl_complain("`%s` is too much: a list is of one account, or of all",
                     ctl->operands.items[1]);
        return CTL_USAGE;
    }
    if (ctl->operands.count == 0)
        return CTL_DONE;
    *account = entry_read(ctl->arena, ctl->operands.items[0], throttle_rule.forms);
    if (account->form != POSTERN_ACCOUNT_INVALID)
        return CTL_DONE;
    ctl_complain("`%s` is no account; allowed are %s", account->text,
                 entry_forms(ctl->arena, throttle_rule.forms));
    return CTL_USAGE;
}

enum ctl_status throttle_input_read(struct ctl *ctl, struct input *input)
{
    if (ctl->operands.count == 0) {
        ctl_complain("an ACCOUNT is missing: %s; `-` reads them from standard input",
                     entry_forms(ctl->arena, throttle_rule.forms));
        return CTL_USAGE;
    }
    return input_add(ctl, input, "ACCOUNT", ctl->operands, 0) ? CTL_DONE : CTL_UNREACHABLE;
}

/* --- list, delete --- */

static enum ctl_status list(struct ctl *ctl)
{
    struct entry entry;
    struct throttle_filter filter;
    struct postern_rows rows;
    if (throttle_account_read(ctl, &entry) != CTL_DONE ||
        throttle_filter_read(ctl, &filter) != CTL_DONE)
        return CTL_USAGE;
    struct postern_value account = postern_text(entry.text);
    const struct postern_value *f = filter.values;
    enum postern_lookup lookup = ctl_query_all(
        ctl, "iredapd", &LIST, POSTERN_VALUES(account, account, f[0], f[1], f[2], f[3]), &rows);
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       entry.text[0] != '\0' || filter.given);
}

static enum ctl_status delete_throttles(struct ctl *ctl)
{
    struct throttle_filter filter;
    struct input input = {0};
    struct entries entries;
    enum ctl_status status = throttle_filter_read(ctl, &filter);
    if (status == CTL_DONE)
        status = throttle_input_read(ctl, &input);
    if (status == CTL_DONE)
        status = entries_named(ctl, &throttle_rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t changed;
    const struct postern_value *f = filter.values;
    struct entries_step step = {&DELETE, POSTERN_VALUES(entries_names(), f[0], f[1], f[2], f[3])};
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    if (changed == 0 && entries.count == 1 &&
        entries_refuse(ctl, &throttle_rule, &input) != CTL_DONE)
        return CTL_USAGE;
    const char *of = entries_text(ctl, &entries, "accounts");
    if (changed == 0)
        return output_change(ctl, 0,
                             "no such throttle of %s; `posternctl throttle list` shows those that "
                             "are there",
                             of);
    return output_change(ctl, changed, "%" PRId64 " of %s deleted", changed, of);
}

/* --- the table --- */

static const struct command_option filters[] = {
    {"kind", "KIND", "only inbound, outbound or external ones"},
    {"period", "DURATION", "only those of exactly this period"},
    {NULL}};
static const struct command_option limits[] = {
    {"kind", "KIND",
     "outbound (the default): logged-in users; external: other senders; inbound: "
     "recipients"},
    {"period", "DURATION", "the window in which messages and bytes are counted"},
    {"max-msgs", "N", "messages in the window, one for each recipient"},
    {"max-quota", "SIZE", "bytes in the window"},
    {"msg-size", "SIZE", "bytes of one message"},
    {"max-rcpts", "N", "recipients of one message"},
    {"shared", NULL, "count all that it applies to together"},
    {"not-shared", NULL, "count each apart, as a new one does"},
    {NULL}};
static const struct command_option counters[] = {
    {"kind", "KIND", "only inbound, outbound or external ones"},
    {"period", "DURATION", "only those of exactly this period"},
    {"limit", "N", "at most so many, the latest first (default: 100)"},
    {NULL}};
static const struct command_option resets[] = {
    {"kind", "KIND", "only inbound, outbound or external ones"},
    {"period", "DURATION", "only those of exactly this period"},
    {"all", NULL, "every counter, of whatever account"},
    {NULL}};

static const struct command commands[] = {
    {"list", "[ACCOUNT]", "what is limited for whom", filters, NEEDS_MIGRATED, list},
    {"set", "ACCOUNT...", "sets limits; those not given stay, and are inherited when it is new",
     limits, NEEDS_MIGRATED, throttle_set},
    {"delete", "ACCOUNT...", "removes limits, and what was counted for them", filters,
     NEEDS_MIGRATED, delete_throttles},
    {"usage", "[ACCOUNT]", "what was counted, of an account or by its throttles", counters,
     NEEDS_MIGRATED, throttle_usage},
    {"reset", "[ACCOUNT...]", "forgets what was counted, of an account and by its throttles",
     resets, NEEDS_MIGRATED, throttle_reset},
    {NULL},
};

const struct noun noun_throttle = {"throttle", "how much mail is let through in a time", commands};
