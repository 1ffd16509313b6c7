#define _GNU_SOURCE
#include "daemon/master.h"

#include "build_config.h"
#include "daemon/master_state.h"
#include "daemon/process.h"
#include "daemon/worker.h"
#include "db/db.h"
#include "dns/dns.h"
#include "dns/spf.h"
#include "policy/server.h"
#include "runtime/metrics.h"
#include "runtime/stream.h"
#include "srs/service.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#define KILL_GRACE       2.0 /* beyond drain_timeout: the children end by themselves at that */
#define DRAINING_AT_MOST 4   /* a reload waits while so many old generations are left */

static metric workers_metric;
static metric restarts_metric;

void master_register_metrics(const struct config *config)
{
    metric build = metric_register(METRIC_GAUGE, "postern_build_info",
                                   "version=\"" POSTERN_VERSION "\"", "Always 1.");
    metric_set(build, 1);
    workers_metric =
        metric_register(METRIC_GAUGE, "postern_workers", NULL, "Workers that are running.");
    restarts_metric = metric_register(METRIC_COUNTER, "postern_worker_restarts_total", NULL,
                                      "Children started again after they died.");
    worker_register_metrics();
    stream_register_metrics();
    db_prepare(config);
    dns_register_metrics();
    spf_register_metrics();
    policy_register_metrics(config);
    srs_register_metrics();
}

/* --- children --- */

void master_enter_child(struct master *master)
{
    close(master->signals);
    if (master->pid_file->fd >= 0)
        close(master->pid_file->fd);
    if (master->checker.pid > 0)
        close(master->checker.output);
}

static void enter_current(void *context)
{
    struct master *master = context;
    master_enter_child(master);
    if (master->starting != NULL)
        listener_set_close(&master->starting->listeners);
}

static void enter_starting(void *context)
{
    struct master *master = context;
    master_enter_child(master);
    if (master->current != NULL)
        listener_set_close(&master->current->listeners);
}

static void start_due(struct master *master, struct generation *generation,
                      void (*enter)(void *context))
{
    double now = fiber_now();
    for (size_t i = 0; generation != NULL && i < generation->count; i++) {
        struct place *place = &generation->places[i];
        if (place->pid == 0 && place->start_at <= now)
            generation_start(generation, place, &master->channels, enter, master);
    }
}

static void describe_place(const struct place *place, pid_t pid, char *text, size_t size)
{
    if (place->number > 0)
        snprintf(text, size, "%s %d (process %ld)", place->name, place->number, (long)pid);
    else
        snprintf(text, size, "%s (process %ld)", place->name, (long)pid);
}

static void start_again(struct place *place, const char *who, const char *how)
{
    double now = fiber_now();
    double wait = backoff_next(&place->backoff, now - place->started);
    place->start_at = now + wait;
    metric_add(restarts_metric, 1);
    if (wait > 0)
        log_error("%s %s; starting it again in %.1f s", who, how, wait);
    else
        log_error("%s %s; starting it again", who, how);
}

/* --- stopping --- */

static void forget_if_gone(struct master *master, struct generation *generation)
{
    if (generation_living(generation) > 0)
        return;
    DL_DELETE(master->draining, generation);
    generation_free(generation, master->current);
}

static void signal_draining(struct generation *generation, int signal)
{
    if (signal == SIGKILL)
        generation->deadline = NEVER;
    generation_signal(generation, signal);
}

void master_drain(struct master *master, struct generation *generation, int signal)
{
    generation->deadline = fiber_now() + (double)generation->config->drain_timeout + KILL_GRACE;
    listener_set_release(&generation->listeners,
                         master->current != NULL ? &master->current->listeners : NULL);
    DL_APPEND(master->draining, generation);
    signal_draining(generation, signal);
    forget_if_gone(master, generation);
}

static void drain_all(struct master *master, int signal)
{
    struct generation *generation;
    DL_FOREACH(master->draining, generation) signal_draining(generation, signal);

    struct generation *alive[] = {master->starting, master->current};
    master->starting = master->current = NULL;
    for (size_t i = 0; i < 2; i++)
        if (alive[i] != NULL)
            master_drain(master, alive[i], signal);
    if (master->checker.pid > 0)
        kill(master->checker.pid, SIGKILL);
}

static void stop(struct master *master)
{
    if (master->stopping) {
        log_warning("stopping at once: connections are closed");
        drain_all(master, SIGKILL);
        return;
    }
    master->stopping = true;
    log_info("stopping");
    process_notify("STOPPING=1");
    drain_all(master, SIGTERM);
}

static bool is_over(const struct master *master)
{
    return master->stopping && master->draining == NULL && master->checker.pid == 0;
}

/* --- events --- */

static bool end_child_of(struct master *master, struct generation *generation, pid_t pid,
                         int status)
{
    char who[64], how[96];
    struct place *place = generation != NULL ? generation_find(generation, pid) : NULL;
    if (place == NULL)
        return false;
    describe_place(place, pid, who, sizeof who);
    exit_text(status, how, sizeof how);
    generation_vacate(generation, place);
    if (generation == master->current) {
        start_again(place, who, how);
    } else if (generation == master->starting) {
        log_error("%s %s while it started", who, how);
        reload_fail(master);
    } else {
        if (status != 0 && !isinf(generation->deadline))
            log_warning("%s %s while it drained", who, how);
        forget_if_gone(master, generation);
    }
    return true;
}

static void end_child(struct master *master, pid_t pid, int status)
{
    struct generation *generation, *next;
    if (pid == master->checker.pid) {
        reload_end_check(master, status);
        return;
    }
    if (end_child_of(master, master->current, pid, status) ||
        end_child_of(master, master->starting, pid, status))
        return;
    DL_FOREACH_SAFE(master->draining, generation, next)
    {
        if (end_child_of(master, generation, pid, status))
            return;
    }
}

static void reap(struct master *master)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        end_child(master, pid, status);
}

static void reopen_logs(struct master *master)
{
    struct generation *generation;
    log_reopen();
    DL_FOREACH(master->draining, generation) generation_signal(generation, SIGUSR1);
    if (master->current != NULL)
        generation_signal(master->current, SIGUSR1);
    if (master->starting != NULL)
        generation_signal(master->starting, SIGUSR1);
}

static void want_reload(struct master *master)
{
    master->reload_wanted = true;
}

static const struct {
    int number;
    void (*handle)(struct master *master);
} signal_table[] = {
    {SIGCHLD, reap}, {SIGHUP, want_reload}, {SIGTERM, stop}, {SIGINT, stop}, {SIGUSR1, reopen_logs},
};
#define SIGNALS (sizeof signal_table / sizeof signal_table[0])

static void read_signals(struct master *master)
{
    struct signalfd_siginfo info;
    while (read(master->signals, &info, sizeof info) == (ssize_t)sizeof info)
        for (size_t i = 0; i < SIGNALS; i++)
            if (signal_table[i].number == (int)info.ssi_signo)
                signal_table[i].handle(master);
}

static void read_ready(struct master *master)
{
    pid_t pid;
    while (read(master->channels.ready[0], &pid, sizeof pid) == (ssize_t)sizeof pid) {
        struct place *place =
            master->starting != NULL ? generation_find(master->starting, pid) : NULL;
        if (place != NULL)
            place->ready = true;
    }
    if (master->starting != NULL && generation_is_ready(master->starting))
        reload_complete(master);
}

static void obey_deadlines(struct master *master)
{
    double now = fiber_now();
    struct generation *generation;
    if (master->checker.pid > 0 && now >= master->checker_deadline) {
        log_error("checking the configuration took more than %.0f s", CHECKER_TIMEOUT);
        master->checker_deadline = NEVER;
        kill(master->checker.pid, SIGKILL);
    }
    if (master->starting != NULL && now >= master->starting->deadline) {
        log_error("the new processes were not ready within %.0f s", START_TIMEOUT);
        reload_fail(master);
    }
    DL_FOREACH(master->draining, generation)
    {
        if (now < generation->deadline)
            continue;
        log_warning("%zu processes have not ended within drain_timeout: killed",
                    generation_living(generation));
        signal_draining(generation, SIGKILL);
    }
}

static double next_deadline(const struct master *master)
{
    const struct generation *generation;
    double next = master->checker.pid > 0 ? master->checker_deadline : NEVER;
    const struct generation *filled[] = {master->current, master->starting};
    DL_FOREACH(master->draining, generation) next = fmin(next, generation->deadline);
    for (size_t i = 0; i < 2; i++) {
        if (filled[i] == NULL)
            continue;
        next = fmin(next, filled[i]->deadline);
        for (size_t p = 0; p < filled[i]->count; p++)
            if (filled[i]->places[p].pid == 0)
                next = fmin(next, filled[i]->places[p].start_at);
    }
    return next;
}

static void wait_for_event(struct master *master)
{
    struct pollfd fds[] = {{master->signals, POLLIN, 0}, {master->channels.ready[0], POLLIN, 0}};
    double left = next_deadline(master) - fiber_now();
    int timeout = isinf(left) ? -1 : left <= 0 ? 0 : (int)fmin(left * 1000 + 1, 1e6);
    poll(fds, 2, timeout);
    read_ready(master);
    read_signals(master);
}

static size_t draining_count(const struct master *master)
{
    size_t count = 0;
    const struct generation *generation;
    DL_COUNT(master->draining, generation, count);
    return count;
}

static void publish_workers(const struct master *master)
{
    const struct generation *current = master->current;
    uint64_t workers = 0;
    for (size_t i = 0; current != NULL && i < current->count; i++)
        workers += current->places[i].number > 0 && current->places[i].pid > 0;
    metric_set(workers_metric, workers);
}

static bool open_signals(struct master *master, struct postern_error *error)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaddset(&set, signal_table[i].number);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGNAL_HAND_OVER, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    master->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (master->signals >= 0)
        return true;
    return postern_error_set(error, "cannot receive signals: %s", strerror(errno));
}

static void run(struct master *master)
{
    while (!is_over(master)) {
        start_due(master, master->starting, enter_starting);
        start_due(master, master->current, enter_current);
        publish_workers(master);
        wait_for_event(master);
        obey_deadlines(master);
        if (master->reload_wanted && !master->stopping && !reload_is_under_way(master) &&
            draining_count(master) < DRAINING_AT_MOST)
            reload_start(master);
    }
}

static void close_channels(struct channels *channels)
{
    for (size_t i = 0; i < 2; i++) {
        close(channels->lifeline[i]);
        close(channels->ready[i]);
        close(channels->handoff[i]);
    }
}

static bool remember_fixed(struct master_fixed *fixed, const struct config *config,
                           struct postern_error *error)
{
    fixed->user = strdup(config->user);
    fixed->group = strdup(config->group);
    fixed->pid_file = strdup(config->pid_file);
    return (fixed->user != NULL && fixed->group != NULL && fixed->pid_file != NULL) ||
           postern_error_set(error, "out of memory");
}

static void forget_fixed(struct master_fixed *fixed)
{
    free(fixed->user);
    free(fixed->group);
    free(fixed->pid_file);
}

int master_run(struct generation *first, struct pid_file *pid_file)
{
    struct postern_error error;
    struct master master = {.pid_file = pid_file, .starting = first};
    first->deadline = fiber_now() + START_TIMEOUT;
    if (!remember_fixed(&master.fixed, first->config, &error) || !open_signals(&master, &error) ||
        !channels_create(&master.channels, &error)) {
        log_error("%s", error.text);
        generation_free(first, NULL);
        pid_file_remove(pid_file);
        return 1;
    }
    run(&master);
    log_info("stopped");
    close(master.signals);
    close_channels(&master.channels);
    forget_fixed(&master.fixed);
    pid_file_remove(pid_file);
    return master.status;
}
