/*
 * What a connection remembers of the message that is being received: the recipients that
 * Postern has let pass, under the message's `instance`. Postfix keeps all requests of a
 * message on one connection.
 */
#ifndef POSTERN_POLICY_SESSION_H
#define POSTERN_POLICY_SESSION_H

#include "util/buffer.h"
#include <postern/request.h>

#define SESSION_RECIPIENTS 1000
#define SESSION_BYTES      (256 * 1024)

/* A zeroed structure remembers nothing. */
struct session {
    struct postern_arena *arena; /* of what is remembered */
    const char *instance;
    const char **recipients;
    size_t count;
    bool incomplete;
};

/* Before the chain: fills request->recipients. Forgets an earlier message. */
void session_recall(struct session *session, struct postern_request *request);

/* After a RCPT that was let pass. */
void session_remember(struct session *session, const struct postern_request *request);

void session_forget(struct session *session);

/* For a handoff to another process: appended to out in at most `limit` bytes (a message that needs
 * more goes on without its recipients), and read back. False when data is not of that form. */
void session_write(const struct session *session, struct buffer *out, size_t limit);
bool session_read(struct session *session, const void *data, size_t length);

#endif
