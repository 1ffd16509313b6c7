/*
 * Passing connections from the workers of an old generation to those of the new one.
 *
 * One pair of sockets, made by the master for its life. A message is a connection's
 * descriptor, the kind of its listener and what its session remembers. A message that nobody
 * has read yet stays in the socket, whoever dies.
 */
#ifndef POSTERN_DAEMON_HANDOFF_H
#define POSTERN_DAEMON_HANDOFF_H

#include "runtime/listener.h"

#define HANDOFF_SESSION_MAX (64 * 1024)

/* False with error set; ends[0] is for sending, ends[1] for receiving. */
bool handoff_create(int ends[2], struct postern_error *error);

/*
 * Sends fd and closes it; waits for room until deadline. False, fd untouched, when it could
 * not be sent or the session is larger than HANDOFF_SESSION_MAX.
 */
bool handoff_send(int sender, enum listener_kind kind, int fd, const void *session, size_t length,
                  double deadline);

/* A connection that was received; fd is the caller's. */
struct handoff {
    enum listener_kind kind;
    int fd;
    size_t length;
    char session[HANDOFF_SESSION_MAX];
};

/* Never waits; false when there is none. */
bool handoff_receive(int receiver, struct handoff *handoff);

#endif
