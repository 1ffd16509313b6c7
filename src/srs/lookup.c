#include "runtime/log.h"
#include "runtime/metrics.h"
#include "srs/service_state.h"

#include <strings.h>

enum outcome { REWRITTEN, NOT_FOUND, FAILED, REFUSED };
#define OUTCOMES 4

static const char *const direction_words[TABLE_DIRECTIONS] = {"forward", "reverse"};
static const char *const outcome_words[OUTCOMES] = {"rewritten", "not_found", "failed", "refused"};

static const char *const labels[TABLE_DIRECTIONS][OUTCOMES] = {
    {"direction=\"forward\",result=\"rewritten\"", "direction=\"forward\",result=\"not_found\"",
     "direction=\"forward\",result=\"failed\"", "direction=\"forward\",result=\"refused\""},
    {"direction=\"reverse\",result=\"rewritten\"", "direction=\"reverse\",result=\"not_found\"",
     "direction=\"reverse\",result=\"failed\"", "direction=\"reverse\",result=\"refused\""},
};

static metric lookups[TABLE_DIRECTIONS][OUTCOMES];

void srs_register_metrics(void)
{
    for (size_t d = 0; d < TABLE_DIRECTIONS; d++)
        for (size_t o = 0; o < OUTCOMES; o++)
            lookups[d][o] = metric_register(METRIC_COUNTER, "postern_srs_total", labels[d][o],
                                            "SRS lookups answered.");
}

struct lookup srs_look_up(const struct rewrite *rewrite, const struct table_request *request,
                          struct postern_arena *arena, double deadline)
{
    if (request->refusal != NULL)
        return (struct lookup){TABLE_NOT_FOUND, request->refusal, ""};
    const char *address = "", *why = "";
    enum rewrite_result result =
        request->direction == TABLE_FORWARD
            ? rewrite_forward(rewrite, arena, request->key, deadline, &address, &why)
            : rewrite_reverse(rewrite, arena, request->key, &address, &why);
    if (result == REWRITE_DONE)
        return (struct lookup){TABLE_FOUND, address, why};
    return (struct lookup){result == REWRITE_TRY_AGAIN ? TABLE_TRY_AGAIN : TABLE_NOT_FOUND, why,
                           ""};
}

static enum outcome outcome_of(const struct table_request *request, const struct lookup *lookup)
{
    if (request->refusal != NULL)
        return REFUSED;
    return lookup->status == TABLE_FOUND       ? REWRITTEN
           : lookup->status == TABLE_TRY_AGAIN ? FAILED
                                               : NOT_FOUND;
}

/*
 * Most addresses of all mail are none to rewrite; that one of ours does not lead back is what
 * somebody will want to understand.
 */
static enum log_level level_of(const struct table_request *request, enum outcome outcome)
{
    if (outcome == FAILED || outcome == REFUSED)
        return LOG_LEVEL_WARNING;
    bool is_notable =
        request->direction == TABLE_REVERSE && strncasecmp(request->key, "SRS", 3) == 0;
    return outcome == REWRITTEN || is_notable ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

void srs_report(const struct table_request *request, const struct lookup *lookup, double seconds)
{
    enum outcome outcome = outcome_of(request, lookup);
    enum log_level level = level_of(request, outcome);
    metric_add(lookups[request->direction][outcome], 1);
    if (!log_enabled(level))
        return;
    char milliseconds[LOG_MILLISECONDS];
    const struct log_field fields[] = {
        {"srs", direction_words[request->direction], false},
        {"address", request->key, false},
        {"result", outcome_words[outcome], false},
        {"rewritten", outcome == REWRITTEN ? lookup->text : "", false},
        {"reason", outcome == REWRITTEN ? lookup->remark : lookup->text, false},
        {"ms", log_milliseconds(seconds, milliseconds), true},
    };
    log_fields(level, fields, sizeof fields / sizeof fields[0]);
}
