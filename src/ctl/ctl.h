/*
 * One run of posternctl, as its commands see it. A command is called in a fiber, with what it
 * said it needs made ready, and returns the exit status.
 */
#ifndef POSTERN_CTL_CTL_H
#define POSTERN_CTL_CTL_H

#include "ctl/command.h"
#include "db/schema.h"

struct ctl {
    struct postern_arena *arena;
    const struct command *command;
    struct postern_names operands;
    const char **values; /* of command->options, in their order; NULL where not given */
    const char *config_path;
    bool json, help, version;
    int64_t timeout; /* seconds; 0 when it was not given */

    double deadline; /* of the whole command */
    struct config *config;
    struct databases databases;
    struct buffer *out; /* stdout, written at the end */
};

/* The option's value, "" for a switch that was given, NULL when it was not given. */
const char *ctl_option(const struct ctl *ctl, const char *name);

/* Seconds to wait: what --timeout says, else the usual. */
#define CTL_TIMEOUT 10
double ctl_patience(const struct ctl *ctl, int usual);

/* What --limit says, else 100; false, with a complaint, when it is no number. */
bool ctl_limit(const struct ctl *ctl, int64_t *limit);

/* One line on stderr; control characters in it are escaped. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Loads ctl->config; otherwise complains about each problem. */
enum ctl_status ctl_load_config(struct ctl *ctl);

/* Asks the iredapd database; complains where that fails, in which case it returns FAILED. */
enum postern_lookup ctl_query(struct ctl *ctl, const struct postern_statement *statement,
                              const struct postern_value *values, size_t count,
                              struct postern_rows *rows);

#endif
