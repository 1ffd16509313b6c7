#include "daemon/child.h"

#include "daemon/process.h"
#include "runtime/metrics.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void on_stop(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop, (void)revents;
    struct child *child = watcher->data;
    child->leave(child, LEAVE_STOP);
}

static void on_hand_over(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop, (void)revents;
    struct child *child = watcher->data;
    child->leave(child, LEAVE_HAND_OVER);
}

static void on_reopen(struct ev_loop *loop, ev_signal *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
    log_reopen();
}

static void on_lifeline(struct ev_loop *loop, ev_io *watcher, int revents)
{
    (void)revents;
    struct child *child = watcher->data;
    ev_io_stop(loop, watcher);
    log_error("the master process is gone; this process answers what it has and ends");
    child->leave(child, LEAVE_STOP);
}

static void start_signal(struct child *child, ev_signal *watcher, int number,
                         void (*callback)(struct ev_loop *, ev_signal *, int))
{
    ev_signal_init(watcher, callback, number);
    watcher->data = child;
    ev_signal_start(fiber_loop(), watcher);
}

/* The master blocked all signals before the fork, so that none is lost or kills too early. */
static void take_signals(struct child *child)
{
    sigset_t none;
    start_signal(child, &child->stop, SIGTERM, on_stop);
    start_signal(child, &child->hand_over, SIGNAL_HAND_OVER, on_hand_over);
    start_signal(child, &child->reopen, SIGUSR1, on_reopen);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void child_begin(struct child *child, const struct child_setup *setup, const char *name,
                 void (*leave)(struct child *child, enum child_leave how))
{
    child->setup = setup;
    child->leave = leave;
    prctl(PR_SET_NAME, name);
    metrics_slot_use(setup->slot);
    log_open("posternd", &setup->config->log);
    fiber_runtime_start();
    take_signals(child);
    ev_io_init(&child->lifeline, on_lifeline, setup->lifeline, EV_READ);
    child->lifeline.data = child;
    ev_io_start(fiber_loop(), &child->lifeline);
}

void child_ready(const struct child *child)
{
    pid_t self = getpid();
    process_leave_terminal(child->setup->config);
    if (write(child->setup->ready, &self, sizeof self) < 0)
        log_error("cannot tell the master that this process is ready");
}
