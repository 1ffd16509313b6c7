#include "directory/directory.h"

#include "directory/vmail.h"
#include <strings.h>

/* postern.conf may have a domain in any case. */
static bool is_listed(const struct postern_names *domains, const char *domain)
{
    for (size_t i = 0; i < domains->count; i++)
        if (strcasecmp(domains->items[i], domain) == 0)
            return true;
    return false;
}

enum postern_lookup directory_domain(const struct directory *directory, const char *domain,
                                     struct postern_arena *arena, double deadline,
                                     struct postern_domain *found, struct postern_error *error)
{
    *found = (struct postern_domain){.kind = POSTERN_DOMAIN_LOCAL, .target = ""};
    if (!postern_domain_is_valid(domain))
        return POSTERN_NOT_FOUND;
    if (is_listed(&directory->config->local_domains, domain))
        return POSTERN_FOUND;
    return vmail_domain(directory, domain, arena, deadline, found, error);
}
