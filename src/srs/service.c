#define _GNU_SOURCE
#include "srs/service.h"

#include "srs/service_state.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

/* Most requests are a line; a buffer grows when one is longer. */
#define BUFFER_SIZE 4098

static const struct {
    enum listener_kind kind;
    const struct table_protocol *protocol;
    enum table_direction direction;
} kinds[] = {
    {LISTENER_SRS_FORWARD, &tcp_table, TABLE_FORWARD},
    {LISTENER_SRS_REVERSE, &tcp_table, TABLE_REVERSE},
    {LISTENER_SRS_SOCKETMAP, &socketmap, TABLE_FORWARD},
};

struct srs_service *srs_service_new(const struct config *config, struct databases *databases)
{
    struct srs_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        return NULL;
    service->buffers.size = BUFFER_SIZE;
    rewrite_init(&service->rewrite, config, databases, db_cache_new(config->cache_ttl));
    return service;
}

void srs_service_free(struct srs_service *service)
{
    assert(service->count == 0);
    db_cache_free(service->rewrite.cache);
    stream_pool_free(&service->buffers);
    free(service);
}

size_t srs_service_connections(const struct srs_service *service)
{
    return service->count;
}

static struct srs_connection *connection_new(struct srs_service *service, enum listener_kind kind,
                                             int fd)
{
    struct srs_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].kind != kind)
            continue;
        connection->protocol = kinds[i].protocol;
        connection->direction = kinds[i].direction;
    }
    assert(connection->protocol != NULL);
    connection->service = service;
    connection->kind = kind;
    stream_open(&connection->stream, &service->buffers, fd, connection->protocol->input_limit);
    return connection;
}

bool srs_service_adopt(struct srs_service *service, enum listener_kind kind, int fd)
{
    struct srs_connection *connection = connection_new(service, kind, fd);
    if (connection == NULL || !fiber_spawn(srs_connection_serve, connection)) {
        free(connection);
        close(fd);
        return false;
    }
    DL_APPEND(service->connections, connection);
    service->count++;
    return true;
}

void srs_service_drain(struct srs_service *service, srs_handoff handoff, void *context)
{
    service->draining = true;
    service->handoff = handoff;
    service->handoff_context = context;
    struct srs_connection *connection;
    DL_FOREACH(service->connections, connection)
    {
        if (connection->stream.idle)
            fiber_interrupt(connection->fiber);
    }
}
