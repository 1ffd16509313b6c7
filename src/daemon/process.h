/* What the master sets up in its own process before it forks. */
#ifndef POSTERN_DAEMON_PROCESS_H
#define POSTERN_DAEMON_PROCESS_H

#include "runtime/config.h"
#include <signal.h>

/* Becomes config's user and group when root, otherwise does nothing. */
bool process_drop_privileges(const struct config *config, struct postern_error *error);

/* Makes room for what a worker may have open; false with error set when the limit is lower. */
bool process_raise_open_files(const struct config *config, struct postern_error *error);

/* Tells the service manager, if there is one (sd_notify(3)); state is like "READY=1". */
void process_notify(const char *state);

/*
 * Goes to the background. Returns in the daemon; the process of the terminal stays until the
 * daemon calls process_background_done or ends, and exits with 0 or the daemon's exit status.
 * Until then stderr is the terminal's.
 */
bool process_background(struct postern_error *error);
void process_background_done(const struct config *config);

/* In a child, once its start has succeeded: lets go of the terminal (also part of done). */
void process_leave_terminal(const struct config *config);

#endif
