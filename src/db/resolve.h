/*
 * The addresses of a host name, by the system's own resolver (hosts file, DNS, whatever
 * nsswitch.conf says), for client libraries that would otherwise block the loop to find them.
 */
#ifndef POSTERN_DB_RESOLVE_H
#define POSTERN_DB_RESOLVE_H

#include <netinet/in.h>
#include <postern/plugin.h>

#define RESOLVE_ADDRESSES_MAX 8

struct resolved {
    size_t count;
    char addresses[RESOLVE_ADDRESSES_MAX][INET6_ADDRSTRLEN];
};

/*
 * Waits in the calling fiber; getaddrinfo itself runs in a thread that ends on its own when the
 * deadline passes first. A numeric address is its own answer, at once. False with error set
 * when there is none.
 */
bool resolve_host(const char *host, double deadline, struct resolved *resolved,
                  struct postern_error *error);

#endif
