/* What the commands of the noun `throttle` share; ctl_throttle.c has their table. */
#ifndef POSTERN_CTL_THROTTLE_H
#define POSTERN_CTL_THROTTLE_H

#include "ctl/entries.h"

extern const struct entry_rule throttle_rule; /* of accounts */

/* --kind and --period of throttles that are there: as values of THROTTLE_FILTER. */
#define THROTTLE_FILTER "(? = 0 OR throttle.kind = ?) AND (? = 0 OR throttle.period = ?)"
struct throttle_filter {
    struct postern_value values[4];
    bool given;
};

/* --kind in lower case; NULL when it was not given. */
enum ctl_status throttle_kind_read(struct ctl *ctl, const char **kind);
/* --period in seconds; -1 when it was not given. */
enum ctl_status throttle_period_read(struct ctl *ctl, int64_t *period);
enum ctl_status throttle_filter_read(struct ctl *ctl, struct throttle_filter *filter);

/* The one account that a list may be about; text is "" without it. */
enum ctl_status throttle_account_read(struct ctl *ctl, struct entry *account);

/* The accounts to change; "-" is standard input. CTL_USAGE when there are none. */
enum ctl_status throttle_input_read(struct ctl *ctl, struct input *input);

enum ctl_status throttle_set(struct ctl *ctl);
enum ctl_status throttle_usage(struct ctl *ctl);
enum ctl_status throttle_reset(struct ctl *ctl);

#endif
