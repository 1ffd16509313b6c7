/*
 * Whether a database can be reached: what this process has learned of it, so that while it is
 * away nobody waits to learn it again.
 *
 * A connection that can't be made opens the breaker; one that is made closes it. So do
 * BREAKER_TIMEOUTS statements in a row to which no answer came in time: each has cost a
 * request all of its time, and a frozen server would take that from every other.
 */
#ifndef POSTERN_DB_BREAKER_H
#define POSTERN_DB_BREAKER_H

#include <postern/plugin.h>

/*
 * One slow statement is its own fault, two may come of one lock; a third, with none answered
 * since the first, is the server's. A statement that was given less than BREAKER_PATIENCE
 * seconds says nothing of the server.
 */
#define BREAKER_TIMEOUTS 3
#define BREAKER_PATIENCE 1.0

struct breaker {
    const char *database;
    bool open;
    bool announced, announced_short; /* what the log has */
    double since;                    /* when it opened */
    double answered;                 /* when a statement last got its answer */
    unsigned timeouts;
    struct postern_error cause;
};

void breaker_open(struct breaker *breaker, const struct postern_error *cause);
void breaker_close(struct breaker *breaker);

/* What a statement says of the server. The second returns true when that opened the breaker. */
void breaker_answered(struct breaker *breaker);
bool breaker_timed_out(struct breaker *breaker, double seconds);

/* Closed, and a statement had its answer within the last second. */
bool breaker_is_proven(const struct breaker *breaker);

/*
 * Whether to fail at once rather than wait. An open breaker lets wait while the process has
 * `connections` that answer: a server that takes no more of them ("too many connections") is
 * not away.
 */
bool breaker_fails(const struct breaker *breaker, size_t connections);

/* The cause, and since when. */
void breaker_explain(const struct breaker *breaker, struct postern_error *error);

/*
 * Tells the log, once each time it opens, that lookups fail (connections: 0), or that there will be
 * no more than these connections; its closing is told then, too. For when a probe has failed
 * as well: who asks once (posternctl) has had its answer, and a blip is not worth two lines.
 */
void breaker_announce(struct breaker *breaker, size_t connections);

/* Seconds between two attempts to reach the server while it is open. */
double breaker_probe_pause(const struct breaker *breaker, double first);

#endif
