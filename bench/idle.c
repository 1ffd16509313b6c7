#include "load.h"

#include "reply.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_SOURCE 1000 /* a source number that no load thread has */

static bool wait_ready(int fd, short events, uint64_t timeout)
{
    struct pollfd ready = {.fd = fd, .events = events};
    int count = poll(&ready, 1, (int)(timeout / 1000000));
    if (count == 0)
        errno = ETIMEDOUT;
    return count > 0;
}

static bool read_reply(int fd, uint64_t timeout)
{
    char reply[REPLY_MAX];
    size_t length = 0;
    enum load_action action;
    enum reply_state state = REPLY_PARTIAL;
    while (state == REPLY_PARTIAL) {
        if (!wait_ready(fd, POLLIN, timeout))
            return false;
        ssize_t got = recv(fd, reply + length, sizeof reply - length, 0);
        if (got <= 0) {
            errno = got == 0 ? ECONNRESET : errno;
            return false;
        }
        length += (size_t)got;
        state = reply_read(reply, length, &action);
    }
    errno = EPROTO;
    return state == REPLY_COMPLETE;
}

static bool ask_once(int fd, struct request_source *source, uint64_t timeout)
{
    const struct request_template *request = request_render(source, request_next(source));
    ssize_t sent = send(fd, request->text, request->length, MSG_NOSIGNAL);
    return sent == (ssize_t)request->length && read_reply(fd, timeout);
}

static int open_one(const struct load_plan *plan, struct request_source *source, bool ask)
{
    int fd = target_connect(plan->target);
    if (fd < 0)
        return -1;
    int error = 0;
    bool ok = wait_ready(fd, POLLOUT, plan->timeout);
    if (ok)
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    else
        error = errno;
    if (error == 0 && ask && !ask_once(fd, source, plan->timeout))
        error = errno;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

bool load_idle_open(struct load_idle *idle, const struct load_plan *plan, size_t count, bool ask)
{
    struct request_source source;
    request_source_init(&source, plan->mix, plan->seed, IDLE_SOURCE);
    *idle = (struct load_idle){.fds = calloc(count + 1, sizeof *idle->fds)};
    while (idle->fds != NULL && idle->count < count && !*plan->interrupt) {
        int fd = open_one(plan, &source, ask);
        if (fd < 0)
            break;
        idle->fds[idle->count++] = fd;
    }
    request_source_end(&source);
    if (idle->count == count)
        return true;
    fprintf(stderr, "idle connection %zu of %zu: %s\n", idle->count + 1, count, strerror(errno));
    return false;
}

size_t load_idle_lost(const struct load_idle *idle)
{
    size_t lost = 0;
    for (size_t i = 0; i < idle->count; i++) {
        char byte;
        ssize_t got = recv(idle->fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        lost += got == 0 || (got < 0 && errno != EAGAIN);
    }
    return lost;
}

void load_idle_close(struct load_idle *idle)
{
    for (size_t i = 0; i < idle->count; i++)
        close(idle->fds[i]);
    free(idle->fds);
    *idle = (struct load_idle){0};
}
