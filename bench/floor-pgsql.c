/*
 * floor-pgsql: how many new triplets a second plain blocking connections write into PostgreSQL, as
 * the ceiling for Postern's greylisting on it.
 *
 * One prepared upsert on the table that Postern uses, committed at once and as durably as the
 * server is set up to.
 */
#include "floor-server.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>

const char floor_program[] = "floor-pgsql";

static const char upsert[] =
    "INSERT INTO greylisting_tracking AS t (sender, recipient, client_address, sender_domain,"
    " rcpt_domain, init_time, block_expired, record_expired, blocked_count, passed)"
    " VALUES ($1, $2, $3, $4, $5, $6::bigint, $6 + 900, $6 + 86400, 0, 0)"
    " ON CONFLICT (sender, recipient, client_address) DO UPDATE SET"
    " blocked_count = CASE WHEN t.block_expired > $6 THEN t.blocked_count + 1"
    "   ELSE t.blocked_count END,"
    " passed = CASE WHEN t.block_expired <= $6 THEN 1 ELSE t.passed END,"
    " record_expired = CASE WHEN t.block_expired <= $6 THEN $6 + 2592000"
    "   ELSE t.record_expired END"
    " RETURNING block_expired, blocked_count, passed";

static void expect(PGconn *connection, PGresult *result, ExecStatusType status, const char *what)
{
    if (PQresultStatus(result) != status)
        floor_die(what, PQerrorMessage(connection));
    PQclear(result);
}

void *floor_connect(const struct floor_server *server)
{
    char port[16];
    snprintf(port, sizeof port, "%u", server->port);
    const char *const names[] = {"host", "port", "dbname", "user", "password", NULL};
    const char *const values[] = {server->host,     server->port != 0 ? port : NULL,
                                  server->name,     server->user,
                                  server->password, NULL};
    PGconn *connection = PQconnectdbParams(names, values, 0);
    if (PQstatus(connection) != CONNECTION_OK)
        floor_die("connecting", PQerrorMessage(connection));
    expect(connection, PQprepare(connection, "upsert", upsert, 0, NULL), PGRES_COMMAND_OK,
           "preparing the upsert");
    return connection;
}

void floor_upsert(void *connection, const struct triplet *triplet, int64_t now)
{
    char time[24];
    snprintf(time, sizeof time, "%" PRId64, now);
    const char *const values[] = {triplet->sender,        triplet->recipient,       triplet->client,
                                  triplet->sender_domain, TRIPLET_RECIPIENT_DOMAIN, time};
    expect(connection, PQexecPrepared(connection, "upsert", 6, values, NULL, NULL, 0),
           PGRES_TUPLES_OK, "upsert");
}

void floor_disconnect(void *connection)
{
    PQfinish(connection);
}
