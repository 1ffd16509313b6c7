#include "ctl/output.h"
#include "ctl/throttle.h"
#include "util/quantity.h"
#include <stdio.h>
#include <string.h>

#define LIMITS 5

#define COLUMNS                                                                                    \
    "(account, kind, priority, period, max_msgs, max_quota, msg_size, max_rcpts, shared)"

/* Values: kind, period, the limits or NULL for those to leave, the entries, the limits again. */
static const struct postern_statement SET = {
    .sqlite = "INSERT INTO throttle " COLUMNS " SELECT json_extract(value, '$[0]'), ?, "
              "json_extract(value, '$[1]'), ?, COALESCE(?, -1), COALESCE(?, -1), COALESCE(?, -1), "
              "COALESCE(?, -1), COALESCE(?, 0) FROM json_each(?) WHERE true "
              "ON CONFLICT (account, kind, period) DO UPDATE SET priority = excluded.priority, "
              "max_msgs = COALESCE(?, max_msgs), max_quota = COALESCE(?, max_quota), "
              "msg_size = COALESCE(?, msg_size), max_rcpts = COALESCE(?, max_rcpts), "
              "shared = COALESCE(?, shared)",
    .pgsql = "INSERT INTO throttle " COLUMNS " SELECT item->>0, CAST(? AS text), "
             "CAST(item->>1 AS integer), CAST(? AS bigint), COALESCE(CAST(? AS bigint), -1), "
             "COALESCE(CAST(? AS bigint), -1), COALESCE(CAST(? AS bigint), -1), "
             "COALESCE(CAST(? AS bigint), -1), COALESCE(CAST(? AS integer), 0) "
             "FROM jsonb_array_elements(CAST(? AS jsonb)) AS item "
             "ON CONFLICT (account, kind, period) DO UPDATE SET priority = excluded.priority, "
             "max_msgs = COALESCE(CAST(? AS bigint), throttle.max_msgs), "
             "max_quota = COALESCE(CAST(? AS bigint), throttle.max_quota), "
             "msg_size = COALESCE(CAST(? AS bigint), throttle.msg_size), "
             "max_rcpts = COALESCE(CAST(? AS bigint), throttle.max_rcpts), "
             "shared = COALESCE(CAST(? AS integer), throttle.shared)",
    .mysql = "INSERT INTO throttle " COLUMNS " SELECT item.account, ?, item.priority, ?, "
             "COALESCE(?, -1), COALESCE(?, -1), COALESCE(?, -1), COALESCE(?, -1), COALESCE(?, 0) "
             "FROM JSON_TABLE(?, '$[*]' COLUMNS (account VARCHAR(255) PATH '$[0]', "
             "priority INT PATH '$[1]')) AS item "
             "ON DUPLICATE KEY UPDATE priority = VALUES(priority), "
             "max_msgs = COALESCE(?, throttle.max_msgs), "
             "max_quota = COALESCE(?, throttle.max_quota), "
             "msg_size = COALESCE(?, throttle.msg_size), "
             "max_rcpts = COALESCE(?, throttle.max_rcpts), shared = COALESCE(?, throttle.shared)",
    .repeatable = true};

static const struct limit {
    const char *option;
    bool (*parse)(const char *text, int64_t *number);
    bool in_window;
    const char *expected;
} limits[] = {
    {"max-msgs", quantity_parse_integer, true, "100"},
    {"max-quota", quantity_parse_size, true, "10MB or 1GB"},
    {"msg-size", quantity_parse_size, false, "10MB"},
    {"max-rcpts", quantity_parse_integer, false, "50"},
};
#define NUMBERS (sizeof limits / sizeof limits[0])

/* --- options --- */

static bool parse_limit(const struct limit *limit, const char *text, int64_t *number)
{
    *number = strcmp(text, "unlimited") == 0 ? 0 : -1;
    return *number == 0 || strcmp(text, "inherit") == 0 || strcmp(text, "-1") == 0 ||
           (limit->parse(text, number) && *number >= 0);
}

static enum ctl_status read_limit(struct ctl *ctl, const struct limit *limit,
                                  struct postern_value *value)
{
    int64_t number;
    const char *text = ctl_option(ctl, limit->option);
    *value = postern_null();
    if (text == NULL)
        return CTL_DONE;
    if (parse_limit(limit, text, &number)) {
        *value = postern_integer(number);
        return CTL_DONE;
    }
    ctl_complain("--%s: `%s` is no limit; expected such as %s, \"unlimited\" (0) or \"inherit\" "
                 "(-1: as a less specific throttle says)",
                 limit->option, text, limit->expected);
    return CTL_USAGE;
}

static enum ctl_status read_shared(struct ctl *ctl, struct postern_value *value)
{
    bool shared = ctl_option(ctl, "shared") != NULL;
    bool apart = ctl_option(ctl, "not-shared") != NULL;
    *value = shared || apart ? postern_integer(shared) : postern_null();
    if (!shared || !apart)
        return CTL_DONE;
    ctl_complain("--shared and --not-shared can't both be meant");
    return CTL_USAGE;
}

static bool is_counted(const struct postern_value *values)
{
    bool counted = false;
    for (size_t i = 0; i < NUMBERS; i++)
        counted = counted || (limits[i].in_window && values[i].type != POSTERN_NULL);
    return counted;
}

/* What limits one message needs no window. */
static enum ctl_status read_period(struct ctl *ctl, const struct postern_value *values,
                                   struct postern_value *period)
{
    int64_t seconds;
    if (throttle_period_read(ctl, &seconds) != CTL_DONE)
        return CTL_USAGE;
    *period = postern_integer(seconds > 0 ? seconds : 0);
    if (seconds > 0 || !is_counted(values))
        return CTL_DONE;
    ctl_complain("--max-msgs and --max-quota need the --period in which they are counted, such as "
                 "1h or 1d");
    return CTL_USAGE;
}

/* In the order of LIMITS: those of the table, then shared. */
static enum ctl_status read_limits(struct ctl *ctl, struct postern_value values[LIMITS])
{
    bool any = false;
    for (size_t i = 0; i < NUMBERS; i++)
        if (read_limit(ctl, &limits[i], &values[i]) != CTL_DONE)
            return CTL_USAGE;
    if (read_shared(ctl, &values[NUMBERS]) != CTL_DONE)
        return CTL_USAGE;
    for (size_t i = 0; i < LIMITS; i++)
        any = any || values[i].type != POSTERN_NULL;
    if (any)
        return CTL_DONE;
    ctl_complain("no limit is given: --max-msgs, --max-quota, --msg-size, --max-rcpts or --shared");
    return CTL_USAGE;
}

/* --- set --- */

enum ctl_status throttle_set(struct ctl *ctl)
{
    const char *given;
    struct postern_value period, v[LIMITS];
    struct input input = {0};
    struct entries entries;
    if (throttle_kind_read(ctl, &given) != CTL_DONE || read_limits(ctl, v) != CTL_DONE ||
        read_period(ctl, v, &period) != CTL_DONE)
        return CTL_USAGE;
    enum ctl_status status = throttle_input_read(ctl, &input);
    if (status == CTL_DONE)
        status = entries_read(ctl, &throttle_rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t changed;
    struct postern_value kind = postern_text(given != NULL ? given : "outbound");
    struct entries_step step = {&SET, POSTERN_VALUES(kind, period, v[0], v[1], v[2], v[3], v[4],
                                                     entries_json(), v[0], v[1], v[2], v[3], v[4])};
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    if (entries.count == 0)
        return output_change(ctl, 0, "there was no account to set it for");
    return output_change(ctl, (int64_t)entries.count, "the %s throttle of %s is set", kind.text,
                         entries_text(ctl, &entries, "accounts"));
}
