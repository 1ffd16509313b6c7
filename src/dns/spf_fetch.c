#include "dns/spf_evaluation.h"
#include "util/arena.h"

#include <string.h>

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

bool spf_fetch(struct spf_evaluation *evaluation, const char *domain, struct spf_record *record)
{
    if (!is_domain(domain))
        return false;
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
