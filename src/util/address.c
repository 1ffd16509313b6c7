#include "util/names.h"
#include "util/utf8.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 1035, 2.3.4, as text; it also means at most 127 labels. */
#define DOMAIN_LENGTH_MAX 253

static const struct {
    int greylisting, amavisd;
} priorities[] = {
    [POSTERN_ACCOUNT_INVALID] = {0, 0},        [POSTERN_ACCOUNT_ADDRESS] = {100, 10},
    [POSTERN_ACCOUNT_USER_ANYWHERE] = {90, 7}, [POSTERN_ACCOUNT_IP] = {80, 9},
    [POSTERN_ACCOUNT_IP_WILDCARD] = {70, 8},   [POSTERN_ACCOUNT_NETWORK] = {70, 7},
    [POSTERN_ACCOUNT_DOMAIN] = {60, 5},        [POSTERN_ACCOUNT_SUBDOMAINS] = {50, 3},
    [POSTERN_ACCOUNT_TOP_LEVEL] = {40, 2},     [POSTERN_ACCOUNT_EACH_IP] = {0, 1},
    [POSTERN_ACCOUNT_EVERYBODY] = {0, 0},
};

int postern_greylisting_priority(enum postern_account_form form)
{
    return priorities[form].greylisting;
}

int postern_amavisd_priority(enum postern_account_form form)
{
    return priorities[form].amavisd;
}

static bool is_control(unsigned char c)
{
    return c < ' ' || c == 0x7f;
}

/* The first @ outside quotes, when what precedes it is a local part; else NULL. */
static const char *local_part_end(const char *address)
{
    bool quoted = false;
    for (const char *c = address; *c != '\0'; c++) {
        if (*c == '@' && !quoted)
            return c > address ? c : NULL;
        if (is_control((unsigned char)*c) || (*c == ' ' && !quoted))
            return NULL;
        if (*c == '"')
            quoted = !quoted;
        else if (*c == '\\' && quoted && !is_control((unsigned char)c[1]))
            c++;
    }
    return NULL;
}

static bool is_domain_byte(unsigned char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter || (c >= '0' && c <= '9') || c == '-' || c == '_' || c >= 0x80;
}

static bool is_literal_byte(unsigned char c)
{
    return c > ' ' && c < 0x7f && strchr("[]\\@", c) == NULL;
}

static bool is_domain_name(const char *domain)
{
    bool label_is_empty = true;
    for (; *domain != '\0'; domain++) {
        bool is_dot = *domain == '.';
        if (is_dot ? label_is_empty : !is_domain_byte((unsigned char)*domain))
            return false;
        label_is_empty = is_dot;
    }
    return !label_is_empty;
}

static bool is_literal(const char *domain)
{
    if (*domain++ != '[' || *domain == ']')
        return false;
    while (is_literal_byte((unsigned char)*domain))
        domain++;
    return domain[0] == ']' && domain[1] == '\0';
}

static bool is_domain(const char *domain)
{
    return is_domain_name(domain) || is_literal(domain);
}

/* The @ of a valid address, or NULL. */
static const char *address_at(const char *address)
{
    const char *at = local_part_end(address);
    return at != NULL && is_domain(at + 1) && utf8_is_valid(address) ? at : NULL;
}

bool postern_domain_is_valid(const char *domain)
{
    return strlen(domain) <= DOMAIN_LENGTH_MAX && is_domain_name(domain) && utf8_is_valid(domain);
}

bool postern_address_is_valid(const char *address)
{
    return address_at(address) != NULL;
}

const char *postern_address_domain(const char *address)
{
    const char *at = address_at(address);
    return at != NULL ? at + 1 : "";
}

char *postern_address_without_ext(struct postern_arena *arena, const char *address,
                                  const char *delimiters)
{
    const char *at = address_at(address);
    if (at == NULL || memchr(address, '"', (size_t)(at - address)) != NULL)
        return postern_strdup(arena, address);
    size_t kept = 1 + strcspn(address + 1, delimiters);
    if (address + kept >= at)
        return postern_strdup(arena, address);

    size_t rest = strlen(at) + 1;
    char *text = postern_alloc(arena, kept + rest);
    memcpy(text, address, kept);
    memcpy(text + kept, at, rest);
    return text;
}

static enum postern_account_form domain_form(const char *account)
{
    if (strcmp(account, "@.") == 0)
        return POSTERN_ACCOUNT_EVERYBODY;
    if (strcmp(account, "@ip") == 0)
        return POSTERN_ACCOUNT_EACH_IP;
    if (account[1] != '.')
        return is_domain(account + 1) ? POSTERN_ACCOUNT_DOMAIN : POSTERN_ACCOUNT_INVALID;
    if (!is_domain_name(account + 2))
        return POSTERN_ACCOUNT_INVALID;
    return strchr(account + 2, '.') != NULL ? POSTERN_ACCOUNT_SUBDOMAINS
                                            : POSTERN_ACCOUNT_TOP_LEVEL;
}

/* Four parts of which some are stars, wherever they stand: an address with each star as 0. */
static bool is_ip_wildcard(const char *account)
{
    char text[POSTERN_IP_TEXT];
    struct in_addr ip;
    size_t i = 0;
    for (; account[i] != '\0' && i < sizeof text - 1; i++) {
        bool is_part =
            (i == 0 || account[i - 1] == '.') && (account[i + 1] == '.' || account[i + 1] == '\0');
        if (account[i] == '*' && !is_part)
            return false;
        text[i] = account[i];
        if (account[i] == '*')
            text[i] = '0';
    }
    text[i] = '\0';
    return account[i] == '\0' && inet_pton(AF_INET, text, &ip) == 1;
}

static enum postern_account_form ip_form(const char *account)
{
    struct postern_ip ip;
    struct postern_network network;
    bool has_star = strchr(account, '*') != NULL;
    if (postern_ip_parse(account, &ip))
        return POSTERN_ACCOUNT_IP;
    if (has_star && is_ip_wildcard(account))
        return POSTERN_ACCOUNT_IP_WILDCARD;
    if (postern_network_parse(account, &network))
        return has_star ? POSTERN_ACCOUNT_IP_WILDCARD : POSTERN_ACCOUNT_NETWORK;
    return POSTERN_ACCOUNT_INVALID;
}

enum postern_account_form postern_account_form(const char *account)
{
    if (account[0] == '@')
        return domain_form(account);
    if (strchr(account, '@') == NULL)
        return ip_form(account);
    const char *at = local_part_end(account);
    if (at != NULL && strcmp(at, "@*") == 0)
        return POSTERN_ACCOUNT_USER_ANYWHERE;
    return address_at(account) != NULL ? POSTERN_ACCOUNT_ADDRESS : POSTERN_ACCOUNT_INVALID;
}

static const char *next_parent(const char *domain)
{
    const char *dot = strchr(domain, '.');
    return dot != NULL ? dot + 1 : NULL;
}

/* "@." and each of domain, its parent, ... that is short enough to be a name in the DNS. */
static void add_parents(struct postern_arena *arena, struct postern_names *names,
                        const char *domain)
{
    size_t length = strlen(domain);
    for (const char *parent; domain != NULL; domain = parent) {
        if (length <= DOMAIN_LENGTH_MAX) {
            char *text = postern_alloc(arena, length + 3);
            memcpy(text, "@.", 2);
            memcpy(text + 2, domain, length + 1);
            names_add(arena, names, text);
        }
        parent = next_parent(domain);
        if (parent != NULL)
            length -= (size_t)(parent - domain);
    }
}

struct postern_names postern_address_candidates(struct postern_arena *arena, const char *address)
{
    struct postern_names names = {0};
    const char *at = address_at(address);
    if (at != NULL) {
        const char *copy = postern_strdup(arena, address);
        const char *domain = copy + (at - address) + 1;
        names_add(arena, &names, copy);
        names_add(arena, &names, domain - 1);
        if (domain[0] != '[')
            add_parents(arena, &names, domain);
    }
    names_add(arena, &names, "@.");
    return names;
}

struct postern_names postern_address_names(struct postern_arena *arena, const char *address,
                                           const char *delimiters)
{
    const char *plain = postern_address_without_ext(arena, address, delimiters);
    struct postern_names names = postern_address_candidates(arena, plain);
    if (strcmp(plain, address) == 0)
        return names;
    return postern_names_join(arena, postern_address_candidates(arena, address), names);
}

struct postern_names postern_user_anywhere(struct postern_arena *arena, const char *address,
                                           const char *delimiters)
{
    struct postern_names names = {0};
    const char *plain = postern_address_without_ext(arena, address, delimiters);
    const char *at = address_at(plain);
    if (at != NULL)
        names_add(arena, &names, postern_printf(arena, "%.*s@*", (int)(at - plain), plain));
    return names;
}

static char *write_octet(char *text, uint8_t octet)
{
    if (octet >= 100)
        *text++ = (char)('0' + octet / 100);
    if (octet >= 10)
        *text++ = (char)('0' + octet / 10 % 10);
    *text++ = (char)('0' + octet % 10);
    return text;
}

/* Bit n of stars makes a star of the octet n places from the right. */
static char *write_wildcard(char *text, const uint8_t octets[4], unsigned stars)
{
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            *text++ = '.';
        if (stars & (8u >> i))
            *text++ = '*';
        else
            text = write_octet(text, octets[i]);
    }
    *text++ = '\0';
    return text;
}

struct postern_names postern_ip_candidates(struct postern_arena *arena, const struct postern_ip *ip,
                                           bool all_wildcards)
{
    /* Fewer stars first, and among equals those further right. */
    static const unsigned char stars[] = {0, 1, 2, 4, 8, 3, 5, 6, 9, 10, 12, 7, 11, 13, 14, 15};
    struct postern_names names = {0};
    if (ip->family == POSTERN_NO_IP)
        return names;
    if (ip->family == POSTERN_IPV6) {
        char text[POSTERN_IP_TEXT];
        names_add(arena, &names, postern_strdup(arena, postern_ip_text(ip, text)));
        return names;
    }
    size_t count = all_wildcards ? sizeof stars : 3;
    char *text = postern_alloc(arena, count * sizeof "255.255.255.255");
    for (size_t i = 0; i < count; i++) {
        names_add(arena, &names, text);
        text = write_wildcard(text, ip->bytes, stars[i]);
    }
    return names;
}

static void add_new(struct postern_arena *arena, struct postern_names *names,
                    const struct postern_names *more)
{
    for (size_t i = 0; i < more->count; i++)
        if (!names_hold(names, more->items[i]))
            names_add(arena, names, more->items[i]);
}

struct postern_names postern_names_join(struct postern_arena *arena, struct postern_names a,
                                        struct postern_names b)
{
    struct postern_names names = {0};
    add_new(arena, &names, &a);
    add_new(arena, &names, &b);
    return names;
}
