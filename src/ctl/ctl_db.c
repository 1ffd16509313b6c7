/*
 * Postern makes the tables of iredapd, and of all that are SQLite files; vmail and amavisd on a
 * server belong to the mail system, which is only asked whether it answers.
 */
#include "ctl/nouns.h"
#include "ctl/output.h"
#include <string.h>

static const struct postern_statement SWITCH_ON = {
    .sql = "INSERT INTO greylisting (account, priority, sender, sender_priority, comment, active) "
           "VALUES ('@.', 0, '@.', 0, '', 1) ON CONFLICT (account, sender) DO NOTHING",
    .mysql = "INSERT IGNORE INTO greylisting "
             "(account, priority, sender, sender_priority, comment, active) "
             "VALUES ('@.', 0, '@.', 0, '', 1)"};

static const struct postern_statement ANSWER = {.sql = "SELECT 1"};

static const char *const state_names[] = {
    [SCHEMA_READY] = "ready",
    [SCHEMA_EMPTY] = "empty",
    [SCHEMA_OLD] = "old",
    [SCHEMA_NEWER] = "newer",
    [SCHEMA_UNREACHABLE] = "unreachable",
    [SCHEMA_UNUSABLE] = "unusable",
};

static const enum ctl_status state_statuses[] = {
    [SCHEMA_READY] = CTL_DONE,
    [SCHEMA_EMPTY] = CTL_NOTHING,
    [SCHEMA_OLD] = CTL_NOTHING,
    [SCHEMA_NEWER] = CTL_NOTHING,
    [SCHEMA_UNREACHABLE] = CTL_UNREACHABLE,
    [SCHEMA_UNUSABLE] = CTL_UNREACHABLE,
};

static bool is_sqlite(const struct database_config *config)
{
    return strcmp(config->driver, "sqlite") == 0;
}

static bool is_ours(const struct database_config *config)
{
    return is_sqlite(config) || strcmp(config->name, "iredapd") == 0;
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

static struct schema_status check(struct ctl *ctl, const struct database_config *config)
{
    struct db *db = databases_find(&ctl->databases, config->name);
    if (is_ours(config))
        return schema_check(db, config, ctl->deadline);
    struct schema_status status = {.state = SCHEMA_READY};
    struct db_query query = {&ANSWER, POSTERN_NO_VALUES, ctl->arena, ctl->deadline};
    struct postern_rows rows;
    if (db_query(db, &query, &rows, &status.error) == POSTERN_FAILED)
        status.state = SCHEMA_UNREACHABLE;
    return status;
}

static const struct column status_columns[] = {
    {"DATABASE", "database", COLUMN_TEXT}, {"DRIVER", "driver", COLUMN_TEXT},
    {"LOCATION", "location", COLUMN_TEXT}, {"VERSION", "version", COLUMN_INTEGER},
    {"NEWEST", "newest", COLUMN_INTEGER},  {"STATE", "state", COLUMN_TEXT},
    {"WHAT TO DO", "advice", COLUMN_TEXT},
};
#define STATUS_COLUMNS (sizeof status_columns / sizeof status_columns[0])

static void status_row(struct ctl *ctl, const struct database_config *config,
                       const struct schema_status *schema, struct postern_value *row)
{
    bool ours = is_ours(config);
    *row++ = postern_text(config->name);
    *row++ = postern_text(config->driver);
    *row++ = postern_text(location(ctl, config));
    *row++ = ours ? postern_integer(schema->version) : postern_null();
    *row++ = ours ? postern_integer(schema->newest) : postern_null();
    *row++ = postern_text(state_names[schema->state]);
    *row = schema->state == SCHEMA_READY
               ? postern_null()
               : postern_text(postern_strdup(ctl->arena, schema->error.text));
}

static enum ctl_status status(struct ctl *ctl)
{
    size_t count = ctl->config->databases_length;
    struct postern_value *cells = postern_alloc(ctl->arena, count * STATUS_COLUMNS * sizeof *cells);
    enum ctl_status worst = CTL_DONE;
    for (size_t i = 0; i < count; i++) {
        struct schema_status schema = check(ctl, &ctl->config->databases[i]);
        status_row(ctl, &ctl->config->databases[i], &schema, cells + i * STATUS_COLUMNS);
        if (state_statuses[schema.state] > worst)
            worst = state_statuses[schema.state];
    }
    struct postern_rows rows = {.count = count, .columns = STATUS_COLUMNS, .cells = cells};
    output_table(ctl, status_columns, &rows);
    return worst;
}

/* --- init, migrate --- */

/* Several logical databases may be one file: only the first of them is worked on. */
static bool is_repeated(const struct ctl *ctl, size_t index)
{
    const struct database_config *all = ctl->config->databases;
    for (size_t i = 0; i < index; i++)
        if (is_sqlite(&all[i]) && is_sqlite(&all[index]) &&
            strcmp(all[i].path, all[index].path) == 0)
            return true;
    return false;
}

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
    bool old;    /* one is there, but not up to date */
};

static enum ctl_status bring_up(struct ctl *ctl, const struct database_config *config,
                                struct work *work)
{
    struct postern_error error = {{0}};
    int applied = 0;
    struct db *db = databases_find(&ctl->databases, config->name);
    if (!schema_migrate(db, config, ctl->deadline, &applied, &error))
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
    struct schema_status schema = check(ctl, config);
    work->version = schema.newest;
    work->old = work->old || schema.state == SCHEMA_OLD;
    if (schema.state == SCHEMA_READY || schema.state == SCHEMA_OLD)
        return CTL_DONE;
    if (schema.state != SCHEMA_EMPTY)
        return refuse(&schema);
    enum ctl_status done = bring_up(ctl, config, work);
    bool greylists = strcmp(config->name, "iredapd") == 0 && ctl_option(ctl, "empty") == NULL;
    return done == CTL_DONE && greylists ? switch_on(ctl) : done;
}

static enum ctl_status migrate_one(struct ctl *ctl, const struct database_config *config,
                                   struct work *work)
{
    struct schema_status schema = check(ctl, config);
    work->version = schema.newest;
    if (schema.state == SCHEMA_READY)
        return CTL_DONE;
    return schema.state == SCHEMA_OLD ? bring_up(ctl, config, work) : refuse(&schema);
}

static enum ctl_status
each_of_ours(struct ctl *ctl, struct work *work,
             enum ctl_status (*one)(struct ctl *, const struct database_config *, struct work *))
{
    enum ctl_status done = CTL_DONE;
    for (size_t i = 0; i < ctl->config->databases_length && done == CTL_DONE; i++)
        if (is_ours(&ctl->config->databases[i]) && !is_repeated(ctl, i))
            done = one(ctl, &ctl->config->databases[i], work);
    return done;
}

static enum ctl_status init(struct ctl *ctl)
{
    struct work work = {0};
    enum ctl_status done = each_of_ours(ctl, &work, init_one);
    if (done != CTL_DONE)
        return done;
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
    enum ctl_status done = each_of_ours(ctl, &work, migrate_one);
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
