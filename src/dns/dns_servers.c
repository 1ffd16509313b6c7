#include "dns/dns_servers.h"

#include "build_config.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/quantity.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN 1.0
#define FILE_MAX   65536

static const struct dns_server local = {{POSTERN_IPV4, {127, 0, 0, 1}}, DNS_PORT};

static const char *resolv_conf(void)
{
    const char *path = POSTERN_TEST_HOOKS ? getenv("POSTERN_RESOLV_CONF") : NULL;
    return path != NULL ? path : "/etc/resolv.conf";
}

static bool parse_port(const char *text, int *port)
{
    int64_t value;
    if (!quantity_parse_integer(text, &value) || value < 1 || value > 65535)
        return false;
    *port = (int)value;
    return true;
}

bool dns_server_parse(const char *text, struct dns_server *server)
{
    char host[POSTERN_IP_TEXT];
    const char *colon = strrchr(text, ':');
    const char *start = text, *end = colon;
    server->port = DNS_PORT;
    if (postern_ip_parse(text, &server->ip))
        return true;
    if (colon == NULL || !parse_port(colon + 1, &server->port))
        return false;
    if (text[0] == '[') {
        start++;
        end--;
    }
    if (end < start || (start > text && *end != ']') || (size_t)(end - start) >= sizeof host)
        return false;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    return postern_ip_parse(host, &server->ip);
}

static void add_server(struct dns_servers *servers, const char *text, const char *source)
{
    struct dns_server server = {.port = 0};
    if (servers->count == DNS_SERVERS_MAX)
        return;
    if (dns_server_parse(text, &server))
        servers->list[servers->count++] = server;
    else
        log_warning("%s: `%s` is not the address of a DNS server that can be asked", source, text);
}

/* "nameserver ADDRESS", with white space before, between and behind. */
static void read_line(struct dns_servers *servers, char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, " \t\r\n", &rest);
    if (word == NULL || strcmp(word, "nameserver") != 0)
        return;
    const char *address = strtok_r(NULL, " \t\r\n", &rest);
    if (address != NULL)
        add_server(servers, address, resolv_conf());
}

static void read_lines(struct dns_servers *servers, FILE *file)
{
    char *line = NULL;
    size_t room = 0, total = 0;
    ssize_t length;
    servers->count = 0;
    while (total < FILE_MAX && (length = getline(&line, &room, file)) >= 0) {
        total += (size_t)length;
        read_line(servers, line);
    }
    free(line);
    if (servers->count == 0)
        servers->list[servers->count++] = local;
}

/* A file that is not there, as while it is being replaced, changes nothing. */
static void read_file(struct dns_servers *servers)
{
    FILE *file = fopen(resolv_conf(), "re");
    if (file == NULL) {
        log_warning("cannot read %s: %s", resolv_conf(), strerror(errno));
        return;
    }
    read_lines(servers, file);
    fclose(file);
}

static bool has_changed(const struct stat *before, const struct stat *now)
{
    return before->st_ino != now->st_ino || before->st_dev != now->st_dev ||
           before->st_size != now->st_size || before->st_mtim.tv_sec != now->st_mtim.tv_sec ||
           before->st_mtim.tv_nsec != now->st_mtim.tv_nsec;
}

static void log_servers(const struct dns_servers *servers)
{
    char ip[POSTERN_IP_TEXT];
    for (size_t i = 0; i < servers->count; i++)
        log_debug("DNS server %zu of %s: %s port %d", i + 1, resolv_conf(),
                  postern_ip_text(&servers->list[i].ip, ip), servers->list[i].port);
}

static bool same_servers(const struct dns_servers *a, const struct dns_servers *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->list[i].port == b->list[i].port && a->list[i].ip.family == b->list[i].ip.family &&
               memcmp(a->list[i].ip.bytes, b->list[i].ip.bytes, sizeof a->list[i].ip.bytes) == 0;
    return same;
}

bool dns_servers_refresh(struct dns_servers *servers)
{
    struct stat file;
    double now = fiber_now();
    if (!servers->follows || now - servers->looked < LOOK_AGAIN)
        return false;
    servers->looked = now;
    if (stat(resolv_conf(), &file) != 0 || !has_changed(&servers->file, &file))
        return false;
    struct dns_servers before = *servers;
    servers->file = file;
    read_file(servers);
    log_servers(servers);
    return !same_servers(&before, servers);
}

void dns_servers_open(struct dns_servers *servers, const struct postern_names *configured)
{
    *servers = (struct dns_servers){.follows = configured->count == 0, .looked = -LOOK_AGAIN};
    for (size_t i = 0; i < configured->count; i++)
        add_server(servers, configured->items[i], "dns: servers");
    if (!servers->follows)
        return;
    servers->list[servers->count++] = local;
    dns_servers_refresh(servers);
}
