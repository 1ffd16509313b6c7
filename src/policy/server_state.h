/* What the connections of a worker share. */
#ifndef POSTERN_POLICY_SERVER_STATE_H
#define POSTERN_POLICY_SERVER_STATE_H

#include "policy/chain.h"
#include "policy/server.h"
#include "runtime/stream.h"

struct connection;

/* Index of a request's state in the counters: the bit number of enum postern_state. */
#define SERVER_STATES 10

struct policy_server {
    const struct config *config;
    struct databases *databases;
    struct db_cache *cache;
    struct chain chain;

    struct connection *connections;
    size_t count;
    struct stream_pool buffers;

    bool draining;
    policy_handoff handoff;
    void *handoff_context;

    metric requests[SERVER_STATES];
    metric duration;
};

#endif
