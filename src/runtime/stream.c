#define _GNU_SOURCE
#include "runtime/stream.h"

#include "runtime/log.h"
#include "runtime/metrics.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_TEXT 96

static metric protocol_errors;

/* --- input --- */

static void input_take(struct stream *stream)
{
    struct stream_pool *pool = stream->pool;
    stream->input = pool->spare != NULL ? pool->spare : malloc(pool->size);
    stream->size = pool->size;
    pool->spare = NULL;
    if (stream->input == NULL)
        abort();
}

static void input_give(struct stream *stream)
{
    struct stream_pool *pool = stream->pool;
    if (pool->spare == NULL && stream->size == pool->size)
        pool->spare = stream->input;
    else
        free(stream->input);
    stream->input = NULL;
    stream->start = stream->end = stream->size = 0;
}

static void input_compact(struct stream *stream)
{
    size_t left = stream->end - stream->start;
    memmove(stream->input, stream->input + stream->start, left);
    stream->start = 0;
    stream->end = left;
}

static void input_grow(struct stream *stream)
{
    size_t doubled = stream->size * 2;
    size_t size = doubled < stream->limit ? doubled : stream->limit;
    char *input = realloc(stream->input, size);
    if (input == NULL)
        abort();
    stream->input = input;
    stream->size = size;
}

/* Room for at least a byte, unless the limit is reached. */
static bool input_make_room(struct stream *stream)
{
    if (stream->input == NULL)
        input_take(stream);
    input_compact(stream);
    if (stream->end == stream->size && stream->size < stream->limit)
        input_grow(stream);
    return stream->end < stream->size;
}

bool stream_is_resting(const struct stream *stream)
{
    return stream->input == NULL;
}

bool stream_next(struct stream *stream, const bool *draining, double seconds)
{
    if (stream->end > stream->start) { /* the next one is here already */
        fiber_yield();                 /* but others have not had their turn */
        return true;
    }
    if (stream->input != NULL)
        input_give(stream);
    if (*draining)
        return false;
    stream->idle = true;
    bool ready = fiber_watch_wait(&stream->watch, fiber_now() + seconds) != 0;
    stream->idle = false;
    return ready;
}

bool stream_read(struct stream *stream, double deadline)
{
    if (!input_make_room(stream))
        return false;
    for (;;) {
        ssize_t got = read(stream->fd, stream->input + stream->end, stream->size - stream->end);
        if (got > 0) {
            stream->end += (size_t)got;
            return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        if (fiber_watch_wait(&stream->watch, deadline) == 0)
            return false;
    }
}

/* --- output --- */

bool stream_write(struct stream *stream, const char *data, size_t length, double deadline)
{
    while (length > 0) {
        ssize_t put = send(stream->fd, data, length, MSG_NOSIGNAL);
        if (put >= 0) {
            data += put;
            length -= (size_t)put;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (fiber_wait_fd(stream->fd, EV_WRITE, deadline) == 0)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* --- protocol errors --- */

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

void stream_refuse(const struct stream *stream, const char *error)
{
    char peer[PEER_TEXT];
    metric_add(protocol_errors, 1);
    log_warning("protocol error of %s: %s; the connection is closed", peer_text(stream->fd, peer),
                error);
}

void stream_register_metrics(void)
{
    protocol_errors =
        metric_register(METRIC_COUNTER, "postern_protocol_errors_total", NULL,
                        "Connections closed because what came was not the listener's protocol.");
}

/* --- opening and closing --- */

void stream_open(struct stream *stream, struct stream_pool *pool, int fd, size_t limit)
{
    *stream = (struct stream){.pool = pool, .fd = fd, .limit = limit};
    fiber_watch_init(&stream->watch, fd, EV_READ);
}

void stream_close(struct stream *stream)
{
    if (stream->input != NULL)
        input_give(stream);
}

void stream_pool_free(struct stream_pool *pool)
{
    free(pool->spare);
    pool->spare = NULL;
}
