#include "policy/server.h"

#include "policy/connection.h"
#include "policy/server_state.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

/* Label values of postern_requests_total, by the bit number of enum postern_state. */
static const char *const state_labels[SERVER_STATES] = {
    "state=\"CONNECT\"", "state=\"EHLO\"",  "state=\"HELO\"",           "state=\"MAIL\"",
    "state=\"RCPT\"",    "state=\"DATA\"",  "state=\"END-OF-MESSAGE\"", "state=\"VRFY\"",
    "state=\"ETRN\"",    "state=\"other\"",
};

static void server_metrics(struct policy_server *server)
{
    for (size_t i = 0; i < SERVER_STATES; i++)
        server->requests[i] = metric_register(METRIC_COUNTER, "postern_requests_total",
                                              state_labels[i], "Policy requests answered.");
    server->duration = metric_register(METRIC_HISTOGRAM, "postern_request_duration_seconds", NULL,
                                       "Time from a whole request to its reply, waits included.");
}

void policy_register_metrics(const struct config *config)
{
    struct policy_server server;
    server_metrics(&server);
    chain_register_metrics(config);
}

struct policy_server *policy_server_new(const struct config *config, struct databases *databases,
                                        struct postern_error *error)
{
    struct policy_server *server = calloc(1, sizeof *server);
    if (server == NULL || !chain_open(&server->chain, config, error)) {
        free(server);
        return NULL;
    }
    server->config = config;
    server->databases = databases;
    server->cache = db_cache_new(config->cache_ttl);
    server->buffers.size = CONNECTION_INPUT;
    server_metrics(server);
    return server;
}

void policy_server_free(struct policy_server *server)
{
    assert(server->count == 0);
    chain_close(&server->chain);
    db_cache_free(server->cache);
    stream_pool_free(&server->buffers);
    free(server);
}

size_t policy_server_connections(const struct policy_server *server)
{
    return server->count;
}

bool policy_server_adopt(struct policy_server *server, int fd, const void *session, size_t length)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL || !fiber_spawn(connection_serve, connection)) {
        free(connection);
        close(fd);
        return false;
    }
    connection->server = server;
    stream_open(&connection->stream, &server->buffers, fd, CONNECTION_INPUT);
    if (session != NULL)
        session_read(&connection->session, session, length);
    DL_APPEND(server->connections, connection);
    server->count++;
    return true;
}

void policy_server_drain(struct policy_server *server, policy_handoff handoff, void *context)
{
    server->draining = true;
    server->handoff = handoff;
    server->handoff_context = context;
    struct connection *connection;
    DL_FOREACH(server->connections, connection)
    {
        if (connection->stream.idle)
            fiber_interrupt(connection->fiber);
    }
}
