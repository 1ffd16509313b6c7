/*
 * What a plugin says about a request.
 *
 * A plugin that calls none of these has no opinion and the chain goes on. The
 * first of reject, defer, accept and discard ends the chain; prepend does not.
 * Texts are printf formats; control characters in them are replaced, so data
 * from the network can be put in without care.
 *
 * Source: Postfix access(5), "ACCEPT ACTIONS", "REJECT ACTIONS", "OTHER ACTIONS".
 */
#ifndef POSTERN_VERDICT_H
#define POSTERN_VERDICT_H

struct postern_request;

#define POSTERN_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Order is that of the `action` label in metrics; words are postern_action_word(). */
enum postern_action {
    POSTERN_DUNNO,
    POSTERN_ACCEPT,
    POSTERN_REJECT,
    POSTERN_DEFER,
    POSTERN_DISCARD,
    POSTERN_PREPEND,
    POSTERN_ACTIONS
};

/* "dunno", "accept", "reject", ...: the words of the log and of the metrics. */
const char *postern_action_word(enum postern_action action);

/* "REJECT text"; a text that starts with a 5xx code ("550 5.7.23 ...") is sent as it is. */
void postern_reject(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

/* "DEFER text"; a text that starts with a 4xx code ("451 4.7.1 ...") is sent as it is. */
void postern_defer(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

/* "DISCARD text": Postfix says 250 and throws the message away. */
void postern_discard(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

/* The given Postfix action ("OK", "permit_auth_destination") ends the chain in acceptance; "" is
 * "OK". */
void postern_accept(struct postern_request *req, const char *postfix_action);

/*
 * "PREPEND header": adds one message header and lets the chain go on. A policy
 * reply can carry one header; of several, the first is sent and the others are
 * logged as left out.
 */
void postern_prepend(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

/* Why, for the log line and `explain`; never sent to the client. The last call counts. */
void postern_reason(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

/*
 * A lookup that the verdict depends on has failed: ends the chain with what
 * `on_error` says. The query functions call it themselves.
 */
void postern_fail(struct postern_request *req, const char *format, ...) POSTERN_PRINTF(2, 3);

#endif
