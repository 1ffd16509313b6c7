#include "policy/session.h"

#include "util/arena.h"

#include <string.h>

void session_forget(struct session *session)
{
    arena_free(session->arena);
    *session = (struct session){0};
}

static void session_begin(struct session *session, const char *instance)
{
    session_forget(session);
    session->arena = arena_new();
    session->instance = postern_strdup(session->arena, instance);
}

static bool is_same_message(const struct session *session, const struct postern_request *request)
{
    return session->instance != NULL && strcmp(session->instance, request->instance) == 0;
}

static void recall_nothing(struct postern_request *request)
{
    bool only_one = request->state == POSTERN_END_OF_MESSAGE && request->recipient[0] != '\0';
    if (only_one) {
        const char **recipients = postern_alloc(request->arena, sizeof *recipients);
        recipients[0] = request->recipient;
        request->recipients = recipients;
        request->recipients_length = 1;
    }
    request->recipients_complete = only_one || request->state != POSTERN_END_OF_MESSAGE;
}

void session_recall(struct session *session, struct postern_request *request)
{
    if (!is_same_message(session, request)) {
        session_forget(session);
        recall_nothing(request);
        return;
    }
    if (session->count == 0 && !session->incomplete) {
        recall_nothing(request);
        return;
    }
    request->recipients = session->recipients;
    request->recipients_length = session->count;
    request->recipients_complete = !session->incomplete;
}

static void add(struct session *session, const char *recipient)
{
    size_t room = strlen(recipient) + 1;
    if (session->count >= SESSION_RECIPIENTS || arena_used(session->arena) + room > SESSION_BYTES) {
        session->incomplete = true;
        return;
    }
    bool is_power_of_two = (session->count & (session->count - 1)) == 0;
    if (is_power_of_two) {
        size_t size = session->count == 0 ? 1 : session->count * 2;
        const char **larger = postern_alloc(session->arena, size * sizeof *larger);
        if (session->count > 0)
            memcpy(larger, session->recipients, session->count * sizeof *larger);
        session->recipients = larger;
    }
    session->recipients[session->count++] = postern_strdup(session->arena, recipient);
}

void session_remember(struct session *session, const struct postern_request *request)
{
    if (request->instance[0] == '\0' || request->recipient[0] == '\0')
        return;
    if (!is_same_message(session, request))
        session_begin(session, request->instance);
    add(session, request->recipient);
}

/* A word of flags, then the instance and each recipient, all ended by NUL. */
void session_write(const struct session *session, struct buffer *out, size_t limit)
{
    if (session->instance == NULL)
        return;
    size_t size = 2 + strlen(session->instance) + 1;
    for (size_t i = 0; i < session->count; i++)
        size += strlen(session->recipients[i]) + 1;
    bool fits = size <= limit;
    if (!fits && 2 + strlen(session->instance) + 1 > limit)
        return;
    buffer_append(out, session->incomplete || !fits ? "-" : "+", 2);
    buffer_append(out, session->instance, strlen(session->instance) + 1);
    for (size_t i = 0; fits && i < session->count; i++)
        buffer_append(out, session->recipients[i], strlen(session->recipients[i]) + 1);
}

bool session_read(struct session *session, const void *data, size_t length)
{
    session_forget(session);
    if (length == 0)
        return true;
    const char *text = data, *end = text + length;
    if (end[-1] != '\0' || length < 3 || text[1] != '\0' || (text[0] != '+' && text[0] != '-'))
        return false;
    const char *instance = text + 2;
    session_begin(session, instance);
    session->incomplete = text[0] == '-';
    for (text = instance + strlen(instance) + 1; text < end; text += strlen(text) + 1)
        add(session, text);
    return true;
}
