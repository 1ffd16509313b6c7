#include "policy/chain.h"

#include "runtime/fiber.h"
#include "runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- order --- */

static int compare_priority(const void *a, const void *b)
{
    const struct plugin_config *left = *(const struct plugin_config *const *)a;
    const struct plugin_config *right = *(const struct plugin_config *const *)b;
    if (left->priority != right->priority)
        return left->priority > right->priority ? -1 : 1;
    return left < right ? -1 : left > right; /* both are in config->plugins */
}

const struct plugin_config **chain_order(const struct config *config)
{
    const struct plugin_config **order = calloc(config->plugins_length + 1, sizeof *order);
    if (order == NULL)
        abort();
    for (size_t i = 0; i < config->plugins_length; i++)
        order[i] = &config->plugins[i];
    qsort(order, config->plugins_length, sizeof *order, compare_priority);
    return order;
}

/* --- metrics --- */

static metric action_metric(const char *plugin, bool shadow, enum postern_action action)
{
    char labels[128];
    snprintf(labels, sizeof labels, "plugin=\"%s\",action=\"%s\"", plugin,
             postern_action_word(action));
    if (shadow)
        return metric_register(METRIC_COUNTER, "postern_shadow_actions_total", labels,
                               "What plugins in shadow mode would have answered.");
    return metric_register(METRIC_COUNTER, "postern_actions_total", labels,
                           "Answers, by the plugin that gave them.");
}

static void link_metrics(struct chain_link *link)
{
    const char *name = link->config->plugin->name;
    for (int action = 0; action < POSTERN_ACTIONS; action++)
        link->actions[action] = action_metric(name, link->config->shadow, action);
    char labels[128];
    snprintf(labels, sizeof labels, "plugin=\"%s\"", name);
    link->duration = metric_register(METRIC_HISTOGRAM, "postern_plugin_duration_seconds", labels,
                                     "Time that a plugin took for a request, waits included.");
}

static metric dunno_metric(void)
{
    return action_metric("none", false, POSTERN_DUNNO);
}

void chain_register_metrics(const struct config *config)
{
    dunno_metric();
    for (size_t i = 0; i < config->plugins_length; i++) {
        struct chain_link link = {.config = &config->plugins[i]};
        link_metrics(&link);
    }
}

/* --- opening and closing --- */

static bool link_open(struct chain_link *link, struct postern_error *error)
{
    const struct postern_plugin *plugin = link->config->plugin;
    struct postern_error cause = {.text = "no reason given"};
    if (plugin->init != NULL && !plugin->init(link->config->options, &link->state, &cause))
        return postern_error_set(error, "plugin %s: %s", plugin->name, cause.text);
    link->started = true;
    return true;
}

bool chain_open(struct chain *chain, const struct config *config, struct postern_error *error)
{
    *chain = (struct chain){.links = calloc(config->plugins_length + 1, sizeof *chain->links)};
    if (chain->links == NULL)
        return postern_error_set(error, "out of memory");
    chain->dunno = dunno_metric();
    const struct plugin_config **order = chain_order(config);
    bool ok = true;
    for (size_t i = 0; ok && i < config->plugins_length; i++) {
        struct chain_link *link = &chain->links[chain->count++];
        link->config = order[i];
        link_metrics(link);
        ok = link_open(link, error);
    }
    free(order);
    if (!ok)
        chain_close(chain);
    return ok;
}

void chain_close(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++) {
        struct chain_link *link = &chain->links[i];
        if (link->started && link->config->plugin->cleanup != NULL)
            link->config->plugin->cleanup(link->state);
    }
    free(chain->links);
    *chain = (struct chain){0};
}

/* --- running --- */

static void plugin_run(const struct chain_link *link, struct postern_request *request)
{
    request->work->link = link;
    request->work->verdict = (struct verdict){0};
    request->work->header = NULL;
    double start = fiber_now();
    link->config->plugin->check(request);
    double end = fiber_now();
    metric_observe(link->duration, end - start);
    if (request->work->verdict.action == POSTERN_DUNNO && end >= request->deadline)
        postern_fail(request, "request_timeout has passed");
}

static void log_shadow(const struct chain_link *link, const struct postern_request *request,
                       const struct verdict *verdict, enum postern_action action)
{
    const struct log_field fields[] = {
        {"shadow", link->config->plugin->name, false},
        {"client", request->client_address, false},
        {"state", request->protocol_state, false},
        {"sender", request->sender, false},
        {"recipient", request->recipient, false},
        {"sasl", request->sasl_username, false},
        {"action", postern_action_word(action), true},
        {"reason", verdict->reason != NULL ? verdict->reason : "", false},
        {"reply", verdict->reply != NULL ? verdict->reply : "", false},
    };
    log_fields(LOG_LEVEL_INFO, fields, sizeof fields / sizeof fields[0]);
}

/* A shadowed plugin's word is counted and logged, and is not heard. */
static void note_shadow(const struct chain_link *link, const struct postern_request *request)
{
    const struct request_work *work = request->work;
    if (work->verdict.failure != NULL) {
        log_warning("plugin %s (shadow): %s", link->config->plugin->name, work->verdict.failure);
        return;
    }
    enum postern_action action = work->verdict.action;
    if (action == POSTERN_DUNNO && work->header != NULL)
        action = POSTERN_PREPEND;
    metric_add(link->actions[action], 1);
    if (action != POSTERN_DUNNO)
        log_shadow(link, request, &work->verdict, action);
}

static void note_failure(const struct chain_link *link, const struct postern_request *request)
{
    log_warning("plugin %s: failed, the request goes on without it: client=%s: %s",
                link->config->plugin->name, request->client_address,
                request->work->verdict.failure);
}

static struct outcome outcome_of_failure(const struct chain_link *link,
                                         struct postern_request *request)
{
    bool defer = request->work->config->on_error == ON_ERROR_DEFER;
    struct outcome outcome = {
        .action = defer ? POSTERN_DEFER : POSTERN_DUNNO,
        .reply = defer ? "451 4.3.0 Temporary lookup failure, please try again later" : "DUNNO",
        .plugin = link->config->plugin->name,
        .reason = postern_printf(request->arena, "failed: %s", request->work->verdict.failure),
        .failed = true,
    };
    metric_add(link->actions[outcome.action], 1);
    return outcome;
}

static struct outcome outcome_of_verdict(const struct chain_link *link,
                                         const struct verdict *verdict)
{
    metric_add(link->actions[verdict->action], 1);
    return (struct outcome){
        .action = verdict->action,
        .reply = verdict->reply,
        .plugin = link->config->plugin->name,
        .reason = verdict->reason != NULL ? verdict->reason : "",
    };
}

/* The reply has room for one header: the first plugin's. */
static void note_header(const struct chain_link *link, struct postern_request *request,
                        struct outcome *outcome)
{
    const struct request_work *work = request->work;
    if (outcome->action == POSTERN_PREPEND) {
        log_info("plugin %s: header left out, a reply carries one: %s", link->config->plugin->name,
                 work->header);
        return;
    }
    struct verdict verdict = {
        .action = POSTERN_PREPEND,
        .reply = postern_printf(request->arena, "PREPEND %s", work->header),
        .reason = work->verdict.reason,
    };
    *outcome = outcome_of_verdict(link, &verdict);
}

struct outcome chain_run(const struct chain *chain, struct postern_request *request)
{
    struct outcome outcome = {
        .action = POSTERN_DUNNO, .reply = "DUNNO", .plugin = "none", .reason = ""};
    struct request_work *work = request->work;
    for (size_t i = 0; i < chain->count; i++) {
        const struct chain_link *link = &chain->links[i];
        if ((link->config->plugin->states & request->state) == 0)
            continue;
        plugin_run(link, request);
        if (link->config->shadow) {
            note_shadow(link, request);
            continue;
        }
        if (work->verdict.failure != NULL && link->config->plugin->aside) {
            note_failure(link, request);
            continue;
        }
        if (work->verdict.failure != NULL)
            return outcome_of_failure(link, request);
        if (work->verdict.action != POSTERN_DUNNO)
            return outcome_of_verdict(link, &work->verdict);
        if (work->header != NULL)
            note_header(link, request, &outcome);
        else if (work->verdict.reason != NULL && outcome.action == POSTERN_DUNNO)
            outcome.reason = work->verdict.reason;
    }
    if (outcome.action == POSTERN_DUNNO)
        metric_add(chain->dunno, 1);
    return outcome;
}
