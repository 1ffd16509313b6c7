/*
 * A reload goes through these steps, each of which can refuse it and leave everything as it
 * was: the new config is read; the checker tries it; its listeners are bound and its children
 * forked (`starting`); when all of them have said that they serve, it is `current`, and the
 * old generation hands its connections over and drains.
 */
#define _GNU_SOURCE
#include "build_config.h"
#include "daemon/master.h"
#include "daemon/master_state.h"
#include "daemon/process.h"
#include "policy/module.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool reload_is_under_way(const struct master *master)
{
    return master->starting != NULL || master->checker.pid > 0;
}

static void refuse_reload(const struct generation *current)
{
    log_error("%s is not loaded; the running configuration stays", current->config->path);
    process_notify("READY=1");
}

static void log_lines(char *lines)
{
    char *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        log_error("%s", line);
}

static void warn_of_restart(const char *key, const char *fixed, const char *wanted)
{
    if (strcmp(fixed, wanted) != 0)
        log_warning("%s = \"%s\" takes effect with a restart; a reload keeps \"%s\"", key, wanted,
                    fixed);
}

static void enter_checker(void *context)
{
    struct master *master = context;
    master_enter_child(master);
    listener_set_close(&master->current->listeners);
    close(master->channels.lifeline[1]);
}

static void start_check(struct master *master, struct config *config)
{
    struct postern_error error;
    warn_of_restart("user", master->fixed.user, config->user);
    warn_of_restart("group", master->fixed.group, config->group);
    warn_of_restart("pid_file", master->fixed.pid_file, config->pid_file);
    if (!process_raise_open_files(config, &error))
        log_warning("%s", error.text);
    master_register_metrics(config);
    if (checker_start(&master->checker, config, false, enter_checker, master, &error)) {
        master->checked = config;
        master->checker_deadline = fiber_now() + CHECKER_TIMEOUT;
        return;
    }
    log_error("%s", error.text);
    config_free(config);
    refuse_reload(master->current);
}

void reload_start(struct master *master)
{
    char *errors = NULL;
    const char *path = master->current->config->path;
    master->reload_wanted = false;
    log_info("reloading %s", path);
    process_notify("RELOADING=1");
    struct config *config = config_load(path, &policy_modules, &errors);
    if (config != NULL) {
        start_check(master, config);
    } else {
        log_lines(errors);
        refuse_reload(master->current);
    }
    free(errors);
}

static void report_finding(enum log_level level, const char *text)
{
    if (level == LOG_LEVEL_ERROR)
        log_error("%s", text);
    else
        log_warning("%s", text);
}

void reload_end_check(struct master *master, int status)
{
    struct postern_error error;
    struct config *config = master->checked;
    master->checked = NULL;
    bool good = checker_finish(&master->checker, status, report_finding);
    if (!master->stopping && good) {
        master->starting = generation_new(config, master->current, &error);
        if (master->starting != NULL) {
            master->starting->deadline = fiber_now() + START_TIMEOUT;
            return;
        }
        log_error("%s", error.text);
    }
    config_free(config);
    if (!master->stopping)
        refuse_reload(master->current);
}

void reload_fail(struct master *master)
{
    struct generation *failed = master->starting;
    master->starting = NULL;
    master_drain(master, failed, SIGKILL);
    if (master->current != NULL) {
        refuse_reload(master->current);
        return;
    }
    master->status = 1;
    master->stopping = true;
}

void reload_complete(struct master *master)
{
    struct generation *old = master->current;
    struct generation *new = master->starting;
    master->current = new;
    master->starting = NULL;
    new->deadline = NEVER;
    if (old != NULL) {
        log_open("posternd", &new->config->log);
        log_info("reloaded %s", new->config->path);
        master_drain(master, old, SIGNAL_HAND_OVER);
    } else {
        log_info("posternd " POSTERN_VERSION " is up with %lld workers",
                 (long long)new->config->workers);
        process_background_done(new->config);
    }
    process_notify("READY=1");
}
