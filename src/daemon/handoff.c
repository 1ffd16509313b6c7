#define _GNU_SOURCE
#include "daemon/handoff.h"

#include "runtime/fiber.h"
#include "runtime/log.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel bounds the descriptors under way per user; others will soon be received. */
#define RETRY_DELAY 0.01

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

bool handoff_create(int ends[2], struct postern_error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0)
        return true;
    return postern_error_set(error, "cannot make a pair of sockets: %s", strerror(errno));
}

static bool send_message(int sender, enum listener_kind kind, int fd, const void *session,
                         size_t length)
{
    uint32_t header = kind;
    union control control = {0};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)session, length}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = length > 0 ? 2 : 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    return sendmsg(sender, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* After a failed send: true when another try is worth it. */
static bool wait_for_room(int sender, double deadline)
{
    if (errno == EAGAIN)
        return fiber_wait_fd(sender, EV_WRITE, deadline) != 0;
    if (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)
        return fiber_sleep(RETRY_DELAY, deadline);
    return errno == EINTR;
}

bool handoff_send(int sender, enum listener_kind kind, int fd, const void *session, size_t length,
                  double deadline)
{
    if (length > HANDOFF_SESSION_MAX)
        return false;
    while (!send_message(sender, kind, fd, session, length))
        if (!wait_for_room(sender, deadline))
            return false;
    close(fd);
    return true;
}

static int received_fd(struct msghdr *message)
{
    int fd = -1;
    struct cmsghdr *rights = CMSG_FIRSTHDR(message);
    if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
        rights->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    return fd;
}

bool handoff_receive(int receiver, struct handoff *handoff)
{
    uint32_t header;
    union control control = {0};
    struct iovec parts[] = {{&header, sizeof header}, {handoff->session, sizeof handoff->session}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t length = recvmsg(receiver, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < (ssize_t)sizeof header)
        return false;
    handoff->fd = received_fd(&message);
    if (handoff->fd < 0) {
        log_error("a connection handed over was lost: too many open files; raise the limit "
                  "(LimitNOFILE) or lower max_connections");
        return false;
    }
    handoff->kind = (enum listener_kind)header;
    handoff->length = (size_t)length - sizeof header;
    return true;
}
