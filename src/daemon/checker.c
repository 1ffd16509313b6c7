#define _GNU_SOURCE
#include "daemon/checker.h"

#include "db/schema.h"
#include "policy/module.h"
#include "policy/server.h"
#include "runtime/fiber.h"
#include "runtime/metrics.h"
#include "util/buffer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATABASE_TIMEOUT 5.0
#define SECRET_LENGTH    16 /* characters of a secret that nobody guesses */

struct check {
    const struct config *config;
    int output;
    bool reread;
    bool failed;
};

/* --- in the short-lived process --- */

/* What it finds stays far below what a pipe holds, so it never waits for the reader. */
static void find(struct check *check, enum log_level level, const char *text)
{
    dprintf(check->output, "%c%s\n", level == LOG_LEVEL_ERROR ? 'E' : 'W', text);
    if (level == LOG_LEVEL_ERROR)
        check->failed = true;
}

static void check_rereading(struct check *check)
{
    char *errors = NULL;
    struct config *again = config_load(check->config->path, &policy_modules, &errors);
    if (again == NULL) {
        struct postern_error text;
        postern_error_set(&text, "a reload would fail, since user %s can't read it all: %.*s",
                          check->config->user, errors != NULL ? (int)strcspn(errors, "\n") : 0,
                          errors != NULL ? errors : "");
        find(check, LOG_LEVEL_WARNING, text.text);
    }
    config_free(again);
    free(errors);
}

/* What may well serve: tables that are usable as they are, or a server that comes back. */
static bool may_serve(enum schema_state state)
{
    return state == SCHEMA_OLD || state == SCHEMA_UNREACHABLE;
}

static void check_drivers(struct check *check, const struct databases *databases)
{
    for (size_t i = 0; i < databases->count; i++) {
        const char *name = db_name(databases->list[i]);
        if (db_has_driver(databases->list[i]))
            continue;
        struct postern_error text;
        postern_error_set(&text,
                          "database %s: this build has no driver \"%s\": build Postern with it, or "
                          "set another `driver`",
                          name, config_database(check->config, name)->driver);
        find(check, LOG_LEVEL_ERROR, text.text);
    }
}

static void check_schema(struct check *check, struct databases *databases)
{
    static const char name[] = "iredapd";
    struct schema_status status =
        schema_check(databases_find(databases, name), config_database(check->config, name),
                     fiber_now() + DATABASE_TIMEOUT);
    if (status.state != SCHEMA_READY)
        find(check, may_serve(status.state) ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR,
             status.error.text);
}

static void check_plugins(struct check *check, struct databases *databases)
{
    struct postern_error error;
    struct policy_server *server = policy_server_new(check->config, databases, &error);
    if (server == NULL)
        find(check, LOG_LEVEL_ERROR, error.text);
    else
        policy_server_free(server);
}

/* Whoever guesses the secret can address mail through us; each address we sign lets them try. */
static void check_srs(struct check *check)
{
    const struct config *config = check->config;
    struct stat status;
    if (config->srs.domain[0] == '\0')
        return;
    if (strlen(config->srs.secrets.items[0]) < SECRET_LENGTH)
        find(check, LOG_LEVEL_WARNING,
             "srs: the first secret is so short that it can be guessed; put one before it that "
             "`posternctl srs secret` makes");
    if (config->srs.secrets_file[0] == '\0' || stat(config->srs.secrets_file, &status) != 0 ||
        (status.st_mode & S_IROTH) == 0)
        return;
    struct postern_error text;
    postern_error_set(&text, "srs: everybody can read %s; run `chmod o-rwx` on it",
                      config->srs.secrets_file);
    find(check, LOG_LEVEL_WARNING, text.text);
}

static void check_main(void *arg)
{
    struct check *check = arg;
    struct databases databases = {0};
    databases_open(&databases, check->config);
    if (check->reread)
        check_rereading(check);
    check_drivers(check, &databases);
    check_srs(check);
    if (!check->failed)
        check_schema(check, &databases);
    if (!check->failed)
        check_plugins(check, &databases);
    databases_close(&databases);
    fiber_runtime_stop();
}

static void reset_signals(void)
{
    sigset_t none;
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_check(struct check *check, int slot)
{
    reset_signals();
    alarm((unsigned)(2 * CHECKER_TIMEOUT)); /* should the master be gone by then */
    metrics_slot_use(slot);
    fiber_runtime_start();
    if (fiber_spawn(check_main, check))
        fiber_runtime_run();
    else
        find(check, LOG_LEVEL_ERROR, "no memory to check the configuration");
    _exit(check->failed ? 1 : 0);
}

/* --- in the master --- */

bool checker_start(struct checker *checker, const struct config *config, bool reread,
                   checker_enter enter, void *context, struct postern_error *error)
{
    int output[2];
    if (pipe2(output, O_CLOEXEC) < 0)
        return postern_error_set(error, "cannot make a pipe: %s", strerror(errno));
    int slot = metrics_slot_take();
    pid_t pid = fork();
    if (pid == 0) {
        close(output[0]);
        if (enter != NULL)
            enter(context);
        struct check check = {.config = config, .output = output[1], .reread = reread};
        run_check(&check, slot);
    }
    close(output[1]);
    *checker = (struct checker){.pid = pid, .slot = slot, .output = output[0]};
    if (pid > 0)
        return true;
    postern_error_set(error, "cannot fork: %s", strerror(errno));
    close(output[0]);
    metrics_slot_retire(slot);
    *checker = (struct checker){0};
    return false;
}

static void read_findings(int fd, struct buffer *findings)
{
    char piece[4096];
    ssize_t length;
    while ((length = read(fd, piece, sizeof piece)) > 0)
        buffer_append(findings, piece, (size_t)length);
}

bool checker_finish(struct checker *checker, int status, checker_report report)
{
    struct buffer findings = {0};
    char *rest = NULL, *line, end[96];
    buffer_text(&findings, "");
    read_findings(checker->output, &findings);
    bool explained = false;
    for (line = strtok_r(findings.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        explained = explained || line[0] == 'E';
        report(line[0] == 'E' ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, line + 1);
    }
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good && !explained) {
        struct postern_error text;
        postern_error_set(&text, "the process that checks the configuration %s",
                          exit_text(status, end, sizeof end));
        report(LOG_LEVEL_ERROR, text.text);
    }
    buffer_free(&findings);
    close(checker->output);
    metrics_slot_retire(checker->slot);
    *checker = (struct checker){0};
    return good;
}

char *exit_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
    return text;
}
