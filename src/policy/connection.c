#define _GNU_SOURCE
#include "policy/connection.h"

#include "policy/request_log.h"
#include "runtime/log.h"
#include "util/arena.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

/* A line of the longest kind, its CR and newline. */
#define INPUT_SIZE (PROTOCOL_LINE_LIMIT + 2)

/* Postfix keeps a policy connection for 1000 s at most and forgets it after 300 s idle. */
#define IDLE_SECONDS    1100
#define REQUEST_SECONDS 30 /* from a request's first byte to its last */
#define WRITE_SECONDS   30

#define PEER_TEXT     96
#define HANDOFF_LIMIT (64 * 1024)

/* --- input --- */

static void input_take(struct connection *connection)
{
    struct policy_server *server = connection->server;
    connection->input = server->spare_input != NULL ? server->spare_input : malloc(INPUT_SIZE);
    server->spare_input = NULL;
    if (connection->input == NULL)
        abort();
}

/* An idle connection holds no buffer. */
static void input_give(struct connection *connection)
{
    struct policy_server *server = connection->server;
    if (server->spare_input == NULL)
        server->spare_input = connection->input;
    else
        free(connection->input);
    connection->input = NULL;
    connection->start = connection->end = 0;
}

static void input_compact(struct connection *connection)
{
    size_t left = connection->end - connection->start;
    memmove(connection->input, connection->input + connection->start, left);
    connection->start = 0;
    connection->end = left;
}

/* False when the client has gone or is too slow. */
static bool input_read(struct connection *connection, double deadline)
{
    if (connection->input == NULL)
        input_take(connection);
    input_compact(connection);
    for (;;) {
        ssize_t got =
            read(connection->fd, connection->input + connection->end, INPUT_SIZE - connection->end);
        if (got > 0) {
            connection->end += (size_t)got;
            return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        if (fiber_watch_wait(&connection->watch, deadline) == 0)
            return false;
    }
}

/* --- requests --- */

/* Waits between two requests, holding nothing; false when the connection is to be left. */
static bool wait_for_request(struct connection *connection)
{
    if (connection->end > connection->start) { /* the next one is here already */
        fiber_yield();                         /* but others have not had their turn */
        return true;
    }
    if (connection->input != NULL)
        input_give(connection);
    if (connection->server->draining)
        return false;
    connection->idle = true;
    int events = fiber_watch_wait(&connection->watch, fiber_now() + IDLE_SECONDS);
    connection->idle = false;
    return events != 0;
}

/* Who is at the other end: an address and port, or the process of a Unix socket. */
static char *peer_text(int fd, char text[PEER_TEXT])
{
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    } peer;
    socklen_t length = sizeof peer;
    struct ucred process;
    socklen_t process_length = sizeof process;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getpeername(fd, &peer.any, &length) != 0)
        snprintf(text, PEER_TEXT, "a client that has gone");
    else if (peer.any.sa_family == AF_UNIX &&
             getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &process_length) == 0)
        snprintf(text, PEER_TEXT, "process %d", (int)process.pid);
    else if (getnameinfo(&peer.any, length, host, sizeof host, port, sizeof port,
                         NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, PEER_TEXT, "%.64s port %.8s", host, port);
    else
        snprintf(text, PEER_TEXT, "a client");
    return text;
}

static struct postern_request *protocol_error(struct connection *connection)
{
    char peer[PEER_TEXT];
    metric_add(connection->server->protocol_errors, 1);
    log_warning("protocol error of %s: %s; the connection is closed",
                peer_text(connection->fd, peer), connection->parser.error);
    return NULL;
}

/* NULL when no whole request comes: the client is gone, stalls, or does not speak the protocol. */
static struct postern_request *read_request(struct connection *connection)
{
    double deadline = fiber_now() + REQUEST_SECONDS;
    for (;;) {
        size_t consumed;
        enum protocol_result result =
            protocol_feed(&connection->parser, connection->input + connection->start,
                          connection->end - connection->start, &consumed);
        connection->start += consumed;
        if (result == PROTOCOL_REQUEST)
            return connection->parser.request;
        if (result == PROTOCOL_ERROR)
            return protocol_error(connection);
        if (!input_read(connection, deadline))
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

static bool write_all(struct connection *connection, const char *data, size_t length)
{
    double deadline = fiber_now() + WRITE_SECONDS;
    while (length > 0) {
        ssize_t put = send(connection->fd, data, length, MSG_NOSIGNAL);
        if (put >= 0) {
            data += put;
            length -= (size_t)put;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (fiber_wait_fd(connection->fd, EV_WRITE, deadline) == 0)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static bool answer(struct connection *connection, struct postern_request *request)
{
    struct policy_server *server = connection->server;
    double start = fiber_now();
    struct outcome outcome = evaluate(connection, request);
    const char *reply = postern_printf(request->arena, "action=%s\n\n", outcome.reply);
    bool ok = write_all(connection, reply, strlen(reply));
    double seconds = fiber_now() - start;
    metric_add(server->requests[__builtin_ctz(request->state)], 1);
    metric_observe(server->duration, seconds);
    request_log(request, &outcome, seconds);
    return ok;
}

static bool serve_one(struct connection *connection)
{
    if (!wait_for_request(connection))
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
    bool between = connection->input == NULL && !protocol_is_inside(&connection->parser);
    if (!server->draining || server->handoff == NULL || !between)
        return false;
    struct buffer session = {0};
    session_write(&connection->session, &session, HANDOFF_LIMIT);
    bool taken =
        server->handoff(server->handoff_context, connection->fd, session.data, session.length);
    buffer_free(&session);
    return taken;
}

static void connection_free(struct connection *connection)
{
    DL_DELETE(connection->server->connections, connection);
    connection->server->count--;
    if (connection->input != NULL)
        input_give(connection);
    if (connection->parser.request != NULL)
        arena_free(connection->parser.request->arena);
    session_forget(&connection->session);
    free(connection);
}

void connection_serve(void *argument)
{
    struct connection *connection = argument;
    connection->fiber = fiber_self();
    fiber_watch_init(&connection->watch, connection->fd, EV_READ);
    while (serve_one(connection))
        ;
    if (!hand_off(connection))
        close(connection->fd);
    connection_free(connection);
}
