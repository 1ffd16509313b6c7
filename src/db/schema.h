/*
 * The tables of the logical databases and their versions.
 *
 * sql/DRIVER/DATABASE/NNN_name.sql are built into the binary. The table postern_schema(name,
 * version, applied) says which have been run on a database, by its logical name, since several may
 * share one; version N means files 1..N. Tables without such a row are an iRedAPD's (or an
 * iRedMail's), which is version 0.
 *
 * The vmail database of a mail system on a server is not ours: it has no versions, and is READY
 * when its tables are there. So is an amavisd database that has all tables already.
 */
#ifndef POSTERN_DB_SCHEMA_H
#define POSTERN_DB_SCHEMA_H

#include "db/db.h"

enum schema_state {
    SCHEMA_READY,       /* the newest version, or the mail system's own tables */
    SCHEMA_EMPTY,       /* none of the tables: `posternctl db init` */
    SCHEMA_OLD,         /* usable as it is; `posternctl db migrate` */
    SCHEMA_INCOMPLETE,  /* lacks what is always needed; `posternctl db migrate` */
    SCHEMA_NEWER,       /* made by a newer Postern */
    SCHEMA_UNREACHABLE, /* the server does not answer: may be ready */
    SCHEMA_UNUSABLE     /* a file that can't be opened or written, no such database, no rights */
};

struct schema_status {
    enum schema_state state;
    int version;                /* 0 when there is none */
    int newest;                 /* 0 for tables that are not ours to make */
    struct postern_error error; /* UNREACHABLE, UNUSABLE: why; otherwise what to do */
};

struct schema_status schema_check(struct db *db, const struct database_config *config,
                                  double deadline);

/*
 * Runs what is missing, each file in one transaction where the server can do that; safe to run
 * twice and from two hosts, of which one counts it in *applied.
 */
bool schema_migrate(struct db *db, const struct database_config *config, double deadline,
                    int *applied, struct postern_error *error);

/* For SQLite: makes the file (and its folder's last part) with the given owner where missing. */
bool schema_create_database(const struct database_config *config, const char *user,
                            const char *group, struct postern_error *error);

#endif
