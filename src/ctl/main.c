/*
 * posternctl: what an admin does with Postern. It works on the databases themselves, so the
 * daemon need not run.
 */
#define _GNU_SOURCE

#include "build_config.h"
#include "ctl/arguments.h"
#include "ctl/help.h"
#include "dns/dns.h"
#include "runtime/fiber.h"
#include "util/arena.h"
#include "util/buffer.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct run {
    struct ctl *ctl;
    enum ctl_status status;
};

static bool is_usable(const struct schema_status *schema, enum command_needs needs)
{
    if (schema->state == SCHEMA_OLD)
        return needs == NEEDS_DATABASE || schema->version > 0;
    return schema->state == SCHEMA_READY;
}

static enum ctl_status require_schema(struct ctl *ctl, enum command_needs needs)
{
    const char *name = needs == NEEDS_AMAVISD ? "amavisd" : "iredapd";
    const struct database_config *config = config_database(ctl->config, name);
    if (!config->configured) {
        ctl_complain("%s has no section `database \"%s\"`, which says where the lists are",
                     ctl->config_path, name);
        return CTL_UNREACHABLE;
    }
    struct schema_status schema =
        schema_check(databases_find(&ctl->databases, name), config, ctl->deadline);
    if (is_usable(&schema, needs))
        return CTL_DONE;
    if (schema.state == SCHEMA_OLD)
        ctl_complain(
            "database %s: its tables are iRedAPD's, and this command needs what `posternctl "
            "db migrate` adds to them: run that first",
            name);
    else
        ctl_complain("%s", schema.error.text);
    return CTL_UNREACHABLE;
}

static void run_command(void *arg)
{
    struct run *run = arg;
    struct ctl *ctl = run->ctl;
    ctl->deadline = fiber_now() + ctl_patience(ctl, CTL_TIMEOUT);
    if (ctl->config != NULL) {
        databases_open(&ctl->databases, ctl->config);
        dns_open(ctl->config);
    }
    enum command_needs needs = ctl->command->needs;
    run->status = needs >= NEEDS_DATABASE ? require_schema(ctl, needs) : CTL_DONE;
    if (run->status == CTL_DONE)
        run->status = ctl->command->run(ctl);
    dns_close();
    databases_close(&ctl->databases);
    fiber_runtime_stop();
}

static enum ctl_status run_in_fiber(struct ctl *ctl)
{
    struct run run = {.ctl = ctl, .status = CTL_UNREACHABLE};
    fiber_runtime_start();
    if (fiber_spawn(run_command, &run))
        fiber_runtime_run();
    else
        ctl_complain("cannot start: %s", strerror(errno));
    fiber_runtime_end();
    return run.status;
}

static enum ctl_status perform(struct ctl *ctl, int count, char **arguments)
{
    enum ctl_status status = arguments_parse(ctl, count, arguments);
    if (status != CTL_DONE)
        return status;
    if (ctl->version) {
        buffer_text(ctl->out, "posternctl " POSTERN_VERSION "\n");
        return CTL_DONE;
    }
    if (ctl->help)
        return help_print(ctl);
    /* A configuration with errors is out of reach for whoever only wants to use it. */
    if (ctl->command->needs != NEEDS_NOTHING && ctl_load_config(ctl) != CTL_DONE)
        return CTL_UNREACHABLE;
    return run_in_fiber(ctl);
}

static enum ctl_status write_output(const struct ctl *ctl, enum ctl_status status)
{
    const struct buffer *out = ctl->out;
    if (out->length == 0)
        return status;
    bool written = fwrite(out->data, 1, out->length, stdout) == out->length;
    if (written && out->data[out->length - 1] != '\n')
        written = putchar('\n') != EOF;
    if (written && fflush(stdout) == 0)
        return status;
    ctl_complain("cannot write the output: %s", strerror(errno));
    return CTL_UNREACHABLE;
}

/* Else what is opened next takes the place of one that is closed: a database, for an error. */
static void occupy_standard_files(void)
{
    int file;
    do
        file = open("/dev/null", O_PATH | O_CLOEXEC);
    while (file >= 0 && file <= STDERR_FILENO);
    close(file);
}

int main(int count, char **arguments)
{
    occupy_standard_files();
    struct buffer out = {0};
    struct ctl ctl = {.arena = arena_new(), .config_path = CONFIG_DEFAULT_PATH, .out = &out};
    enum ctl_status status = perform(&ctl, count, arguments);
    status = write_output(&ctl, status);
    config_free(ctl.config);
    buffer_free(&out);
    arena_free(ctl.arena);
    return status;
}
