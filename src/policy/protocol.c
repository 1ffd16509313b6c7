#include "policy/protocol.h"

#include "util/arena.h"
#include "util/quantity.h"

#include <string.h>

struct attribute {
    const char *name;
    size_t length;
    size_t offset;
    bool lower;
};

#define TEXT(name)                                                                                 \
    {                                                                                              \
#name, sizeof #name - 1, offsetof(struct postern_request, name), false                     \
    }
#define LOWER(name)                                                                                \
    {                                                                                              \
#name, sizeof #name - 1, offsetof(struct postern_request, name), true                      \
    }

/* In the order in which Postfix sends them, so that the next one is mostly the one expected. */
static const struct attribute attributes[] = {
    TEXT(protocol_state),
    TEXT(protocol_name),
    TEXT(client_address),
    TEXT(client_name),
    TEXT(client_port),
    LOWER(reverse_client_name),
    TEXT(server_address),
    TEXT(server_port),
    TEXT(helo_name),
    LOWER(sender),
    LOWER(recipient),
    TEXT(queue_id),
    TEXT(instance),
    TEXT(etrn_domain),
    TEXT(stress),
    TEXT(sasl_method),
    LOWER(sasl_username),
    TEXT(sasl_sender),
    TEXT(ccert_subject),
    TEXT(ccert_issuer),
    TEXT(ccert_fingerprint),
    TEXT(ccert_pubkey_fingerprint),
    TEXT(encryption_protocol),
    TEXT(encryption_cipher),
    TEXT(encryption_keysize),
    TEXT(policy_context),
    TEXT(compatibility_level),
    TEXT(mail_version),
};

#define ATTRIBUTES (sizeof attributes / sizeof attributes[0])

static const char **attribute_field(struct postern_request *request, size_t index)
{
    return (const char **)((char *)request + attributes[index].offset);
}

static bool name_is(const char *name, size_t length, const char *known)
{
    return strlen(known) == length && memcmp(name, known, length) == 0;
}

static bool attribute_is(const struct attribute *attribute, const char *name, size_t length)
{
    return attribute->length == length && memcmp(attribute->name, name, length) == 0;
}

/* ATTRIBUTES when there is none of that name. */
static size_t attribute_find(const char *name, size_t length, size_t expected)
{
    if (expected < ATTRIBUTES && attribute_is(&attributes[expected], name, length))
        return expected;
    for (size_t i = 0; i < ATTRIBUTES; i++)
        if (attribute_is(&attributes[i], name, length))
            return i;
    return ATTRIBUTES;
}

static uint64_t number_or_zero(const char *text)
{
    int64_t number;
    return quantity_parse_integer(text, &number) && number >= 0 ? (uint64_t)number : 0;
}

/* The attributes that are numbers. */
static bool set_number(struct postern_request *request, const char *name, size_t length,
                       const char *value)
{
    if (name_is(name, length, "size"))
        request->size = number_or_zero(value);
    else if (name_is(name, length, "recipient_count"))
        request->recipient_count = (uint32_t)number_or_zero(value);
    else
        return false;
    return true;
}

/* False for a name that is not known. */
static bool set_attribute(struct postern_request *request, const char *name, size_t name_length,
                          const char *value, size_t value_length, size_t *expected)
{
    char *text = postern_strndup(request->arena, value, value_length);
    size_t index = attribute_find(name, name_length, *expected);
    if (index == ATTRIBUTES)
        return set_number(request, name, name_length, text);
    *attribute_field(request, index) =
        attributes[index].lower ? postern_lower(request->arena, text) : text;
    *expected = index + 1;
    return true;
}

struct postern_request *protocol_request_new(void)
{
    struct postern_arena *arena = arena_new();
    struct postern_request *request = postern_alloc(arena, sizeof *request);
    request->arena = arena;
    for (size_t i = 0; i < ATTRIBUTES; i++)
        *attribute_field(request, i) = "";
    return request;
}

bool protocol_set(struct postern_request *request, const char *name, const char *value)
{
    size_t expected = 0;
    return set_attribute(request, name, strlen(name), value, strlen(value), &expected) ||
           name_is(name, strlen(name), "request");
}

static bool fail(struct protocol_parser *parser, const char *error)
{
    parser->error = error;
    return false;
}

static bool take_line(struct protocol_parser *parser, const char *line, size_t length)
{
    if (++parser->lines > PROTOCOL_LINES)
        return fail(parser, "more than 256 lines in a request");
    if (length > PROTOCOL_LINE_LIMIT)
        return fail(parser, "a line of more than 8 KB");
    const char *equals = memchr(line, '=', length);
    if (equals == NULL)
        return fail(parser, "a line that is not name=value");
    if (memchr(line, '\0', length) != NULL)
        return fail(parser, "a NUL byte");
    size_t name_length = (size_t)(equals - line);
    const char *value = equals + 1;
    size_t value_length = length - name_length - 1;
    if (name_is(line, name_length, "request")) {
        parser->is_policy = name_is(value, value_length, "smtpd_access_policy");
        return true;
    }
    if (value_length > 0)
        set_attribute(parser->request, line, name_length, value, value_length, &parser->expected);
    else
        parser->expected++; /* "" is what is there already */
    return true;
}

static enum protocol_result take_end(struct protocol_parser *parser)
{
    if (parser->is_policy)
        return PROTOCOL_REQUEST;
    parser->error = "no request=smtpd_access_policy";
    return PROTOCOL_ERROR;
}

enum protocol_result protocol_feed(struct protocol_parser *parser, const char *data, size_t length,
                                   size_t *consumed)
{
    *consumed = 0;
    if (parser->request == NULL && length > 0)
        parser->request = protocol_request_new();
    while (*consumed < length) {
        const char *line = data + *consumed;
        const char *end = memchr(line, '\n', length - *consumed);
        if (end == NULL)
            break;
        *consumed += (size_t)(end - line) + 1;
        size_t line_length = (size_t)(end - line);
        if (line_length > 0 && line[line_length - 1] == '\r') /* people test with telnet */
            line_length--;
        if (line_length == 0)
            return take_end(parser);
        if (!take_line(parser, line, line_length))
            return PROTOCOL_ERROR;
    }
    if (length - *consumed <= PROTOCOL_LINE_LIMIT)
        return PROTOCOL_MORE;
    fail(parser, "a line of more than 8 KB");
    return PROTOCOL_ERROR;
}

bool protocol_is_inside(const struct protocol_parser *parser)
{
    return parser->request != NULL;
}

void protocol_reset(struct protocol_parser *parser)
{
    *parser = (struct protocol_parser){0};
}
