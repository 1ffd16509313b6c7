/*
 * A worker: accepts connections and serves them until it is told to leave.
 *
 * Connections are balanced: a worker that has more of them than the least loaded one of its
 * generation leaves a new one to the others for a millisecond before it takes it.
 */
#ifndef POSTERN_DAEMON_WORKER_H
#define POSTERN_DAEMON_WORKER_H

#include "daemon/child.h"

/* In the master, before fork. */
void worker_register_metrics(void);

/* In the child, after fork; returns the exit status. */
int worker_run(const struct child_setup *setup);

#endif
