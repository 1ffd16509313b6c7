/*
 * The master: starts the children, starts them again when they die, reloads and stops.
 *
 * It does no mail work and never waits for anything but its children and signals. SIGHUP
 * reloads, SIGTERM and SIGINT stop (a second one at once), SIGUSR1 reopens the logs.
 */
#ifndef POSTERN_DAEMON_MASTER_H
#define POSTERN_DAEMON_MASTER_H

#include "daemon/generation.h"
#include "daemon/pid_file.h"

/* After metrics_create: the metrics of the daemon itself and those of config's parts. */
void master_register_metrics(const struct config *config);

/*
 * Runs until it has been told to stop and every child has ended. Takes over both. Returns the
 * exit status: 1 when the first generation could not be started.
 */
int master_run(struct generation *first, struct pid_file *pid_file);

#endif
