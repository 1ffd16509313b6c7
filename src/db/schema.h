/*
 * The tables of the iredapd database and their versions.
 *
 * sql/DRIVER/NNN_name.sql are built into the binary. The table postern_schema(version,
 * applied) says which have been run; version N means files 1..N.
 */
#ifndef POSTERN_DB_SCHEMA_H
#define POSTERN_DB_SCHEMA_H

#include "db/db.h"

enum schema_state {
    SCHEMA_READY,       /* the newest version */
    SCHEMA_EMPTY,       /* none of our tables: `posternctl db init` */
    SCHEMA_OLD,         /* `posternctl db migrate` */
    SCHEMA_NEWER,       /* made by a newer Postern */
    SCHEMA_UNREACHABLE, /* the server does not answer: may be ready */
    SCHEMA_UNUSABLE     /* a file that can't be opened or written, no such database, no rights */
};

struct schema_status {
    enum schema_state state;
    int version; /* 0 when there is none */
    int newest;
    struct postern_error error; /* UNREACHABLE, UNUSABLE: why; otherwise what to do */
};

struct schema_status schema_check(struct db *db, const struct database_config *config,
                                  double deadline);

/* Runs what is missing, each file in one transaction; safe to run twice and from two hosts. */
bool schema_migrate(struct db *db, const struct database_config *config, double deadline,
                    int *applied, struct postern_error *error);

/* For SQLite: makes the file (and its folder's last part) with the given owner where missing. */
bool schema_create_database(const struct database_config *config, const char *user,
                            const char *group, struct postern_error *error);

#endif
