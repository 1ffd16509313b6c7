#include "policy/request.h"

#include "policy/chain.h"
#include "runtime/log.h"

#include <ctype.h>
#include <string.h>

/* SMTP allows 512 bytes to a reply line (RFC 5321, 4.5.3.1.5), Postfix takes somewhat more. */
#define REPLY_LIMIT 1000

const char *postern_action_word(enum postern_action action)
{
    static const char *const words[POSTERN_ACTIONS] = {"dunno", "accept",  "reject",
                                                       "defer", "discard", "prepend"};
    return action < POSTERN_ACTIONS ? words[action] : "dunno";
}

/* One line that can't be taken for more than one. */
static char *printable(char *text)
{
    size_t length = strlen(text);
    if (length > REPLY_LIMIT)
        text[length = REPLY_LIMIT] = '\0';
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)text[i]))
            text[i] = '?';
    return text;
}

static void decide(struct postern_request *req, enum postern_action action, const char *reply)
{
    struct verdict *verdict = &req->work->verdict;
    if (verdict->action != POSTERN_DUNNO) /* the first word counts */
        return;
    verdict->action = action;
    verdict->reply = reply;
}

/* "550 5.7.23 text" stands for itself; anything else follows the action's name. */
static void decide_text(struct postern_request *req, enum postern_action action, char class,
                        const char *name, char *text)
{
    printable(text);
    bool has_code = text[0] == class && isdigit((unsigned char)text[1]) &&
                    isdigit((unsigned char)text[2]) && text[3] == ' ';
    decide(req, action, has_code ? text : postern_printf(req->arena, "%s %s", name, text));
}

#define FORMATTED(text)                                                                            \
    va_list args;                                                                                  \
    va_start(args, format);                                                                        \
    char *text = postern_vprintf(req->arena, format, args);                                        \
    va_end(args)

void postern_reject(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    decide_text(req, POSTERN_REJECT, '5', "REJECT", text);
}

void postern_defer(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    decide_text(req, POSTERN_DEFER, '4', "DEFER", text);
}

void postern_discard(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    decide_text(req, POSTERN_DISCARD, '\0', "DISCARD", text);
}

void postern_accept(struct postern_request *req, const char *postfix_action)
{
    const char *action = postfix_action[0] != '\0' ? postfix_action : "OK";
    decide(req, POSTERN_ACCEPT, printable(postern_strdup(req->arena, action)));
}

void postern_prepend(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    req->work->header = printable(text);
}

void postern_reason(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    req->work->verdict.reason = text;
}

void postern_fail(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    if (req->work->verdict.failure == NULL)
        req->work->verdict.failure = text;
}

void postern_log(struct postern_request *req, const char *format, ...)
{
    FORMATTED(text);
    log_info("%s: client=%s: %s", req->work->link->config->plugin->name, req->client_address, text);
}

const void *postern_options(const struct postern_request *req)
{
    return req->work->link->config->options;
}

void *postern_state(const struct postern_request *req)
{
    return req->work->link->state;
}
