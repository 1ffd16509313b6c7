/*
 * Reaching a server. Every address of every host is tried in turn, each with its share of the
 * time, since libpq itself would spend all of it on a first host that is silent.
 *
 * libpq only ever gets addresses: it resolves names by blocking. Its TLS handshake and password
 * hashing are some milliseconds of work in the loop, once per connection.
 */
#include "db/pgsql_connection.h"

#include "db/resolve.h"
#include "util/arena.h"
#include "util/memory.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PORT    5432
#define HOSTS_MAX       16
#define LONGEST_SHARE   3.0 /* seconds on one address while there are others */
#define SYSTEM_CA_FILE  "/etc/ssl/certs/ca-certificates.crt"
#define PARAMETERS_ROOM 24

/* What the driver counts on, whatever the server, the database or the role has as default. */
static const char SESSION[] = "SET default_transaction_isolation = 'read committed';"
                              "SET standard_conforming_strings = on;"
                              "SET bytea_output = 'hex';"
                              "SET DateStyle = 'ISO'";

/* Not there on every operating system. */
static const char NOTICE_CLOSED_CLIENT[] = "SET client_connection_check_interval = '1s'";
#define NOTICES_CLOSED_CLIENT_SINCE 140000

struct endpoint {
    const char *host;
    const char *address; /* NULL: host is the folder of a socket */
};

struct endpoints {
    struct postern_arena *arena;
    struct endpoint list[HOSTS_MAX * RESOLVE_ADDRESSES_MAX];
    size_t count;
    size_t hosts;
    struct buffer causes; /* of what did not work */
};

/* --- where to --- */

static void cause_add(struct endpoints *endpoints, const struct postern_error *error)
{
    struct buffer *causes = &endpoints->causes;
    buffer_printf(causes, "%s%s", causes->length > 0 ? "; " : "", error->text);
}

static void host_add(struct endpoints *endpoints, const char *host, double deadline)
{
    struct resolved resolved;
    struct postern_error error;
    endpoints->hosts++;
    if (host[0] == '/') {
        endpoints->list[endpoints->count++] = (struct endpoint){.host = host};
        return;
    }
    if (!resolve_host(host, deadline, &resolved, &error))
        cause_add(endpoints, &error);
    for (size_t i = 0; i < resolved.count; i++)
        endpoints->list[endpoints->count++] = (struct endpoint){
            .host = host, .address = postern_strdup(endpoints->arena, resolved.addresses[i])};
}

static void hosts_add(struct endpoints *endpoints, const char *hosts, double deadline)
{
    while (*hosts != '\0' && endpoints->hosts < HOSTS_MAX) {
        hosts += strspn(hosts, ", ");
        size_t length = strcspn(hosts, ", ");
        if (length > 0)
            host_add(endpoints, postern_strndup(endpoints->arena, hosts, length), deadline);
        hosts += length;
    }
}

static char *place_text(const struct endpoint *endpoint, const struct database_config *config)
{
    int64_t port = config->port != 0 ? config->port : DEFAULT_PORT;
    bool brackets = strchr(endpoint->host, ':') != NULL;
    struct buffer text = {0};
    buffer_printf(&text, brackets ? "[%s]:%" PRId64 "/%s" : "%s:%" PRId64 "/%s", endpoint->host,
                  port, config->dbname != NULL ? config->dbname : "");
    return text.data;
}

/* --- parameters --- */

struct parameters {
    const char *names[PARAMETERS_ROOM];
    const char *values[PARAMETERS_ROOM];
    size_t count;
    char port[24];
};

static void parameter_add(struct parameters *parameters, const char *name, const char *value)
{
    if (value == NULL || *value == '\0' || parameters->count == PARAMETERS_ROOM - 1)
        return;
    parameters->names[parameters->count] = name;
    parameters->values[parameters->count++] = value;
}

static void parameters_add_tls(struct parameters *parameters, enum tls_mode tls)
{
    static const char *const modes[] = {[TLS_DISABLE] = "disable",
                                        [TLS_PREFER] = "prefer",
                                        [TLS_REQUIRE] = "require",
                                        [TLS_VERIFY] = "verify-full"};
    parameter_add(parameters, "sslmode", modes[tls]);
    parameter_add(parameters, "gssencmode", "disable"); /* Kerberos libraries block */
    if (tls == TLS_VERIFY && getenv("PGSSLROOTCERT") == NULL && access(SYSTEM_CA_FILE, R_OK) == 0)
        parameter_add(parameters, "sslrootcert", SYSTEM_CA_FILE);
}

static void parameters_fill(struct parameters *parameters, const struct database_config *config,
                            const struct endpoint *endpoint, bool follows_writer)
{
    snprintf(parameters->port, sizeof parameters->port, "%" PRId64,
             config->port != 0 ? config->port : DEFAULT_PORT);
    parameter_add(parameters, "host", endpoint->host);
    parameter_add(parameters, "hostaddr", endpoint->address);
    parameter_add(parameters, "port", parameters->port);
    parameter_add(parameters, "dbname", config->dbname);
    parameter_add(parameters, "user", config->user);
    parameter_add(parameters, "password", config->password);
    parameters_add_tls(parameters, config->tls);
    parameter_add(parameters, "application_name", "postern");
    parameter_add(parameters, "client_encoding", "UTF8");
    parameter_add(parameters, "keepalives_idle", "30");
    parameter_add(parameters, "keepalives_interval", "10");
    parameter_add(parameters, "keepalives_count", "3");
    if (follows_writer)
        parameter_add(parameters, "target_session_attrs", "read-write");
}

/* --- one attempt --- */

/*
 * While no statement runs, libpq hands a server's last words here. Class 57P is the server ending
 * the session; other notices are of no interest.
 */
static void on_notice(void *context, const PGresult *result)
{
    struct db_connection *connection = context;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool idle = PQtransactionStatus(connection->pg) == PQTRANS_IDLE;
    if (idle && state != NULL && strncmp(state, "57P", 3) == 0)
        connection->ended = true;
}

static bool poll_until_open(struct db_connection *connection, double deadline,
                            struct postern_error *error)
{
    PGconn *pg = connection->pg;
    PostgresPollingStatusType status =
        PQstatus(pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
        int events = status == PGRES_POLLING_READING ? EV_READ : EV_WRITE;
        if (fiber_wait_fd(PQsocket(pg), events, deadline) == 0)
            return postern_error_set(error, "%s: the server did not answer in time",
                                     connection->place);
        status = PQconnectPoll(pg);
    }
    if (status == PGRES_POLLING_OK)
        return true;
    pgsql_connect_failure(connection->place, pg, error);
    return false;
}

static bool session_prepare(struct db_connection *connection, double deadline,
                            struct postern_error *error)
{
    PQsetnonblocking(connection->pg, 1);
    fiber_watch_init(&connection->readable, PQsocket(connection->pg), EV_READ);
    if (pgsql_simple(connection, SESSION, deadline, error) != DB_OK)
        return false;
    if (PQserverVersion(connection->pg) < NOTICES_CLOSED_CLIENT_SINCE)
        return true;
    return !db_result_is_lost(pgsql_simple(connection, NOTICE_CLOSED_CLIENT, deadline, error));
}

static void statement_release(void *context, void *prepared)
{
    struct db_connection *connection = context;
    struct pgsql_statement *statement = prepared;
    buffer_printf(&connection->retired, "DEALLOCATE %s;", statement->name);
    free(statement);
}

static struct db_connection *endpoint_connect(const struct endpoint *endpoint,
                                              const struct database_config *config,
                                              bool follows_writer, double deadline,
                                              struct postern_error *error)
{
    struct parameters parameters = {.count = 0};
    parameters_fill(&parameters, config, endpoint, follows_writer);
    struct db_connection *connection = memory_new(sizeof *connection);
    connection->place = place_text(endpoint, config);
    connection->follows_writer = follows_writer;
    connection->statements =
        statement_cache_new(STATEMENT_CACHE_SIZE, statement_release, connection);
    connection->pg = PQconnectStartParams(parameters.names, parameters.values, 0);
    if (connection->pg == NULL)
        postern_error_set(error, "%s: out of memory", connection->place);
    PQsetNoticeReceiver(connection->pg, on_notice, connection);
    if (connection->pg != NULL && poll_until_open(connection, deadline, error) &&
        session_prepare(connection, deadline, error))
        return connection;
    pgsql_close(connection);
    return NULL;
}

/* --- all of them --- */

static double share_end(size_t left, double deadline)
{
    double now = fiber_now();
    if (left == 1 || deadline <= now)
        return deadline;
    double share = (deadline - now) / (double)left;
    return now + (share < LONGEST_SHARE ? share : LONGEST_SHARE);
}

static struct db_connection *any_connect(struct endpoints *endpoints,
                                         const struct database_config *config, double deadline)
{
    struct postern_error error;
    for (size_t i = 0; i < endpoints->count; i++) {
        struct db_connection *connection =
            endpoint_connect(&endpoints->list[i], config, endpoints->hosts > 1,
                             share_end(endpoints->count - i, deadline), &error);
        if (connection != NULL)
            return connection;
        cause_add(endpoints, &error);
    }
    return NULL;
}

struct db_connection *pgsql_connect(const struct database_config *config, double deadline,
                                    struct postern_error *error)
{
    struct endpoints *endpoints = memory_new(sizeof *endpoints);
    endpoints->arena = arena_new();
    hosts_add(endpoints, config->host != NULL ? config->host : "", share_end(2, deadline));
    struct db_connection *connection = any_connect(endpoints, config, deadline);
    if (connection == NULL)
        postern_error_set(error, "%s",
                          endpoints->hosts > 0 ? endpoints->causes.data : "`host` is empty");
    buffer_free(&endpoints->causes);
    arena_free(endpoints->arena);
    free(endpoints);
    return connection;
}

void pgsql_close(struct db_connection *connection)
{
    PQfinish(connection->pg);
    statement_cache_free(connection->statements);
    buffer_free(&connection->retired);
    free(connection->place);
    free(connection);
}
