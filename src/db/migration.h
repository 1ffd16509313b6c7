/* The files sql/DRIVER/NNN_name.sql, built in by scripts/embed_sql.py: by driver, then version. */
#ifndef POSTERN_DB_MIGRATION_H
#define POSTERN_DB_MIGRATION_H

#include <stddef.h>

struct migration {
    const char *driver;
    int version;
    const char *name;
    const char *sql;
};

extern const struct migration migrations[];
extern const size_t migrations_count;

#endif
