/*
 * Postern makes the tables of iredapd, of all that are SQLite files, and of amavisd on a server
 * that has none. vmail on a server is the mail system's: it is only looked at.
 */
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "runtime/fiber.h"
#include <string.h>

#define MIGRATION_TIMEOUT 600 /* seconds; tables of millions of rows are rebuilt */

static const struct postern_statement SWITCH_ON = {
    .sql = "INSERT INTO greylisting (account, priority, sender, sender_priority, comment, active) "
           "VALUES ('@.', 0, '@.', 0, '', 1) ON CONFLICT (account, sender) DO NOTHING",
    .mysql = "INSERT IGNORE INTO greylisting "
             "(account, priority, sender, sender_priority, comment, active) "
             "VALUES ('@.', 0, '@.', 0, '', 1)"};

static const char *const state_names[] = {
    [SCHEMA_READY] = "ready",       [SCHEMA_EMPTY] = "empty",
    [SCHEMA_OLD] = "old",           [SCHEMA_INCOMPLETE] = "incomplete",
    [SCHEMA_NEWER] = "newer",       [SCHEMA_UNREACHABLE] = "unreachable",
    [SCHEMA_UNUSABLE] = "unusable",
};

static const enum ctl_status state_statuses[] = {
    [SCHEMA_READY] = CTL_DONE,           [SCHEMA_EMPTY] = CTL_NOTHING,
    [SCHEMA_OLD] = CTL_NOTHING,          [SCHEMA_INCOMPLETE] = CTL_NOTHING,
    [SCHEMA_NEWER] = CTL_NOTHING,        [SCHEMA_UNREACHABLE] = CTL_UNREACHABLE,
    [SCHEMA_UNUSABLE] = CTL_UNREACHABLE,
};

static bool is_sqlite(const struct database_config *config)
{
    return strcmp(config->driver, "sqlite") == 0;
}

static bool is_iredapd(const struct database_config *config)
{
    return strcmp(config->name, "iredapd") == 0;
}

static struct schema_status check(struct ctl *ctl, const struct database_config *config)
{
    return schema_check(databases_find(&ctl->databases, config->name), config, ctl->deadline);
}

static const char *location(struct ctl *ctl, const struct database_config *config)
{
    if (is_sqlite(config))
        return config->path;
    if (config->port == 0)
        return postern_printf(ctl->arena, "%s/%s", config->host, config->dbname);
    return postern_printf(ctl->arena, "%s:%d/%s", config->host, (int)config->port, config->dbname);
}

/* --- status --- */

static const struct column status_columns[] = {
    {"DATABASE", "database", COLUMN_TEXT}, {"DRIVER", "driver", COLUMN_TEXT},
    {"LOCATION", "location", COLUMN_TEXT}, {"VERSION", "version", COLUMN_INTEGER},
    {"NEWEST", "newest", COLUMN_INTEGER},  {"STATE", "state", COLUMN_TEXT},
    {"WHAT TO DO", "advice", COLUMN_TEXT},
};
#define STATUS_COLUMNS (sizeof status_columns / sizeof status_columns[0])

/* Tables that are the mail system's have none. */
static struct postern_value version_value(const struct schema_status *schema, int version)
{
    bool none = schema->newest == 0 || (schema->state == SCHEMA_READY && schema->version == 0);
    return none ? postern_null() : postern_integer(version);
}

static void status_row(struct ctl *ctl, const struct database_config *config,
                       const struct schema_status *schema, struct postern_value *row)
{
    *row++ = postern_text(config->name);
    *row++ = postern_text(config->driver);
    *row++ = postern_text(location(ctl, config));
    *row++ = version_value(schema, schema->version);
    *row++ = version_value(schema, schema->newest);
    *row++ = postern_text(state_names[schema->state]);
    *row = schema->state == SCHEMA_READY
               ? postern_null()
               : postern_text(postern_strdup(ctl->arena, schema->error.text));
}

static enum ctl_status status(struct ctl *ctl)
{
    size_t most = ctl->config->databases_length, count = 0;
    struct postern_value *cells = postern_alloc(ctl->arena, most * STATUS_COLUMNS * sizeof *cells);
    enum ctl_status worst = CTL_DONE;
    for (size_t i = 0; i < most; i++) {
        const struct database_config *config = &ctl->config->databases[i];
        if (!config->configured)
            continue;
        struct schema_status schema = check(ctl, config);
        status_row(ctl, config, &schema, cells + count++ * STATUS_COLUMNS);
        if (state_statuses[schema.state] > worst)
            worst = state_statuses[schema.state];
    }
    struct postern_rows rows = {.count = count, .columns = STATUS_COLUMNS, .cells = cells};
    output_table(ctl, status_columns, &rows);
    return worst;
}

/* --- init, migrate --- */

static enum ctl_status fail(const struct postern_error *error)
{
    ctl_complain("%s", error->text);
    return CTL_UNREACHABLE;
}

static enum ctl_status refuse(const struct schema_status *schema)
{
    ctl_complain("%s", schema->error.text);
    return state_statuses[schema->state];
}

/* What a run over all databases has done. */
struct work {
    int applied; /* migrations */
    int version; /* the newest one */
    bool old;    /* one is left that is not up to date */
};

static bool is_behind(const struct schema_status *schema)
{
    return schema->state == SCHEMA_OLD || schema->state == SCHEMA_INCOMPLETE;
}

static bool is_foreign(const struct schema_status *schema)
{
    return schema->newest == 0;
}

/* What is wrong with tables that are not ours is said, and keeps nobody from making those that are.
 */
static struct schema_status work_check(struct ctl *ctl, const struct database_config *config,
                                       struct work *work)
{
    struct schema_status schema = check(ctl, config);
    if (schema.newest > work->version)
        work->version = schema.newest;
    if (is_foreign(&schema) && schema.state != SCHEMA_READY)
        ctl_complain("%s", schema.error.text);
    return schema;
}

static enum ctl_status bring_up(struct ctl *ctl, const struct database_config *config,
                                struct work *work)
{
    struct postern_error error = {{0}};
    int applied = 0;
    struct db *db = databases_find(&ctl->databases, config->name);
    double deadline = fiber_now() + ctl_patience(ctl, MIGRATION_TIMEOUT);
    if (!schema_migrate(db, config, deadline, &applied, &error))
        return fail(&error);
    work->applied += applied;
    return CTL_DONE;
}

static enum ctl_status switch_on(struct ctl *ctl)
{
    struct postern_rows rows;
    enum postern_lookup lookup = ctl_query(ctl, &SWITCH_ON, POSTERN_NO_VALUES, &rows);
    return lookup == POSTERN_FAILED ? CTL_UNREACHABLE : CTL_DONE;
}

static enum ctl_status init_one(struct ctl *ctl, const struct database_config *config,
                                struct work *work)
{
    struct postern_error error = {{0}};
    if (!schema_create_database(config, ctl->config->user, ctl->config->group, &error))
        return fail(&error);
    struct schema_status schema = work_check(ctl, config, work);
    work->old = work->old || is_behind(&schema);
    if (schema.state == SCHEMA_READY || is_behind(&schema) || is_foreign(&schema))
        return CTL_DONE;
    if (schema.state != SCHEMA_EMPTY)
        return refuse(&schema);
    enum ctl_status done = bring_up(ctl, config, work);
    bool greylists = is_iredapd(config) && ctl_option(ctl, "empty") == NULL;
    return done == CTL_DONE && greylists ? switch_on(ctl) : done;
}

static enum ctl_status migrate_one(struct ctl *ctl, const struct database_config *config,
                                   struct work *work)
{
    struct schema_status schema = work_check(ctl, config, work);
    if (schema.state == SCHEMA_READY || is_foreign(&schema))
        return CTL_DONE;
    return is_behind(&schema) ? bring_up(ctl, config, work) : refuse(&schema);
}

static enum ctl_status
each_configured(struct ctl *ctl, struct work *work,
                enum ctl_status (*one)(struct ctl *, const struct database_config *, struct work *))
{
    enum ctl_status done = CTL_DONE;
    for (size_t i = 0; i < ctl->config->databases_length && done == CTL_DONE; i++)
        if (ctl->config->databases[i].configured)
            done = one(ctl, &ctl->config->databases[i], work);
    return done;
}

static enum ctl_status init(struct ctl *ctl)
{
    struct work work = {0};
    enum ctl_status done = each_configured(ctl, &work, init_one);
    if (done != CTL_DONE)
        return done;
    if (work.old && work.applied > 0)
        return output_change(ctl, work.applied,
                             "initialised what was empty; another database is "
                             "not up to date: run `posternctl db migrate`");
    if (work.old)
        return output_unchanged(ctl, "initialised already, but not up to date: run `posternctl db "
                                     "migrate`");
    if (work.applied == 0)
        return output_unchanged(ctl, "initialised already, at version %d; nothing was changed",
                                work.version);
    return output_change(ctl, work.applied, "initialised at version %d; %s", work.version,
                         ctl_option(ctl, "empty") == NULL
                             ? "greylisting is on for everybody"
                             : "`posternctl greylist enable` switches greylisting on");
}

static enum ctl_status migrate(struct ctl *ctl)
{
    struct work work = {0};
    enum ctl_status done = each_configured(ctl, &work, migrate_one);
    if (done != CTL_DONE)
        return done;
    if (work.applied == 0)
        return output_unchanged(ctl, "up to date at version %d; nothing was changed", work.version);
    return output_change(ctl, work.applied, "migrated to version %d (%d applied)", work.version,
                         work.applied);
}

static const struct command commands[] = {
    {"init", NULL, "makes the database and its tables, and switches greylisting on",
     (const struct command_option[]){
         {"empty", NULL, "leave the tables empty: nobody is greylisted"}, {NULL}},
     NEEDS_CONFIG, init},
    {"status", NULL, "whether the databases can be reached and are up to date", NULL, NEEDS_CONFIG,
     status},
    {"migrate", NULL, "brings the tables of an earlier version up to date", NULL, NEEDS_CONFIG,
     migrate},
    {NULL},
};

const struct noun noun_db = {"db", "the databases and their tables", commands};
