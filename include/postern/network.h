/*
 * IP addresses and networks, both families.
 *
 * IPv4-mapped IPv6 addresses (::ffff:192.0.2.1) are read as IPv4: they are the
 * same client (RFC 4291, 2.5.5.2).
 */
#ifndef POSTERN_NETWORK_H
#define POSTERN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum postern_family { POSTERN_NO_IP, POSTERN_IPV4, POSTERN_IPV6 };

struct postern_ip {
    enum postern_family family;
    uint8_t bytes[16]; /* network order; IPv4 uses the first four, the rest are zero */
};

struct postern_network {
    struct postern_ip address; /* bits after the prefix are zero */
    unsigned prefix;           /* 0..32 or 0..128 */
};

/* Room for any address or network in text, with the NUL. */
#define POSTERN_IP_TEXT      46
#define POSTERN_NETWORK_TEXT 50

/* False, and ip->family = POSTERN_NO_IP, when text is not an IP address ("" and "unknown" too). */
bool postern_ip_parse(const char *text, struct postern_ip *ip);

/* "192.0.2.0/24", "2001:db8::/32", a bare address (all bits), "192.0.2.*", "192.0.*.*", "10.*".
 * Host bits after the prefix are cleared. A wildcard counts only as the last octets: four parts
 * in all, or one star for all that follow the given ones. ::ffff:192.0.2.0/120 is 192.0.2.0/24. */
bool postern_network_parse(const char *text, struct postern_network *network);

/* The network of `prefix` bits that holds ip; a prefix over the family's length means all bits. */
struct postern_network postern_network_of(const struct postern_ip *ip, unsigned prefix);

/* False when the families differ or ip is none. */
bool postern_network_holds(const struct postern_network *network, const struct postern_ip *ip);

/* 127.0.0.0/8 and ::1 */
bool postern_ip_is_loopback(const struct postern_ip *ip);

/* Canonical text (RFC 5952 for IPv6); "" for no address. Returns text. */
char *postern_ip_text(const struct postern_ip *ip, char text[POSTERN_IP_TEXT]);
char *postern_network_text(const struct postern_network *network, char text[POSTERN_NETWORK_TEXT]);

#endif
