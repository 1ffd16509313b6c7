/*
 * A shared socket is a duplicate of the descriptor: each set owns its own and closes it
 * without looking at any other, and the kernel's queue of waiting clients lives as long as one
 * of them does.
 */
#include "runtime/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG     1024
#define UNIX_PREFIX "unix:"
#define EXPECTED    "expected 127.0.0.1:7777, [::1]:7777, *:7777 or unix:/path/to/socket"

static const char *unix_path(const char *text)
{
    size_t prefix = strlen(UNIX_PREFIX);
    return strncmp(text, UNIX_PREFIX, prefix) == 0 ? text + prefix : NULL;
}

static bool parse_unix(const char *text, const char *path, struct listener_address *address,
                       struct postern_error *error)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->socket;
    if (path[0] != '/')
        return postern_error_set(error, "%s: the path of a socket must begin with /", text);
    if (strlen(path) >= sizeof un->sun_path)
        return postern_error_set(error, "%s: the path of a socket may have %zu bytes", text,
                                 sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, strlen(path) + 1);
    address->length = sizeof *un;
    return true;
}

static bool parse_port(const char *text, in_port_t *port)
{
    char *end;
    if (text[0] < '0' || text[0] > '9')
        return false;
    unsigned long number = strtoul(text, &end, 10);
    *port = htons((uint16_t)number);
    return *end == '\0' && number >= 1 && number <= 65535;
}

static void set_ipv6(struct listener_address *address, struct in6_addr host, in_port_t port)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->socket;
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = host;
    in6->sin6_port = port;
    address->length = sizeof *in6;
}

static void set_ipv4(struct listener_address *address, struct in_addr host, in_port_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->socket;
    in->sin_family = AF_INET;
    in->sin_addr = host;
    in->sin_port = port;
    address->length = sizeof *in;
}

static bool parse_host(const char *host, in_port_t port, struct listener_address *address)
{
    struct in6_addr in6;
    struct in_addr in;
    if (strcmp(host, "*") == 0) {
        address->dual_stack = true;
        set_ipv6(address, in6addr_any, port);
    } else if (host[0] == '[' && inet_pton(AF_INET6, host + 1, &in6) == 1) {
        set_ipv6(address, in6, port);
    } else if (inet_pton(AF_INET, host, &in) == 1) {
        set_ipv4(address, in, port);
    } else {
        return false;
    }
    return true;
}

/* Copies "HOST" of "HOST:PORT" or "[HOST" of "[HOST]:PORT"; returns PORT, NULL if malformed. */
static const char *split_host(const char *text, char *host, size_t size)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return NULL;
    size_t length = (size_t)(colon - text);
    if (text[0] == '[') {
        if (length < 2 || text[length - 1] != ']')
            return NULL;
        length--;
    }
    if (length == 0 || length >= size)
        return NULL;
    memcpy(host, text, length);
    host[length] = '\0';
    return colon + 1;
}

bool listener_address_parse(const char *text, struct listener_address *address,
                            struct postern_error *error)
{
    *address = (struct listener_address){0};
    const char *path = unix_path(text);
    if (path != NULL)
        return parse_unix(text, path, address, error);

    char host[INET6_ADDRSTRLEN + 1];
    in_port_t port;
    const char *port_text = split_host(text, host, sizeof host);
    if (port_text == NULL || !parse_port(port_text, &port) || !parse_host(host, port, address))
        return postern_error_set(error, "\"%s\" is no address to listen on; " EXPECTED, text);
    return true;
}

static int open_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A file that answers no connect is left over from a process that ended; 0, or an errno. */
static int remove_stale_socket(const struct listener_address *address)
{
    const char *path = ((const struct sockaddr_un *)&address->socket)->sun_path;
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(status.st_mode))
        return ENOTSOCK;
    int probe = open_socket(AF_UNIX);
    if (probe < 0)
        return errno;
    int refused =
        connect(probe, (const struct sockaddr *)&address->socket, address->length) < 0 ? errno : 0;
    close(probe);
    if (refused != ECONNREFUSED)
        return EADDRINUSE;
    return unlink(path) < 0 ? errno : 0;
}

static void set_options(int fd, const struct listener_address *address)
{
    int on = 1;
    int v6_only = address->dual_stack ? 0 : 1;
    if (address->socket.ss_family == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->socket.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
    /* Accepted connections inherit it, which saves them the call. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* The umask must not keep Postfix, which runs as another user, from connecting. */
static bool share_socket_file(struct listener *listener)
{
    const char *path = unix_path(listener->address);
    struct stat status;
    if (path == NULL)
        return true;
    if (chmod(path, 0666) < 0 || lstat(path, &status) < 0)
        return false;
    listener->device = status.st_dev;
    listener->inode = status.st_ino;
    return true;
}

/* 0, or an errno. */
static int bind_listener(struct listener *listener, const struct listener_address *address)
{
    if (address->socket.ss_family == AF_UNIX) {
        int stale = remove_stale_socket(address);
        if (stale != 0)
            return stale;
    }
    listener->fd = open_socket(address->socket.ss_family);
    if (listener->fd < 0)
        return errno;
    set_options(listener->fd, address);
    if (bind(listener->fd, (const struct sockaddr *)&address->socket, address->length) < 0 ||
        !share_socket_file(listener) || listen(listener->fd, BACKLOG) < 0)
        return errno;
    return 0;
}

static const char *advice(int error, bool is_unix)
{
    static const struct {
        int error;
        const char *network, *file;
    } table[] = {
        {EADDRINUSE, "another posternd or iRedAPD may be running (see: ss -ltnp)",
         "another process listens on it (see: ss -lxp)"},
        {EADDRNOTAVAIL, "no interface of this host has this address (see: ip address)", NULL},
        {EACCES, "ports below 1024 need root", "its folder must be writable for this user"},
        {EPERM, NULL, "its folder must be writable for this user"},
        {ENOENT, NULL, "create its folder first"},
        {ENOTDIR, NULL, "create its folder first"},
        {ENOTSOCK, NULL, "a file of this name exists and is no socket; move it away"},
        {EROFS, NULL, "choose a path on a writable file system, such as /run/postern"},
        {EMFILE, "raise the limit of open files (LimitNOFILE)",
         "raise the limit of open files (LimitNOFILE)"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *text = is_unix ? table[i].file : table[i].network;
        if (table[i].error == error && text != NULL)
            return text;
    }
    return "change this address in postern.conf";
}

static in_port_t address_port(const struct listener_address *address)
{
    if (address->socket.ss_family == AF_INET)
        return ((const struct sockaddr_in *)&address->socket)->sin_port;
    if (address->socket.ss_family == AF_INET6)
        return ((const struct sockaddr_in6 *)&address->socket)->sin6_port;
    return 0;
}

/* "*:7777" can't be bound while we listen on 127.0.0.1:7777 ourselves. */
static const struct listener *find_on_port(const struct listener_set *set, in_port_t port)
{
    for (size_t i = 0; set != NULL && port != 0 && i < set->count; i++) {
        struct listener_address address;
        struct postern_error ignored;
        if (listener_address_parse(set->list[i].address, &address, &ignored) &&
            address_port(&address) == port)
            return &set->list[i];
    }
    return NULL;
}

static bool open_listener(struct listener *listener, const struct listener_set *previous,
                          struct postern_error *error)
{
    struct listener_address address;
    if (!listener_address_parse(listener->address, &address, error))
        return false;
    int failure = bind_listener(listener, &address);
    if (failure == EAFNOSUPPORT && address.dual_stack) {
        in_port_t port = address_port(&address);
        address = (struct listener_address){0};
        set_ipv4(&address, (struct in_addr){htonl(INADDR_ANY)}, port);
        failure = bind_listener(listener, &address);
    }
    if (failure == 0)
        return true;

    const struct listener *own = find_on_port(previous, address_port(&address));
    if (failure == EADDRINUSE && own != NULL)
        return postern_error_set(error,
                                 "cannot listen on %s: this posternd listens on %s, and only a "
                                 "restart can replace the one by the other",
                                 listener->address, own->address);
    return postern_error_set(error, "cannot listen on %s: %s; %s", listener->address,
                             strerror(failure),
                             advice(failure, address.socket.ss_family == AF_UNIX));
}

static const struct listener *find_listener(const struct listener_set *set, const char *address)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (strcmp(set->list[i].address, address) == 0)
            return &set->list[i];
    return NULL;
}

static bool add_listener(struct listener_set *set, const struct listener_set *previous,
                         const struct listener_wish *wish, struct postern_error *error)
{
    if (find_listener(set, wish->address) != NULL)
        return postern_error_set(error, "cannot listen on %s twice", wish->address);

    struct listener *listener = &set->list[set->count++];
    *listener = (struct listener){.kind = wish->kind, .fd = -1, .address = strdup(wish->address)};
    if (listener->address == NULL)
        return postern_error_set(error, "out of memory");

    const struct listener *same = find_listener(previous, wish->address);
    if (same == NULL)
        return open_listener(listener, previous, error);
    listener->device = same->device;
    listener->inode = same->inode;
    listener->fd = fcntl(same->fd, F_DUPFD_CLOEXEC, 0);
    if (listener->fd < 0)
        return postern_error_set(error, "cannot keep %s: %s", wish->address, strerror(errno));
    return true;
}

static void remove_socket_file(const struct listener *listener)
{
    const char *path = unix_path(listener->address);
    struct stat status;
    if (path != NULL && listener->inode != 0 && lstat(path, &status) == 0 &&
        status.st_dev == listener->device && status.st_ino == listener->inode)
        unlink(path);
}

void listener_set_release(struct listener_set *set, const struct listener_set *successor)
{
    for (size_t i = 0; i < set->count; i++) {
        struct listener *listener = &set->list[i];
        if (listener->address != NULL && find_listener(successor, listener->address) == NULL)
            remove_socket_file(listener);
        if (listener->fd >= 0)
            close(listener->fd);
        free(listener->address);
    }
    free(set->list);
    *set = (struct listener_set){0};
}

static void close_listener(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}

void listener_set_close_kind(struct listener_set *set, enum listener_kind kind)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->list[i].kind == kind)
            close_listener(&set->list[i]);
}

void listener_set_close_others(struct listener_set *set, enum listener_kind kind)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->list[i].kind != kind)
            close_listener(&set->list[i]);
}

void listener_set_close(struct listener_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        close_listener(&set->list[i]);
}

bool listener_set_open(struct listener_set *set, const struct listener_set *previous,
                       const struct listener_wish *wishes, size_t count,
                       struct postern_error *error)
{
    *set = (struct listener_set){.list = calloc(count + 1, sizeof *set->list)};
    if (set->list == NULL)
        return postern_error_set(error, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (add_listener(set, previous, &wishes[i], error))
            continue;
        listener_set_release(set, previous);
        return false;
    }
    return true;
}
