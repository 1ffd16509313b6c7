/*
 * One entry of a list or tens of thousands, read and written alike: all are looked at before
 * anything is written, and what is written goes in batches, each one statement.
 */
#ifndef POSTERN_CTL_ENTRIES_H
#define POSTERN_CTL_ENTRIES_H

#include "ctl/entry.h"
#include "ctl/input.h"

/* What entries may be. */
struct entry_rule {
    unsigned forms;
    int (*priority)(enum postern_account_form form); /* may be NULL */
    bool (*accepts)(const char *text); /* in lower case; instead of the forms; may be NULL */
    const char *expected;              /* with accepts: the forms, by example */
};

struct listed {
    const char *text; /* as it is stored */
    int priority;
    int list; /* of its input_item */
    const struct input_item *item;
};

/* In the order of their texts, each once. */
struct entries {
    size_t count;
    struct listed *items;
};

/* CTL_USAGE, after complaints, when one breaks the rule or is for two lists at once. */
enum ctl_status entries_read(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                             struct entries *entries);

/* The same for what is to be removed: a single one from the command line is taken as it is. */
enum ctl_status entries_named(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                              struct entries *entries);

/* What is missing in the database is wrong usage if it breaks the rule: then CTL_USAGE. */
enum ctl_status entries_refuse(struct ctl *ctl, const struct entry_rule *rule, struct input *input);

/* Those for one list. */
struct entries entries_of(struct ctl *ctl, const struct entries *entries, int list);

/* NULL when text is none of them. */
const struct listed *entries_find(const struct entries *entries, const char *text);

/* "192.0.2.1" or "50000 senders". */
const char *entries_text(struct ctl *ctl, const struct entries *entries, const char *plural);

/* Values that stand for the entries of a batch: [["text", priority, "list"], ...] (list as a
 * character), and their texts for "(?...)". */
struct postern_value entries_json(void);
struct postern_value entries_names(void);

struct entries_step {
    const struct postern_statement *statement;
    const struct postern_value *values;
    size_t count;
};

/*
 * Runs the steps for each batch. They do no harm when they are run again. `changed` are the rows
 * that the last step did. False after a complaint, which says what was done.
 */
bool entries_write(struct ctl *ctl, const char *database, const struct entries *entries,
                   const struct entries_step *steps, size_t step_count, int64_t *changed);

#endif
