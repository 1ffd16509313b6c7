/*
 * floor-mysql: how many new triplets a second plain blocking connections write into MariaDB or
 * MySQL, as the ceiling for Postern's greylisting on it.
 *
 * One prepared upsert on the table that Postern uses, committed at once and as durably as the
 * server is set up to.
 */
#include "floor-server.h"

#include <mysql.h>
#include <stdbool.h>
#include <string.h>

#define PARAMETERS 8

const char floor_program[] = "floor-mysql";

static const char upsert[] =
    "INSERT INTO greylisting_tracking (sender, recipient, client_address, sender_domain,"
    " rcpt_domain, init_time, block_expired, record_expired, blocked_count, passed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)"
    " ON DUPLICATE KEY UPDATE"
    " blocked_count = blocked_count + (block_expired > VALUES(init_time)),"
    " passed = block_expired <= VALUES(init_time),"
    " record_expired = CASE WHEN block_expired <= VALUES(init_time)"
    "   THEN VALUES(init_time) + 2592000 ELSE record_expired END";

static MYSQL *connection_open(const struct floor_server *server)
{
    MYSQL *mysql = mysql_init(NULL);
    if (mysql == NULL)
        floor_die("connecting", "out of memory");
    bool socket = server->host[0] == '/';
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_options(mysql, MYSQL_INIT_COMMAND,
                  "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    if (mysql_real_connect(mysql, socket ? NULL : server->host, server->user, server->password,
                           server->name, server->port, socket ? server->host : NULL, 0) == NULL)
        floor_die("connecting", mysql_error(mysql));
    return mysql;
}

void *floor_connect(const struct floor_server *server)
{
    MYSQL *mysql = connection_open(server);
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (statement == NULL)
        floor_die("preparing the upsert", mysql_error(mysql));
    if (mysql_stmt_prepare(statement, upsert, sizeof upsert - 1) != 0)
        floor_die("preparing the upsert", mysql_stmt_error(statement));
    return statement;
}

static MYSQL_BIND text(const char *value)
{
    return (MYSQL_BIND){
        .buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)value, .buffer_length = strlen(value)};
}

static MYSQL_BIND number(int64_t *value)
{
    return (MYSQL_BIND){.buffer_type = MYSQL_TYPE_LONGLONG, .buffer = value};
}

void floor_upsert(void *connection, const struct triplet *triplet, int64_t now)
{
    int64_t block_expired = now + 900, record_expired = now + 86400;
    MYSQL_BIND values[PARAMETERS] = {
        text(triplet->sender),        text(triplet->recipient),       text(triplet->client),
        text(triplet->sender_domain), text(TRIPLET_RECIPIENT_DOMAIN), number(&now),
        number(&block_expired),       number(&record_expired),
    };
    if (mysql_stmt_bind_param(connection, values) || mysql_stmt_execute(connection) != 0)
        floor_die("upsert", mysql_stmt_error(connection));
}

void floor_disconnect(void *connection)
{
    MYSQL *mysql = ((MYSQL_STMT *)connection)->mysql;
    mysql_stmt_close(connection);
    mysql_close(mysql);
}
