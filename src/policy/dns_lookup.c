/* The lookups of <postern/dns.h>: the resolver, asked for a request. */
#include "dns/dns.h"

#include <stdio.h>

enum postern_dns_status postern_dns(struct postern_request *req, enum postern_dns_type type,
                                    const char *name, struct postern_dns_answer *answer)
{
    return dns_query(type, name, req->arena, req->deadline, answer);
}

const char *postern_dns_reversed(struct postern_arena *arena, const struct postern_ip *ip)
{
    char text[2 * 2 * sizeof ip->bytes] = "", *to = text;
    const uint8_t *b = ip->bytes;
    if (ip->family == POSTERN_IPV4)
        return postern_printf(arena, "%u.%u.%u.%u", b[3], b[2], b[1], b[0]);
    for (size_t i = sizeof ip->bytes; ip->family == POSTERN_IPV6 && i-- > 0;)
        to += snprintf(to, 5, "%x.%x%s", b[i] & 0x0f, b[i] >> 4, i > 0 ? "." : "");
    return postern_strdup(arena, text);
}
