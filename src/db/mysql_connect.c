/*
 * Reaching a server. libmariadb blocks here even where it says that it does not: when it resolves
 * a name and all through the TLS handshake. So a thread does it, and gives up a little after the
 * deadline at the latest; the fiber that waits goes on at the deadline itself.
 *
 * "localhost" is a name like any other here, not another word for a socket.
 */
#include "db/mysql_connection.h"

#include "runtime/errand.h"
#include "util/buffer.h"
#include "util/memory.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define DEFAULT_PORT 3306
#define GOODBYE_TIME 0.05
#define STACK_SIZE   (256 * 1024) /* libmariadb's own; memory is used as it is touched */
#define PACKET_MAX   (65UL * 1024 * 1024)

/*
 * What the driver counts on, whatever the server has as default. Text is as in the other databases:
 * || joins, a backslash is itself, and what does not fit is an error.
 */
static const char *const SESSION[] = {
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES,"
    "PIPES_AS_CONCAT,NO_UNSIGNED_SUBTRACTION', autocommit = 1, innodb_lock_wait_timeout = 5, "
    "lock_wait_timeout = 30",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
};

static int64_t port_of(const struct database_config *config)
{
    return config->port != 0 ? config->port : DEFAULT_PORT;
}

static bool is_socket(const struct database_config *config)
{
    return config->host != NULL && config->host[0] == '/';
}

static char *place_text(const struct database_config *config)
{
    const char *host = config->host != NULL ? config->host : "";
    const char *name = config->dbname != NULL ? config->dbname : "";
    struct buffer text = {0};
    if (is_socket(config))
        buffer_printf(&text, "%s/%s", host, name);
    else if (strchr(host, ':') != NULL)
        buffer_printf(&text, "[%s]:%" PRId64 "/%s", host, port_of(config), name);
    else
        buffer_printf(&text, "%s:%" PRId64 "/%s", host, port_of(config), name);
    return text.data;
}

/* --- the handle --- */

static void options_set_tls(MYSQL *mysql, enum tls_mode tls)
{
    my_bool wanted = tls != TLS_DISABLE, verified = tls == TLS_VERIFY;
    if (wanted)
        mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &wanted);
    mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verified);
}

static void options_set(MYSQL *mysql, const struct database_config *config)
{
    unsigned protocol = is_socket(config) ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned infile = 0;
    size_t stack_size = STACK_SIZE;
    unsigned long packet_max = PACKET_MAX;
    mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, &stack_size);
    mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &infile);
    mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet_max);
    mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "postern");
    for (size_t i = 0; i < sizeof SESSION / sizeof SESSION[0]; i++)
        mysql_optionsv(mysql, MYSQL_INIT_COMMAND, SESSION[i]);
    options_set_tls(mysql, config->tls);
}

/* --- the thread --- */

/* Nothing of the config: it may be gone before the thread is. */
struct attempt {
    struct errand errand;
    MYSQL *mysql;
    char *host, *socket, *user, *password, *dbname;
    unsigned port;
    double deadline;
    bool connected;
};

static int milliseconds_left(double deadline)
{
    double left = (deadline - fiber_now()) * 1000;
    return left > 0 ? (int)(left < 3600000 ? left : 3600000) + 1 : 0;
}

/* The handshake makes the socket a blocking one, and so it must not block for long. */
static void socket_limit(int fd, double deadline)
{
    int left = milliseconds_left(deadline) + 1;
    struct timeval limit = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* What came of what libmariadb waits for, which may have a shorter limit of its own. */
static int attempt_poll(const struct attempt *attempt, int wanted)
{
    int left = milliseconds_left(attempt->deadline);
    if ((wanted & MYSQL_WAIT_TIMEOUT) != 0) {
        int limit = (int)mysql_get_timeout_value_ms(attempt->mysql);
        left = limit < left ? limit : left;
    }
    struct pollfd fd = {.fd = mysql_get_socket(attempt->mysql),
                        .events = (short)(((wanted & MYSQL_WAIT_READ) != 0 ? POLLIN : 0) |
                                          ((wanted & MYSQL_WAIT_WRITE) != 0 ? POLLOUT : 0))};
    socket_limit(fd.fd, attempt->deadline);
    if (poll(&fd, 1, left) > 0)
        return wanted & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
    if (milliseconds_left(attempt->deadline) == 0)
        shutdown(fd.fd, SHUT_RDWR);
    return MYSQL_WAIT_TIMEOUT;
}

static void attempt_run(struct errand *errand)
{
    struct attempt *attempt = (struct attempt *)errand;
    MYSQL *done;
    int wanted = mysql_real_connect_start(&done, attempt->mysql, attempt->host, attempt->user,
                                          attempt->password, attempt->dbname, attempt->port,
                                          attempt->socket, CLIENT_FOUND_ROWS);
    while (wanted != 0) {
        int came = attempt_poll(attempt, wanted);
        wanted = mysql_real_connect_cont(&done, attempt->mysql, came);
    }
    attempt->connected = done != NULL;
}

static void attempt_free(struct errand *errand)
{
    struct attempt *attempt = (struct attempt *)errand;
    if (attempt->mysql != NULL)
        mysql_close(attempt->mysql);
    free(attempt->host);
    free(attempt->socket);
    free(attempt->user);
    free(attempt->password);
    free(attempt->dbname);
    free(attempt);
}

static char *copy(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

/* A name may have several addresses: half of the time is for the first. */
static unsigned seconds_each(double deadline)
{
    unsigned half = (unsigned)milliseconds_left(deadline) / 2000;
    return half > 0 ? half : 1;
}

static struct attempt *attempt_new(const struct database_config *config, double deadline)
{
    struct attempt *attempt = memory_new(sizeof *attempt);
    attempt->errand = (struct errand){.run = attempt_run, .free = attempt_free};
    attempt->mysql = mysql_init(NULL);
    if (attempt->mysql == NULL)
        abort();
    options_set(attempt->mysql, config);
    unsigned seconds = seconds_each(deadline);
    mysql_optionsv(attempt->mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    attempt->host = is_socket(config) ? NULL : copy(config->host);
    attempt->socket = is_socket(config) ? copy(config->host) : NULL;
    attempt->user = copy(config->user);
    attempt->password = copy(config->password != NULL ? config->password : "");
    attempt->dbname = copy(config->dbname);
    attempt->port = (unsigned)port_of(config);
    attempt->deadline = deadline;
    return attempt;
}

/* --- the fiber --- */

/* A server that offers no TLS is talked to without, which is what "prefer" means. */
static bool is_private_enough(MYSQL *mysql, const struct database_config *config, const char *place,
                              struct postern_error *error)
{
    if (config->tls < TLS_REQUIRE || mysql_get_ssl_cipher(mysql) != NULL)
        return true;
    return postern_error_set(error,
                             "%s: the server offers no TLS: set `tls = \"prefer\"`, or give the "
                             "server a certificate",
                             place);
}

/* NULL with error set, or the handle, which is then no more the attempt's. */
static MYSQL *attempt_judge(struct attempt *attempt, const struct database_config *config,
                            const char *place, struct postern_error *error)
{
    if (!attempt->connected) {
        mysql_connect_failure(place, attempt->mysql, error);
        return NULL;
    }
    if (!is_private_enough(attempt->mysql, config, place, error))
        return NULL;
    MYSQL *mysql = attempt->mysql;
    attempt->mysql = NULL;
    return mysql;
}

static MYSQL *attempt_wait(struct attempt *attempt, const struct database_config *config,
                           const char *place, struct postern_error *error)
{
    enum errand_result result = errand_run(&attempt->errand, attempt->deadline);
    if (result == ERRAND_DONE && (attempt->connected || fiber_now() < attempt->deadline))
        return attempt_judge(attempt, config, place, error);
    if (result == ERRAND_FAILED)
        postern_error_set(error, "%s: no thread: %s", place, strerror(errno));
    else
        postern_error_set(error, "%s: the server did not answer in time", place);
    return NULL;
}

static void statement_release(void *context, void *prepared)
{
    struct db_connection *connection = context;
    if (connection->mysql != NULL)
        mysql_await_statement_close(connection, prepared);
    else
        mysql_stmt_close(prepared);
}

struct db_connection *mysql_connect_server(const struct database_config *config, double deadline,
                                           struct postern_error *error)
{
    char *place = place_text(config);
    struct attempt *attempt = attempt_new(config, deadline);
    MYSQL *mysql = attempt_wait(attempt, config, place, error);
    errand_leave(&attempt->errand);
    if (mysql == NULL) {
        free(place);
        return NULL;
    }
    struct db_connection *connection = memory_new(sizeof *connection);
    connection->mysql = mysql;
    connection->place = place;
    connection->watched = -1;
    connection->statements =
        statement_cache_new(STATEMENT_CACHE_SIZE, statement_release, connection);
    return connection;
}

/* The server frees what was prepared: after the goodbye the statements are only memory. */
void mysql_close_connection(struct db_connection *connection)
{
    connection->deadline = fiber_now() + GOODBYE_TIME;
    mysql_await_close(connection);
    statement_cache_free(connection->statements);
    free(connection->place);
    free(connection);
}
