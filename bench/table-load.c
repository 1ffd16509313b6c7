/*
 * table-load: a closed loop of tcp_table lookups, as Postfix's cleanup processes make them: each
 * connection has one lookup under way. Every key is another sender, all of which must be found.
 * Prints JSON.
 */
#include "histogram.h"
#include "target.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE   4097
#define STALLED_MS  10000
#define CONNECTIONS 1024 /* at most */

struct connection {
    int fd;
    uint64_t started;
    size_t length;
    char line[LINE_SIZE];
};

struct load {
    const char *address;
    size_t connections;
    double seconds, warmup;
    uint64_t start, warm, end;
    uint64_t serial;
    size_t running;
    struct histogram latency; /* of lookups that began after the warm-up */
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "table-load: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int open_connection(const struct load *load)
{
    struct target target;
    if (!target_parse(&target, load->address))
        exit(2);
    int fd = socket(target.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&target.address, target.length) < 0)
        die(load->address, strerror(errno));
    target_no_delay(fd);
    return fd;
}

static void ask(struct load *load, struct connection *connection)
{
    char line[64];
    connection->started = now();
    connection->length = 0;
    if (connection->started >= load->end) {
        load->running--;
        return;
    }
    uint64_t number = load->serial++;
    int length = snprintf(line, sizeof line, "get s%" PRIu64 "@host%" PRIu64 ".example\n", number,
                          number % 1000);
    if (send(connection->fd, line, (size_t)length, MSG_NOSIGNAL) != length)
        die("sending", strerror(errno));
}

static void hear(struct load *load, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->line + connection->length,
                       LINE_SIZE - connection->length, 0);
    if (got <= 0)
        die("receiving", got == 0 ? "the server closed the connection" : strerror(errno));
    connection->length += (size_t)got;
    if (connection->line[connection->length - 1] != '\n') {
        if (connection->length == LINE_SIZE)
            die("receiving", "a reply that has no end");
        return;
    }
    connection->line[connection->length - 1] = '\0';
    if (strncmp(connection->line, "200 ", 4) != 0)
        die("a sender was not rewritten", connection->line);
    if (connection->started >= load->warm)
        histogram_record(&load->latency, now() - connection->started);
    ask(load, connection);
}

static void run(struct load *load, struct connection *connections)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[CONNECTIONS];
    for (size_t i = 0; i < load->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        connections[i].fd = open_connection(load);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) < 0)
            die("epoll", strerror(errno));
    }
    load->start = now();
    load->warm = load->start + (uint64_t)(load->warmup * 1e9);
    load->end = load->warm + (uint64_t)(load->seconds * 1e9);
    load->running = load->connections;
    for (size_t i = 0; i < load->connections; i++)
        ask(load, &connections[i]);
    while (load->running > 0) {
        int count = epoll_wait(epoll, events, CONNECTIONS, STALLED_MS);
        if (count <= 0)
            die("waiting for a reply", count == 0 ? "none came" : strerror(errno));
        for (int i = 0; i < count; i++)
            hear(load, events[i].data.ptr);
    }
    close(epoll);
}

static void print(const struct load *load)
{
    printf("{\"rate\": %.0f, \"requests\": %" PRIu64
           ", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f}}\n",
           (double)load->latency.count / load->seconds, load->latency.count,
           (double)histogram_quantile(&load->latency, 0.5) / 1e3,
           (double)histogram_quantile(&load->latency, 0.99) / 1e3);
}

static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0' || !(value >= least && value <= most))
        die(text, "not a number that this option takes");
    return value;
}

int main(int argc, char **argv)
{
    static struct load load = {.connections = 16, .seconds = 3, .warmup = 0.5};
    int option;
    while ((option = getopt(argc, argv, "a:c:d:w:")) != -1) {
        if (option == 'a')
            load.address = optarg;
        else if (option == 'c')
            load.connections = (size_t)number(optarg, 1, CONNECTIONS);
        else if (option == 'd')
            load.seconds = number(optarg, 0.01, 3600);
        else if (option == 'w')
            load.warmup = number(optarg, 0, 3600);
        else
            load.address = NULL, optind = argc + 1;
    }
    if (load.address == NULL || optind != argc) {
        fprintf(stderr, "Usage: table-load -a HOST:PORT [-c CONNECTIONS] [-d SECONDS] "
                        "[-w WARMUP_SECONDS]\n");
        return 2;
    }
    struct connection *connections = calloc(load.connections, sizeof *connections);
    if (connections == NULL)
        die("connections", strerror(errno));
    run(&load, connections);
    print(&load);
    free(connections);
    return 0;
}
