/*
 * Notification mail: tells `notify.recipients` of each throttle counter that has refused mail.
 *
 * The column last_notify_time of throttle_tracking says it all, to every host on the database:
 *
 *    0   no mail was wanted yet
 *   -T   a mail is wanted; it is due from T on. Who refuses the first message of a window writes
 *        -now, once per window: where the value without its sign is before init_time.
 *    T   the last mail was sent at T
 *
 * Who sends takes a counter by moving T ahead to the end of a lease, in one statement that finds
 * the value seen or changes nothing: of several hosts one sends. Afterwards it writes the time of
 * the mail, or what it has found when the mail was not taken; then this process waits, longer each
 * time, and another host may be luckier. A process that dies in between leaves a counter that
 * is due again when the lease is over.
 *
 * So a mail is sent once normally, and twice rather than never: when the process or its database
 * goes away after the mail system has taken the mail. A counter that is deleted meanwhile, with its
 * setting or by the cleanup a day after its window, is not told of.
 */
#ifndef POSTERN_DAEMON_NOTIFY_H
#define POSTERN_DAEMON_NOTIFY_H

#include "db/db.h"

#define NOTIFY_EVERY 2.0 /* seconds from one round to the next */

/* Zeroed but for the first two. */
struct notify {
    const struct config *config;
    struct db *db;
    bool busy;         /* in the midst of a mail */
    bool blind;        /* the last look has failed, which was logged */
    int64_t failed_at; /* of the mail that could not be sent last */
    int64_t delay;     /* seconds to wait since then; 0: the last one was sent */
};

/* Sends one mail about the counters that are due now, if there are any; in a fiber. */
void notify_round(struct notify *notify);

#endif
