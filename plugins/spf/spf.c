/*
 * Whether the sender's domain lets this client send for it, and what to do if it does not.
 *
 * Source: RFC 7208, 8; RFC 7372 (enhanced status codes).
 */
#include "spf.h"

#include <string.h>

enum response { RESPONSE_NONE, RESPONSE_DEFER, RESPONSE_REJECT };

struct options {
    int on_fail, on_softfail, on_permerror, on_temperror;
    int header;
    struct postern_names skip_domains;
};

static bool validate(const void *options, struct postern_error *error)
{
    (void)options;
    return postern_spf_is_built(error);
}

/* "example.com" is that domain, ".example.com" its subdomains too. */
static bool is_named(const char *domain, const char *entry)
{
    size_t length = strlen(domain), suffix = strlen(entry);
    if (entry[0] != '.')
        return strcasecmp(domain, entry) == 0;
    return strcasecmp(domain, entry + 1) == 0 ||
           (length > suffix && strcasecmp(domain + length - suffix, entry) == 0);
}

static bool is_skipped(const struct postern_request *req, const struct options *options)
{
    const char *at = strrchr(req->sender, '@');
    const char *domain = at != NULL ? at + 1 : req->helo_name;
    for (size_t i = 0; i < options->skip_domains.count; i++)
        if (is_named(domain, options->skip_domains.items[i]))
            return true;
    return false;
}

/* With the status codes of RFC 7372 and RFC 7208, 8.6. */
static const struct {
    size_t option; /* an enum response, as int */
    const char *reject, *defer;
} rules[POSTERN_SPF_RESULTS] = {
    [POSTERN_SPF_FAIL] = {offsetof(struct options, on_fail), "550 5.7.23", "451 4.7.23"},
    [POSTERN_SPF_SOFTFAIL] = {offsetof(struct options, on_softfail), "550 5.7.23", "451 4.7.23"},
    [POSTERN_SPF_PERMERROR] = {offsetof(struct options, on_permerror), "550 5.7.24", "451 4.7.24"},
    [POSTERN_SPF_TEMPERROR] = {offsetof(struct options, on_temperror), NULL, "451 4.4.3"},
};

static enum response response_to(enum postern_spf_result result, const struct options *options)
{
    if (rules[result].defer == NULL)
        return RESPONSE_NONE;
    return *(const int *)((const char *)options + rules[result].option);
}

static const char *text_of(struct postern_request *req, const struct postern_spf *spf)
{
    char ip[POSTERN_IP_TEXT];
    const char *identity = spf->is_helo ? "HELO" : "MAIL FROM";
    if (spf->problem[0] != '\0')
        return postern_printf(req->arena, "SPF check of %s could not be done: %s", identity,
                              spf->problem);
    if (spf->explanation[0] != '\0')
        return postern_printf(req->arena, "SPF check of %s failed. %s explains: %s", identity,
                              spf->domain, spf->explanation);
    return postern_printf(req->arena, "SPF check of %s failed: %s does not let %s send mail for it",
                          identity, spf->domain, postern_ip_text(&req->client, ip));
}

static void respond(struct postern_request *req, enum response response,
                    const struct postern_spf *spf)
{
    const char *text = text_of(req, spf);
    if (response == RESPONSE_REJECT)
        postern_reject(req, "%s %s", rules[spf->result].reject, text);
    else
        postern_defer(req, "%s %s", rules[spf->result].defer, text);
}

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    if (req->sasl_username[0] || req->client_is_trusted || req->client.family == POSTERN_NO_IP ||
        is_skipped(req, options))
        return;
    const struct postern_spf *spf = postern_spf_check(req);
    postern_reason(req, "%s for %s (%s)", postern_spf_word(spf->result), spf->domain,
                   spf->problem[0] ? spf->problem : spf->mechanism);
    enum response response = response_to(spf->result, options);
    if (response != RESPONSE_NONE)
        respond(req, response, spf);
    else
        header_add(req, (enum header)options->header, spf);
}

static const char *const responses[] = {"none", "defer", "reject", NULL};
static const char *const temporary_responses[] = {"none", "defer", NULL};
static const char *const headers[] = {"received_spf", "authentication_results", "none", NULL};

static const struct postern_option option_table[] = {
    POSTERN_OPTION(CHOICE, struct options, on_fail, "reject",
                   "what to answer when the domain forbids it", .choices = responses),
    POSTERN_OPTION(CHOICE, struct options, on_softfail, "none",
                   "what to answer when the domain would rather not", .choices = responses),
    POSTERN_OPTION(CHOICE, struct options, on_permerror, "none",
                   "what to answer when the domain's record is wrong", .choices = responses),
    POSTERN_OPTION(CHOICE, struct options, on_temperror, "none",
                   "what to answer when the DNS gives no answer", .choices = temporary_responses),
    POSTERN_OPTION(CHOICE, struct options, header, "received_spf",
                   "the header that tells the result", .choices = headers),
    POSTERN_OPTION(LIST, struct options, skip_domains, "",
                   "domains of senders that are not checked; .example.com: subdomains too"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(spf, .summary = "checks whether the sender's domain lets the client send for it",
               .priority = 85, .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options = option_table, .validate = validate, .check = check);
