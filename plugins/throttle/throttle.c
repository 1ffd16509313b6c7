/*
 * How much mail a user, a domain or a client may send, and a mailbox receive: in one message, and
 * in a period of time.
 */
#include "throttle.h"

#include <inttypes.h>
#include <string.h>

static bool init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)error;
    *state = settings_listing();
    return true;
}

static void cleanup(void *state)
{
    postern_listing_free(state);
}

/* A sender that is not the login's own proves nothing of who sends. */
static const char *own_domain(const struct postern_request *req)
{
    if (req->sasl_domain[0] != '\0' && strcmp(req->sasl_domain, req->sender_domain) != 0)
        return "";
    return req->sender_domain;
}

static bool is_to_own_domain(const struct postern_request *req)
{
    const char *domain = own_domain(req);
    if (domain[0] == '\0' || req->recipients_length == 0 || !req->recipients_complete)
        return false;
    for (size_t i = 0; i < req->recipients_length; i++)
        if (strcmp(postern_address_domain(req->recipients[i]), domain) != 0)
            return false;
    return true;
}

static bool is_bypassed(const struct postern_request *req, const struct options *options)
{
    return (options->bypass_mynetworks && req->client_is_trusted) ||
           (options->bypass_same_domain && is_to_own_domain(req));
}

static void refuse(struct postern_request *req, const struct refusal *refusal)
{
    const struct counter *counter = refusal->counter;
    const struct throttle_row *row = counter->row;
    postern_reason(req,
                   "%s of %s (%s): %" PRId64 " in %" PRId64 " seconds, and %s has %" PRId64
                   " with %" PRIu64 " more",
                   limit_names[refusal->by_size ? LIMIT_SIZE_SUM : LIMIT_MESSAGES], row->account,
                   row->kind, refusal->by_size ? counter->max_size : counter->max_messages,
                   row->period, counter->key, refusal->counted,
                   refusal->by_size ? req->size : (uint64_t)counter->messages);
    postern_reject(req, "Throttling quota exceeded");
}

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    if (is_bypassed(req, options))
        return;
    struct counters counters;
    struct refusal refusal;
    if (counters_find(req, options, &counters) == POSTERN_FAILED || counters.refused ||
        counters.count == 0)
        return;
    if (count_message(req, &counters, &refusal) == COUNT_REFUSED)
        refuse(req, &refusal);
}

static const struct postern_option option_table[] = {
    POSTERN_OPTION(BOOL, struct options, bypass_same_domain, "true",
                   "do not count mail that stays in the sender's domain"),
    POSTERN_OPTION(BOOL, struct options, bypass_mynetworks, "false",
                   "do not count mail of trusted clients"),
    POSTERN_OPTION(BOOL, struct options, bypass_local_recipient, "true",
                   "do not count mail of authenticated users for its recipients"),
    POSTERN_OPTION(BOOL, struct options, all_wildcards, "false",
                   "match every combination of * in IPv4 addresses, not only the last two octets"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(throttle, .summary = "limits how much mail is sent and received", .priority = 60,
               .states = POSTERN_END_OF_MESSAGE, .options_size = sizeof(struct options),
               .options = option_table, .init = init, .check = check, .cleanup = cleanup);
