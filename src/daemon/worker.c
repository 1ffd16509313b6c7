/*
 * An intake is a fiber that takes connections from one descriptor: accepts them from a
 * listener, or receives those that an old worker hands over.
 */
#define _GNU_SOURCE
#include "daemon/worker.h"

#include "daemon/handoff.h"
#include "db/db.h"
#include "dns/dns.h"
#include "policy/server.h"
#include "runtime/metrics.h"
#include "srs/service.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAVE_TO_OTHERS  0.001
#define ACCEPT_PAUSE     0.1  /* after running out of descriptors or memory */
#define FULL_PAUSE       0.05 /* until looking again whether a connection has left */
#define WARNING_INTERVAL 60.0
#define HANDOFF_TIMEOUT  5.0

struct worker;

struct intake {
    struct worker *worker;
    void (*take)(struct intake *intake);
    enum listener_kind kind;
    int fd;
    struct fiber *fiber;
};

struct worker {
    struct child child;
    struct databases databases;
    struct policy_server *server; /* NULL until the plugins are ready */
    struct srs_service *srs;      /* NULL without an SRS domain */
    struct intake *intakes;
    size_t intakes_length;
    struct handoff *received;
    ev_prepare after_turn;
    ev_timer drain_end;
    bool draining;
    bool handing_over;
    double full_warned, accept_warned;
    int status;
};

static metric connections_metric;
static metric lag_metric;

static const struct config *worker_config(const struct worker *worker)
{
    return worker->child.setup->config;
}

static size_t connection_count(const struct worker *worker)
{
    return (worker->server != NULL ? policy_server_connections(worker->server) : 0) +
           (worker->srs != NULL ? srs_service_connections(worker->srs) : 0);
}

static bool is_warning_due(double *last)
{
    double now = fiber_now();
    if (*last > 0 && now - *last < WARNING_INTERVAL)
        return false;
    *last = now;
    return true;
}

/* --- taking connections --- */

static bool has_more_than_another(const struct worker *worker)
{
    const struct roster *roster = worker->child.setup->roster;
    uint64_t own = connection_count(worker);
    for (size_t i = 0; i < roster->count; i++) {
        int slot = atomic_load(&roster->slots[i]);
        if (slot >= 0 && slot != worker->child.setup->slot &&
            metric_read_slot(connections_metric, slot) < own)
            return true;
    }
    return false;
}

static bool is_full(struct worker *worker)
{
    int64_t most = worker_config(worker)->max_connections;
    if ((int64_t)connection_count(worker) < most)
        return false;
    if (is_warning_due(&worker->full_warned))
        log_warning("%lld connections, and max_connections allows no more: new ones wait",
                    (long long)most);
    return true;
}

/* False when there is no memory for it. */
static bool adopt_by_kind(struct worker *worker, enum listener_kind kind, int fd,
                          const void *session, size_t length)
{
    if (kind == LISTENER_POLICY)
        return policy_server_adopt(worker->server, fd, session, length);
    if (worker->srs != NULL)
        return srs_service_adopt(worker->srs, kind, fd);
    close(fd); /* handed over, but SRS has been switched off */
    return true;
}

static void adopt(struct worker *worker, enum listener_kind kind, int fd, const void *session,
                  size_t length)
{
    if (!adopt_by_kind(worker, kind, fd, session, length) && is_warning_due(&worker->accept_warned))
        log_error("no memory for a connection: closed");
    metric_set(connections_metric, connection_count(worker));
}

static void take_new(struct intake *intake)
{
    struct worker *worker = intake->worker;
    int fd = accept4(intake->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        adopt(worker, intake->kind, fd, NULL, 0);
        return;
    }
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return; /* another worker was faster, or the client has left already */
    if (is_warning_due(&worker->accept_warned))
        log_error("cannot accept connections: %s; raise the limit of open files (LimitNOFILE) or "
                  "lower max_connections",
                  strerror(errno));
    fiber_sleep(ACCEPT_PAUSE, NEVER);
}

static void take_handed_over(struct intake *intake)
{
    struct worker *worker = intake->worker;
    struct handoff *received = worker->received;
    if (handoff_receive(intake->fd, received))
        adopt(worker, received->kind, received->fd, received->session, received->length);
}

/* What is handed over has a client already, who would wait in vain for an answer. */
static bool must_wait(const struct intake *intake)
{
    return intake->take == take_new && is_full(intake->worker);
}

static void intake_main(void *arg)
{
    struct intake *intake = arg;
    struct worker *worker = intake->worker;
    struct fiber_watch watch;
    fiber_watch_init(&watch, intake->fd, EV_READ);
    intake->fiber = fiber_self();
    while (!worker->draining) {
        if (must_wait(intake)) {
            fiber_sleep(FULL_PAUSE, NEVER);
            continue;
        }
        if (fiber_watch_wait(&watch, NEVER) == 0)
            continue;
        if (has_more_than_another(worker))
            fiber_sleep(LEAVE_TO_OTHERS, NEVER);
        if (!worker->draining && !must_wait(intake)) /* others have taken some meanwhile */
            intake->take(intake);
    }
    intake->fiber = NULL;
    close(intake->fd);
}

static bool start_intake(struct worker *worker, enum listener_kind kind, int fd,
                         void (*take)(struct intake *))
{
    struct intake *intake = &worker->intakes[worker->intakes_length++];
    *intake = (struct intake){.worker = worker, .kind = kind, .fd = fd, .take = take};
    return fiber_spawn(intake_main, intake);
}

static bool start_intakes(struct worker *worker)
{
    const struct child_setup *setup = worker->child.setup;
    const struct listener_set *listeners = setup->listeners;
    worker->intakes = calloc(listeners->count + 1, sizeof *worker->intakes);
    worker->received = malloc(sizeof *worker->received);
    if (worker->intakes == NULL || worker->received == NULL)
        return false;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->list[i];
        if (listener->fd >= 0 && !start_intake(worker, listener->kind, listener->fd, take_new))
            return false;
    }
    return start_intake(worker, LISTENER_POLICY, setup->handoff_receive, take_handed_over);
}

/* --- leaving --- */

static bool hand_over(const struct worker *worker, enum listener_kind kind, int fd,
                      const void *session, size_t length)
{
    return worker->handing_over && handoff_send(worker->child.setup->handoff_send, kind, fd,
                                                session, length, fiber_now() + HANDOFF_TIMEOUT);
}

static bool hand_over_policy(void *worker, int fd, const void *session, size_t length)
{
    return hand_over(worker, LISTENER_POLICY, fd, session, length);
}

static bool hand_over_srs(void *worker, enum listener_kind kind, int fd)
{
    return hand_over(worker, kind, fd, NULL, 0);
}

static void on_drain_end(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct worker *worker = timer->data;
    log_warning("drain_timeout (%lld s) is over; busy connections that are cut off: %zu",
                (long long)worker_config(worker)->drain_timeout, connection_count(worker));
    fiber_runtime_stop();
}

static void worker_leave(struct child *child, enum child_leave how)
{
    struct worker *worker = (struct worker *)child;
    if (worker->draining) {
        worker->handing_over = worker->handing_over && how == LEAVE_HAND_OVER;
        return;
    }
    worker->draining = true;
    worker->handing_over = how == LEAVE_HAND_OVER;
    if (worker->server == NULL) {
        fiber_runtime_stop();
        return;
    }
    for (size_t i = 0; i < worker->intakes_length; i++)
        if (worker->intakes[i].fiber != NULL)
            fiber_interrupt(worker->intakes[i].fiber);
    policy_server_drain(worker->server, worker->handing_over ? hand_over_policy : NULL, worker);
    if (worker->srs != NULL)
        srs_service_drain(worker->srs, worker->handing_over ? hand_over_srs : NULL, worker);
    ev_timer_init(&worker->drain_end, on_drain_end, (double)worker_config(worker)->drain_timeout,
                  0);
    worker->drain_end.data = worker;
    ev_timer_start(fiber_loop(), &worker->drain_end);
}

static void on_turn(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    (void)loop, (void)revents;
    struct worker *worker = watcher->data;
    size_t connections = connection_count(worker);
    metric_set(connections_metric, connections);
    if (worker->draining && connections == 0)
        fiber_runtime_stop();
}

/* --- starting and ending --- */

static void worker_fail(struct worker *worker, const char *reason)
{
    log_error("%s", reason);
    worker->status = 1;
    fiber_runtime_stop();
}

static bool start_srs(struct worker *worker)
{
    const struct config *config = worker_config(worker);
    if (config->srs.domain[0] == '\0')
        return true;
    worker->srs = srs_service_new(config, &worker->databases);
    return worker->srs != NULL;
}

/* A fiber, because a plugin's init may wait. */
static void worker_start(void *arg)
{
    struct worker *worker = arg;
    struct postern_error error;
    worker->server = policy_server_new(worker_config(worker), &worker->databases, &error);
    if (worker->server == NULL) {
        worker_fail(worker, error.text);
        return;
    }
    if (!start_srs(worker) || !start_intakes(worker)) {
        worker_fail(worker, "no memory to start a worker");
        return;
    }
    child_ready(&worker->child);
}

static void observe_lag(double seconds)
{
    metric_observe(lag_metric, seconds);
}

static int worker_end(struct worker *worker)
{
    /* Fibers cut off by drain_timeout, or while the plugins started, still use all of it. */
    if (worker->server == NULL || connection_count(worker) > 0)
        _exit(worker->status);
    policy_server_free(worker->server);
    if (worker->srs != NULL)
        srs_service_free(worker->srs);
    databases_close(&worker->databases);
    dns_close();
    fiber_runtime_end();
    free(worker->intakes);
    free(worker->received);
    return worker->status;
}

void worker_register_metrics(void)
{
    connections_metric = metric_register(METRIC_GAUGE, "postern_connections", NULL,
                                         "Open connections from Postfix.");
    lag_metric = metric_register(METRIC_HISTOGRAM, "postern_loop_lag_seconds", NULL,
                                 "How long one turn of the event loop kept others waiting.");
}

int worker_run(const struct child_setup *setup)
{
    struct worker worker = {0};
    listener_set_close_kind(setup->listeners, LISTENER_METRICS);
    child_begin(&worker.child, setup, "posternd-worker", worker_leave);
    fiber_runtime_on_lag(observe_lag);
    databases_open(&worker.databases, setup->config);
    dns_open(setup->config);

    /* Last before the poll: after the fibers that this turn made ready. */
    ev_prepare_init(&worker.after_turn, on_turn);
    ev_set_priority(&worker.after_turn, EV_MINPRI);
    worker.after_turn.data = &worker;
    ev_prepare_start(fiber_loop(), &worker.after_turn);

    if (fiber_spawn(worker_start, &worker))
        fiber_runtime_run();
    else
        worker.status = 1;
    return worker_end(&worker);
}
