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
#include "db/schema_tables.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "util/buffer.h"
#include <inttypes.h>
#include <string.h>

static bool is_for(const struct migration *migration, const struct database_config *config)
{
    return strcmp(migration->driver, config->driver) == 0 &&
           strcmp(migration->database, config->name) == 0;
}

/* 0 for tables that are not ours to make. */
static int newest_known(const struct database_config *config)
{
    int newest = 0;
    for (size_t i = 0; i < migrations_count; i++)
        if (is_for(&migrations[i], config))
            newest = migrations[i].version;
    return newest;
}

/* --- looking --- */

static bool is_newer(const struct database_config *config, const struct schema_found *found,
                     int newest, struct postern_error *error)
{
    if (found->version <= newest)
        return false;
    postern_error_set(error,
                      "database %s: its tables are of version %d, and this Postern knows those up "
                      "to %d: run the Postern that made them, or a newer one",
                      config->name, found->version, newest);
    return true;
}

static enum schema_state state_of_foreign(const struct database_config *config,
                                          const struct schema_found *found,
                                          struct postern_error *error)
{
    if (found->lacking[0] == '\0')
        return SCHEMA_READY;
    postern_error_set(error,
                      "database %s: it has no %s: these tables are the mail system's, and Postern "
                      "never makes them; see that `name` is the right database",
                      config->name, found->lacking);
    return found->any ? SCHEMA_UNUSABLE : SCHEMA_EMPTY;
}

static enum schema_state state_of_incomplete(const struct database_config *config,
                                             const struct schema_found *found, int newest,
                                             struct postern_error *error)
{
    bool old = found->version < newest;
    postern_error_set(error, "database %s: it has no %s: %s", config->name, found->lacking,
                      old ? "run `posternctl db migrate`" : "restore it from a backup");
    return old ? SCHEMA_INCOMPLETE : SCHEMA_UNUSABLE;
}

/* Tables of the mail system that are all there are as good as ours. */
static bool is_of_mail_system(const struct database_config *config,
                              const struct schema_found *found)
{
    return strcmp(config->name, "iredapd") != 0 && found->version == 0;
}

static enum schema_state state_of(const struct database_config *config,
                                  const struct schema_found *found, int newest,
                                  struct postern_error *error)
{
    if (newest == 0)
        return state_of_foreign(config, found, error);
    if (is_newer(config, found, newest, error))
        return SCHEMA_NEWER;
    if (!found->any) {
        postern_error_set(error, "database %s: it has none of the tables: run `posternctl db init`",
                          config->name);
        return SCHEMA_EMPTY;
    }
    if (found->lacking[0] != '\0')
        return state_of_incomplete(config, found, newest, error);
    if (found->version == newest || is_of_mail_system(config, found))
        return SCHEMA_READY;
    postern_error_set(error,
                      "database %s: its tables are of version %d%s, and this Postern makes version "
                      "%d: they can be used, and `posternctl db migrate` brings them up to date",
                      config->name, found->version, found->version == 0 ? " (iRedAPD's)" : "",
                      newest);
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
    struct schema_status status = {.newest = newest_known(config)};
    struct postern_error cause;
    if (is_sqlite(config)) {
        status.state = schema_file_check(config, &cause);
        if (status.state != SCHEMA_READY) {
            postern_error_set(&status.error, "database %s: %s", db_name(db), cause.text);
            return status;
        }
    }
    struct schema_found found;
    if (!schema_find(db, deadline, &found, &status.error)) {
        status.state = state_of_failure(config, deadline);
        return status;
    }
    status.version = found.version;
    status.state = state_of(config, &found, status.newest, &status.error);
    return status;
}

/* --- migrating --- */

static bool commits_tables(const struct migration *migration)
{
    return strcmp(migration->driver, "mysql") == 0;
}

static void script_claim(struct buffer *script, const struct migration *migration)
{
    buffer_printf(script,
                  "INSERT INTO postern_schema (name, version, applied) VALUES ('%s', %d, %" PRId64
                  ");\n",
                  migration->database, migration->version, clock_wall());
}

static bool migration_run(struct db *db, const struct migration *migration, double deadline,
                          struct postern_error *error)
{
    struct buffer script = {0};
    buffer_text(&script, "CREATE TABLE IF NOT EXISTS postern_schema (name VARCHAR(20) NOT NULL, "
                         "version INTEGER NOT NULL, applied BIGINT NOT NULL, "
                         "PRIMARY KEY (name, version));\n");
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
    struct schema_found found;
    struct postern_error ignored;
    if (schema_find(db, deadline, &found, &ignored) && found.version >= migration->version)
        return true;
    struct postern_error cause = *error;
    return postern_error_set(error, "migration %s/%03d_%s: %.360s. %s", migration->database,
                             migration->version, migration->name, cause.text,
                             commits_tables(migration)
                                 ? "What was done until then stays, and does no harm: remove the "
                                   "cause and run it again"
                                 : "Nothing was changed: remove the cause and run it again");
}

bool schema_migrate(struct db *db, const struct database_config *config, double deadline,
                    int *applied, struct postern_error *error)
{
    struct schema_found found;
    *applied = 0;
    if (!schema_find(db, deadline, &found, error) ||
        is_newer(config, &found, newest_known(config), error))
        return false;
    for (size_t i = 0; i < migrations_count; i++)
        if (is_for(&migrations[i], config) && migrations[i].version > found.version &&
            !migration_apply(db, &migrations[i], deadline, applied, error))
            return false;
    return true;
}
