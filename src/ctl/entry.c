#include "ctl/entry.h"

#include "util/arena.h"
#include "util/buffer.h"

static const struct {
    enum postern_account_form form;
    const char *text;
} examples[] = {
    {POSTERN_ACCOUNT_ADDRESS, "user@example.com"},
    {POSTERN_ACCOUNT_USER_ANYWHERE, "user@*"},
    {POSTERN_ACCOUNT_DOMAIN, "@example.com"},
    {POSTERN_ACCOUNT_SUBDOMAINS, "@.example.com (with subdomains)"},
    {POSTERN_ACCOUNT_TOP_LEVEL, "@.com"},
    {POSTERN_ACCOUNT_IP, "192.0.2.1 or 2001:db8::1"},
    {POSTERN_ACCOUNT_IP_WILDCARD, "192.0.2.*"},
    {POSTERN_ACCOUNT_NETWORK, "192.0.2.0/24 or 2001:db8::/32"},
    {POSTERN_ACCOUNT_EACH_IP, "@ip (each client)"},
    {POSTERN_ACCOUNT_EVERYBODY, "@. (everybody)"},
};

const char *entry_ip(struct postern_arena *arena, const char *text)
{
    struct postern_ip ip;
    char canonical[POSTERN_IP_TEXT];
    if (!postern_ip_parse(text, &ip))
        return NULL;
    return postern_strdup(arena, postern_ip_text(&ip, canonical));
}

/* A network of one address is that address. */
static struct entry read_network(struct postern_arena *arena, const char *text)
{
    struct postern_network network;
    char canonical[POSTERN_NETWORK_TEXT];
    postern_network_parse(text, &network);
    bool is_one = network.prefix == (network.address.family == POSTERN_IPV4 ? 32 : 128);
    if (is_one)
        return (struct entry){postern_strdup(arena, postern_ip_text(&network.address, canonical)),
                              POSTERN_ACCOUNT_IP};
    return (struct entry){postern_strdup(arena, postern_network_text(&network, canonical)),
                          POSTERN_ACCOUNT_NETWORK};
}

struct entry entry_read(struct postern_arena *arena, const char *text, unsigned forms)
{
    const char *lower = postern_lower(arena, text);
    struct entry entry = {lower, postern_account_form(lower)};
    if ((forms & 1u << entry.form) == 0)
        entry.form = POSTERN_ACCOUNT_INVALID;
    if (entry.form == POSTERN_ACCOUNT_IP)
        entry.text = entry_ip(arena, lower);
    if (entry.form == POSTERN_ACCOUNT_NETWORK)
        return read_network(arena, lower);
    return entry;
}

const char *entry_forms(struct postern_arena *arena, unsigned forms)
{
    struct buffer list = {0};
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        if ((forms & 1u << examples[i].form) != 0)
            buffer_printf(&list, "%s%s", list.length > 0 ? ", " : "", examples[i].text);
    const char *text = postern_strdup(arena, list.data);
    buffer_free(&list);
    return text;
}

enum ctl_status entry_refuse(const char *option, const char *text, unsigned forms)
{
    struct postern_arena *arena = arena_new();
    ctl_complain("--%s: `%s` has none of the forms that are allowed here: %s", option, text,
                 entry_forms(arena, forms));
    arena_free(arena);
    return CTL_USAGE;
}
