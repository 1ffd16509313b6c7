/*
 * The daemon is known by its pid_file, which it keeps locked: a file that a crash has left, and
 * whose number is another process's by now, is never taken for it.
 */
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "ctl/scrape.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY    0.05 /* seconds */
#define METRICS_LIMIT 2.0  /* seconds that status waits for numbers it can do without */

struct daemon {
    pid_t pid; /* 0: it does not run */
    int64_t started;
};

/* --- finding --- */

static pid_t read_pid(int fd)
{
    char text[32] = "";
    if (pread(fd, text, sizeof text - 1, 0) <= 0)
        return 0;
    long pid = strtol(text, NULL, 10);
    return pid > 1 && pid == (pid_t)pid ? (pid_t)pid : 0;
}

static bool is_alive(pid_t pid)
{
    return kill(pid, 0) == 0 || errno == EPERM;
}

/* Taking the lock for a moment would stop a daemon that starts just then, so this comes last. */
static bool is_locked(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return errno == EWOULDBLOCK;
    flock(fd, LOCK_UN);
    return false;
}

static struct daemon daemon_find(const char *pid_file)
{
    struct daemon daemon = {0};
    struct stat file;
    int fd = open(pid_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return daemon;
    pid_t pid = read_pid(fd);
    if (pid != 0 && fstat(fd, &file) == 0 && is_alive(pid) && is_locked(fd))
        daemon = (struct daemon){pid, file.st_mtime};
    close(fd);
    return daemon;
}

static enum ctl_status not_running(const struct ctl *ctl)
{
    const char *pid_file = ctl->config->pid_file;
    if (pid_file[0] == '\0')
        ctl_complain("`pid_file` is empty in %s, so that the daemon can't be found",
                     ctl->config_path);
    else if (access(pid_file, R_OK) < 0 && errno != ENOENT)
        ctl_complain("cannot read %s: %s; run as root", pid_file, strerror(errno));
    else
        ctl_complain("posternd is not running (there is no process behind %s); `systemctl start "
                     "postern` starts it",
                     pid_file);
    return CTL_UNREACHABLE;
}

/* --- status --- */

static struct postern_value number_or_null(int64_t number)
{
    return number >= 0 ? postern_integer(number) : postern_null();
}

static void read_metrics(const struct ctl *ctl, struct buffer *answer)
{
    struct postern_error error = {{0}};
    double limit = fiber_now() + METRICS_LIMIT;
    if (ctl->config->metrics_listen[0] != '\0' &&
        !scrape(ctl->config->metrics_listen, limit < ctl->deadline ? limit : ctl->deadline, answer,
                &error))
        ctl_complain("%s", error.text);
}

static const struct column status_columns[] = {
    {"running", "running", COLUMN_YES_NO},    {"process", "pid", COLUMN_INTEGER},
    {"since", "started", COLUMN_TIME},        {"uptime", "uptime", COLUMN_DURATION},
    {"workers", "workers", COLUMN_INTEGER},   {"connections", "connections", COLUMN_INTEGER},
    {"requests", "requests", COLUMN_INTEGER},
};
#define STATUS_COLUMNS (sizeof status_columns / sizeof status_columns[0])

static enum ctl_status status(struct ctl *ctl)
{
    struct daemon daemon = daemon_find(ctl->config->pid_file);
    struct postern_value cells[STATUS_COLUMNS] = {postern_integer(daemon.pid != 0)};
    struct postern_rows rows = {.count = 1, .columns = STATUS_COLUMNS, .cells = cells};
    if (daemon.pid == 0) {
        if (ctl->json)
            output_record(ctl, status_columns, &rows);
        return not_running(ctl);
    }
    struct buffer answer = {0};
    read_metrics(ctl, &answer);
    const char *text = answer.length > 0 ? answer.data : "";
    cells[1] = postern_integer(daemon.pid);
    cells[2] = postern_integer(daemon.started);
    cells[3] = number_or_null(clock_wall() - daemon.started);
    cells[4] = number_or_null(scrape_sum(text, "postern_workers"));
    cells[5] = number_or_null(scrape_sum(text, "postern_connections"));
    cells[6] = number_or_null(scrape_sum(text, "postern_requests_total"));
    buffer_free(&answer);
    output_record(ctl, status_columns, &rows);
    return CTL_DONE;
}

/* --- signals --- */

static enum ctl_status signal_daemon(const struct ctl *ctl, int number, struct daemon *daemon)
{
    *daemon = daemon_find(ctl->config->pid_file);
    if (daemon->pid == 0)
        return not_running(ctl);
    if (kill(daemon->pid, number) == 0)
        return CTL_DONE;
    ctl_complain("cannot signal posternd, process %ld: %s; run as root", (long)daemon->pid,
                 strerror(errno));
    return CTL_NOTHING;
}

/* The configuration has just been read without an error, so the daemon will take it too. */
static enum ctl_status reload(struct ctl *ctl)
{
    struct daemon daemon;
    enum ctl_status status_now = signal_daemon(ctl, SIGHUP, &daemon);
    if (status_now != CTL_DONE)
        return status_now;
    return output_change(ctl, 1, "posternd, process %ld, reads %s again", (long)daemon.pid,
                         ctl->config_path);
}

static enum ctl_status stop(struct ctl *ctl)
{
    struct daemon daemon;
    enum ctl_status status_now = signal_daemon(ctl, SIGTERM, &daemon);
    if (status_now != CTL_DONE)
        return status_now;
    double deadline = ctl->deadline + (double)ctl->config->drain_timeout;
    while (daemon_find(ctl->config->pid_file).pid == daemon.pid)
        if (!fiber_sleep(LOOK_EVERY, deadline)) {
            ctl_complain("posternd, process %ld, was told to stop and still runs; its log says "
                         "what it waits for",
                         (long)daemon.pid);
            return CTL_UNREACHABLE;
        }
    return output_change(ctl, 1, "posternd, process %ld, has stopped", (long)daemon.pid);
}

/* --- the tables --- */

static const struct command status_command[] = {
    {"", NULL, "whether the daemon runs, since when, and what it has done", NULL, NEEDS_CONFIG,
     status},
    {NULL}};
static const struct command reload_command[] = {
    {"", NULL, "makes the daemon read its configuration again", NULL, NEEDS_CONFIG, reload},
    {NULL}};
static const struct command stop_command[] = {
    {"", NULL, "stops the daemon when it has answered what it was asked", NULL, NEEDS_CONFIG, stop},
    {NULL}};

const struct noun noun_status = {"status", "the daemon", status_command};
const struct noun noun_reload = {"reload", "the daemon", reload_command};
const struct noun noun_stop = {"stop", "the daemon", stop_command};
