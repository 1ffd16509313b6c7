#include "dns/spf_evaluation.h"

#include "runtime/fiber.h"
#include "util/arena.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

void spf_make_printable(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

bool spf_fault(struct spf_evaluation *evaluation, enum postern_spf_result result,
               const char *format, ...)
{
    if (evaluation->fault != POSTERN_SPF_NONE)
        return false;
    va_list args;
    va_start(args, format);
    evaluation->fault = result;
    char *problem = postern_vprintf(evaluation->question->arena, format, args);
    va_end(args);
    spf_make_printable(problem);
    evaluation->problem = problem;
    return false;
}

bool spf_count_term(struct spf_evaluation *evaluation)
{
    evaluation->term_is_void = false;
    if (++evaluation->terms <= SPF_TERMS)
        return true;
    return spf_fault(evaluation, POSTERN_SPF_PERMERROR, "more than %d terms need the DNS",
                     SPF_TERMS);
}

bool spf_name_is_proper(const char *name)
{
    size_t label = 0, length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++) {
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '\\')
            return false;
        label = name[i] == '.' ? 0 : label + 1;
        if (label > 63 || (label == 0 && (i == 0 || name[i - 1] == '.')))
            return false;
    }
    return label > 0 && length <= SPF_DOMAIN_NAME;
}

enum postern_dns_type spf_address_type(const struct spf_evaluation *evaluation)
{
    return evaluation->question->client.family == POSTERN_IPV6 ? POSTERN_DNS_AAAA : POSTERN_DNS_A;
}

/* A domain's hosts that have no address of the client's family are one void lookup, not ten: the
 * RFC counts terms. */
void spf_count_void(struct spf_evaluation *evaluation)
{
    if (evaluation->term_is_void)
        return;
    evaluation->term_is_void = true;
    if (++evaluation->voids > SPF_VOIDS)
        spf_fault(evaluation, POSTERN_SPF_PERMERROR, "more than %d lookups found nothing",
                  SPF_VOIDS);
}

static void judge(struct spf_evaluation *evaluation, enum spf_purpose purpose, const char *name,
                  const struct postern_dns_answer *answer)
{
    bool is_counted = purpose == SPF_FOR_TERM || purpose == SPF_FOR_HOST;
    if (answer->status == POSTERN_DNS_FAILED && purpose != SPF_FOR_EXTRA)
        spf_fault(evaluation, POSTERN_SPF_TEMPERROR, "%s: %s", name, answer->failure);
    else if (answer->status != POSTERN_DNS_FOUND && is_counted)
        spf_count_void(evaluation);
}

/* A hundred large answers may all be remembered ones, for which nothing waits. */
static void let_others_go_first(void)
{
    if (fiber_self() != NULL)
        fiber_yield();
}

enum postern_dns_status spf_ask(struct spf_evaluation *evaluation, enum spf_purpose purpose,
                                enum postern_dns_type type, const char *name,
                                struct postern_arena *arena, struct postern_dns_answer *answer)
{
    const struct spf_question *question = evaluation->question;
    *answer = (struct postern_dns_answer){.status = POSTERN_DNS_NO_NAME, .failure = ""};
    if (evaluation->fault != POSTERN_SPF_NONE || !spf_name_is_proper(name))
        return answer->status;
    if (fiber_now() >= question->deadline) {
        spf_fault(evaluation, POSTERN_SPF_TEMPERROR, "it took too long; %s was not asked for",
                  name);
        return answer->status;
    }
    question->lookup(type, name, arena, question->deadline, answer);
    let_others_go_first();
    judge(evaluation, purpose, name, answer);
    if (answer->status != POSTERN_DNS_FOUND || evaluation->fault != POSTERN_SPF_NONE)
        answer->count = 0;
    return answer->count > 0 ? POSTERN_DNS_FOUND : POSTERN_DNS_NO_NAME;
}

const struct spf_reverse *spf_reverse_names(struct spf_evaluation *evaluation)
{
    struct spf_reverse *reverse = &evaluation->reverse;
    const struct postern_ip *client = &evaluation->question->client;
    if (reverse->is_asked)
        return reverse;
    reverse->is_asked = true;
    const char *zone = client->family == POSTERN_IPV6 ? "ip6.arpa" : "in-addr.arpa";
    const char *name = postern_printf(evaluation->arena, "%s.%s",
                                      postern_dns_reversed(evaluation->arena, client), zone);
    struct postern_arena *answers = arena_new();
    struct postern_dns_answer answer;
    spf_ask(evaluation, SPF_FOR_EXTRA, POSTERN_DNS_PTR, name, answers, &answer);
    for (size_t i = 0; i < answer.count && reverse->count < SPF_NAMES; i++)
        reverse->names[reverse->count++].name =
            postern_strdup(evaluation->arena, answer.records[i].name);
    arena_free(answers);
    return reverse;
}

static bool has_client(struct spf_evaluation *evaluation, const char *name)
{
    const struct postern_ip *client = &evaluation->question->client;
    struct postern_arena *answers = arena_new();
    struct postern_dns_answer answer;
    bool found = false;
    spf_ask(evaluation, SPF_FOR_EXTRA, spf_address_type(evaluation), name, answers, &answer);
    for (size_t i = 0; !found && i < answer.count; i++)
        found = memcmp(&answer.records[i].ip, client, sizeof *client) == 0;
    arena_free(answers);
    return found;
}

bool spf_reverse_is_validated(struct spf_evaluation *evaluation, const char *name)
{
    struct spf_reverse *reverse = &evaluation->reverse;
    for (size_t i = 0; i < reverse->count; i++) {
        if (strcasecmp(reverse->names[i].name, name) != 0)
            continue;
        if (!reverse->names[i].is_asked)
            reverse->names[i].is_validated = has_client(evaluation, name);
        reverse->names[i].is_asked = true;
        return reverse->names[i].is_validated;
    }
    return false;
}
