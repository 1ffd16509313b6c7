/* What master.c and reload.c share; nobody else's business. */
#ifndef POSTERN_DAEMON_MASTER_STATE_H
#define POSTERN_DAEMON_MASTER_STATE_H

#include "daemon/checker.h"
#include "daemon/generation.h"
#include "daemon/pid_file.h"

#define START_TIMEOUT 30.0 /* seconds for a generation to become ready */

/* What only a restart changes, as it was at the start. */
struct master_fixed {
    char *user, *group, *pid_file;
};

struct master {
    struct pid_file *pid_file;
    struct master_fixed fixed;
    struct channels channels;
    int signals;
    struct generation *current, *starting; /* NULL: there is none */
    struct generation *draining;           /* list */
    struct checker checker;
    struct config *checked; /* what the checker tries */
    double checker_deadline;
    bool reload_wanted;
    bool stopping;
    int status;
};

/* In a new child: closes what is only the master's. */
void master_enter_child(struct master *master);

/* From now on the generation only ends; it is freed when its last child has. */
void master_drain(struct master *master, struct generation *generation, int signal);

/* SIGHUP: reads the config and has it checked. Refusals are logged here and below. */
void reload_start(struct master *master);

/* The checker has ended: makes the starting generation if the config is good. */
void reload_end_check(struct master *master, int status);

/* All of the starting generation serves (the first one at the start too), or one has died. */
void reload_complete(struct master *master);
void reload_fail(struct master *master);

bool reload_is_under_way(const struct master *master);

#endif
