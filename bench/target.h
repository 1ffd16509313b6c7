/* Where a server listens: "HOST:PORT", "[::1]:PORT" or "unix:/path". */
#ifndef POSTERN_BENCH_TARGET_H
#define POSTERN_BENCH_TARGET_H

#include <stdbool.h>
#include <sys/socket.h>

struct target {
    struct sockaddr_storage address;
    socklen_t length;
};

/* False with a line on stderr when the text is no address or the host is unknown. */
bool target_parse(struct target *target, const char *text);

/* A non-blocking socket that is connected or being connected; -1 with errno. */
int target_connect(const struct target *target);

/* A listening socket; -1 with errno. A Unix socket left at the path is replaced. */
int target_listen(const struct target *target);

/* The policy protocol is questions and answers: nothing is gained by waiting for more. */
void target_no_delay(int fd);

/* As many files as the system lets this process open. */
void target_raise_limits(void);

#endif
