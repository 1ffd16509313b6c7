/*
 * A generation: one configuration and the children that run with it.
 *
 * There is a current one, during a reload one that starts, and those that still drain. A place
 * is one child's part (worker 2, the housekeeper); it outlives the processes that fill it.
 */
#ifndef POSTERN_DAEMON_GENERATION_H
#define POSTERN_DAEMON_GENERATION_H

#include "daemon/backoff.h"
#include "daemon/child.h"

#include <sys/types.h>

struct place {
    const char *name;
    int (*run)(const struct child_setup *setup);
    int number;      /* of the worker, from 1; 0: the housekeeper */
    pid_t pid;       /* 0: no process at the moment */
    int slot;        /* of the metrics */
    bool ready;      /* it has said that it serves */
    double started;  /* on the clock of fiber_now(), as all times here */
    double start_at; /* when there is no process: when to start one; NEVER */
    struct backoff backoff;
};

struct generation {
    struct generation *next, *prev;
    struct config *config;
    struct listener_set listeners;
    struct roster *roster;
    struct place *places;
    size_t count;
    double deadline; /* starting: to be ready; draining: to be gone; otherwise NEVER */
};

/*
 * Binds what config wants to listen on, sharing with previous (or NULL), and makes places, all
 * due to start. Takes over config. NULL with error set, config still the caller's.
 */
struct generation *generation_new(struct config *config, const struct generation *previous,
                                  struct postern_error *error);

/* In the master, when no child is left: also closes the listeners, see listener_set_release. */
void generation_free(struct generation *generation, const struct generation *successor);

/* Descriptors and more that the master made for the children, for its whole life. */
struct channels {
    int lifeline[2]; /* the master keeps [1] and never writes */
    int ready[2];    /* children write to [1] */
    int handoff[2];
};
bool channels_create(struct channels *channels, struct postern_error *error);

/*
 * Forks the child of a place. enter is called in the child first, to close what is the
 * master's. When that fails it is logged and tried again later.
 */
void generation_start(struct generation *generation, struct place *place,
                      const struct channels *channels, void (*enter)(void *context), void *context);

/* A child has ended: its place is empty and its counters are kept. */
void generation_vacate(struct generation *generation, struct place *place);

struct place *generation_find(const struct generation *generation, pid_t pid); /* or NULL */
size_t generation_living(const struct generation *generation);
bool generation_is_ready(const struct generation *generation); /* all have been, at some time */
void generation_signal(const struct generation *generation, int signal);

#endif
