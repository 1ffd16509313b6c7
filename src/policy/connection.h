/*
 * One connection from Postfix: requests are read, answered in order, one at a time.
 */
#ifndef POSTERN_POLICY_CONNECTION_H
#define POSTERN_POLICY_CONNECTION_H

#include "policy/protocol.h"
#include "policy/server_state.h"
#include "policy/session.h"
#include "runtime/fiber.h"

struct connection {
    struct connection *next, *prev;
    struct policy_server *server;
    struct fiber *fiber;
    int fd;
    bool idle; /* waiting for the first byte of a request */

    struct fiber_watch watch;
    struct protocol_parser parser;
    struct session session;
    char *input; /* CONNECTION_INPUT bytes while there is something to read, else NULL */
    size_t start, end;
};

/* The body of the connection's fiber; frees the connection. */
void connection_serve(void *connection);

#endif
