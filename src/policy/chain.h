/*
 * The plugins in the order in which they are asked, and the asking.
 */
#ifndef POSTERN_POLICY_CHAIN_H
#define POSTERN_POLICY_CHAIN_H

#include "policy/request.h"
#include "runtime/metrics.h"

struct chain_link {
    const struct plugin_config *config;
    void *state; /* of the plugin's init */
    bool started;
    metric actions[POSTERN_ACTIONS]; /* real or, in shadow, what it would have done */
    metric duration;
};

struct chain {
    struct chain_link *links;
    size_t count;
    metric dunno; /* nobody had an opinion */
};

/* What comes of a request. Texts are in the request's arena. */
struct outcome {
    enum postern_action action;
    const char *reply;  /* a Postfix action, "DUNNO" at least */
    const char *plugin; /* that decided; "none" */
    const char *reason; /* "" when none was given */
    bool failed;        /* a lookup failed and on_error has spoken */
};

/* The plugins of the config by priority, larger first, then in the order of `plugins`. The
 * caller frees the array. */
const struct plugin_config **chain_order(const struct config *config);

/* Before fork: the metrics of each plugin of the config. */
void chain_register_metrics(const struct config *config);

/* Runs each plugin's init; false with error set when one refuses. */
bool chain_open(struct chain *chain, const struct config *config, struct postern_error *error);
void chain_close(struct chain *chain);

/* request->work must be set but for link and verdict. */
struct outcome chain_run(const struct chain *chain, struct postern_request *request);

#endif
