/*
 * posternd: options, then the steps of the start in the order that they need: what needs root
 * before the privileges are dropped, what may refuse to start before anything is forked.
 */
#include "build_config.h"
#include "daemon/checker.h"
#include "daemon/master.h"
#include "daemon/process.h"
#include "policy/module.h"
#include "runtime/metrics.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

struct startup {
    const char *path;
    bool foreground;
    struct config *config;         /* generation's, once there is one */
    struct generation *generation; /* listeners bound, no process yet */
    struct pid_file pid_file;
};

static void print_error(const char *text)
{
    fprintf(stderr, "posternd: %s\n", text);
}

static void print_lines(char *lines)
{
    char *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        print_error(line);
}

static struct config *load_config(const char *path)
{
    char *errors = NULL;
    struct config *config = config_load(path, &policy_modules, &errors);
    if (config == NULL)
        print_lines(errors);
    free(errors);
    return config;
}

static int test_config(const char *path)
{
    struct config *config = load_config(path);
    if (config == NULL)
        return 1;
    printf("%s: ok\n", path);
    config_free(config);
    return 0;
}

/* --- the steps of the start --- */

static bool create_metrics(struct startup *startup, struct postern_error *error)
{
    (void)error;
    metrics_create();
    master_register_metrics(startup->config);
    return true;
}

static bool lock_pid_file(struct startup *startup, struct postern_error *error)
{
    return pid_file_open(&startup->pid_file, startup->config->pid_file, startup->config->user,
                         error);
}

static bool bind_listeners(struct startup *startup, struct postern_error *error)
{
    startup->generation = generation_new(startup->config, NULL, error);
    return startup->generation != NULL;
}

static bool raise_limits(struct startup *startup, struct postern_error *error)
{
    if (!process_raise_open_files(startup->config, error))
        print_error(error->text);
    return true;
}

static bool drop_privileges(struct startup *startup, struct postern_error *error)
{
    return process_drop_privileges(startup->config, error);
}

static void report_finding(enum log_level level, const char *text)
{
    (void)level;
    print_error(text);
}

/* Each finding has been printed; there is nothing to add. */
static bool check_config(struct startup *startup, struct postern_error *error)
{
    struct checker checker = {0};
    int status;
    error->text[0] = '\0';
    if (!checker_start(&checker, startup->config, true, NULL, NULL, error))
        return false;
    while (waitpid(checker.pid, &status, 0) < 0 && errno == EINTR)
        ;
    return checker_finish(&checker, status, report_finding);
}

static bool open_log(struct startup *startup, struct postern_error *error)
{
    (void)error;
    log_open("posternd", &startup->config->log);
    return true;
}

static bool (*const steps[])(struct startup *, struct postern_error *) = {
    create_metrics,  lock_pid_file, bind_listeners, raise_limits,
    drop_privileges, check_config,  open_log,
};

static int fail_start(struct startup *startup, const struct postern_error *error)
{
    if (error->text[0] != '\0')
        print_error(error->text);
    if (startup->generation != NULL)
        generation_free(startup->generation, NULL);
    else
        config_free(startup->config);
    pid_file_remove(&startup->pid_file);
    return 1;
}

static int start(struct startup *startup)
{
    struct postern_error error;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (!steps[i](startup, &error))
            return fail_start(startup, &error);
    bool log_elsewhere = startup->config->log.target != LOG_TARGET_STDERR;
    int status = master_run(startup->generation, &startup->pid_file);
    if (status != 0 && log_elsewhere)
        print_error("the start failed; the log says why");
    return status;
}

static int run_daemon(struct startup *startup)
{
    struct postern_error error;
    /* A reload reads the file again, from another directory in the background. */
    char *path = startup->foreground ? NULL : realpath(startup->path, NULL);
    int status = 1;
    startup->config = load_config(path != NULL ? path : startup->path);
    if (startup->config != NULL) {
        if (startup->foreground || process_background(&error))
            status = start(startup);
        else
            status = fail_start(startup, &error);
    }
    free(path);
    return status;
}

static void print_help(void)
{
    puts("Usage: posternd [-f] [-c FILE]\n"
         "       posternd -t [-c FILE]\n"
         "\n"
         "The Postfix policy daemon.\n"
         "\n"
         "  -c, --config FILE   read FILE instead of " CONFIG_DEFAULT_PATH "\n"
         "  -t, --test          check the configuration and exit\n"
         "  -f, --foreground    stay in the foreground\n"
         "  -V, --version       print the version and exit\n"
         "  -h, --help          print this help and exit\n"
         "\n"
         "SIGHUP reloads the configuration, SIGTERM stops, SIGUSR1 reopens the log.");
}

static int refuse_usage(void)
{
    fputs("Try: posternd --help\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
        {"foreground", no_argument, NULL, 'f'},   {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct startup startup = {.path = CONFIG_DEFAULT_PATH, .pid_file.fd = -1};
    bool test = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:tfVh", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            startup.path = optarg;
            break;
        case 't':
            test = true;
            break;
        case 'f':
            startup.foreground = true;
            break;
        case 'V':
            puts("posternd " POSTERN_VERSION);
            return 0;
        case 'h':
            print_help();
            return 0;
        default:
            return refuse_usage();
        }
    }
    if (optind < argc) {
        fprintf(stderr, "posternd: unexpected argument: %s\n", argv[optind]);
        return refuse_usage();
    }
    return test ? test_config(startup.path) : run_daemon(&startup);
}
