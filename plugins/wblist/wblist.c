/*
 * What users, domains and the whole site have said of senders whose mail they want, or do not, and
 * of recipients to whom their own users may not write.
 */
#include "wblist.h"

#include <postern/directory.h>
#include <string.h>

static const char *const whitelist_actions[] = {"permit_auth_destination", "OK", "DUNNO", NULL};

struct options {
    int whitelist_action;
    bool discard;
    bool bypass_outgoing;
    bool all_wildcards;
};

static bool init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)error;
    *state = lists_new();
    return true;
}

static void cleanup(void *state)
{
    lists_free(state);
}

/* The login, if there is one, is the sender. */
static const char *sender_of(const struct postern_request *req)
{
    return req->sasl_username[0] ? req->sasl_username : req->sender;
}

static struct postern_names names_of(struct postern_request *req, const char *address)
{
    return postern_address_names(req->arena, address, req->recipient_delimiters);
}

/* Those of the side that is not local: user@* too. */
static struct postern_names subject_names(struct postern_request *req, const char *address)
{
    return postern_names_join(
        req->arena, names_of(req, address),
        postern_user_anywhere(req->arena, address, req->recipient_delimiters));
}

static enum list_word ask_outbound(struct postern_request *req)
{
    struct list_question question = {.outbound = true,
                                     .accounts = names_of(req, sender_of(req)),
                                     .subjects = subject_names(req, req->recipient)};
    return lists_ask(req, postern_state(req), &question);
}

static enum list_word ask_inbound(struct postern_request *req, const struct options *options)
{
    struct postern_names client =
        postern_ip_candidates(req->arena, &req->client, options->all_wildcards);
    struct list_question question = {
        .accounts = names_of(req, req->recipient),
        .subjects = postern_names_join(req->arena, subject_names(req, sender_of(req)), client),
        .client = req->client};
    return lists_ask(req, postern_state(req), &question);
}

static enum postern_lookup inbound_applies(struct postern_request *req)
{
    struct postern_domain domain;
    if (!req->sasl_username[0] || strcmp(req->sasl_domain, req->recipient_domain) == 0)
        return POSTERN_FOUND;
    return postern_domain_find(req, req->recipient_domain, &domain);
}

static void refuse(struct postern_request *req, const struct options *options)
{
    if (options->discard)
        postern_discard(req, "Policy discard");
    else
        postern_reject(req, "Blacklisted");
}

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    enum list_word word = LIST_SAYS_NOTHING;
    if (!sender_of(req)[0] || strcmp(sender_of(req), req->recipient) == 0)
        return;
    if (req->sasl_username[0] && !options->bypass_outgoing)
        word = ask_outbound(req);
    if (word != LIST_SAYS_BLACK && word != LIST_FAILED) {
        if (inbound_applies(req) != POSTERN_FOUND)
            return;
        word = ask_inbound(req, options);
        if (word == LIST_SAYS_WHITE)
            postern_accept(req, whitelist_actions[options->whitelist_action]);
    }
    if (word == LIST_SAYS_BLACK)
        refuse(req, options);
}

static const struct postern_option option_table[] = {
    POSTERN_OPTION(CHOICE, struct options, whitelist_action, "permit_auth_destination",
                   "what Postfix is told of the whitelisted; OK would relay for them",
                   .choices = whitelist_actions),
    POSTERN_OPTION(BOOL, struct options, discard, "false",
                   "accept mail of the blacklisted and throw it away"),
    POSTERN_OPTION(BOOL, struct options, bypass_outgoing, "false", "do not ask the outbound list"),
    POSTERN_OPTION(BOOL, struct options, all_wildcards, "false",
                   "match every combination of * in IPv4 addresses, not only the last two octets"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(wblist, .summary = "refuses and lets in senders whom users have listed",
               .priority = 40, .states = POSTERN_RCPT, .database = "amavisd",
               .options_size = sizeof(struct options), .options = option_table, .init = init,
               .check = check, .cleanup = cleanup);
