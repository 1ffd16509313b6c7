/* What schema.c asks about the file of an SQLite database. */
#ifndef POSTERN_DB_SCHEMA_FILE_H
#define POSTERN_DB_SCHEMA_FILE_H

#include "db/schema.h"

/*
 * READY when this process can write the file, what goes with it (-wal, -shm) and its folder;
 * EMPTY when there is no file; else UNUSABLE. Looks at permissions and opens nothing, because
 * closing a file drops SQLite's locks on it (fcntl(2), POSIX advisory locks).
 */
enum schema_state schema_file_check(const struct database_config *config,
                                    struct postern_error *error);

#endif
