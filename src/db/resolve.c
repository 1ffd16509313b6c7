#include "db/resolve.h"

#include "runtime/errand.h"
#include "util/memory.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct lookup {
    struct errand errand;
    int code, system_error;
    struct addrinfo *found;
    char host[];
};

static void lookup_run(struct errand *errand)
{
    struct lookup *lookup = (struct lookup *)errand;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    lookup->code = getaddrinfo(lookup->host, NULL, &hints, &lookup->found);
    lookup->system_error = errno;
}

static void lookup_free(struct errand *errand)
{
    struct lookup *lookup = (struct lookup *)errand;
    if (lookup->found != NULL)
        freeaddrinfo(lookup->found);
    free(lookup);
}

static struct lookup *lookup_new(const char *host)
{
    size_t size = strlen(host) + 1;
    struct lookup *lookup = memory_new(sizeof *lookup + size);
    lookup->errand.run = lookup_run;
    lookup->errand.free = lookup_free;
    memcpy(lookup->host, host, size);
    return lookup;
}

static void addresses_copy(struct resolved *resolved, const struct addrinfo *found)
{
    for (; found != NULL && resolved->count < RESOLVE_ADDRESSES_MAX; found = found->ai_next)
        if (getnameinfo(found->ai_addr, found->ai_addrlen, resolved->addresses[resolved->count],
                        INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST) == 0)
            resolved->count++;
}

static bool lookup_judge(const struct lookup *lookup, struct resolved *resolved,
                         struct postern_error *error)
{
    addresses_copy(resolved, lookup->found);
    if (lookup->code == 0 && resolved->count > 0)
        return true;
    const char *why =
        lookup->code == EAI_SYSTEM ? strerror(lookup->system_error) : gai_strerror(lookup->code);
    return postern_error_set(error, "the name %s has no address: %s", lookup->host, why);
}

static bool lookup_wait(struct lookup *lookup, double deadline, struct resolved *resolved,
                        struct postern_error *error)
{
    switch (errand_run(&lookup->errand, deadline)) {
    case ERRAND_DONE:
        return lookup_judge(lookup, resolved, error);
    case ERRAND_LATE:
        return postern_error_set(error, "the name %s was not resolved in time", lookup->host);
    default:
        return postern_error_set(error, "cannot resolve %s: %s", lookup->host, strerror(errno));
    }
}

static bool is_numeric(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

bool resolve_host(const char *host, double deadline, struct resolved *resolved,
                  struct postern_error *error)
{
    *resolved = (struct resolved){0};
    if (is_numeric(host)) {
        snprintf(resolved->addresses[resolved->count++], INET6_ADDRSTRLEN, "%s", host);
        return true;
    }
    struct lookup *lookup = lookup_new(host);
    bool found = lookup_wait(lookup, deadline, resolved, error);
    errand_leave(&lookup->errand);
    return found;
}
