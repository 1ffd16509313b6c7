/*
 * The housekeeper: what has to be done once per host and not per mail. Serves the metrics,
 * keeps SQLite's log short, cleans up and sends notifications. Told to leave, it ends, after a few
 * seconds at most when a mail is under way.
 */
#ifndef POSTERN_DAEMON_HOUSEKEEPER_H
#define POSTERN_DAEMON_HOUSEKEEPER_H

#include "daemon/child.h"

/* In the child, after fork; returns the exit status. */
int housekeeper_run(const struct child_setup *setup);

#endif
