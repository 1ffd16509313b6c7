/* What the connections of a worker's SRS service share. */
#ifndef POSTERN_SRS_SERVICE_STATE_H
#define POSTERN_SRS_SERVICE_STATE_H

#include "runtime/stream.h"
#include "srs/rewrite.h"
#include "srs/service.h"
#include "srs/table.h"

struct srs_connection {
    struct srs_connection *next, *prev;
    struct srs_service *service;
    const struct table_protocol *protocol;
    enum table_direction direction; /* socketmap: each request has its own */
    enum listener_kind kind;
    struct fiber *fiber;
    struct stream stream;
};

struct srs_service {
    struct rewrite rewrite;
    struct srs_connection *connections;
    size_t count;
    struct stream_pool buffers;

    bool draining;
    srs_handoff handoff;
    void *handoff_context;
};

/* The body of a connection's fiber; frees the connection. */
void srs_connection_serve(void *connection);

/* What a request comes to; text is the address, or why there is none. */
struct lookup {
    enum table_status status;
    const char *text;
    const char *remark; /* on the address, for the log; mostly "" */
};

struct lookup srs_look_up(const struct rewrite *rewrite, const struct table_request *request,
                          struct postern_arena *arena, double deadline);

/* Counts it and says it in the log. */
void srs_report(const struct table_request *request, const struct lookup *lookup, double seconds);

#endif
