/*
 * What can only be done by blocking, done in a thread while the calling fiber is parked.
 *
 * The thread can't be stopped: at the deadline the fiber goes on without it, and it ends on its
 * own. So all that it touches belongs to the errand, which whoever leaves last gives up.
 */
#ifndef POSTERN_RUNTIME_ERRAND_H
#define POSTERN_RUNTIME_ERRAND_H

#include <stdatomic.h>
#include <stdbool.h>

/* Embedded at the beginning of what the errand needs; zeroed but for the two functions. */
struct errand {
    void (*run)(struct errand *errand);  /* in the thread, with all signals blocked */
    void (*free)(struct errand *errand); /* by the fiber or in the thread */
    atomic_int owners;
    int done; /* an eventfd */
};

enum errand_result { ERRAND_DONE, ERRAND_LATE, ERRAND_FAILED /* no thread; errno says why */ };

/* The errand is the caller's to read until errand_leave, when it is done. */
enum errand_result errand_run(struct errand *errand, double deadline);
void errand_leave(struct errand *errand);

#endif
