/*
 * Each migration's script begins with the row that claims its version. The row is unique and
 * the script a transaction, so of two who migrate at once the second fails on it, sees
 * that the version is there, and goes on.
 *
 * MySQL commits with every DDL statement, so there the row comes last: a script that failed
 * half-way is run again, all of it, and so is one that another host has just run. It is written for
 * that.
 */
#include "db/schema.h"

#include "db/migration.h"
#include "db/schema_file.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "util/arena.h"
#include "util/buffer.h"
#include <inttypes.h>
#include <string.h>

static const struct postern_statement tables_of_ours = {
    .sqlite = "SELECT name FROM sqlite_master WHERE type = 'table' "
              "AND name IN ('postern_schema', 'greylisting')",
    .mysql = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() "
             "AND table_name IN ('postern_schema', 'greylisting')"};
static const struct postern_statement newest_applied = {
    .sql = "SELECT COALESCE(MAX(version), 0) FROM postern_schema"};

/* What the database holds. */
struct found {
    bool ours; /* some of our tables, maybe an iRedAPD's */
    int version;
};

static int newest_known(const char *driver)
{
    int newest = 0;
    for (size_t i = 0; i < migrations_count; i++)
        if (strcmp(migrations[i].driver, driver) == 0)
            newest = migrations[i].version;
    return newest;
}

static bool find_version(struct db *db, struct postern_arena *arena, double deadline,
                         struct found *found, struct postern_error *error)
{
    struct postern_rows rows;
    struct db_query tables = {&tables_of_ours, POSTERN_NO_VALUES, arena, deadline};
    enum postern_lookup lookup = db_query(db, &tables, &rows, error);
    bool versioned = false;
    *found = (struct found){.ours = lookup == POSTERN_FOUND};
    for (size_t i = 0; i < rows.count; i++)
        versioned |= strcmp(postern_row_text(&rows, i, 0), "postern_schema") == 0;
    if (!versioned)
        return lookup != POSTERN_FAILED;

    struct db_query version = {&newest_applied, POSTERN_NO_VALUES, arena, deadline};
    if (db_query(db, &version, &rows, error) != POSTERN_FOUND)
        return false;
    found->version = (int)postern_row_integer(&rows, 0, 0);
    return true;
}

static bool schema_find(struct db *db, double deadline, struct found *found,
                        struct postern_error *error)
{
    struct postern_arena *arena = arena_new();
    bool good = find_version(db, arena, deadline, found, error);
    arena_free(arena);
    return good;
}

static bool is_newer(struct db *db, int version, int newest, struct postern_error *error)
{
    if (version <= newest)
        return false;
    postern_error_set(error,
                      "database %s: its tables are of version %d, and this Postern knows those up "
                      "to %d: run the Postern that made them, or a newer one",
                      db_name(db), version, newest);
    return true;
}

static enum schema_state state_of(struct db *db, const struct found *found, int newest,
                                  struct postern_error *error)
{
    if (!found->ours) {
        postern_error_set(error, "database %s has none of the tables: run `posternctl db init`",
                          db_name(db));
        return SCHEMA_EMPTY;
    }
    if (is_newer(db, found->version, newest, error))
        return SCHEMA_NEWER;
    if (found->version == newest)
        return SCHEMA_READY;
    postern_error_set(error,
                      "database %s: its tables are of version %d, and this Postern needs %d: run "
                      "`posternctl db migrate`",
                      db_name(db), found->version, newest);
    return SCHEMA_OLD;
}

static bool is_sqlite(const struct database_config *config)
{
    return strcmp(config->driver, "sqlite") == 0;
}

/* A file either works at once or not at all, unless others hold it until the deadline. */
static enum schema_state state_of_failure(const struct database_config *config, double deadline)
{
    return is_sqlite(config) && fiber_now() < deadline ? SCHEMA_UNUSABLE : SCHEMA_UNREACHABLE;
}

struct schema_status schema_check(struct db *db, const struct database_config *config,
                                  double deadline)
{
    struct schema_status status = {.newest = newest_known(config->driver)};
    if (is_sqlite(config)) {
        status.state = schema_file_check(config, &status.error);
        if (status.state != SCHEMA_READY)
            return status;
    }
    struct found found;
    if (!schema_find(db, deadline, &found, &status.error)) {
        status.state = state_of_failure(config, deadline);
        return status;
    }
    status.version = found.version;
    status.state = state_of(db, &found, status.newest, &status.error);
    return status;
}

static bool commits_tables(const struct migration *migration)
{
    return strcmp(migration->driver, "mysql") == 0;
}

static void script_claim(struct buffer *script, const struct migration *migration)
{
    buffer_printf(script,
                  "INSERT INTO postern_schema (version, applied) VALUES (%d, %" PRId64 ");\n",
                  migration->version, clock_wall());
}

static bool migration_run(struct db *db, const struct migration *migration, double deadline,
                          struct postern_error *error)
{
    struct buffer script = {0};
    buffer_text(&script, "CREATE TABLE IF NOT EXISTS postern_schema ("
                         "version INTEGER NOT NULL PRIMARY KEY, applied BIGINT NOT NULL);\n");
    if (!commits_tables(migration))
        script_claim(&script, migration);
    buffer_text(&script, migration->sql);
    if (commits_tables(migration))
        script_claim(&script, migration);
    bool good = db_script(db, script.data, deadline, error);
    buffer_free(&script);
    return good;
}

/* True when the version is there, whoever has brought it. */
static bool migration_apply(struct db *db, const struct migration *migration, double deadline,
                            int *applied, struct postern_error *error)
{
    if (migration_run(db, migration, deadline, error)) {
        ++*applied;
        return true;
    }
    struct found found;
    struct postern_error ignored;
    if (schema_find(db, deadline, &found, &ignored) && found.version >= migration->version)
        return true;
    struct postern_error cause = *error;
    return postern_error_set(error, "migration %03d_%s: %.400s", migration->version,
                             migration->name, cause.text);
}

bool schema_migrate(struct db *db, const struct database_config *config, double deadline,
                    int *applied, struct postern_error *error)
{
    *applied = 0;
    int newest = newest_known(config->driver);
    if (newest == 0)
        return postern_error_set(error, "database %s: this build has no tables for driver \"%s\"",
                                 db_name(db), config->driver);
    struct found found;
    if (!schema_find(db, deadline, &found, error) || is_newer(db, found.version, newest, error))
        return false;
    for (size_t i = 0; i < migrations_count; i++) {
        const struct migration *migration = &migrations[i];
        if (strcmp(migration->driver, config->driver) != 0 || migration->version <= found.version)
            continue;
        if (!migration_apply(db, migration, deadline, applied, error))
            return false;
    }
    return true;
}
