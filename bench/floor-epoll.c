/*
 * floor-epoll: the least that a policy server on epoll can do, as the ceiling for Postern.
 *
 * Answers "action=DUNNO" to every empty line and looks at nothing else. The parent accepts and
 * deals the connections out in turn, so that the processes have equally many; from then on a
 * request costs its process one recv, one send and its share of an epoll_wait.
 */
#include "target.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_MAX 64
#define BATCH         256
#define FILES_MAX     1048576

static const char reply[] = "action=DUNNO\n\n";
#define REPLY_LENGTH (sizeof reply - 1)

static char last_byte[FILES_MAX]; /* by connection: its empty line may come in two pieces */

union rights {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

static void die(const char *what)
{
    fprintf(stderr, "floor-epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void connection_pass(int channel, int fd)
{
    union rights rights = {0};
    struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
        die("handing a connection to a process");
    close(fd);
}

static int connection_take(int channel)
{
    union rights rights;
    struct iovec byte = {.iov_base = (char[]){0}, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
    ssize_t got = recvmsg(channel, &message, MSG_DONTWAIT);
    if (got == 0)
        exit(0);
    if (got < 0 || CMSG_FIRSTHDR(&message) == NULL)
        return -1;
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void connections_take(int epoll, int channel)
{
    int fd;
    while ((fd = connection_take(channel)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = fd};
        last_byte[fd] = 0;
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            die("watching a connection");
    }
}

/* In blocks, so that compilers make vector code with one-byte counters of it. */
static size_t empty_lines(const char *data, size_t length)
{
    size_t count = 0;
    while (length > 1) {
        size_t block = length - 1 < 255 ? length - 1 : 255;
        unsigned char found = 0;
        for (size_t i = 0; i < block; i++)
            found += (data[i] == '\n') & (data[i + 1] == '\n');
        count += found;
        data += block;
        length -= block;
    }
    return count;
}

static void connection_serve(int fd)
{
    static char input[65536];
    ssize_t got = recv(fd, input, sizeof input, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close(fd);
        return;
    }
    size_t count = empty_lines(input, (size_t)got);
    count += last_byte[fd] == '\n' && input[0] == '\n';
    last_byte[fd] = input[got - 1];
    while (count-- > 0)
        if (send(fd, reply, REPLY_LENGTH, MSG_DONTWAIT | MSG_NOSIGNAL) != REPLY_LENGTH)
            shutdown(fd, SHUT_RDWR);
}

static void serve(int channel)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = channel};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, channel, &event) < 0)
        die("epoll");
    for (;;) {
        struct epoll_event events[BATCH];
        int ready = epoll_wait(epoll, events, BATCH, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == channel)
                connections_take(epoll, channel);
            else
                connection_serve(events[i].data.fd);
        }
    }
}

static int process_start(int listener)
{
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
        die("socketpair");
    pid_t child = fork();
    if (child < 0)
        die("fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(listener);
        close(channel[1]);
        serve(channel[0]);
    }
    close(channel[0]);
    return channel[1];
}

static void deal(int listener, const int *channels, size_t count)
{
    for (size_t turn = 0;; turn++) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("accept");
        if (fd >= FILES_MAX) {
            close(fd);
            continue;
        }
        target_no_delay(fd);
        connection_pass(channels[turn % count], fd);
    }
}

static int usage(FILE *out, int status)
{
    fprintf(out, "Usage: floor-epoll [-a HOST:PORT | -a unix:/path] [-p PROCESSES]\n"
                 "Answers DUNNO to every policy request, as fast as epoll allows\n"
                 "(127.0.0.1:7770 and 2 processes unless told). End it with a signal.\n");
    return status;
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1:7770";
    long processes = 2;
    int option;
    while ((option = getopt(argc, argv, "a:p:h")) != -1) {
        if (option == 'a')
            address = optarg;
        else if (option == 'p')
            processes = strtol(optarg, NULL, 10);
        else
            return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    }
    if (optind < argc || processes < 1 || processes > PROCESSES_MAX)
        return usage(stderr, 2);

    struct target target;
    if (!target_parse(&target, address))
        return 2;
    target_raise_limits();
    int listener = target_listen(&target);
    if (listener < 0)
        die(address);
    int channels[PROCESSES_MAX];
    for (long i = 0; i < processes; i++)
        channels[i] = process_start(listener);
    deal(listener, channels, (size_t)processes);
}
