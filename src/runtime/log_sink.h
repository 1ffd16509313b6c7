/*
 * Where log lines go: stderr, or a syslog socket of our own. Neither ever waits; glibc's
 * syslog(3) would, for as long as the receiver is slow.
 */
#ifndef POSTERN_RUNTIME_LOG_SINK_H
#define POSTERN_RUNTIME_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

enum log_sink_result {
    LOG_SINK_TAKEN,
    LOG_SINK_FULL, /* no room now */
    LOG_SINK_AWAY  /* nobody there; errno says why */
};

/* Looks at what stderr is; without it stderr is written to with more care than needed. */
void log_stderr_open(void);

/* Writes the line, which ends in '\n' and is shorter than PIPE_BUF, in one piece or not at all. */
enum log_sink_result log_stderr_write(const char *line, size_t length);

/* Connects now; when that fails or the connection ends, again by a write, at most once a second. */
void log_syslog_open(const char *path);
void log_syslog_reopen(void);
void log_syslog_close(void);

/* One record without '\n'; line[length] is '\0'. */
enum log_sink_result log_syslog_write(const char *line, size_t length);

/* Seconds of CLOCK_MONOTONIC. */
double log_monotonic(void);

#endif
