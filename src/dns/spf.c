#include "dns/spf.h"

#include "build_config.h"
#include "dns/spf_evaluation.h"
#include "runtime/metrics.h"
#include "util/arena.h"

#include <string.h>

static const char *const words[POSTERN_SPF_RESULTS] = {
    [POSTERN_SPF_NONE] = "none",           [POSTERN_SPF_NEUTRAL] = "neutral",
    [POSTERN_SPF_PASS] = "pass",           [POSTERN_SPF_FAIL] = "fail",
    [POSTERN_SPF_SOFTFAIL] = "softfail",   [POSTERN_SPF_TEMPERROR] = "temperror",
    [POSTERN_SPF_PERMERROR] = "permerror",
};

const char *postern_spf_word(enum postern_spf_result result)
{
    return words[result];
}

static metric results_metric[POSTERN_SPF_RESULTS];

void spf_register_metrics(void)
{
    struct postern_arena *arena = arena_new();
    for (size_t i = 0; i < POSTERN_SPF_RESULTS; i++)
        results_metric[i] = metric_register(METRIC_COUNTER, "postern_spf_results_total",
                                            postern_printf(arena, "result=\"%s\"", words[i]),
                                            "SPF evaluations, by their result.");
    arena_free(arena);
}

/* Without its last dot, in lower case. */
static const char *tidy_name(struct postern_arena *arena, const char *name)
{
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        length--;
    return postern_lower(arena, postern_strndup(arena, name, length));
}

/* MAIL FROM, or the HELO name where it has no domain; its local part is "postmaster" if it has
 * none (RFC 7208, 2.4 and 4.3). */
static void identify(struct spf_evaluation *evaluation, struct postern_spf *spf)
{
    const struct spf_question *question = evaluation->question;
    const char *at = strrchr(question->sender, '@');
    size_t local = at != NULL ? (size_t)(at - question->sender) : 0;
    spf->is_helo = at == NULL;
    spf->domain = tidy_name(question->arena, spf->is_helo ? question->helo : at + 1);
    evaluation->local =
        local > 0 ? postern_strndup(evaluation->arena, question->sender, local) : "postmaster";
    spf->sender = postern_printf(question->arena, "%s@%s", evaluation->local, spf->domain);
    evaluation->sender = spf->sender;
    evaluation->sender_domain = spf->domain;
}

#if HAVE_SPF2

static void check(struct spf_evaluation *evaluation, struct postern_spf *spf)
{
    struct spf_outcome outcome;
    spf->result = spf_check_host(evaluation, spf->domain, &outcome);
    if (evaluation->problem != NULL)
        spf->problem = evaluation->problem;
    if (outcome.mechanism.length > 0)
        spf->mechanism = postern_strndup(evaluation->question->arena, outcome.mechanism.start,
                                         outcome.mechanism.length);
    if (spf->result == POSTERN_SPF_FAIL)
        spf->explanation = spf_explain(evaluation, &outcome);
    spf_library_close(evaluation);
}

#else

static void check(struct spf_evaluation *evaluation, struct postern_spf *spf)
{
    (void)evaluation;
    spf->result = POSTERN_SPF_TEMPERROR;
    spf->problem = "this build has no SPF (libspf2)";
}

#endif

void spf_evaluate(const struct spf_question *question, struct postern_spf *spf)
{
    struct spf_evaluation evaluation = {.question = question, .arena = arena_new()};
    *spf = (struct postern_spf){
        .result = POSTERN_SPF_NONE, .mechanism = "", .problem = "", .explanation = ""};
    identify(&evaluation, spf);
    if (question->client.family != POSTERN_NO_IP)
        check(&evaluation, spf);
    arena_free(evaluation.arena);
    metric_add(results_metric[spf->result], 1);
}
