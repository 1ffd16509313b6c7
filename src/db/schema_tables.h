/* What schema.c asks a database's catalog. */
#ifndef POSTERN_DB_SCHEMA_TABLES_H
#define POSTERN_DB_SCHEMA_TABLES_H

#include "db/db.h"

struct schema_found {
    int version;       /* of postern_schema; 0 when there is none */
    bool any;          /* some of the tables that this logical database should have */
    char lacking[160]; /* the first thing that is needed and is not there; "" when all is */
};

/* False with error set when it could not be asked. */
bool schema_find(struct db *db, double deadline, struct schema_found *found,
                 struct postern_error *error);

#endif
