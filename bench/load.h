/*
 * A closed loop of policy requests, as Postfix's smtpd processes make them: each connection
 * has one request under way and sends the next when the reply is there. A connection lost
 * before its reply is opened again and the request sent once more.
 */
#ifndef POSTERN_BENCH_LOAD_H
#define POSTERN_BENCH_LOAD_H

#include "histogram.h"
#include "request.h"
#include "target.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The actions of access(5) that are counted by name; any other is "other". */
enum load_action {
    ACTION_DUNNO,
    ACTION_OK,
    ACTION_REJECT,
    ACTION_DEFER,
    ACTION_DISCARD,
    ACTION_PREPEND,
    ACTION_PERMIT,
    ACTION_WARN,
    ACTION_OTHER,
    LOAD_ACTIONS
};
extern const char *const load_action_names[LOAD_ACTIONS];

struct load_plan {
    const struct target *target;
    const struct mix *mix;
    size_t connections;
    uint64_t seed;
    uint64_t requests;         /* to measure, then stop; 0: until end */
    uint64_t start, warm, end; /* nanoseconds of load_now(); measured is what begins after warm */
    uint64_t timeout;          /* nanoseconds for one reply */
    const atomic_bool *interrupt; /* end early */
};

struct load_result {
    struct histogram latency; /* nanoseconds, a retry included */
    uint64_t actions[LOAD_ACTIONS];
    uint64_t in_time; /* replies before the end */
    uint64_t retried, failed, wrong;
    uint64_t last_reply; /* load_now() */
    char *trouble;       /* the first failure's cause, or NULL; free() it */
};

uint64_t load_now(void); /* CLOCK_MONOTONIC in nanoseconds */

/* Runs in the calling thread; number tells the threads of one plan apart. */
void load_run(const struct load_plan *plan, unsigned number, struct load_result *result);
void load_result_merge(struct load_result *into, struct load_result *from); /* empties from */

/* Connections that are held open and silent, to see what they cost the server. */
struct load_idle {
    int *fds;
    size_t count;
};

/* With ask, each has made one request; false with a line on stderr. */
bool load_idle_open(struct load_idle *idle, const struct load_plan *plan, size_t count, bool ask);
size_t load_idle_lost(const struct load_idle *idle); /* closed by the server since */
void load_idle_close(struct load_idle *idle);

#endif
