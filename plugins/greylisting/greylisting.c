/*
 * A client that was not seen before is asked to come back later: mail servers do, most spam
 * senders don't.
 */
#include "greylisting.h"

#include <postern/spf.h>

#include <inttypes.h>
#include <unistd.h>

static bool validate(const void *given, struct postern_error *error)
{
    const struct options *options = given;
    if (options->block_expire >= options->unauth_triplet_expire)
        return postern_error_set(error, "block_expire must be shorter than unauth_triplet_expire, "
                                        "or nobody could ever pass");
    return !options->bypass_spf || postern_spf_is_built(error);
}

static bool init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)error;
    *state = settings_new();
    return true;
}

static void cleanup(void *state)
{
    settings_free(state);
}

static void defer(struct postern_request *req, const struct options *options)
{
    if (!options->training_mode)
        postern_defer(req, "451 4.7.1 %s", options->message);
}

static void add_delay_header(struct postern_request *req, int64_t seconds)
{
    char host[256] = "localhost";
    gethostname(host, sizeof host - 1);
    postern_prepend(req, "X-Greylist: delayed %" PRId64 " seconds by %s", seconds, host);
}

static void pass(struct postern_request *req, const struct options *options,
                 const struct triplet *triplet)
{
    postern_reason(req, "passed after %" PRId64 " seconds", triplet->seconds);
    if (options->delay_header && !options->training_mode)
        add_delay_header(req, triplet->seconds);
    triplet_forget_others(req, options, triplet);
}

static void greylist(struct postern_request *req, const struct options *options)
{
    struct triplet triplet = triplet_of(req, options);
    switch (triplet_try(req, options, &triplet)) {
    case TRIPLET_FIRST_SEEN:
        postern_reason(req, "first seen");
        defer(req, options);
        return;
    case TRIPLET_TOO_EARLY:
        postern_reason(req, "retried %" PRId64 " seconds too early", triplet.seconds);
        defer(req, options);
        return;
    case TRIPLET_PASSED_NOW:
        pass(req, options, &triplet);
        return;
    case TRIPLET_CLIENT_PASSED:
        postern_reason(req, "client has passed before");
        triplet_extend(req, options, &triplet);
        return;
    case TRIPLET_FAILED:
        return;
    }
}

/* Addresses of the SRS domain come back from anywhere, and its own record says nothing of them. */
static bool is_bypassed(struct postern_request *req, const struct options *options)
{
    if (!options->bypass_spf || req->sender_is_srs)
        return false;
    const struct postern_spf *spf = postern_spf_check(req);
    if (spf->result != POSTERN_SPF_PASS)
        return false;
    postern_reason(req, "SPF passes for %s", spf->domain);
    return true;
}

static void check(struct postern_request *req)
{
    if (req->sasl_username[0] || req->client_is_trusted || req->client.family == POSTERN_NO_IP)
        return;
    const struct options *options = postern_options(req);
    const char *entry = "";
    switch (settings_find(req, postern_state(req), options, &entry)) {
    case SETTING_ON:
        if (!is_bypassed(req, options))
            greylist(req, options);
        return;
    case SETTING_WHITELISTED:
        postern_reason(req, "greylisting whitelist: %s", entry);
        return;
    case SETTING_OFF:
    case SETTING_FAILED:
        return;
    }
}

static const struct postern_option option_table[] = {
    POSTERN_OPTION(DURATION, struct options, block_expire, "15m",
                   "how long a new triplet is deferred", .maximum = 30 * 86400),
    POSTERN_OPTION(DURATION, struct options, unauth_triplet_expire, "1d",
                   "how long a triplet that has not passed is remembered", .minimum = 1,
                   .maximum = 3650LL * 86400),
    POSTERN_OPTION(DURATION, struct options, auth_triplet_expire, "30d",
                   "how long a client that has passed is remembered", .minimum = 1,
                   .maximum = 3650LL * 86400),
    POSTERN_OPTION(INTEGER, struct options, auto_whitelist_after, "1",
                   "how many triplets must pass before their client is let through", .minimum = 1,
                   .maximum = 1000),
    POSTERN_OPTION(INTEGER, struct options, ipv4_prefix, "32",
                   "bits of an IPv4 client that count: 24 takes neighbours for the same client",
                   .minimum = 8, .maximum = 32),
    POSTERN_OPTION(INTEGER, struct options, ipv6_prefix, "128", "bits of an IPv6 client that count",
                   .minimum = 16, .maximum = 128),
    POSTERN_OPTION(BOOL, struct options, bypass_spf, "false",
                   "don't greylist senders that pass SPF"),
    POSTERN_OPTION(BOOL, struct options, training_mode, "false", "count, but never defer"),
    POSTERN_OPTION(BOOL, struct options, delay_header, "false",
                   "add X-Greylist to mail that was delayed"),
    POSTERN_OPTION(BOOL, struct options, all_wildcards, "false",
                   "match every combination of * in IPv4 addresses, not only the last two octets"),
    POSTERN_OPTION(STRING, struct options, message,
                   "Intentional policy rejection, please try again later",
                   "what follows 451 4.7.1 in the reply"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(greylisting, .summary = "asks clients that were not seen before to come back later",
               .priority = 80, .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options = option_table, .validate = validate, .init = init, .check = check,
               .cleanup = cleanup);
