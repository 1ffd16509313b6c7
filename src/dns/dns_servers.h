/*
 * Which servers are asked: those of `dns { servers }`, or else of resolv.conf, which is looked at
 * again at most once a second. Builds with -Dtest_hooks=true read the file that
 * POSTERN_RESOLV_CONF names in its place.
 *
 * Source: resolv.conf(5), "nameserver".
 */
#ifndef POSTERN_DNS_DNS_SERVERS_H
#define POSTERN_DNS_DNS_SERVERS_H

#include <postern/address.h>
#include <sys/stat.h>

#define DNS_PORT        53
#define DNS_SERVERS_MAX 16 /* those after it are not asked */

struct dns_server {
    struct postern_ip ip;
    int port;
};

struct dns_servers {
    struct dns_server list[DNS_SERVERS_MAX];
    size_t count;
    bool follows; /* resolv.conf */
    double looked;
    struct stat file; /* as it was when read */
};

/* "192.0.2.53", "127.0.0.1:5353", "2001:db8::53", "[::1]:53" */
bool dns_server_parse(const char *text, struct dns_server *server);

/* From the config's list; empty: from resolv.conf. */
void dns_servers_open(struct dns_servers *servers, const struct postern_names *configured);

/* True when they are others than before. */
bool dns_servers_refresh(struct dns_servers *servers);

#endif
