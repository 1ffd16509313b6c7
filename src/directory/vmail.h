/* The domains of a vmail database, as iRedMail lays it out (behaviour.md, "Tables"). */
#ifndef POSTERN_DIRECTORY_VMAIL_H
#define POSTERN_DIRECTORY_VMAIL_H

#include "directory/directory.h"

/* As directory_domain, of what is a domain. NOT_FOUND when there is no vmail database. */
enum postern_lookup vmail_domain(const struct directory *directory, const char *domain,
                                 struct postern_arena *arena, double deadline,
                                 struct postern_domain *found, struct postern_error *error);

#endif
