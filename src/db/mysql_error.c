/*
 * What a failure says of the connection, and what an admin can do about it.
 *
 * A statement that the server answers with an error has been undone. So one that ended because
 * its session did, and whose error the server could still send, may be run elsewhere; where the
 * answer is missing nobody knows.
 */
#include "db/mysql_connection.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not in every mysqld_error.h. */
enum {
    INTERACTION_TIMEOUT = 4031, /* MySQL 8 */
    NOT_IN_PRIMARY = 1047,      /* Galera: a node that has lost the others */
    KILLED_CONNECTION = 1927    /* MariaDB */
};

static const struct remedy {
    unsigned code;
    const char *text;
} remedies[] = {
    {ER_ACCESS_DENIED_ERROR, ": check `user` and `password`, and from which hosts this account "
                             "may log in"},
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, ": set `password` or `password_file`"},
    {ER_DBACCESS_DENIED_ERROR, ": GRANT the account its rights on this database"},
    {ER_TABLEACCESS_DENIED_ERROR, ": GRANT the account its rights on this database"},
    {ER_HOST_NOT_PRIVILEGED, ": no account of the server may log in from this host"},
    {ER_HOST_IS_BLOCKED, ": run FLUSH HOSTS on the server"},
    {ER_BAD_DB_ERROR, ": check `name`, or create the database on the server"},
    {ER_CON_COUNT_ERROR, ": lower `pool_size`, or raise the server's max_connections"},
    {ER_TOO_MANY_USER_CONNECTIONS, ": lower `pool_size`, or raise max_user_connections"},
    {ER_USER_LIMIT_REACHED, ": raise that limit of the account"},
    {ER_MAX_PREPARED_STMT_COUNT_REACHED, ": raise the server's max_prepared_stmt_count"},
    {ER_NO_SUCH_TABLE, ": run `posternctl db migrate`"},
    {ER_BAD_FIELD_ERROR, ": run `posternctl db migrate`"},
    {ER_OPTION_PREVENTS_STATEMENT, ": name the server that takes writes in `host`"},
    {ER_RECORD_FILE_FULL, ": make room on the server's disk"},
    {ER_DISK_FULL, ": make room on the server's disk"},
    {ER_ERROR_ON_WRITE, ": make room on the server's disk"},
    {ER_BINLOG_STMT_MODE_AND_ROW_ENGINE, ": set the server's binlog_format to MIXED or ROW"},
    {NOT_IN_PRIMARY, ": this node of the cluster has lost the others"},
    {CR_CONNECTION_ERROR, ": is the server running, and listening there?"},
    {CR_CONN_HOST_ERROR, ": is the server running, and listening there?"},
    {CR_SSL_CONNECTION_ERROR, ": name the CA's certificate in the variable SSL_CERT_FILE, and set "
                              "`host` to the name in the server's"},
    {CR_UNKNOWN_HOST, ": the name has no address"},
    {CR_AUTH_PLUGIN_CANNOT_LOAD, ": install the client plugin, or give the account another one"},
};

static const char *remedy_find(unsigned code)
{
    for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
        if (remedies[i].code == code)
            return remedies[i].text;
    return "";
}

static bool is_one_of(unsigned code, const unsigned *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (codes[i] == code)
            return true;
    return false;
}

#define IS_ONE_OF(code, ...)                                                                       \
    is_one_of(code, (const unsigned[]){__VA_ARGS__},                                               \
              sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

bool mysql_is_transient(const struct db_connection *connection)
{
    return IS_ONE_OF(connection->code, ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT);
}

bool mysql_is_stale(const struct db_connection *connection)
{
    return IS_ONE_OF(connection->code, ER_UNKNOWN_STMT_HANDLER, ER_NEED_REPREPARE);
}

/* The server's words may hold line ends: what it quotes of a statement does. */
static void message_set(struct postern_error *error, const char *place, const char *message,
                        const char *remedy)
{
    postern_error_set(error, "%s: %s%s", place, *message != '\0' ? message : "no reason", remedy);
    for (char *c = error->text; *c != '\0'; c++)
        if (*c == '\n' || *c == '\r' || *c == '\t')
            *c = ' ';
}

/* Errors at which the server ends the session; it has undone the statement. */
static bool is_goodbye(unsigned code)
{
    return IS_ONE_OF(code, KILLED_CONNECTION, ER_SERVER_SHUTDOWN, ER_QUERY_INTERRUPTED,
                     ER_NORMAL_SHUTDOWN, ER_FORCING_CLOSE, ER_NEW_ABORTING_CONNECTION,
                     ER_NET_READ_ERROR, ER_NET_READ_INTERRUPTED, INTERACTION_TIMEOUT);
}

static enum db_result result_of(unsigned code)
{
    if (code == CR_SERVER_GONE_ERROR || is_goodbye(code))
        return DB_LOST_UNSENT;
    if (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR)
        return DB_LOST;
    return DB_ERROR;
}

static enum db_result failure_set(struct db_connection *connection, unsigned code,
                                  const char *message, struct postern_error *error)
{
    connection->code = code;
    if (connection->late) {
        connection->ended = true;
        postern_error_set(error, "%s: no answer before the deadline", connection->place);
        return DB_TIMEOUT;
    }
    message_set(error, connection->place, message, remedy_find(code));
    enum db_result result = result_of(code);
    connection->ended = db_result_is_lost(result);
    return result;
}

enum db_result mysql_failure(struct db_connection *connection, struct postern_error *error)
{
    return failure_set(connection, mysql_errno(connection->mysql), mysql_error(connection->mysql),
                       error);
}

enum db_result mysql_statement_failure(struct db_connection *connection, MYSQL_STMT *statement,
                                       struct postern_error *error)
{
    return failure_set(connection, mysql_stmt_errno(statement), mysql_stmt_error(statement), error);
}

/* "Can't connect to server on '192.0.2.1' (111)": the number in words. */
static void reason_spell(char *message, size_t size)
{
    char *number = strrchr(message, '(');
    int code = number != NULL ? atoi(number + 1) : 0;
    if (code > 0 && number > message)
        snprintf(number - 1, size - (size_t)(number - 1 - message), ": %s", strerror(code));
}

void mysql_connect_failure(const char *place, MYSQL *mysql, struct postern_error *error)
{
    char message[256];
    unsigned code = mysql_errno(mysql);
    snprintf(message, sizeof message, "%s", mysql_error(mysql));
    if (code == CR_CONNECTION_ERROR || code == CR_CONN_HOST_ERROR)
        reason_spell(message, sizeof message);
    message_set(error, place, message, remedy_find(code));
}
