/*
 * The files sql/DRIVER/DATABASE/NNN_name.sql, built in by scripts/embed_sql.py: by driver, then
 * database, then version.
 */
#ifndef POSTERN_DB_MIGRATION_H
#define POSTERN_DB_MIGRATION_H

#include <stddef.h>

struct migration {
    const char *driver;
    const char *database;
    int version;
    const char *name;
    const char *sql;
};

extern const struct migration migrations[];
extern const size_t migrations_count;

#endif
