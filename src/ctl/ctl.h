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
    const char **values;         /* of command->options, in their order; NULL where not given */
    struct postern_names *lists; /* the same for options of several values */
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

/* The values of an option that takes several. */
struct postern_names ctl_values(const struct ctl *ctl, const char *name);

/* --limit, of rows to show: 100 without it. False when it is no such number, which it says. */
bool ctl_limit(const struct ctl *ctl, int64_t *limit);

/* Seconds to wait: what --timeout says, else the usual. */
#define CTL_TIMEOUT 10
double ctl_patience(const struct ctl *ctl, int usual);

/* One line on stderr; control characters in it are escaped. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Loads ctl->config; otherwise complains about each problem. */
enum ctl_status ctl_load_config(struct ctl *ctl);

/* Asks a database; complains where that fails, in which case it returns FAILED. */
enum postern_lookup ctl_query_on(struct ctl *ctl, const char *database,
                                 const struct postern_statement *statement,
                                 const struct postern_value *values, size_t count,
                                 struct postern_rows *rows);

/* The same on iredapd. */
enum postern_lookup ctl_query(struct ctl *ctl, const struct postern_statement *statement,
                              const struct postern_value *values, size_t count,
                              struct postern_rows *rows);

/*
 * ctl_query_on for as many rows as there are, page by page. The statement ends with "LIMIT ? OFFSET
 * ?", whose values are not among those given, and says an order.
 */
enum postern_lookup ctl_query_all(struct ctl *ctl, const char *database,
                                  const struct postern_statement *statement,
                                  const struct postern_value *values, size_t count,
                                  struct postern_rows *rows);

#endif
