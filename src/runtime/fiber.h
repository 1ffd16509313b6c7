/*
 * Fibers: stackful coroutines on one libev loop per process.
 *
 * This is all that the rest of the code knows about concurrency. A fiber runs
 * until it waits; nothing else runs meanwhile, so data shared by fibers needs
 * no lock unless it must stay as it is across a wait. Every wait has a deadline.
 *
 * Deadlines are seconds on CLOCK_MONOTONIC, as fiber_now() returns them; NEVER
 * is for waits whose end is another's duty (a listener, an idle janitor).
 * Functions that wait save errno only where they say so.
 */
#ifndef POSTERN_RUNTIME_FIBER_H
#define POSTERN_RUNTIME_FIBER_H

#include <ev.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define FIBER_STACK_SIZE (256 * 1024) /* address space; memory is used as it is touched */
#define NEVER            INFINITY

struct fiber;

/* --- the process's loop ------------------------------------------------ */

/* Makes the loop of this process; call once after fork. Ends the process when it can't. */
void fiber_runtime_start(void);
struct ev_loop *fiber_loop(void);

/* Runs until fiber_runtime_stop() or until no fiber and no watcher is left. */
void fiber_runtime_run(void);
void fiber_runtime_stop(void);

/* Frees the loop and the pooled stacks. Fibers still parked are never run again. */
void fiber_runtime_end(void);

/* Called with the seconds that each turn of the loop was busy: what any event had to wait. */
void fiber_runtime_on_lag(void (*observe)(double seconds));

/* Fibers that exist now. */
size_t fiber_count(void);

/* --- fibers ------------------------------------------------------------ */

/* fn(arg) starts in this turn of the loop; false with errno when there is no memory for a stack. */
bool fiber_spawn(void (*fn)(void *arg), void *arg);

/* The running fiber; NULL in the loop itself (watcher callbacks), where nothing may wait. */
struct fiber *fiber_self(void);

/* CLOCK_MONOTONIC in seconds. */
double fiber_now(void);

/* Lets every other ready fiber and pending event go first. */
void fiber_yield(void);

/* Until then or for that long, whichever is sooner; false when the deadline cut it short. */
bool fiber_sleep(double seconds, double deadline);

/* Ends a parked fiber's wait now, as its deadline would; nothing if it is not waiting. */
void fiber_interrupt(struct fiber *fiber);

/* Waits for fd: returns the ready ones of events (EV_READ, EV_WRITE), 0 at the deadline. */
int fiber_wait_fd(int fd, int events, double deadline);

/*
 * The same for an fd that is waited for again and again: saves the system call that a new
 * registration costs. End it before the fd is closed.
 */
struct fiber_watch {
    ev_io io;
};
void fiber_watch_init(struct fiber_watch *watch, int fd, int events);
int fiber_watch_wait(struct fiber_watch *watch, double deadline);

/* --- waiting for one another -------------------------------------------- */

struct fiber_waiter;

struct fiber_queue {
    struct fiber_waiter *first, *last;
};

/* A zeroed structure is a free mutex with nobody waiting; first come, first served. */
struct fiber_mutex {
    struct fiber *owner;
    struct fiber_queue waiting;
};
bool fiber_mutex_lock(struct fiber_mutex *mutex, double deadline); /* false: deadline passed */
void fiber_mutex_unlock(struct fiber_mutex *mutex);

/*
 * A zeroed structure is a condition nobody waits for. Since nothing runs between a test and
 * the wait, no mutex goes with it; test again after each wait, in a loop.
 */
struct fiber_cond {
    struct fiber_queue waiting;
};
bool fiber_cond_wait(struct fiber_cond *cond, double deadline); /* false: deadline passed */
void fiber_cond_signal(struct fiber_cond *cond);                /* wakes the longest waiting */
void fiber_cond_broadcast(struct fiber_cond *cond);
/* signal and broadcast may be called from watcher callbacks too. */

#endif
