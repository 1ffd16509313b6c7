/*
 * One connection from Postfix: requests are read, answered in order, one at a time.
 */
#ifndef POSTERN_POLICY_CONNECTION_H
#define POSTERN_POLICY_CONNECTION_H

#include "policy/protocol.h"
#include "policy/server_state.h"
#include "policy/session.h"
#include "runtime/stream.h"

/* A line of the longest kind, its CR and newline. */
#define CONNECTION_INPUT (PROTOCOL_LINE_LIMIT + 2)

struct connection {
    struct connection *next, *prev;
    struct policy_server *server;
    struct fiber *fiber;
    struct stream stream;

    struct protocol_parser parser;
    struct session session;
};

/* The body of the connection's fiber; frees the connection. */
void connection_serve(void *connection);

#endif
