/*
 * Source: RFC 7208, 9.1 (Received-SPF); RFC 8601, 2.2 and 2.7.2 (Authentication-Results).
 */
#include "spf.h"

#include <string.h>
#include <unistd.h>

/* Bytes that data may take: with two host names of 64 and an IPv6 address, the whole header stays
 * below the 1000 of a reply, which would be cut off within quotes. */
#define NAME   253
#define HELO   100
#define SENDER 200
#define CAUSE  90

#define NAMES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static const char *own_host(struct postern_request *req)
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    return postern_strdup(req->arena, host[0] != '\0' ? host : "localhost");
}

/* Whether a value needs no quotes: a dot-atom, but for the @ of an address. */
static bool is_plain(const char *text)
{
    for (;;) {
        size_t length = strspn(text, NAMES "+");
        if (length == 0 || text[length] == '\0')
            return length > 0;
        if (text[length] != '.' && text[length] != '@')
            return false;
        text += length + 1;
    }
}

static const char *quoted(struct postern_request *req, const char *text, size_t room)
{
    char *quote = postern_alloc(req->arena, room + 3), *to = quote;
    *to++ = '"';
    for (; *text != '\0'; text++) {
        bool is_escaped = *text == '"' || *text == '\\';
        if (room < 1u + is_escaped)
            break;
        if (is_escaped)
            *to++ = '\\';
        *to++ = *text >= ' ' && *text <= '~' ? *text : '?';
        room -= 1u + is_escaped;
    }
    *to++ = '"';
    return quote;
}

static const char *value(struct postern_request *req, const char *text, size_t room)
{
    return is_plain(text) && strlen(text) <= room ? text : quoted(req, text, room);
}

/* dot-atom, which has no "@", or a quoted-string. */
static const char *atom(struct postern_request *req, const char *text, size_t room)
{
    return strchr(text, '@') == NULL ? value(req, text, room) : quoted(req, text, room);
}

/* A name of a host, in a comment; whatever no name has is left unsaid. */
static const char *comment_name(struct postern_request *req, const char *text)
{
    char *safe = postern_strndup(req->arena, text, strnlen(text, NAME));
    for (char *c = safe; *c != '\0'; c++)
        if (strchr(NAMES ".:[]", *c) == NULL)
            *c = '?';
    return safe;
}

static const char *comment(struct postern_request *req, const struct postern_spf *spf,
                           const char *ip)
{
    const char *domain = comment_name(req, spf->domain);
    switch (spf->result) {
    case POSTERN_SPF_PASS:
        return postern_printf(req->arena, "%s designates %s as permitted sender", domain, ip);
    case POSTERN_SPF_FAIL:
        return postern_printf(req->arena, "%s does not designate %s as permitted sender", domain,
                              ip);
    case POSTERN_SPF_SOFTFAIL:
        return postern_printf(req->arena, "%s discourages %s as sender", domain, ip);
    case POSTERN_SPF_NEUTRAL:
        return postern_printf(req->arena, "%s says nothing about %s", domain, ip);
    case POSTERN_SPF_NONE:
        return postern_printf(req->arena, "%s has no SPF record", domain);
    default:
        return postern_printf(req->arena, "SPF of %s could not be evaluated", domain);
    }
}

/* Why it came to the result. */
static const char *cause(struct postern_request *req, const struct postern_spf *spf)
{
    if (spf->problem[0] != '\0')
        return postern_printf(req->arena, "; problem=%s", quoted(req, spf->problem, CAUSE));
    if (spf->result == POSTERN_SPF_NONE)
        return "";
    if (spf->mechanism[0] == '\0')
        return "; mechanism=default";
    return postern_printf(req->arena, "; mechanism=%s", quoted(req, spf->mechanism, CAUSE));
}

static void add_received_spf(struct postern_request *req, const struct postern_spf *spf)
{
    char ip[POSTERN_IP_TEXT];
    const char *host = own_host(req);
    postern_ip_text(&req->client, ip);
    postern_prepend(req,
                    "Received-SPF: %s (%s: %s) receiver=%s; client-ip=%s; helo=%s; "
                    "envelope-from=%s; identity=%s%s",
                    postern_spf_word(spf->result), comment_name(req, host), comment(req, spf, ip),
                    atom(req, host, NAME), atom(req, ip, NAME), atom(req, req->helo_name, HELO),
                    atom(req, req->sender, SENDER), spf->is_helo ? "helo" : "mailfrom",
                    cause(req, spf));
}

static void add_authentication_results(struct postern_request *req, const struct postern_spf *spf)
{
    postern_prepend(req, "Authentication-Results: %s; spf=%s smtp.%s=%s",
                    atom(req, own_host(req), NAME), postern_spf_word(spf->result),
                    spf->is_helo ? "helo" : "mailfrom",
                    value(req, spf->is_helo ? spf->domain : spf->sender, 2 * NAME));
}

void header_add(struct postern_request *req, enum header header, const struct postern_spf *spf)
{
    if (header == HEADER_NONE || req->recipients_length > 0) /* once for a message */
        return;
    if (header == HEADER_RECEIVED_SPF)
        add_received_spf(req, spf);
    else
        add_authentication_results(req, spf);
}
