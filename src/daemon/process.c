#define _GNU_SOURCE
#include "daemon/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Listeners, pipes, DNS, log, shared libraries and a margin. */
#define OTHER_FILES 128

static int background_status = -1; /* written to once the daemon is up */
static bool in_background;

static bool set_groups(const struct config *config, gid_t gid, struct postern_error *error)
{
    if (initgroups(config->user, gid) == 0 && setgid(gid) == 0)
        return true;
    return postern_error_set(error, "cannot become group %s: %s", config->group, strerror(errno));
}

bool process_drop_privileges(const struct config *config, struct postern_error *error)
{
    if (geteuid() != 0)
        return true;
    const struct passwd *user = getpwnam(config->user);
    if (user == NULL)
        return postern_error_set(error,
                                 "there is no user %s; create it with: "
                                 "adduser --system --group %s",
                                 config->user, config->user);
    uid_t uid = user->pw_uid;
    const struct group *group = getgrnam(config->group);
    if (group == NULL)
        return postern_error_set(error,
                                 "there is no group %s; create it with: addgroup --system %s",
                                 config->group, config->group);
    if (!set_groups(config, group->gr_gid, error))
        return false;
    if (setuid(uid) < 0)
        return postern_error_set(error, "cannot become user %s: %s", config->user, strerror(errno));
    return true;
}

static rlim_t open_files_needed(const struct config *config)
{
    int64_t needed = config->max_connections + OTHER_FILES;
    for (size_t i = 0; i < config->databases_length; i++)
        needed += config->databases[i].pool_size;
    return (rlim_t)needed;
}

bool process_raise_open_files(const struct config *config, struct postern_error *error)
{
    struct rlimit limit;
    rlim_t needed = open_files_needed(config);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= needed)
        return true;
    struct rlimit wanted = {needed, limit.rlim_max > needed ? limit.rlim_max : needed};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return true;
    wanted = (struct rlimit){limit.rlim_max, limit.rlim_max};
    setrlimit(RLIMIT_NOFILE, &wanted);
    return postern_error_set(error,
                             "max_connections = %lld needs %llu open files and the limit is "
                             "%llu; raise it (LimitNOFILE= of the systemd unit, or ulimit -n)",
                             (long long)config->max_connections, (unsigned long long)needed,
                             (unsigned long long)limit.rlim_max);
}

void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') /* the abstract name space */
        address.sun_path[0] = '\0';

    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char message[160];
    int length = snprintf(message, sizeof message, "%s\nMAINPID=%ld\nMONOTONIC_USEC=%lld\n", state,
                          (long)getpid(), (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, message, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT,
           (const struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

/* In the process of the terminal. */
static void wait_for_daemon(int status_fd, pid_t daemon)
{
    char up;
    int status;
    ssize_t length;
    while ((length = read(status_fd, &up, 1)) < 0 && errno == EINTR)
        ;
    if (length == 1)
        _exit(0);
    while (waitpid(daemon, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    fprintf(stderr, "posternd: ended by signal %d (%s) while it started\n", WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    _exit(1);
}

static void redirect(int fd, int flags)
{
    int null = open("/dev/null", flags | O_CLOEXEC);
    if (null < 0 || null == fd)
        return;
    dup2(null, fd);
    close(null);
}

bool process_background(struct postern_error *error)
{
    int status[2];
    if (pipe2(status, O_CLOEXEC) < 0)
        return postern_error_set(error, "cannot make a pipe: %s", strerror(errno));
    pid_t daemon = fork();
    if (daemon < 0)
        return postern_error_set(error, "cannot fork: %s", strerror(errno));
    if (daemon > 0) {
        close(status[1]);
        wait_for_daemon(status[0], daemon);
    }
    close(status[0]);
    background_status = status[1];
    in_background = true;
    setsid();
    redirect(STDIN_FILENO, O_RDONLY);
    redirect(STDOUT_FILENO, O_WRONLY);
    return chdir("/") == 0 || postern_error_set(error, "cannot enter /: %s", strerror(errno));
}

/* In the foreground, and where the log is to go to stderr, it stays as it is. */
void process_leave_terminal(const struct config *config)
{
    if (!in_background)
        return;
    if (background_status >= 0)
        close(background_status);
    background_status = -1;
    if (config->log.target != LOG_TARGET_STDERR)
        redirect(STDERR_FILENO, O_WRONLY);
}

void process_background_done(const struct config *config)
{
    if (background_status >= 0 && write(background_status, "", 1) < 0)
        log_debug("the terminal that started us is gone");
    process_leave_terminal(config);
}
