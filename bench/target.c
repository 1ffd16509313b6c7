#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool parse_unix(struct target *target, const char *path)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&target->address;
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address->sun_path) {
        fprintf(stderr, "unix:%s: a socket's path has 1 to %zu characters\n", path,
                sizeof address->sun_path - 1);
        return false;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length + 1);
    target->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

static bool resolve(struct target *target, const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "%s port %s: %s\n", host, port, gai_strerror(error));
        return false;
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->length = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool target_parse(struct target *target, const char *text)
{
    *target = (struct target){0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(target, text + 5);

    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0') {
        fprintf(stderr, "%s: give HOST:PORT, [IPv6]:PORT or unix:/path\n", text);
        return false;
    }
    bool brackets = text[0] == '[' && colon[-1] == ']';
    char *host = strndup(text + brackets, (size_t)(colon - text) - 2 * brackets);
    bool ok = host != NULL && resolve(target, host, colon + 1);
    free(host);
    return ok;
}

void target_no_delay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static int close_keeping_errno(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* connect() to a Unix socket has no "in progress": it waits while the queue is full. */
int target_connect(const struct target *target)
{
    const struct sockaddr *address = (const struct sockaddr *)&target->address;
    bool local = address->sa_family == AF_UNIX;
    int flags = SOCK_STREAM | SOCK_CLOEXEC | (local ? 0 : SOCK_NONBLOCK);
    int fd = socket(address->sa_family, flags, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, address, target->length) < 0 && errno != EINPROGRESS)
        return close_keeping_errno(fd);
    if (local)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    else
        target_no_delay(fd);
    return fd;
}

static void unlink_old_socket(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(address->sun_path);
}

int target_listen(const struct target *target)
{
    const struct sockaddr *address = (const struct sockaddr *)&target->address;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (address->sa_family == AF_UNIX)
        unlink_old_socket((const struct sockaddr_un *)address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, address, target->length) < 0 || listen(fd, 4096) < 0)
        return close_keeping_errno(fd);
    return fd;
}

void target_raise_limits(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
