/*
 * The program gets the whole mail as a file on its standard input, so there is nothing to feed
 * it; what it prints waits in a pipe until it has ended. It runs in a process group of its own,
 * without our open files, environment and signal settings, and no shell sees the recipients.
 */
#define _GNU_SOURCE
#include "runtime/mail.h"

#include "runtime/fiber.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRINTED_ROOM 400
#define LOOK_AGAIN   0.05

struct program {
    const struct mail_route *route;
    int input, output[2]; /* -1 as long as they are not open */
    pid_t pid;
};

static bool write_all(int fd, const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t written = write(fd, text, length);
        if (written < 0)
            return false;
        text += written;
        length -= (size_t)written;
    }
    return lseek(fd, 0, SEEK_SET) == 0;
}

static bool program_prepare(struct program *program, const char *text)
{
    program->input = memfd_create("mail", MFD_CLOEXEC);
    return program->input >= 0 && write_all(program->input, text) &&
           pipe2(program->output, O_CLOEXEC | O_NONBLOCK) == 0;
}

static char **make_arguments(const struct mail_route *route, struct postern_names recipients)
{
    static const char *const options[] = {"-i", "-f", "<>", "--"};
    size_t count = sizeof options / sizeof *options;
    const char **arguments = calloc(count + recipients.count + 2, sizeof *arguments);
    if (arguments == NULL)
        return NULL;
    arguments[0] = route->sendmail;
    memcpy(arguments + 1, options, sizeof options);
    memcpy(arguments + 1 + count, recipients.items, recipients.count * sizeof *arguments);
    return (char **)arguments;
}

static int spawn(struct program *program, char **arguments)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *environment[] = {path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, program->input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, program->output[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, program->output[1], STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int code = posix_spawn(&program->pid, program->route->sendmail, &actions, &attributes,
                           arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static bool program_start(struct program *program, struct postern_names recipients,
                          struct postern_error *error)
{
    char **arguments = make_arguments(program->route, recipients);
    bool runnable = access(program->route->sendmail, X_OK) == 0;
    int code = !runnable ? errno : arguments == NULL ? ENOMEM : spawn(program, arguments);
    free(arguments);
    if (code == 0)
        return true;
    return postern_error_set(error, "cannot run %s: %s", program->route->sendmail, strerror(code));
}

/* A program takes milliseconds or hangs; neither is worth a watcher. */
static bool wait_for_end(pid_t pid, int *status, double deadline)
{
    for (;;) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR))
            return true;
        if (!fiber_sleep(LOOK_AGAIN, deadline))
            return false;
    }
}

/* With the group goes what the program has started; a killed process ends, so that is waited for.
 */
static int program_end(const struct program *program, double deadline, bool *late)
{
    int status = 0;
    *late = !wait_for_end(program->pid, &status, deadline);
    if (*late) {
        kill(-program->pid, SIGKILL);
        wait_for_end(program->pid, &status, NEVER);
    }
    return status;
}

/* The last line that it printed. */
static const char *last_line(const struct program *program, char *text, size_t size)
{
    size_t length = 0;
    char piece[PRINTED_ROOM];
    ssize_t got;
    for (int i = 0; i < 256 && (got = read(program->output[0], piece, sizeof piece)) > 0; i++) {
        size_t kept = length < size - 1 - (size_t)got ? length : size - 1 - (size_t)got;
        memmove(text, text + length - kept, kept);
        memcpy(text + kept, piece, (size_t)got);
        length = kept + (size_t)got;
    }
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    const char *line = strrchr(text, '\n');
    return line != NULL ? line + 1 : text;
}

/* Postfix's sendmail hands the mail to a program with the rights of the queue's group. */
static const char *advice(void)
{
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return "";
    return "; it may not gain privileges here (NoNewPrivileges of the service), which the one of "
           "Postfix needs: set smtp_url instead";
}

static bool program_judge(const struct program *program, int status, bool late,
                          struct postern_error *error)
{
    if (!late && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    char how[64], printed[2 * PRINTED_ROOM];
    if (late)
        snprintf(how, sizeof how, "took too long and was killed");
    else if (WIFEXITED(status))
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(status));
    else
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(status));
    const char *line = last_line(program, printed, sizeof printed);
    return postern_error_set(error, "%s %s%s%.250s%s", program->route->sendmail, how,
                             line[0] != '\0' ? ": " : "", line, advice());
}

static void close_all(const struct program *program)
{
    const int files[] = {program->input, program->output[0], program->output[1]};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] >= 0)
            close(files[i]);
}

bool mail_send_by_program(const struct mail_route *route, const struct mail *mail, double deadline,
                          struct postern_error *error)
{
    struct program program = {.route = route, .input = -1, .output = {-1, -1}};
    bool good = false;
    if (!program_prepare(&program, mail->text)) {
        postern_error_set(error, "cannot prepare the mail: %s", strerror(errno));
    } else if (program_start(&program, mail->recipients, error)) {
        bool late;
        int status = program_end(&program, deadline, &late);
        good = program_judge(&program, status, late, error);
    }
    close_all(&program);
    return good;
}
