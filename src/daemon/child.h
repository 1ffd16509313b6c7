/*
 * What the children of the master have in common: the setup that it gives them, signals, the
 * lifeline.
 *
 * SIGTERM asks a child to answer what it has and end; SIGUSR2 to hand its connections over to
 * the new generation before; SIGUSR1 to reopen the log. A child whose master is gone behaves
 * as after SIGTERM.
 */
#ifndef POSTERN_DAEMON_CHILD_H
#define POSTERN_DAEMON_CHILD_H

#include "runtime/config.h"
#include "runtime/fiber.h"
#include "runtime/listener.h"

#define SIGNAL_HAND_OVER SIGUSR2

/* The metrics slots of the living workers of a generation, -1 where there is none; shared. */
struct roster {
    size_t count;
    _Atomic int slots[];
};

struct child_setup {
    const struct config *config;
    struct listener_set *listeners;
    const struct roster *roster;
    int slot;
    int lifeline;     /* reads as ended when the master is gone */
    int ready;        /* a child that serves writes its process id here */
    int handoff_send; /* see handoff.h */
    int handoff_receive;
};

enum child_leave { LEAVE_STOP, LEAVE_HAND_OVER };

/* Embedded in the child's own structure, as its first member. */
struct child {
    const struct child_setup *setup;
    void (*leave)(struct child *child, enum child_leave how);
    ev_signal stop, hand_over, reopen;
    ev_io lifeline;
};

/* After fork: starts the runtime and the watchers. leave is called from the loop, maybe twice. */
void child_begin(struct child *child, const struct child_setup *setup, const char *name,
                 void (*leave)(struct child *child, enum child_leave how));

/* Tells the master that this child serves, and lets go of the terminal. */
void child_ready(const struct child *child);

#endif
