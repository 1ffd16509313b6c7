/*
 * What a failure says of the connection, and what an admin can do about it.
 *
 * A server that ends a session says so with a FATAL message. It looks for such an order between
 * the messages of a client, and not from the moment it commits until it has said that it is ready
 * for the next statement. So when these words come first, even after the statement's rows, its
 * transaction ended with the session: it did nothing and may be run elsewhere. Without them nobody
 * knows.
 */
#include "db/pgsql_connection.h"

#include <stdlib.h>
#include <string.h>

struct remedy {
    const char *about; /* an SQLSTATE, or a part of libpq's message */
    const char *text;
};

static const struct remedy statement_remedies[] = {
    {"42P01", ": run `posternctl db migrate`"},
    {"42703", ": run `posternctl db migrate`"},
    {"42P10", ": run `posternctl db migrate`"},
    {"42501", ": grant this right to the user of the `database` section"},
    {"25006", ": the server takes no writes: give `host` the one that does, or all of them"},
    {"26000", ": a pooler gives each statement another session: let it pool sessions"},
    {"42P05", ": a pooler shares one session among clients: let it pool sessions"},
    {"53100", ": make room on the server's disk"},
    {"53200", ": the server has too little memory"},
    {"57014", ": the server's statement_timeout, or an admin, ended it"},
};

static const struct remedy connect_remedies[] = {
    {"password authentication failed", ": check `user` and `password` in the database section"},
    {"no password supplied", ": set `password` or `password_file` in the database section"},
    {"no pg_hba.conf entry", ": allow this host, user and database in the server's pg_hba.conf"},
    {"authentication failed", ": check `user` and the server's pg_hba.conf"},
    {"role \"", ": check `user`, or create it on the server"},
    {"database \"", ": check `name`, or create the database on the server"},
    {"Connection refused", ": is the server running, and on this port?"},
    {"No such file or directory", ": is the server running, with its socket in this folder?"},
    {"Permission denied", ": this process may not use that socket"},
    {"server does not support SSL", ": set `tls = \"prefer\"`, or give the server a certificate"},
    {"root certificate file", ": name the CA's certificate in the variable PGSSLROOTCERT"},
    {"certificate verify failed", ": name the CA's certificate in the variable PGSSLROOTCERT"},
    {"does not match host name", ": set `host` to the name in the server's certificate"},
    {"too many clients", ": lower `pool_size`, or raise the server's max_connections"},
    {"connection slots are reserved", ": lower `pool_size`, or raise the server's max_connections"},
    {"too many connections for", ": lower `pool_size`, or raise that limit on the server"},
    {"is read-only", ": no host takes writes now"},
};

static const char *remedy_find(const struct remedy *remedies, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(text, remedies[i].about) != NULL)
            return remedies[i].text;
    return "";
}

#define REMEDY(remedies, text) remedy_find(remedies, sizeof remedies / sizeof remedies[0], text)

/* libpq's messages have several lines, each ended by one. */
static void one_line(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
    for (; *text != '\0'; text++)
        if (strchr("\t\r\n", *text) != NULL)
            *text = ' ';
}

static void message_set(struct postern_error *error, const char *place, const char *message,
                        const char *remedy)
{
    char *line = strdup(message);
    if (line != NULL)
        one_line(line);
    postern_error_set(error, "%s: %s%s", place, line != NULL && *line != '\0' ? line : "no reason",
                      remedy);
    free(line);
}

/* "connection to server at "db1" (192.0.2.1), port 5432 failed: " says what place says. */
static const char *after_place(const char *message)
{
    const char *end = strstr(message, " failed: ");
    return strncmp(message, "connection to server ", 21) == 0 && end != NULL ? end + 9 : message;
}

void pgsql_connect_failure(const char *place, PGconn *pg, struct postern_error *error)
{
    const char *message = after_place(PQerrorMessage(pg));
    message_set(error, place, message, REMEDY(connect_remedies, message));
}

enum db_result pgsql_lost(struct db_connection *connection, struct postern_error *error)
{
    connection->ended = true;
    connection->sqlstate[0] = '\0';
    const char *message = PQerrorMessage(connection->pg);
    message_set(error, connection->place, *message != '\0' ? message : "the server has left", "");
    return DB_LOST;
}

enum db_result pgsql_late(struct db_connection *connection, struct postern_error *error)
{
    connection->ended = true;
    postern_error_set(error, "%s: no answer before the deadline", connection->place);
    return DB_TIMEOUT;
}

static bool is_state(const struct db_connection *connection, const char *const *states,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(connection->sqlstate, states[i]) == 0)
            return true;
    return false;
}

#define IS_STATE(connection, ...)                                                                  \
    is_state(connection, (const char *const[]){__VA_ARGS__},                                       \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

bool pgsql_is_transient(const struct db_connection *connection)
{
    return IS_STATE(connection, "40001", "40P01", "55P03");
}

bool pgsql_is_stale(const struct db_connection *connection)
{
    return IS_STATE(connection, "26000", "0A000");
}

static void sqlstate_set(struct db_connection *connection, const char *state)
{
    strncpy(connection->sqlstate, state, sizeof connection->sqlstate - 1);
}

static enum db_result ended_result(const struct db_connection *connection)
{
    return IS_STATE(connection, "57P01", "57P05") ? DB_LOST_UNSENT : DB_LOST;
}

/* The detail says which view, which key. */
static void reason_set(struct postern_error *error, const char *place, const PGresult *result,
                       const char *remedy)
{
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    struct postern_error reason;
    postern_error_set(&reason, detail != NULL ? "%.250s (%.150s)" : "%.250s", message, detail);
    message_set(error, place, reason.text, remedy);
}

enum db_result pgsql_failure(struct db_connection *connection, const PGresult *result,
                             struct postern_error *error)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (state == NULL)
        return pgsql_lost(connection, error);
    sqlstate_set(connection, state);
    reason_set(error, connection->place, result, REMEDY(statement_remedies, state));
    if (severity != NULL && strcmp(severity, "ERROR") != 0) {
        connection->ended = true;
        return ended_result(connection);
    }
    if (connection->follows_writer && IS_STATE(connection, "25006")) {
        connection->ended = true;
        return DB_LOST_UNSENT;
    }
    return DB_ERROR;
}
