/* The text of a notification. */
#ifndef POSTERN_DAEMON_NOTIFY_MAIL_H
#define POSTERN_DAEMON_NOTIFY_MAIL_H

#include "util/buffer.h"
#include <postern/address.h>
#include <stdint.h>

/* A counter that has refused mail: a row of throttle_tracking and its row of throttle. */
struct notice {
    int64_t id;
    int64_t mark;        /* last_notify_time as it was found */
    const char *account; /* whose messages it counts */
    const char *setting; /* the account of the throttle */
    const char *kind;    /* inbound, outbound, external */
    int64_t period;      /* seconds */
    int64_t messages, bytes;
    int64_t max_messages, max_bytes; /* 0 and less are no limits */
    int64_t begin, last;             /* times of the first and the last message it counted */
};

/* A whole message about count > 0 notices; host is this one, sender a local part. */
void notify_mail_write(struct buffer *out, const struct notice *notices, size_t count,
                       struct postern_names recipients, const char *sender, const char *host,
                       int64_t now);

#endif
