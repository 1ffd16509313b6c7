/*
 * Trying a configuration in a short-lived process: the databases, the start of each plugin.
 *
 * The master never does that itself, since it must not wait and keeps no connections.
 */
#ifndef POSTERN_DAEMON_CHECKER_H
#define POSTERN_DAEMON_CHECKER_H

#include "runtime/config.h"
#include <sys/types.h>

#define CHECKER_TIMEOUT 30.0 /* seconds until the master had better kill it */

struct checker {
    pid_t pid;  /* 0: none is running */
    int slot;   /* of the metrics */
    int output; /* one "E" or "W" line per finding */
};

/* What a child has to close that it inherited from the master. */
typedef void (*checker_enter)(void *context);

/* reread: also see whether this user can read the config and its password files. */
bool checker_start(struct checker *checker, const struct config *config, bool reread,
                   checker_enter enter, void *context, struct postern_error *error);

/*
 * After waitpid: hands each finding to report and says whether the config is good. status is
 * what waitpid gave.
 */
typedef void (*checker_report)(enum log_level level, const char *text);
bool checker_finish(struct checker *checker, int status, checker_report report);

/* "ended with status 1", "was killed by signal 9 (Killed)"; returns text. */
char *exit_text(int status, char *text, size_t size);

#endif
