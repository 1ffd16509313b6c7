#include "srs/service_state.h"
#include "util/arena.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

/* A process of Postfix keeps a tcp_table connection while it lives, which is as long as it has
 * work every 100 s (max_idle). */
#define IDLE_SECONDS    1100
#define REQUEST_SECONDS 30 /* from a request's first byte to its last */
#define WRITE_SECONDS   30
#define LINGER_SECONDS  1
#define LINGER_BYTES    (1 << 20)

/* The lookup becomes another when there is no reply that says it. */
static bool reply(struct srs_connection *connection, struct postern_arena *arena,
                  struct lookup *lookup)
{
    const struct table_protocol *protocol = connection->protocol;
    size_t length;
    const char *text = protocol->write(arena, lookup->status, lookup->text, &length);
    if (text == NULL) {
        lookup->status = lookup->status == TABLE_FOUND ? TABLE_NOT_FOUND : lookup->status;
        lookup->text = "the reply would be longer than Postfix accepts";
        text = protocol->write(arena, lookup->status, lookup->text, &length);
    }
    return stream_write(&connection->stream, text, length, fiber_now() + WRITE_SECONDS);
}

/* Closing with bytes unread would take the reply away from the client that has sent them. */
static void linger(struct stream *stream)
{
    double deadline = fiber_now() + LINGER_SECONDS;
    size_t dropped = 0;
    shutdown(stream->fd, SHUT_WR);
    do {
        dropped += stream->end - stream->start;
        stream->start = stream->end;
        fiber_yield();
    } while (dropped < LINGER_BYTES && fiber_now() < deadline && stream_read(stream, deadline));
}

static void refuse(struct srs_connection *connection, struct postern_arena *arena,
                   const struct table_request *request)
{
    struct lookup broken = {TABLE_BROKEN, request->refusal, ""};
    stream_refuse(&connection->stream, request->refusal);
    if (reply(connection, arena, &broken))
        linger(&connection->stream);
}

/* False when no whole request comes: the client is gone, stalls, or does not speak the protocol. */
static bool read_request(struct srs_connection *connection, struct postern_arena *arena,
                         struct table_request *request)
{
    struct stream *stream = &connection->stream;
    double deadline = fiber_now() + REQUEST_SECONDS;
    for (;;) {
        size_t consumed;
        enum table_reading reading = connection->protocol->read(
            stream->input + stream->start, stream->end - stream->start, arena, request, &consumed);
        stream->start += consumed;
        if (reading == TABLE_REQUEST)
            return true;
        if (reading == TABLE_ERROR) {
            refuse(connection, arena, request);
            return false;
        }
        if (!stream_read(stream, deadline))
            return false;
    }
}

static bool answer(struct srs_connection *connection, struct postern_arena *arena,
                   const struct table_request *request)
{
    const struct rewrite *rewrite = &connection->service->rewrite;
    double start = fiber_now();
    struct lookup lookup =
        srs_look_up(rewrite, request, arena, start + (double)rewrite->config->request_timeout);
    bool ok = reply(connection, arena, &lookup);
    srs_report(request, &lookup, fiber_now() - start);
    return ok;
}

static bool serve_one(struct srs_connection *connection)
{
    if (!stream_next(&connection->stream, &connection->service->draining, IDLE_SECONDS))
        return false;
    struct table_request request = {.direction = connection->direction};
    struct postern_arena *arena = arena_new();
    bool ok = read_request(connection, arena, &request) && answer(connection, arena, &request);
    arena_free(arena);
    return ok;
}

/* To another worker, between two requests. */
static bool hand_off(const struct srs_connection *connection)
{
    const struct srs_service *service = connection->service;
    return service->draining && service->handoff != NULL &&
           stream_is_resting(&connection->stream) &&
           service->handoff(service->handoff_context, connection->kind, connection->stream.fd);
}

static void connection_free(struct srs_connection *connection)
{
    DL_DELETE(connection->service->connections, connection);
    connection->service->count--;
    stream_close(&connection->stream);
    free(connection);
}

void srs_connection_serve(void *argument)
{
    struct srs_connection *connection = argument;
    connection->fiber = fiber_self();
    while (serve_one(connection))
        ;
    if (!hand_off(connection))
        close(connection->stream.fd);
    connection_free(connection);
}
