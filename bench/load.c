#include "load.h"

#include "reply.h"
#include "util/buffer.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND 1000000u
#define TICK        (50 * MILLISECOND)  /* how often timeouts and pauses are looked at */
#define PAUSE       (100 * MILLISECOND) /* after a failed request, lest a dead server be flooded */
#define BATCH       256

enum connection_state { PAUSED, CONNECTING, WAITING, FINISHED };

struct connection {
    int fd;
    enum connection_state state;
    bool again; /* the request under way was sent before, on a connection that was lost */
    struct request_name request;
    uint64_t started; /* the request, on whatever connection */
    uint64_t sent;    /* for the timeout; PAUSED: when that began */
    struct buffer unsent, reply;
};

struct loop {
    const struct load_plan *plan;
    struct load_result *result;
    struct request_source source;
    struct connection *connections;
    size_t count, running;
    uint64_t measured; /* requests begun since plan->warm */
    uint64_t quota;    /* of them; 0: no limit */
    uint64_t last_tick;
    int epoll;
    char input[REPLY_MAX];
};

static void connection_lost(struct loop *loop, struct connection *connection, const char *cause);

uint64_t load_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void connection_watch(struct loop *loop, struct connection *connection, int operation,
                             uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLET | EPOLLRDHUP, .data.ptr = connection};
    epoll_ctl(loop->epoll, operation, connection->fd, &event);
}

static void connection_close(struct connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    buffer_clear(&connection->unsent);
    buffer_clear(&connection->reply);
}

/* Edge-triggered: EPOLLOUT tells that it is connected. */
static void connection_open(struct loop *loop, struct connection *connection)
{
    connection->state = CONNECTING;
    connection->sent = load_now();
    connection->fd = target_connect(loop->plan->target);
    if (connection->fd < 0)
        connection_lost(loop, connection, strerror(errno));
    else
        connection_watch(loop, connection, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

static void connection_flush(struct loop *loop, struct connection *connection)
{
    struct buffer *unsent = &connection->unsent;
    ssize_t done = send(connection->fd, unsent->data, unsent->length, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN) {
        connection_lost(loop, connection, strerror(errno));
        return;
    }
    if (done > 0)
        buffer_consume(unsent, (size_t)done);
    if (unsent->length == 0)
        connection_watch(loop, connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void connection_send(struct loop *loop, struct connection *connection)
{
    const struct request_template *request = request_render(&loop->source, connection->request);
    connection->state = WAITING;
    ssize_t done = send(connection->fd, request->text, request->length, MSG_NOSIGNAL);
    if (done < 0 && errno != EAGAIN) {
        connection_lost(loop, connection, strerror(errno));
        return;
    }
    size_t sent = done < 0 ? 0 : (size_t)done;
    if (sent == request->length)
        return;
    buffer_append(&connection->unsent, request->text + sent, request->length - sent);
    connection_watch(loop, connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static bool loop_is_over(const struct loop *loop, uint64_t now)
{
    if (now >= loop->plan->end || *loop->plan->interrupt)
        return true;
    return loop->quota > 0 && loop->measured >= loop->quota;
}

static void request_start(struct loop *loop, struct connection *connection, uint64_t now)
{
    if (loop_is_over(loop, now)) {
        connection->state = FINISHED;
        loop->running--;
        return;
    }
    loop->measured += now >= loop->plan->warm;
    connection->again = false;
    connection->request = request_next(&loop->source);
    connection->started = connection->sent = now;
    if (connection->fd < 0)
        connection_open(loop, connection);
    else
        connection_send(loop, connection);
}

static void connection_pause(struct connection *connection)
{
    connection->state = PAUSED;
    connection->sent = load_now();
}

/* As Postfix does: a new connection and the same request, once. */
static void connection_lost(struct loop *loop, struct connection *connection, const char *cause)
{
    struct load_result *result = loop->result;
    connection_close(connection);
    if (!connection->again) {
        connection->again = true;
        result->retried++;
        connection_open(loop, connection);
        return;
    }
    result->failed++;
    if (result->trouble == NULL)
        result->trouble = strdup(cause);
    connection_pause(connection);
}

static void connection_wrong(struct loop *loop, struct connection *connection)
{
    struct load_result *result = loop->result;
    result->wrong++;
    if (result->trouble == NULL)
        result->trouble = strdup("a reply that is not \"action=...\" and an empty line");
    connection_close(connection);
    connection_pause(connection);
}

static void reply_count(struct loop *loop, const struct connection *connection,
                        enum load_action action, uint64_t now)
{
    struct load_result *result = loop->result;
    if (connection->started < loop->plan->warm)
        return;
    histogram_record(&result->latency, now - connection->started);
    result->actions[action]++;
    result->in_time += now <= loop->plan->end;
    result->last_reply = now;
}

static void connection_read(struct loop *loop, struct connection *connection, bool closing)
{
    struct buffer *partial = &connection->reply;
    ssize_t got = recv(connection->fd, loop->input, sizeof loop->input, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        connection_lost(loop, connection,
                        got == 0 ? "the server closed the connection" : strerror(errno));
        return;
    }

    const char *data = loop->input;
    size_t length = (size_t)got;
    if (partial->length > 0) {
        buffer_append(partial, data, length);
        data = partial->data;
        length = partial->length;
    }
    enum load_action action;
    enum reply_state state = reply_read(data, length, &action);
    if (state == REPLY_WRONG || connection->unsent.length > 0) {
        connection_wrong(loop, connection);
        return;
    }
    if (state == REPLY_PARTIAL && closing) {
        connection_lost(loop, connection, "the server closed the connection inside a reply");
        return;
    }
    if (state == REPLY_PARTIAL) {
        if (partial->length == 0)
            buffer_append(partial, data, length);
        return;
    }
    uint64_t now = load_now();
    buffer_clear(partial);
    reply_count(loop, connection, action, now);
    if (closing)
        connection_close(connection);
    request_start(loop, connection, now);
}

static void connection_opened(struct loop *loop, struct connection *connection)
{
    int error = 0;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error != 0) {
        connection_lost(loop, connection, strerror(error));
        return;
    }
    connection_watch(loop, connection, EPOLL_CTL_MOD, EPOLLIN);
    connection_send(loop, connection);
}

static void connection_event(struct loop *loop, struct connection *connection, uint32_t events)
{
    if (connection->state == CONNECTING) {
        connection_opened(loop, connection);
        return;
    }
    if ((events & EPOLLOUT) && connection->unsent.length > 0)
        connection_flush(loop, connection);
    if (connection->state == WAITING && (events & ~(uint32_t)EPOLLOUT))
        connection_read(loop, connection, events & (EPOLLRDHUP | EPOLLHUP));
}

static void connection_tick(struct loop *loop, struct connection *connection, uint64_t now)
{
    if (connection->state == FINISHED)
        return;
    if (connection->state == PAUSED && now - connection->sent >= PAUSE)
        request_start(loop, connection, now);
    else if (connection->state != PAUSED && now > connection->sent + loop->plan->timeout)
        connection_lost(loop, connection, "no reply in time");
}

static void loop_tick(struct loop *loop)
{
    uint64_t now = load_now();
    if (now - loop->last_tick < TICK)
        return;
    loop->last_tick = now;
    for (size_t i = 0; i < loop->count; i++)
        connection_tick(loop, &loop->connections[i], now);
}

static void loop_init(struct loop *loop, const struct load_plan *plan, unsigned number)
{
    request_source_init(&loop->source, plan->mix, plan->seed, number);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->connections = calloc(plan->connections, sizeof *loop->connections);
    if (loop->epoll < 0 || loop->connections == NULL) {
        fprintf(stderr, "no memory or files for %zu connections\n", plan->connections);
        exit(1);
    }
}

static void loop_end(struct loop *loop)
{
    for (size_t i = 0; i < loop->count; i++) {
        connection_close(&loop->connections[i]);
        buffer_free(&loop->connections[i].unsent);
        buffer_free(&loop->connections[i].reply);
    }
    free(loop->connections);
    close(loop->epoll);
    request_source_end(&loop->source);
}

/*
 * One worker's replies can keep the generator busy for all its time slice, while another worker
 * waits for this processor: it yields after each batch, or the scheduler would be measured.
 */
void load_run(const struct load_plan *plan, unsigned number, struct load_result *result)
{
    struct loop loop = {.plan = plan,
                        .result = result,
                        .count = plan->connections,
                        .running = plan->connections,
                        .quota = plan->requests};
    loop_init(&loop, plan, number);
    for (size_t i = 0; i < loop.count; i++) {
        loop.connections[i].fd = -1;
        request_start(&loop, &loop.connections[i], load_now());
    }
    while (loop.running > 0) {
        struct epoll_event events[BATCH];
        int ready = epoll_wait(loop.epoll, events, BATCH, TICK / MILLISECOND);
        for (int i = 0; i < ready; i++)
            connection_event(&loop, events[i].data.ptr, events[i].events);
        loop_tick(&loop);
        sched_yield();
    }
    loop_end(&loop);
}

void load_result_merge(struct load_result *into, struct load_result *from)
{
    histogram_merge(&into->latency, &from->latency);
    for (int i = 0; i < LOAD_ACTIONS; i++)
        into->actions[i] += from->actions[i];
    into->in_time += from->in_time;
    into->retried += from->retried;
    into->failed += from->failed;
    into->wrong += from->wrong;
    if (from->last_reply > into->last_reply)
        into->last_reply = from->last_reply;
    if (into->trouble == NULL)
        into->trouble = from->trouble;
    else
        free(from->trouble);
    *from = (struct load_result){0};
}
