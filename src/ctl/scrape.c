#include "ctl/scrape.h"

#include "runtime/fiber.h"
#include "runtime/listener.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (4 * 1024 * 1024)

static bool connected(int fd, const struct listener_address *address, double deadline)
{
    if (connect(fd, (const struct sockaddr *)&address->socket, address->length) == 0)
        return true;
    if (errno != EINPROGRESS)
        return false;
    int code = ETIMEDOUT;
    socklen_t length = sizeof code;
    if (fiber_wait_fd(fd, EV_WRITE, deadline) != 0)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length);
    errno = code;
    return code == 0;
}

/* So short a text always finds room in a new socket's buffer. */
static bool ask(int fd)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    return send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1;
}

static bool take_answer(int fd, double deadline, struct buffer *out)
{
    char chunk[4096];
    while (out->length < ANSWER_MAX) {
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got == 0)
            return out->length > 0;
        if (got > 0)
            buffer_append(out, chunk, (size_t)got);
        else if (errno != EAGAIN && errno != EINTR)
            return false;
        else if (fiber_wait_fd(fd, EV_READ, deadline) == 0) {
            errno = ETIMEDOUT;
            return false;
        }
    }
    errno = EMSGSIZE;
    return false;
}

bool scrape(const char *text, double deadline, struct buffer *out, struct postern_error *error)
{
    struct listener_address address;
    if (!listener_address_parse(text, &address, error))
        return false;
    int fd = socket(address.socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    errno = fd < 0 ? errno : 0;
    bool good =
        fd >= 0 && connected(fd, &address, deadline) && ask(fd) && take_answer(fd, deadline, out);
    if (!good)
        postern_error_set(error, "the metrics endpoint %s does not answer: %s", text,
                          errno != 0 ? strerror(errno) : "it closed the connection");
    if (fd >= 0)
        close(fd);
    return good;
}

/* The number at the end of a line of that length. */
static double line_value(const char *line, size_t length)
{
    while (length > 0 && line[length - 1] != ' ')
        length--;
    return strtod(line + length, NULL);
}

int64_t scrape_sum(const char *answer, const char *name)
{
    size_t length = strlen(name);
    double sum = 0;
    bool found = false;
    for (const char *line = answer; *line != '\0'; line += *line == '\n') {
        size_t end = strcspn(line, "\n");
        if (strncmp(line, name, length) == 0 && (line[length] == '{' || line[length] == ' ')) {
            sum += line_value(line, end);
            found = true;
        }
        line += end;
    }
    return found ? (int64_t)sum : -1;
}
