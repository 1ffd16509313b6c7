/* How long to wait before a child that died is started again. */
#ifndef POSTERN_DAEMON_BACKOFF_H
#define POSTERN_DAEMON_BACKOFF_H

/* One per place, zeroed at first. */
struct backoff {
    double delay; /* seconds of the last wait, 0 when there was none */
};

/*
 * Seconds to wait before starting what lived for `lived` seconds: none, unless it died within
 * a second; then 0.1, doubled each time until 30. A life of 10 seconds makes a new start.
 */
double backoff_next(struct backoff *backoff, double lived);

#endif
