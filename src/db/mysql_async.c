/*
 * libmariadb runs a call on a stack of its own and comes back whenever it would wait: to say for
 * what, and to be told what came. None of our code runs on that stack, so AddressSanitizer need not
 * know of it. Valgrind takes it for a fiber's stack that grows when the two lie close to
 * each other: run it with --max-stackframe=16384.
 *
 * At the deadline the socket is shut down, so that libmariadb finds the connection ended wherever
 * it stands, and the call comes to its end without waiting any more.
 */
#include "db/mysql_connection.h"

#include <string.h>
#include <sys/socket.h>

/* The one wait that is frequent, for an answer, has a watch of its own. */
static int socket_wait(struct db_connection *connection, int fd, int events, double until)
{
    if (events != EV_READ)
        return fiber_wait_fd(fd, events, until);
    if (connection->watched != fd) {
        fiber_watch_init(&connection->readable, fd, EV_READ);
        connection->watched = fd;
    }
    return fiber_watch_wait(&connection->readable, until);
}

static double wait_end(const struct db_connection *connection, int wanted)
{
    if ((wanted & MYSQL_WAIT_TIMEOUT) == 0)
        return connection->deadline;
    double end = fiber_now() + mysql_get_timeout_value_ms(connection->mysql) / 1000.0;
    return end < connection->deadline ? end : connection->deadline;
}

/* Parks for what libmariadb waits for, and says what came. */
static int park(struct db_connection *connection, int wanted)
{
    int fd = mysql_get_socket(connection->mysql);
    if (fd < 0)
        return MYSQL_WAIT_TIMEOUT;
    int events = ((wanted & MYSQL_WAIT_READ) != 0 ? EV_READ : 0) |
                 ((wanted & MYSQL_WAIT_WRITE) != 0 ? EV_WRITE : 0);
    double end = wait_end(connection, wanted);
    int came = socket_wait(connection, fd, events, end);
    if (came == 0 && end == connection->deadline) {
        connection->late = true;
        shutdown(fd, SHUT_RDWR);
    }
    if (came == 0)
        return MYSQL_WAIT_TIMEOUT;
    return ((came & EV_READ) != 0 ? MYSQL_WAIT_READ : 0) |
           ((came & EV_WRITE) != 0 ? MYSQL_WAIT_WRITE : 0);
}

int mysql_await_prepare(struct db_connection *connection, MYSQL_STMT *statement, const char *sql)
{
    int failed;
    int wanted = mysql_stmt_prepare_start(&failed, statement, sql, strlen(sql));
    while (wanted != 0)
        wanted = mysql_stmt_prepare_cont(&failed, statement, park(connection, wanted));
    return failed;
}

int mysql_await_execute(struct db_connection *connection, MYSQL_STMT *statement)
{
    int failed;
    int wanted = mysql_stmt_execute_start(&failed, statement);
    while (wanted != 0)
        wanted = mysql_stmt_execute_cont(&failed, statement, park(connection, wanted));
    return failed;
}

int mysql_await_fetch(struct db_connection *connection, MYSQL_STMT *statement)
{
    int outcome;
    int wanted = mysql_stmt_fetch_start(&outcome, statement);
    while (wanted != 0)
        wanted = mysql_stmt_fetch_cont(&outcome, statement, park(connection, wanted));
    return outcome;
}

void mysql_await_free_result(struct db_connection *connection, MYSQL_STMT *statement)
{
    my_bool failed;
    int wanted = mysql_stmt_free_result_start(&failed, statement);
    while (wanted != 0)
        wanted = mysql_stmt_free_result_cont(&failed, statement, park(connection, wanted));
}

void mysql_await_statement_close(struct db_connection *connection, MYSQL_STMT *statement)
{
    my_bool failed;
    int wanted = mysql_stmt_close_start(&failed, statement);
    while (wanted != 0)
        wanted = mysql_stmt_close_cont(&failed, statement, park(connection, wanted));
}

int mysql_await_multi_statements(struct db_connection *connection, bool on)
{
    int failed;
    enum enum_mysql_set_option option =
        on ? MYSQL_OPTION_MULTI_STATEMENTS_ON : MYSQL_OPTION_MULTI_STATEMENTS_OFF;
    int wanted = mysql_set_server_option_start(&failed, connection->mysql, option);
    while (wanted != 0) {
        int came = park(connection, wanted);
        wanted = mysql_set_server_option_cont(&failed, connection->mysql, came);
    }
    return failed;
}

int mysql_await_query(struct db_connection *connection, const char *sql)
{
    int failed;
    int wanted = mysql_real_query_start(&failed, connection->mysql, sql, strlen(sql));
    while (wanted != 0)
        wanted = mysql_real_query_cont(&failed, connection->mysql, park(connection, wanted));
    return failed;
}

MYSQL_RES *mysql_await_store_result(struct db_connection *connection)
{
    MYSQL_RES *result;
    int wanted = mysql_store_result_start(&result, connection->mysql);
    while (wanted != 0)
        wanted = mysql_store_result_cont(&result, connection->mysql, park(connection, wanted));
    return result;
}

int mysql_await_next_result(struct db_connection *connection)
{
    int outcome;
    int wanted = mysql_next_result_start(&outcome, connection->mysql);
    while (wanted != 0)
        wanted = mysql_next_result_cont(&outcome, connection->mysql, park(connection, wanted));
    return outcome;
}

void mysql_await_close(struct db_connection *connection)
{
    int wanted = mysql_close_start(connection->mysql);
    while (wanted != 0)
        wanted = mysql_close_cont(connection->mysql, park(connection, wanted));
    connection->mysql = NULL;
    connection->watched = -1;
}
