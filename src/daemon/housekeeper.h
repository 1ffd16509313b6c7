/*
 * The housekeeper: what has to be done once per host and not per mail. Serves the metrics,
 * keeps SQLite's log short and cleans up. It has nothing to drain: told to leave, it ends.
 */
#ifndef POSTERN_DAEMON_HOUSEKEEPER_H
#define POSTERN_DAEMON_HOUSEKEEPER_H

#include "daemon/child.h"

/* In the child, after fork; returns the exit status. */
int housekeeper_run(const struct child_setup *setup);

#endif
