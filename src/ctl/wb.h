/* What the nouns of white- and blacklists (wblist, rdns) share: --whitelist and --blacklist. */
#ifndef POSTERN_CTL_WB_H
#define POSTERN_CTL_WB_H

#include "ctl/entries.h"

#define WHITELIST 'W'
#define BLACKLIST 'B'

/* What both options name. CTL_USAGE, after a complaint, when neither does. */
enum ctl_status wb_read(struct ctl *ctl, const struct entry_rule *rule, struct entries *entries);

/* The same for what is to be removed. */
enum ctl_status wb_named(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                         struct entries *entries);

/* How a list is shown, from its column `wb`. */
#define WB_NAME "CASE wb WHEN 'W' THEN 'whitelist' WHEN 'B' THEN 'blacklist' ELSE wb END"

/*
 * Keeps the rows that are in the lists and among the entries that the options name: any, for an
 * option without values. `text` and `list` are their columns, list as WB_NAME.
 */
enum ctl_status wb_filter(struct ctl *ctl, const struct entry_rule *rule, struct postern_rows *rows,
                          size_t text, size_t list);
bool wb_is_filtered(const struct ctl *ctl);

/* "192.0.2.1 is whitelisted", "3 names are whitelisted, 2 blacklisted" */
const char *wb_sentence(struct ctl *ctl, const struct entries *entries, const char *plural);

/* Runs a step whose first value is the list, for the entries of each list. */
bool wb_delete(struct ctl *ctl, const char *database, const struct entries *entries,
               const struct entries_step *step, int64_t *changed);

/* What came of wb_delete. */
enum ctl_status wb_deleted(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                           const struct entries *entries, const char *noun, int64_t changed);

#endif
