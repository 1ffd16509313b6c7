#include "runtime/config_draft.h"

#include "runtime/mail.h"
#include "util/names.h"
#include "util/quantity.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#define SECRET_LIMIT 65536
#define SERVICES     4 /* that have a key each for their address */

/* Both are sizeof the largest that inet_pton takes, with brackets. */
#define HOST_ROOM (INET6_ADDRSTRLEN + 2)

static bool is_ip(int family, const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    return inet_pton(family, text, address) == 1;
}

/* 192.0.2.1 or [2001:db8::1] */
static bool is_host(char *text)
{
    size_t length = strlen(text);
    if (text[0] != '[')
        return is_ip(AF_INET, text);
    if (text[length - 1] != ']')
        return false;
    text[length - 1] = '\0';
    return is_ip(AF_INET6, text + 1);
}

static bool is_host_and_port(const char *text, bool any_host)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (colon == NULL || !quantity_parse_integer(colon + 1, &port) || port < 1 || port > 65535)
        return false;
    char host[HOST_ROOM + 1];
    size_t length = (size_t)(colon - text);
    if (length == 0 || length >= sizeof host)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    return (any_host && strcmp(host, "*") == 0) || is_host(host);
}

static bool is_listener(const char *text)
{
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] == '/' && strlen(text + 5) < sizeof((struct sockaddr_un *)0)->sun_path;
    return is_host_and_port(text, true);
}

static bool is_listener_or_off(const char *text)
{
    return text[0] == '\0' || is_listener(text);
}

static bool is_dns_server(const char *text)
{
    return is_ip(AF_INET, text) || is_ip(AF_INET6, text) || is_host_and_port(text, false);
}

static bool is_network(const char *text)
{
    struct postern_network network;
    return postern_network_parse(text, &network);
}

static bool is_ldap_uri(const char *text)
{
    return strncmp(text, "ldap://", 7) == 0 || strncmp(text, "ldaps://", 8) == 0 ||
           strncmp(text, "ldapi://", 8) == 0;
}

static bool is_domain_or_off(const char *text)
{
    return text[0] == '\0' || postern_domain_is_valid(text);
}

static bool is_filled(const char *text)
{
    return text[0] != '\0';
}

static bool is_path(const char *text)
{
    return text[0] == '/';
}

/* Nothing that a header, a command line or an SMTP command takes for something else. */
static bool is_recipient(const char *text)
{
    if (text[0] == '\0' || text[0] == '-' || strlen(text) > 254)
        return false;
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f || strchr("()<>[]:;\\,\"", *text) != NULL)
            return false;
    return true;
}

static bool is_delimiters(const char *text)
{
    return strpbrk(text, "@. \t") == NULL;
}

static const char listener[] = "an address like \"127.0.0.1:7777\", \"[::1]:7777\", \"*:7777\" or "
                               "\"unix:/run/postern/policy\" (a path of up to 107 bytes)";

/* What each value of an option must be. */
static const struct {
    const char *section, *key;
    bool (*holds)(const char *text);
    const char *expected;
} value_checks[] = {
    {"", "user", is_filled, "the name of a user"},
    {"", "group", is_filled, "the name of a group"},
    {"", "plugin_dir", is_filled, "a directory"},
    {"", "listen", is_listener, listener},
    {"", "recipient_delimiters", is_delimiters,
     "characters other than '@', '.' and white space, like \"+\" or \"+-\""},
    {"", "mynetworks", is_network,
     "an address or network like \"192.0.2.7\", \"192.0.2.0/24\", \"2001:db8::/32\" or "
     "\"192.0.2.*\""},
    {"metrics", "listen", is_listener_or_off, listener},
    {"dns", "servers", is_dns_server,
     "a server like \"192.0.2.53\", \"127.0.0.1:5353\" or \"[::1]:5353\""},
    {"directory", "local_domains", postern_domain_is_valid, "a domain like \"example.com\""},
    {"ldap", "uri", is_ldap_uri, "a URI like \"ldap://127.0.0.1:389\" or \"ldaps://HOST\""},
    {"ldap", "base_dn", is_filled, "a DN like \"o=domains,dc=iredmail,dc=org\""},
    {"srs", "domain", is_domain_or_off, "a domain like \"srs.example.com\""},
    {"srs", "listen_forward", is_listener_or_off, listener},
    {"srs", "listen_reverse", is_listener_or_off, listener},
    {"srs", "listen_socketmap", is_listener_or_off, listener},
    {"notify", "recipients", is_recipient,
     "a mail address like \"root\" or \"postmaster@example.com\""},
    {"notify", "sendmail", is_path, "the path of a program like \"/usr/sbin/sendmail\""},
};

static const struct config_setting *find_setting(const struct config_draft *draft,
                                                 const char *section, const char *key)
{
    const struct config_section *found = config_section_find(&draft->file, section, NULL);
    return found != NULL ? config_setting_find(found, key) : NULL;
}

static void take_networks(struct config_draft *draft)
{
    const struct postern_names *texts = &draft->mynetworks;
    struct postern_network *networks =
        postern_alloc(draft->config.arena, (texts->count + 1) * sizeof *networks);
    for (size_t i = 0; i < texts->count; i++)
        if (postern_network_parse(texts->items[i], &networks[draft->config.mynetworks_length]))
            draft->config.mynetworks_length++;
    draft->config.mynetworks = networks;
}

void config_check_values(struct config_draft *draft)
{
    for (size_t i = 0; i < sizeof value_checks / sizeof *value_checks; i++) {
        const struct config_setting *setting =
            find_setting(draft, value_checks[i].section, value_checks[i].key);
        for (size_t j = 0; setting != NULL && j < setting->values.count; j++)
            if (!value_checks[i].holds(setting->values.items[j]))
                config_problem_add(&draft->problems, setting->lines[j], "%s: expected %s, not `%s`",
                                   setting->key, value_checks[i].expected,
                                   setting->values.items[j]);
    }
    take_networks(draft);
}

/* The contents of a secret's file; NULL, and a problem, when it can't be used. */
static char *read_secret_file(struct config_draft *draft, const struct config_setting *setting,
                              const char *path)
{
    size_t length;
    char *text = config_read_all(draft->config.arena, path, SECRET_LIMIT, &length);
    const char *fault = text == NULL                         ? strerror(errno)
                        : strlen(text) != length             ? "it has a NUL byte"
                        : text[strspn(text, "\r\n")] == '\0' ? "it is empty"
                                                             : NULL;
    if (fault == NULL)
        return text;
    config_problem_add(&draft->problems, setting->line, "%s: cannot read %s: %s", setting->key,
                       path, fault);
    return NULL;
}

void config_read_secret(struct config_draft *draft, const struct config_section *section,
                        const char *key, const char *file_key, const char *path,
                        const char **secret)
{
    if (path[0] == '\0')
        return;
    const struct config_setting *setting = config_setting_find(section, file_key);
    if ((*secret)[0] != '\0') {
        config_problem_add(&draft->problems, setting->line,
                           "%s: expected only one of %s and %s, both are given", file_key, key,
                           file_key);
        return;
    }
    char *text = read_secret_file(draft, setting, path);
    if (text == NULL)
        return;
    size_t length = strlen(text);
    while (length > 0 && strchr("\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
    *secret = text;
}

static void read_srs_secrets(struct config_draft *draft)
{
    if (draft->config.srs.secrets_file[0] == '\0')
        return;
    const struct config_setting *setting = find_setting(draft, "srs", "secrets_file");
    char *text = read_secret_file(draft, setting, draft->config.srs.secrets_file), *rest = NULL;
    for (char *line = text != NULL ? strtok_r(text, "\r\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        names_add(draft->config.arena, &draft->config.srs.secrets, line);
}

static void check_srs_build(struct config_draft *draft)
{
    if (!HAVE_CRYPTO && draft->config.srs.domain[0] != '\0')
        config_problem_add(&draft->problems, find_setting(draft, "srs", "domain")->line,
                           "domain: this build has no SRS: build Postern with libcrypto, or remove "
                           "`domain`");
}

static void check_srs(struct config_draft *draft)
{
    check_srs_build(draft);
    read_srs_secrets(draft);
    draft->config.srs.domain = postern_lower(draft->config.arena, draft->config.srs.domain);
    const struct config_setting *domain = find_setting(draft, "srs", "domain");
    if (draft->config.srs.domain[0] != '\0' && draft->config.srs.secrets.count == 0 &&
        draft->config.srs.secrets_file[0] == '\0')
        config_problem_add(&draft->problems, domain->line,
                           "domain: expected secrets or secrets_file with it, to sign addresses");
    for (size_t i = 0; i < draft->config.srs.secrets.count; i++)
        if (draft->config.srs.secrets.items[i][0] == '\0')
            config_problem_add(&draft->problems, find_setting(draft, "srs", "secrets")->line,
                               "secrets: expected secrets that are not empty");
}

static void check_ldap(struct config_draft *draft)
{
    const struct config_section *section = config_section_find(&draft->file, "ldap", NULL);
    if (section != NULL)
        config_read_secret(draft, section, "bind_password", "bind_password_file",
                           draft->bind_password_file, &draft->config.ldap.bind_password);
}

static void check_smtp_url(struct config_draft *draft, struct mail_login *login)
{
    const char *url = draft->config.notify.smtp_url;
    struct postern_error error;
    if (url[0] != '\0' && !mail_check_url(url, login, &error))
        config_problem_add(&draft->problems, find_setting(draft, "notify", "smtp_url")->line,
                           "smtp_url: %s", error.text);
}

static void check_notify(struct config_draft *draft)
{
    struct mail_login login = {0};
    const struct config_section *section = config_section_find(&draft->file, "notify", NULL);
    draft->config.notify.smtp_password = "";
    if (section == NULL)
        return;
    check_smtp_url(draft, &login);
    const struct config_setting *file = config_setting_find(section, "smtp_password_file");
    if (draft->smtp_password_file[0] != '\0' && (!login.user || login.password))
        config_problem_add(&draft->problems, file->line,
                           "smtp_password_file: expected only with an smtp_url that has a user and "
                           "no password, like \"smtp://user@host.example:587\"");
    else
        config_read_secret(draft, section, "smtp_url", "smtp_password_file",
                           draft->smtp_password_file, &draft->config.notify.smtp_password);
}

/* The addresses of all services. */
struct listening {
    size_t count;
    struct {
        const char *address;
        int line; /* 0: a default */
    } items[];
};

static void add_listening(struct config_draft *draft, struct listening *all, const char *address,
                          int line)
{
    for (size_t i = 0; address[0] != '\0' && i < all->count; i++)
        if (strcmp(all->items[i].address, address) == 0)
            config_problem_add(&draft->problems, line > 0 ? line : all->items[i].line,
                               "expected an address for each service, `%s` is that of two",
                               address);
    all->items[all->count].address = address;
    all->items[all->count++].line = line;
}

static void add_service(struct config_draft *draft, struct listening *all, const char *section,
                        const char *key, const char *address)
{
    const struct config_setting *setting = find_setting(draft, section, key);
    add_listening(draft, all, address, setting != NULL ? setting->line : 0);
}

static void check_listeners(struct config_draft *draft)
{
    const struct config *config = &draft->config;
    const struct config_setting *listen = find_setting(draft, "", "listen");
    if (config->listen.count == 0)
        config_problem_add(&draft->problems, listen->line,
                           "listen: expected at least one address like \"127.0.0.1:7777\"");
    struct listening *all = postern_alloc(
        config->arena, sizeof *all + (config->listen.count + SERVICES) * sizeof all->items[0]);
    all->count = 0;
    for (size_t i = 0; i < config->listen.count; i++)
        add_listening(draft, all, config->listen.items[i], listen != NULL ? listen->lines[i] : 0);
    add_service(draft, all, "metrics", "listen", config->metrics_listen);
    if (config->srs.domain[0] == '\0')
        return;
    add_service(draft, all, "srs", "listen_forward", config->srs.listen_forward);
    add_service(draft, all, "srs", "listen_reverse", config->srs.listen_reverse);
    add_service(draft, all, "srs", "listen_socketmap", config->srs.listen_socketmap);
}

void config_check_whole(struct config_draft *draft)
{
    check_listeners(draft);
    check_ldap(draft);
    check_srs(draft);
    check_notify(draft);
}
