#include "policy/connection.h"

#include "policy/request_log.h"
#include "util/arena.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* Postfix keeps a policy connection for 1000 s at most and forgets it after 300 s idle. */
#define IDLE_SECONDS    1100
#define REQUEST_SECONDS 30 /* from a request's first byte to its last */
#define WRITE_SECONDS   30

#define HANDOFF_LIMIT (64 * 1024)

/* --- requests --- */

/* NULL when no whole request comes: the client is gone, stalls, or does not speak the protocol. */
static struct postern_request *read_request(struct connection *connection)
{
    struct stream *stream = &connection->stream;
    double deadline = fiber_now() + REQUEST_SECONDS;
    for (;;) {
        size_t consumed;
        enum protocol_result result =
            protocol_feed(&connection->parser, stream->input + stream->start,
                          stream->end - stream->start, &consumed);
        stream->start += consumed;
        if (result == PROTOCOL_REQUEST)
            return connection->parser.request;
        if (result == PROTOCOL_ERROR) {
            stream_refuse(stream, connection->parser.error);
            return NULL;
        }
        if (!stream_read(stream, deadline))
            return NULL;
    }
}

static struct outcome evaluate(struct connection *connection, struct postern_request *request)
{
    const struct policy_server *server = connection->server;
    request_derive(request, server->config);
    session_recall(&connection->session, request);
    struct request_work work = {
        .config = server->config, .databases = server->databases, .cache = server->cache};
    request->work = &work;
    struct outcome outcome = chain_run(&server->chain, request);
    request->work = NULL;

    bool passes = outcome.action == POSTERN_DUNNO || outcome.action == POSTERN_ACCEPT ||
                  outcome.action == POSTERN_PREPEND;
    if (request->state == POSTERN_RCPT && passes)
        session_remember(&connection->session, request);
    if (request->state == POSTERN_END_OF_MESSAGE)
        session_forget(&connection->session);
    return outcome;
}

static bool answer(struct connection *connection, struct postern_request *request)
{
    struct policy_server *server = connection->server;
    double start = fiber_now();
    struct outcome outcome = evaluate(connection, request);
    const char *reply = postern_printf(request->arena, "action=%s\n\n", outcome.reply);
    bool ok = stream_write(&connection->stream, reply, strlen(reply), fiber_now() + WRITE_SECONDS);
    double seconds = fiber_now() - start;
    metric_add(server->requests[__builtin_ctz(request->state)], 1);
    metric_observe(server->duration, seconds);
    request_log(request, &outcome, seconds);
    return ok;
}

static bool serve_one(struct connection *connection)
{
    if (!stream_next(&connection->stream, &connection->server->draining, IDLE_SECONDS))
        return false;
    struct postern_request *request = read_request(connection);
    if (request == NULL)
        return false;
    bool ok = answer(connection, request);
    arena_free(request->arena);
    protocol_reset(&connection->parser);
    return ok;
}

/* --- the connection --- */

/* To another worker, as it stands between two requests. */
static bool hand_off(struct connection *connection)
{
    const struct policy_server *server = connection->server;
    bool between =
        stream_is_resting(&connection->stream) && !protocol_is_inside(&connection->parser);
    if (!server->draining || server->handoff == NULL || !between)
        return false;
    struct buffer session = {0};
    session_write(&connection->session, &session, HANDOFF_LIMIT);
    bool taken = server->handoff(server->handoff_context, connection->stream.fd, session.data,
                                 session.length);
    buffer_free(&session);
    return taken;
}

static void connection_free(struct connection *connection)
{
    DL_DELETE(connection->server->connections, connection);
    connection->server->count--;
    stream_close(&connection->stream);
    if (connection->parser.request != NULL)
        arena_free(connection->parser.request->arena);
    session_forget(&connection->session);
    free(connection);
}

void connection_serve(void *argument)
{
    struct connection *connection = argument;
    connection->fiber = fiber_self();
    while (serve_one(connection))
        ;
    if (!hand_off(connection))
        close(connection->stream.fd);
    connection_free(connection);
}
