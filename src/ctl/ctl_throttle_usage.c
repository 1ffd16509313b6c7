#include "ctl/output.h"
#include "ctl/throttle.h"
#include "runtime/clock.h"
#include <inttypes.h>

/* Of mail that an account is counted for, under whatever throttle, and of all that its own count.
 */
static const struct postern_statement USAGE = {
    .sql = "SELECT throttle_tracking.account, throttle.account, kind, cur_msgs, max_msgs, "
           "cur_quota, max_quota, init_time, init_time + throttle_tracking.period, last_time, "
           "CASE WHEN init_time + throttle_tracking.period <= ? THEN 1 ELSE 0 END "
           "FROM throttle_tracking JOIN throttle ON throttle.id = tid "
           "WHERE (? = '' OR throttle_tracking.account = ? OR throttle.account = ?) "
           "AND " THROTTLE_FILTER " ORDER BY last_time DESC, throttle_tracking.id DESC LIMIT ?"};

static const struct postern_statement RESET = {
    .sql = "DELETE FROM throttle_tracking WHERE (? = 1 OR account IN (?...) "
           "OR tid IN (SELECT throttle.id FROM throttle WHERE throttle.account IN (?...))) "
           "AND tid IN (SELECT throttle.id FROM throttle WHERE " THROTTLE_FILTER ")",
    .repeatable = true};

static const struct column columns[] = {
    {"ACCOUNT", "account", COLUMN_TEXT},
    {"THROTTLE OF", "throttle", COLUMN_TEXT},
    {"KIND", "kind", COLUMN_TEXT},
    {"MSGS", "msgs", COLUMN_INTEGER},
    {"MAX MSGS", "max_msgs", COLUMN_LIMIT},
    {"BYTES", "bytes", COLUMN_SIZE},
    {"MAX QUOTA", "max_quota", COLUMN_SIZE_LIMIT},
    {"SINCE", "window_start", COLUMN_TIME},
    {"UNTIL", "window_end", COLUMN_TIME},
    {"LAST", "last_time", COLUMN_TIME},
    {"OVER", "over", COLUMN_YES_NO},
};

enum ctl_status throttle_usage(struct ctl *ctl)
{
    struct entry entry;
    struct throttle_filter filter;
    struct postern_rows rows;
    int64_t limit;
    if (throttle_account_read(ctl, &entry) != CTL_DONE ||
        throttle_filter_read(ctl, &filter) != CTL_DONE || !ctl_limit(ctl, &limit))
        return CTL_USAGE;
    struct postern_value account = postern_text(entry.text);
    const struct postern_value *f = filter.values;
    enum postern_lookup lookup =
        ctl_query(ctl, &USAGE,
                  POSTERN_VALUES(postern_integer(clock_wall()), account, account, account, f[0],
                                 f[1], f[2], f[3], postern_integer(limit + 1)),
                  &rows);
    if (lookup == POSTERN_FOUND && rows.count > (size_t)limit) {
        rows.count = (size_t)limit;
        ctl_complain("there are more than %" PRId64 "; --limit N shows more", limit);
    }
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       entry.text[0] != '\0' || filter.given);
}

static enum ctl_status reset_done(struct ctl *ctl, int64_t changed)
{
    if (changed == 0)
        return output_change(ctl, 0,
                             "nothing was counted; `posternctl throttle usage` shows what was");
    return output_change(ctl, changed, "counters forgotten: %" PRId64, changed);
}

static enum ctl_status reset_all(struct ctl *ctl, const struct throttle_filter *filter)
{
    struct postern_rows rows;
    const struct postern_value *f = filter->values;
    struct postern_value nobody = postern_texts((struct postern_names){0});
    if (ctl_query(ctl, &RESET,
                  POSTERN_VALUES(postern_integer(1), nobody, nobody, f[0], f[1], f[2], f[3]),
                  &rows) == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    return rows.changed == 0 ? output_unchanged(ctl, "nothing was counted")
                             : reset_done(ctl, rows.changed);
}

enum ctl_status throttle_reset(struct ctl *ctl)
{
    struct throttle_filter filter;
    struct input input = {0};
    struct entries entries;
    enum ctl_status status = throttle_filter_read(ctl, &filter);
    if (status != CTL_DONE)
        return status;
    if (ctl_option(ctl, "all") != NULL && ctl->operands.count == 0)
        return reset_all(ctl, &filter);
    if (ctl_option(ctl, "all") != NULL) {
        ctl_complain("--all is every account; leave it out to reset %s", ctl->operands.items[0]);
        return CTL_USAGE;
    }
    status = throttle_input_read(ctl, &input);
    if (status == CTL_DONE)
        status = entries_named(ctl, &throttle_rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t changed;
    const struct postern_value *f = filter.values;
    struct entries_step step = {&RESET, POSTERN_VALUES(postern_integer(0), entries_names(),
                                                       entries_names(), f[0], f[1], f[2], f[3])};
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    if (changed == 0 && entries.count == 1 &&
        entries_refuse(ctl, &throttle_rule, &input) != CTL_DONE)
        return CTL_USAGE;
    return reset_done(ctl, changed);
}
