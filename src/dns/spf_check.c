/*
 * The records in turn, and their terms. libspf2 is not given whole records: it keeps no limit over
 * nested ones, stops at 511 bytes of compiled record (60 networks), follows a redirect where it
 * stands and not at the end, reads past what the grammar forbids, and cannot say which mechanism
 * matched.
 *
 * Source: RFC 7208, 4 - 6.
 */
#include "dns/spf_evaluation.h"
#include "util/arena.h"

#include <string.h>

/* --- fetching a record --- */

/* A name of several labels, the last of which is not a number. */
static bool is_domain(const char *name)
{
    const char *end = name + strlen(name);
    if (end > name && end[-1] == '.')
        end--;
    const char *label = end;
    while (label > name && label[-1] != '.')
        label--;
    bool is_number = true;
    for (const char *c = label; c < end; c++)
        is_number = is_number && spf_is_digit(*c);
    return label > name && !is_number && strchr(name, '[') == NULL && spf_name_is_proper(name);
}

/* How many SPF records there are; *text is a copy of the first. */
static size_t select_records(struct spf_evaluation *evaluation,
                             const struct postern_dns_answer *answer, struct spf_text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct spf_text each = {answer->records[i].text, answer->records[i].length};
        if (!spf_record_is(each))
            continue;
        if (count++ == 0)
            *text = (struct spf_text){postern_strndup(evaluation->arena, each.start, each.length),
                                      each.length};
    }
    return count;
}

/* False when there is no record, and with a fault. */
static bool fetch(struct spf_evaluation *evaluation, const char *domain, struct spf_record *record)
{
    struct postern_arena *answers = arena_new(); /* a domain may have many more TXT records */
    struct postern_dns_answer answer;
    struct spf_text text = {0};
    spf_ask(evaluation, SPF_FOR_RECORD, POSTERN_DNS_TXT, domain, answers, &answer);
    size_t count = select_records(evaluation, &answer, &text);
    arena_free(answers);

    struct postern_error error;
    evaluation->texts += text.length;
    if (evaluation->texts > SPF_TEXTS)
        return spf_fault(evaluation, POSTERN_SPF_PERMERROR, "the records take more than %zu bytes",
                         SPF_TEXTS);
    if (count > 1)
        return spf_fault(evaluation, POSTERN_SPF_PERMERROR, "%s has %zu SPF records", domain,
                         count);
    if (count == 1 && !spf_record_read(text, record, &error))
        return spf_fault(evaluation, POSTERN_SPF_PERMERROR, "%s: %s", domain, error.text);
    return count == 1;
}

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
    if (!is_domain(domain) || !fetch(evaluation, domain, &outcome->record))
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
