/*
 * Nobody outside has a reason to write to user@this-host: such mail aims at system accounts.
 * Bounces to rewritten senders do have one.
 */
#include <postern/plugin.h>
#include <string.h>
#include <unistd.h>

struct options {
    const char *hostname;
};

struct state {
    char hostname[256];
};

static bool init(const void *options, void **state, struct postern_error *error)
{
    static struct state host; /* one per process */
    const struct options *given = options;
    const char *name = given->hostname;
    char own[256] = "";
    if (name[0] == '\0') {
        if (gethostname(own, sizeof own - 1) != 0)
            return postern_error_set(error, "this host's name is not known: set `hostname`");
        name = own;
    }
    if (strlen(name) >= sizeof host.hostname)
        return postern_error_set(error, "hostname is longer than 255 bytes");
    memcpy(host.hostname, name, strlen(name) + 1);
    *state = &host;
    return true;
}

static bool is_srs(const char *address)
{
    return strncmp(address, "srs0=", 5) == 0 || strncmp(address, "srs1=", 5) == 0;
}

static void check(struct postern_request *req)
{
    const struct state *host = postern_state(req);
    if (req->sasl_username[0] || req->client_is_trusted)
        return;
    if (strcasecmp(req->recipient_domain, host->hostname) != 0 || is_srs(req->recipient))
        return;
    postern_reason(req, "recipient domain is this host's name");
    postern_reject(req, "Not authorized");
}

POSTERN_PLUGIN(reject_to_hostname,
               .summary = "refuses mail from outside to addresses at this host's own name",
               .priority = 100, .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options =
                   (const struct postern_option[]){
                       POSTERN_OPTION(STRING, struct options, hostname, "",
                                      "this host's name; empty: what the system says"),
                       POSTERN_OPTIONS_END},
               .init = init, .check = check);
