/*
 * The metrics endpoint of the housekeeper: GET and HEAD of /metrics (Prometheus text format),
 * /healthz and a page at / that links to it.
 */
#ifndef POSTERN_DAEMON_METRICS_HTTP_H
#define POSTERN_DAEMON_METRICS_HTTP_H

#include <postern/plugin.h>

struct metrics_http;

/*
 * Serves connections of the listening socket in a fiber; the socket is the endpoint's when
 * this succeeds. NULL with error set when it can't, or when this build has no endpoint.
 */
struct metrics_http *metrics_http_start(int listen_fd, struct postern_error *error);

/* Closes the socket and all connections, in the endpoint's fiber; NULL is fine. */
void metrics_http_stop(struct metrics_http *http);

#endif
