#include "runtime/log_sink.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define RECONNECT_SECONDS 1.0

double log_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum log_sink_result failure(void)
{
    bool full = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == EMSGSIZE;
    return full ? LOG_SINK_FULL : LOG_SINK_AWAY;
}

/* --- stderr --- */

static enum { STDERR_UNKNOWN, STDERR_FILE, STDERR_SOCKET } stderr_kind;

void log_stderr_open(void)
{
    struct stat status;
    stderr_kind = STDERR_UNKNOWN;
    if (fstat(STDERR_FILENO, &status) != 0)
        return;
    if (S_ISREG(status.st_mode))
        stderr_kind = STDERR_FILE;
    if (S_ISSOCK(status.st_mode))
        stderr_kind = STDERR_SOCKET;
}

/* Pipes can't be told not to wait without changing them for everyone who has them. */
static bool stderr_has_room(void)
{
    struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&ready, 1, 0) == 1 && ready.revents == POLLOUT)
        return true;
    errno = ready.revents & (POLLERR | POLLHUP | POLLNVAL) ? EPIPE : EAGAIN;
    return false;
}

enum log_sink_result log_stderr_write(const char *line, size_t length)
{
    ssize_t written;
    if (stderr_kind == STDERR_SOCKET)
        written = send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (stderr_kind == STDERR_FILE || stderr_has_room())
        written = write(STDERR_FILENO, line, length);
    else
        written = -1;
    return written >= 0 ? LOG_SINK_TAKEN : failure();
}

/* --- syslog --- */

static struct {
    struct sockaddr_un address;
    int fd;
    bool stream;
    double retry_at;
    int error; /* why there is no connection */
} receiver = {.fd = -1};

static bool receiver_connect_as(int type)
{
    const struct sockaddr *address = (const struct sockaddr *)&receiver.address;
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, address, sizeof receiver.address) == 0) {
        receiver.fd = fd;
        receiver.stream = type == SOCK_STREAM;
        return true;
    }
    receiver.error = errno;
    if (fd >= 0)
        close(fd);
    return false;
}

static bool receiver_connect(void)
{
    if (receiver.address.sun_path[0] == '\0') {
        receiver.error = ENAMETOOLONG;
        return false;
    }
    double now = log_monotonic();
    if (now < receiver.retry_at)
        return false;
    receiver.retry_at = now + RECONNECT_SECONDS;
    return receiver_connect_as(SOCK_DGRAM) ||
           (receiver.error == EPROTOTYPE && receiver_connect_as(SOCK_STREAM));
}

void log_syslog_close(void)
{
    if (receiver.fd >= 0)
        close(receiver.fd);
    receiver.fd = -1;
}

void log_syslog_open(const char *path)
{
    size_t length = strlen(path);
    receiver.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length < sizeof receiver.address.sun_path)
        memcpy(receiver.address.sun_path, path, length);
    log_syslog_reopen();
}

void log_syslog_reopen(void)
{
    log_syslog_close();
    receiver.retry_at = 0;
    receiver_connect();
}

/* On a stream '\0' ends a record. Part of one taken spoils the stream, so it is given up. */
static bool receiver_send(const char *line, size_t length)
{
    length += receiver.stream ? 1 : 0;
    ssize_t sent = send(receiver.fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 && (size_t)sent < length)
        errno = EPIPE;
    return sent == (ssize_t)length;
}

enum log_sink_result log_syslog_write(const char *line, size_t length)
{
    for (;;) {
        if (receiver.fd < 0 && !receiver_connect()) {
            errno = receiver.error;
            return LOG_SINK_AWAY;
        }
        if (receiver_send(line, length))
            return LOG_SINK_TAKEN;
        if (failure() == LOG_SINK_FULL)
            return LOG_SINK_FULL;
        receiver.error = errno;
        log_syslog_close();
    }
}
