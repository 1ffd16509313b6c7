#include "directory/directory.h"

#include "directory/vmail.h"
#include <string.h>
#include <strings.h>

/* A [literal] is an address of a host, not a domain. */
static bool is_domain(const char *text, struct postern_arena *arena)
{
    return text[0] != '\0' && text[0] != '[' &&
           postern_address_is_valid(postern_printf(arena, "x@%s", text));
}

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
    if (!is_domain(domain, arena))
        return POSTERN_NOT_FOUND;
    if (is_listed(&directory->config->local_domains, domain))
        return POSTERN_FOUND;
    return vmail_domain(directory, domain, arena, deadline, found, error);
}
