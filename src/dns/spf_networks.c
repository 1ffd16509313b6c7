/*
 * The walk of spf_check.c with nobody to match: every mechanism is taken, as an evaluation does
 * for a client that none of them matches. Both families are asked for at once, so a host that has
 * one is no void lookup.
 */
#include "dns/spf_networks.h"

#include "dns/spf_evaluation.h"
#include "util/arena.h"

#include <stdlib.h>
#include <string.h>

struct list {
    size_t count;
    struct postern_network items[SPF_NETWORKS_MAX];
};

struct expansion {
    struct spf_evaluation evaluation;
    struct list passing;
    struct list refused; /* by mechanisms before: what is within them never passes */
    unsigned left_out;
};

static bool expand_domain(struct expansion *expansion, const char *domain);

/* --- networks --- */

static bool holds(const struct postern_network *outer, const struct postern_network *inner)
{
    return outer->prefix <= inner->prefix && postern_network_holds(outer, &inner->address);
}

static void append(struct expansion *expansion, struct list *list,
                   const struct postern_network *network)
{
    if (list->count < SPF_NETWORKS_MAX)
        list->items[list->count++] = *network;
    else
        spf_fault(&expansion->evaluation, POSTERN_SPF_PERMERROR, "it has more than %d networks",
                  SPF_NETWORKS_MAX);
}

/* ::ffff:0:0/96 would be read as IPv4 by who finds it in a list, and no client has it. */
static bool is_mapped(const struct postern_network *network)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return network->address.family == POSTERN_IPV6 && network->prefix >= 8 * sizeof mapped &&
           memcmp(network->address.bytes, mapped, sizeof mapped) == 0;
}

static bool is_too_wide(const struct postern_network *network)
{
    return network->prefix < (network->address.family == POSTERN_IPV4 ? 8 : 16);
}

static bool is_refused(const struct expansion *expansion, const struct postern_network *network)
{
    for (size_t i = 0; i < expansion->refused.count; i++)
        if (holds(&expansion->refused.items[i], network))
            return true;
    return false;
}

static void take(struct expansion *expansion, const struct postern_network *network)
{
    if (is_mapped(network) || is_refused(expansion, network))
        return;
    if (is_too_wide(network))
        expansion->left_out++;
    else
        append(expansion, &expansion->passing, network);
}

/* --- mechanisms --- */

/* Without its last dot; NULL, and left out, with macros. */
static const char *literal_domain(struct expansion *expansion, struct spf_text spec)
{
    if (memchr(spec.start, '%', spec.length) != NULL) {
        expansion->left_out++;
        return NULL;
    }
    size_t length = spec.length - (spec.start[spec.length - 1] == '.');
    return postern_strndup(expansion->evaluation.arena, spec.start, length);
}

static size_t take_addresses(struct expansion *expansion, enum postern_dns_type type,
                             const char *name, unsigned prefix)
{
    struct postern_dns_answer answer;
    spf_ask(&expansion->evaluation, SPF_FOR_RECORD, type, name, expansion->evaluation.arena,
            &answer);
    for (size_t i = 0; i < answer.count; i++) {
        struct postern_network network = postern_network_of(&answer.records[i].ip, prefix);
        take(expansion, &network);
    }
    return answer.count;
}

static size_t take_host(struct expansion *expansion, const char *name, unsigned prefix4,
                        unsigned prefix6)
{
    return take_addresses(expansion, POSTERN_DNS_A, name, prefix4) +
           take_addresses(expansion, POSTERN_DNS_AAAA, name, prefix6);
}

static size_t take_mx_hosts(struct expansion *expansion, const char *domain, unsigned prefix4,
                            unsigned prefix6)
{
    struct spf_evaluation *evaluation = &expansion->evaluation;
    struct postern_dns_answer answer;
    size_t found = 0;
    spf_ask(evaluation, SPF_FOR_RECORD, POSTERN_DNS_MX, domain, evaluation->arena, &answer);
    if (answer.count > SPF_NAMES)
        spf_fault(evaluation, POSTERN_SPF_PERMERROR, "%s has more than %d MX hosts", domain,
                  SPF_NAMES);
    for (size_t i = 0; i < answer.count; i++)
        found += take_host(expansion, answer.records[i].name, prefix4, prefix6);
    return found;
}

static void expand_hosts(struct expansion *expansion, const struct spf_term *term,
                         const char *domain)
{
    size_t found = term->kind == SPF_MX
                       ? take_mx_hosts(expansion, domain, term->prefix4, term->prefix6)
                       : take_host(expansion, domain, term->prefix4, term->prefix6);
    if (found == 0)
        spf_count_void(&expansion->evaluation);
}

/* What the included record refuses, the one that includes it may still let pass. */
static void expand_include(struct expansion *expansion, const struct spf_term *term,
                           const char *domain)
{
    (void)term;
    size_t refused = expansion->refused.count;
    if (!expand_domain(expansion, domain))
        spf_fault(&expansion->evaluation, POSTERN_SPF_PERMERROR,
                  "it includes \"%s\", which has no SPF record", domain);
    expansion->refused.count = refused;
}

static void expand_nothing(struct expansion *expansion, const struct spf_term *term,
                           const char *domain)
{
    (void)term, (void)domain;
    expansion->left_out++;
}

static void (*const expanders[SPF_MECHANISMS])(struct expansion *expansion,
                                               const struct spf_term *term, const char *domain) = {
    [SPF_INCLUDE] = expand_include, [SPF_A] = expand_hosts,        [SPF_MX] = expand_hosts,
    [SPF_PTR] = expand_nothing,     [SPF_EXISTS] = expand_nothing,
};

static void expand_by_dns(struct expansion *expansion, const struct spf_term *term,
                          const char *domain)
{
    if (!spf_count_term(&expansion->evaluation) || term->result != POSTERN_SPF_PASS)
        return;
    if (term->domain.length > 0)
        domain = literal_domain(expansion, term->domain);
    if (domain != NULL)
        expanders[term->kind](expansion, term, domain);
}

static void expand_network(struct expansion *expansion, const struct spf_term *term)
{
    if (term->result == POSTERN_SPF_PASS)
        take(expansion, &term->network);
    else
        append(expansion, &expansion->refused, &term->network);
}

/* --- records --- */

/* False when an `all` ends it: what follows is never reached, nor is a redirect. */
static bool expand_terms(struct expansion *expansion, const struct spf_record *record,
                         const char *domain)
{
    struct spf_text rest = record->terms;
    struct spf_term term;
    while (expansion->evaluation.fault == POSTERN_SPF_NONE && spf_record_next(&rest, &term)) {
        if (term.kind == SPF_ALL) {
            expansion->left_out += term.result == POSTERN_SPF_PASS;
            return false;
        }
        if (term.kind == SPF_IP4 || term.kind == SPF_IP6)
            expand_network(expansion, &term);
        else if (term.kind < SPF_MECHANISMS)
            expand_by_dns(expansion, &term, domain);
    }
    return expansion->evaluation.fault == POSTERN_SPF_NONE;
}

/* False when it has no record, and with a fault. */
static bool expand_domain(struct expansion *expansion, const char *domain)
{
    struct spf_evaluation *evaluation = &expansion->evaluation;
    struct spf_record record;
    if (!spf_fetch(evaluation, domain, &record))
        return false;
    while (expand_terms(expansion, &record, domain) && record.redirect.length > 0) {
        domain = literal_domain(expansion, record.redirect);
        if (!spf_count_term(evaluation) || domain == NULL)
            break;
        if (!spf_fetch(evaluation, domain, &record))
            return spf_fault(evaluation, POSTERN_SPF_PERMERROR,
                             "it redirects to \"%s\", which has no SPF record", domain);
    }
    return evaluation->fault == POSTERN_SPF_NONE;
}

/* --- the whole --- */

static int compare(const void *a, const void *b)
{
    const struct postern_network *one = a, *other = b;
    if (one->address.family != other->address.family)
        return one->address.family < other->address.family ? -1 : 1;
    int order = memcmp(one->address.bytes, other->address.bytes, sizeof one->address.bytes);
    return order != 0 ? order : (one->prefix > other->prefix) - (one->prefix < other->prefix);
}

/* A network comes right before those within it. */
static void settle(struct list *list)
{
    size_t kept = 0;
    qsort(list->items, list->count, sizeof *list->items, compare);
    for (size_t i = 0; i < list->count; i++)
        if (kept == 0 || !holds(&list->items[kept - 1], &list->items[i]))
            list->items[kept++] = list->items[i];
    list->count = kept;
}

static void tell(struct expansion *expansion, struct spf_networks *networks)
{
    struct list *passing = &expansion->passing;
    *networks = (struct spf_networks){.left_out = expansion->left_out, .problem = ""};
    if (expansion->evaluation.fault != POSTERN_SPF_NONE) {
        networks->result = SPF_NETWORKS_FAILED;
        networks->problem = expansion->evaluation.problem;
        return;
    }
    settle(passing);
    struct postern_network *items =
        postern_alloc(expansion->evaluation.question->arena, (passing->count + 1) * sizeof *items);
    memcpy(items, passing->items, passing->count * sizeof *items);
    networks->items = items;
    networks->count = passing->count;
    networks->result = passing->count > 0 ? SPF_NETWORKS_FOUND : SPF_NETWORKS_NONE;
}

void spf_networks_find(const char *domain, spf_lookup lookup, struct postern_arena *arena,
                       double deadline, struct spf_networks *networks)
{
    struct spf_question question = {.lookup = lookup, .deadline = deadline, .arena = arena};
    struct postern_arena *own = arena_new();
    struct expansion *expansion = postern_alloc(own, sizeof *expansion);
    expansion->evaluation.question = &question;
    expansion->evaluation.arena = own;
    if (!expand_domain(expansion, domain) && expansion->evaluation.fault == POSTERN_SPF_NONE)
        take_mx_hosts(expansion, domain, 32, 128);
    tell(expansion, networks);
    arena_free(own);
}
