/*
 * The records in turn, and their terms. libspf2 is not given whole records: it keeps no limit over
 * nested ones, stops at 511 bytes of compiled record (60 networks), follows a redirect where it
 * stands and not at the end, reads past what the grammar forbids, and cannot say which mechanism
 * matched.
 *
 * Source: RFC 7208, 4 - 6.
 */
#include "dns/spf_evaluation.h"

/* --- mechanisms --- */

static bool match_always(struct spf_evaluation *evaluation, const struct spf_term *term,
                         const char *domain)
{
    (void)evaluation, (void)term, (void)domain;
    return true;
}

static bool match_network(struct spf_evaluation *evaluation, const struct spf_term *term,
                          const char *domain)
{
    (void)domain;
    return postern_network_holds(&term->network, &evaluation->question->client);
}

static bool match_by_dns(struct spf_evaluation *evaluation, const struct spf_term *term,
                         const char *domain)
{
    if (!spf_count_term(evaluation))
        return false;
    if (term->domain.length > 0)
        domain = spf_expand_domain(evaluation, term->domain, domain);
    return spf_library_match(evaluation, term, domain);
}

static bool match_include(struct spf_evaluation *evaluation, const struct spf_term *term,
                          const char *domain)
{
    if (!spf_count_term(evaluation))
        return false;
    const char *target = spf_expand_domain(evaluation, term->domain, domain);
    struct spf_outcome included;
    enum postern_spf_result result = spf_check_host(evaluation, target, &included);
    if (result == POSTERN_SPF_NONE)
        return spf_fault(evaluation, POSTERN_SPF_PERMERROR,
                         "%s includes \"%s\", which has no SPF record", domain, target);
    return result == POSTERN_SPF_PASS;
}

static bool (*const matchers[SPF_MECHANISMS])(struct spf_evaluation *evaluation,
                                              const struct spf_term *term, const char *domain) = {
    [SPF_ALL] = match_always,  [SPF_INCLUDE] = match_include, [SPF_A] = match_by_dns,
    [SPF_MX] = match_by_dns,   [SPF_PTR] = match_by_dns,      [SPF_IP4] = match_network,
    [SPF_IP6] = match_network, [SPF_EXISTS] = match_by_dns,
};

/* --- records --- */

/* NEUTRAL, without a mechanism, when none matches. */
static enum postern_spf_result check_terms(struct spf_evaluation *evaluation,
                                           struct spf_outcome *outcome)
{
    struct spf_text rest = outcome->record.terms;
    struct spf_term term;
    while (spf_record_next(&rest, &term)) {
        if (term.kind >= SPF_MECHANISMS)
            continue;
        bool matches = matchers[term.kind](evaluation, &term, outcome->domain);
        if (evaluation->fault != POSTERN_SPF_NONE)
            return evaluation->fault;
        if (matches) {
            outcome->mechanism = term.text;
            return term.result;
        }
    }
    return POSTERN_SPF_NEUTRAL;
}

/* NONE, without a fault, when the domain has no record. */
static enum postern_spf_result check_domain(struct spf_evaluation *evaluation, const char *domain,
                                            struct spf_outcome *outcome)
{
    *outcome = (struct spf_outcome){.domain = domain};
    if (!spf_fetch(evaluation, domain, &outcome->record))
        return evaluation->fault;
    return check_terms(evaluation, outcome);
}

static bool is_redirected(enum postern_spf_result result, const struct spf_outcome *outcome)
{
    return result == POSTERN_SPF_NEUTRAL && outcome->mechanism.length == 0 &&
           outcome->record.redirect.length > 0;
}

enum postern_spf_result spf_check_host(struct spf_evaluation *evaluation, const char *domain,
                                       struct spf_outcome *outcome)
{
    enum postern_spf_result result = check_domain(evaluation, domain, outcome);
    while (is_redirected(result, outcome)) {
        const char *from = outcome->domain;
        if (!spf_count_term(evaluation))
            return evaluation->fault;
        domain = spf_expand_domain(evaluation, outcome->record.redirect, from);
        result = check_domain(evaluation, domain, outcome);
        if (result == POSTERN_SPF_NONE)
            spf_fault(evaluation, POSTERN_SPF_PERMERROR,
                      "%s redirects to \"%s\", which has no SPF record", from, domain);
        if (evaluation->fault != POSTERN_SPF_NONE)
            return evaluation->fault;
    }
    return result;
}

const char *spf_explain(struct spf_evaluation *evaluation, const struct spf_outcome *outcome)
{
    struct postern_dns_answer answer;
    if (outcome->record.explanation.length == 0)
        return "";
    const char *name = spf_expand_domain(evaluation, outcome->record.explanation, outcome->domain);
    spf_ask(evaluation, SPF_FOR_EXTRA, POSTERN_DNS_TXT, name, evaluation->arena, &answer);
    if (answer.count != 1)
        return "";
    struct spf_text text = {answer.records[0].text, answer.records[0].length};
    return spf_expand_explanation(evaluation, text, outcome->domain);
}
