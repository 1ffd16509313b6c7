#include "ctl/greylist.h"
#include "ctl/output.h"
#include <inttypes.h>

#define MATCHING                                                                                   \
    "FROM greylisting_tracking WHERE (? = 0 OR client_address = ?) AND (? = 0 OR sender = ?) "     \
    "AND (? = 0 OR recipient = ?)"

static const struct postern_statement LIST = {
    .sql = "SELECT client_address, sender, recipient, init_time, block_expired, record_expired, "
           "blocked_count, passed " MATCHING " ORDER BY init_time DESC, id DESC LIMIT ?"};

static const struct postern_statement FORGET = {.sql = "DELETE " MATCHING};

static const struct column columns[] = {
    {"CLIENT", "client_address", COLUMN_TEXT},       {"SENDER", "sender", COLUMN_TEXT},
    {"RECIPIENT", "recipient", COLUMN_TEXT},         {"FIRST SEEN", "init_time", COLUMN_TIME},
    {"BLOCKED UNTIL", "block_expired", COLUMN_TIME}, {"KEPT UNTIL", "record_expired", COLUMN_TIME},
    {"TRIES", "blocked_count", COLUMN_INTEGER},      {"PASSED", "passed", COLUMN_YES_NO},
};

/* Values of MATCHING. */
struct filter {
    struct postern_value values[6];
    bool given;
};

static void filter_set(struct filter *filter, size_t index, const char *text)
{
    filter->values[2 * index] = postern_integer(text != NULL);
    filter->values[2 * index + 1] = postern_text(text != NULL ? text : "");
    filter->given = filter->given || text != NULL;
}

static enum ctl_status filter_read(struct ctl *ctl, struct filter *filter)
{
    static const char *const addresses[] = {"sender", "recipient"};
    const char *client = ctl_option(ctl, "client");
    const char *ip = client != NULL ? entry_ip(ctl->arena, client) : NULL;
    *filter = (struct filter){.given = false};
    if (client != NULL && ip == NULL) {
        ctl_complain("--client: `%s` is not an IP address; expected 192.0.2.1 or 2001:db8::1",
                     client);
        return CTL_USAGE;
    }
    filter_set(filter, 0, ip);
    for (size_t i = 0; i < 2; i++) {
        const char *text = ctl_option(ctl, addresses[i]);
        filter_set(filter, i + 1, text != NULL ? postern_lower(ctl->arena, text) : NULL);
    }
    return CTL_DONE;
}

enum ctl_status tracking_list(struct ctl *ctl)
{
    struct filter filter;
    struct postern_rows rows;
    int64_t limit;
    enum ctl_status status = filter_read(ctl, &filter);
    if (status != CTL_DONE || !ctl_limit(ctl, &limit))
        return CTL_USAGE;
    const struct postern_value *f = filter.values;
    enum postern_lookup lookup = ctl_query(
        ctl, &LIST, POSTERN_VALUES(f[0], f[1], f[2], f[3], f[4], f[5], postern_integer(limit + 1)),
        &rows);
    if (lookup == POSTERN_FOUND && rows.count > (size_t)limit) {
        rows.count = (size_t)limit;
        ctl_complain("there are more than %" PRId64 "; --limit N shows more, --client, --sender "
                     "and --recipient show less",
                     limit);
    }
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       filter.given);
}

enum ctl_status tracking_forget(struct ctl *ctl)
{
    struct filter filter;
    struct postern_rows rows;
    enum ctl_status status = filter_read(ctl, &filter);
    if (status != CTL_DONE)
        return status;
    bool all = ctl_option(ctl, "all") != NULL;
    if (all && filter.given) {
        ctl_complain("--all forgets everything; leave it out to forget what the others name");
        return CTL_USAGE;
    }
    if (!all && !filter.given)
        return output_change(ctl, 0,
                             "without --client, --sender or --recipient this would forget "
                             "everybody; say --all if that is meant");
    if (ctl_query(ctl, &FORGET, filter.values, 6, &rows) == POSTERN_FAILED)
        return CTL_UNREACHABLE;
    if (rows.changed == 0)
        return all ? output_unchanged(ctl, "nothing was tracked")
                   : output_change(ctl, 0,
                                   "nothing matched; `posternctl greylist tracking list` shows "
                                   "what is there");
    return output_change(ctl, rows.changed, "%" PRId64 " forgotten", rows.changed);
}
