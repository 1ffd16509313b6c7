#include <postern/network.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

static unsigned family_bits(enum postern_family family)
{
    static const unsigned bits[] = {[POSTERN_IPV4] = 32, [POSTERN_IPV6] = 128};
    return bits[family];
}

/* Mapped addresses stay IPv6 here. inet_pton refuses leading zeros and zone ids. */
static bool parse_as_written(const char *text, struct postern_ip *ip)
{
    *ip = (struct postern_ip){.family = POSTERN_NO_IP};
    bool has_colon = strchr(text, ':') != NULL;
    if (inet_pton(has_colon ? AF_INET6 : AF_INET, text, ip->bytes) != 1) {
        *ip = (struct postern_ip){.family = POSTERN_NO_IP};
        return false;
    }
    ip->family = has_colon ? POSTERN_IPV6 : POSTERN_IPV4;
    return true;
}

static bool is_mapped(const struct postern_ip *ip)
{
    return ip->family == POSTERN_IPV6 &&
           memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

static void unmap(struct postern_ip *ip)
{
    struct postern_ip v4 = {.family = POSTERN_IPV4};
    memcpy(v4.bytes, ip->bytes + sizeof mapped_prefix, 4);
    *ip = v4;
}

bool postern_ip_parse(const char *text, struct postern_ip *ip)
{
    if (!parse_as_written(text, ip))
        return false;
    if (is_mapped(ip))
        unmap(ip);
    return true;
}

/* Decimal digits without leading zeros, at most `most`. Returns what follows, or NULL. */
static const char *parse_number(const char *text, unsigned most, unsigned *number)
{
    const char *end = text;
    unsigned value = 0;
    for (; *end >= '0' && *end <= '9'; end++) {
        value = value * 10 + (unsigned)(*end - '0');
        if (value > most)
            return NULL;
    }
    if (end == text || (*text == '0' && end - text > 1))
        return NULL;
    *number = value;
    return end;
}

static bool parse_cidr(const char *text, const char *slash, struct postern_network *network)
{
    char address[POSTERN_IP_TEXT];
    size_t length = (size_t)(slash - text);
    struct postern_ip ip;
    if (length >= sizeof address)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!parse_as_written(address, &ip))
        return false;

    unsigned prefix;
    const char *end = parse_number(slash + 1, family_bits(ip.family), &prefix);
    if (end == NULL || *end != '\0')
        return false;
    if (is_mapped(&ip) && prefix >= MAPPED_BITS) {
        unmap(&ip);
        prefix -= MAPPED_BITS;
    }
    *network = postern_network_of(&ip, prefix);
    return true;
}

/* Octets, then stars: four parts in all, or fewer when one star stands for all that follow. */
static bool parse_wildcard(const char *text, struct postern_network *network)
{
    struct postern_ip ip = {.family = POSTERN_IPV4};
    unsigned octets = 0, stars = 0;
    for (;; text++) {
        unsigned octet;
        if (octets + stars == 4)
            return false;
        if (*text == '*') {
            stars++;
            text++;
        } else if (stars == 0 && (text = parse_number(text, 255, &octet)) != NULL) {
            ip.bytes[octets++] = (uint8_t)octet;
        } else {
            return false;
        }
        if (*text != '.')
            break;
    }
    bool is_short = octets > 0 && stars == 1;
    if (*text != '\0' || stars == 0 || (octets + stars < 4 && !is_short))
        return false;
    *network = postern_network_of(&ip, octets * 8);
    return true;
}

bool postern_network_parse(const char *text, struct postern_network *network)
{
    *network = (struct postern_network){.address.family = POSTERN_NO_IP};
    const char *slash = strchr(text, '/');
    if (slash != NULL)
        return parse_cidr(text, slash, network);
    if (strchr(text, '*') != NULL)
        return parse_wildcard(text, network);

    struct postern_ip ip;
    if (!postern_ip_parse(text, &ip))
        return false;
    *network = postern_network_of(&ip, family_bits(ip.family));
    return true;
}

static uint8_t leading_bits(unsigned count)
{
    return (uint8_t)(0xff00 >> count);
}

struct postern_network postern_network_of(const struct postern_ip *ip, unsigned prefix)
{
    unsigned bits = family_bits(ip->family);
    struct postern_network network = {.address.family = ip->family,
                                      .prefix = prefix < bits ? prefix : bits};
    size_t whole = network.prefix / 8;
    memcpy(network.address.bytes, ip->bytes, whole);
    if (network.prefix % 8 != 0)
        network.address.bytes[whole] = ip->bytes[whole] & leading_bits(network.prefix % 8);
    return network;
}

bool postern_network_holds(const struct postern_network *network, const struct postern_ip *ip)
{
    if (ip->family == POSTERN_NO_IP || ip->family != network->address.family)
        return false;
    size_t whole = network->prefix / 8;
    if (memcmp(network->address.bytes, ip->bytes, whole) != 0)
        return false;
    if (network->prefix % 8 == 0)
        return true;
    uint8_t differing = network->address.bytes[whole] ^ ip->bytes[whole];
    return (differing & leading_bits(network->prefix % 8)) == 0;
}

bool postern_ip_is_loopback(const struct postern_ip *ip)
{
    static const uint8_t v6_loopback[16] = {[15] = 1};
    if (ip->family == POSTERN_IPV4)
        return ip->bytes[0] == 127;
    return ip->family == POSTERN_IPV6 && memcmp(ip->bytes, v6_loopback, sizeof v6_loopback) == 0;
}

char *postern_ip_text(const struct postern_ip *ip, char text[POSTERN_IP_TEXT])
{
    text[0] = '\0';
    if (ip->family != POSTERN_NO_IP)
        inet_ntop(ip->family == POSTERN_IPV4 ? AF_INET : AF_INET6, ip->bytes, text,
                  POSTERN_IP_TEXT);
    return text;
}

char *postern_network_text(const struct postern_network *network, char text[POSTERN_NETWORK_TEXT])
{
    char address[POSTERN_IP_TEXT];
    text[0] = '\0';
    if (network->address.family != POSTERN_NO_IP)
        snprintf(text, POSTERN_NETWORK_TEXT, "%s/%u", postern_ip_text(&network->address, address),
                 network->prefix);
    return text;
}
