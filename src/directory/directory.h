/*
 * Who is local, behind one interface, whatever keeps the accounts. Plugins reach it through
 * <postern/directory.h>.
 */
#ifndef POSTERN_DIRECTORY_DIRECTORY_H
#define POSTERN_DIRECTORY_DIRECTORY_H

#include "db/db.h"
#include "runtime/config.h"
#include <postern/directory.h>

/* What a lookup goes through; cache may be NULL (asks every time). */
struct directory {
    const struct config *config;
    struct databases *databases;
    struct db_cache *cache;
};

/* As postern_domain_find; domain is in lower case. FAILED with error set. */
enum postern_lookup directory_domain(const struct directory *directory, const char *domain,
                                     struct postern_arena *arena, double deadline,
                                     struct postern_domain *found, struct postern_error *error);

#endif
