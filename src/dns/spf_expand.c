/*
 * Macros are expanded here and not by libspf2, which knows neither "," nor "/" as a delimiter,
 * escapes other characters than RFC 7208 says, cuts no long name, and had its heap overflows in
 * just that code.
 *
 * Source: RFC 7208, 6.2 and 7.
 */
#include "dns/spf_evaluation.h"
#include "dns/spf_macro.h"
#include "util/buffer.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define EXPLANATION 400 /* bytes: it has to fit into one reply with the rest */

/* --- the letters --- */

static bool is_in_domain(const char *name, const char *domain)
{
    size_t length = strlen(name), suffix = strlen(domain);
    if (length < suffix || strcasecmp(name + length - suffix, domain) != 0)
        return false;
    return length == suffix || name[length - suffix - 1] == '.';
}

static bool is_validated(struct spf_evaluation *evaluation, const char *name)
{
    const struct postern_dns_answer *answer = spf_reverse_addresses(evaluation, name);
    const struct postern_ip *client = &evaluation->question->client;
    for (size_t i = 0; i < answer->count; i++)
        if (memcmp(&answer->records[i].ip, client, sizeof *client) == 0)
            return true;
    return false;
}

/* The domain itself before its subdomains, these before any other name. */
static int preference(const char *name, const char *domain)
{
    if (!is_in_domain(name, domain))
        return 2;
    return strlen(name) == strlen(domain) ? 0 : 1;
}

/* %{p}: see RFC 7208, 7.3. */
static const char *validated_name(struct spf_evaluation *evaluation, const char *domain)
{
    const struct spf_reverse *reverse = spf_reverse_names(evaluation);
    for (int wanted = 0; wanted <= 2; wanted++)
        for (size_t i = 0; i < reverse->count; i++)
            if (preference(reverse->names[i].name, domain) == wanted &&
                is_validated(evaluation, reverse->names[i].name))
                return reverse->names[i].name;
    return "unknown";
}

/* %{i}: dotted, and IPv6 by nibbles. */
static const char *dotted_client(struct spf_evaluation *evaluation)
{
    const struct postern_ip *client = &evaluation->question->client;
    char text[2 * 2 * sizeof client->bytes];
    if (client->family != POSTERN_IPV6)
        return postern_strdup(evaluation->arena, postern_ip_text(client, text));
    for (size_t i = 0; i < 2 * sizeof client->bytes; i++) {
        unsigned nibble = i % 2 == 0 ? client->bytes[i / 2] >> 4 : client->bytes[i / 2] & 15;
        text[2 * i] = "0123456789abcdef"[nibble];
        text[2 * i + 1] = '.';
    }
    return postern_strndup(evaluation->arena, text, sizeof text - 1);
}

static const char *plain_client(struct spf_evaluation *evaluation)
{
    char text[POSTERN_IP_TEXT];
    return postern_strdup(evaluation->arena, postern_ip_text(&evaluation->question->client, text));
}

static const char *or_unknown(const char *text)
{
    return text[0] != '\0' ? text : "unknown";
}

static const char *value_of(struct spf_evaluation *evaluation, char letter, const char *domain)
{
    const struct spf_question *question = evaluation->question;
    switch (letter) {
    case 's':
        return evaluation->sender;
    case 'l':
        return evaluation->local;
    case 'o':
        return evaluation->sender_domain;
    case 'd':
        return domain;
    case 'i':
        return dotted_client(evaluation);
    case 'p':
        return validated_name(evaluation, domain);
    case 'v':
        return question->client.family == POSTERN_IPV6 ? "ip6" : "in-addr";
    case 'h':
        return or_unknown(question->helo);
    case 'c':
        return plain_client(evaluation);
    case 'r':
        return or_unknown(question->host);
    default: /* t */
        return postern_printf(evaluation->arena, "%lld", (long long)time(NULL));
    }
}

/* --- their transformation --- */

static bool is_delimiter(const struct spf_macro *macro, char c)
{
    if (macro->delimiters.length == 0)
        return c == '.';
    return memchr(macro->delimiters.start, c, macro->delimiters.length) != NULL;
}

/* The value's parts, in order; value is cut up. */
static struct postern_names split(struct spf_evaluation *evaluation, const struct spf_macro *macro,
                                  char *value)
{
    struct postern_names parts = {.count = 1};
    for (const char *c = value; *c != '\0'; c++)
        parts.count += is_delimiter(macro, *c);
    parts.items = postern_alloc(evaluation->arena, parts.count * sizeof *parts.items);
    size_t count = 0;
    parts.items[count++] = value;
    for (char *c = value; *c != '\0'; c++)
        if (is_delimiter(macro, *c)) {
            *c = '\0';
            parts.items[count++] = c + 1;
        }
    return parts;
}

static void append_escaped(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++)
        if (spf_is_alphanumeric(*text) || strchr("-._~", *text) != NULL)
            buffer_char(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
}

static void append_part(struct buffer *out, const struct spf_macro *macro, const char *part)
{
    if (macro->is_escaped)
        append_escaped(out, part);
    else
        buffer_text(out, part);
}

static void append_value(struct spf_evaluation *evaluation, struct buffer *out,
                         const struct spf_macro *macro, const char *domain)
{
    char *value = postern_strdup(evaluation->arena, value_of(evaluation, macro->letter, domain));
    struct postern_names parts = split(evaluation, macro, value);
    size_t kept = macro->parts > 0 && macro->parts < parts.count ? macro->parts : parts.count;
    for (size_t i = parts.count - kept; i < parts.count; i++) {
        append_part(out, macro, parts.items[macro->is_reversed ? parts.count - 1 - i : i]);
        if (i + 1 < parts.count)
            buffer_char(out, '.');
    }
}

/* False where text is not a macro-string. What is over `limit` is left out. */
static bool expand(struct spf_evaluation *evaluation, struct buffer *out, struct spf_text text,
                   enum spf_macro_place place, const char *domain, size_t limit)
{
    struct spf_macro macro;
    while (text.length > 0 && out->length <= limit) {
        if (!spf_macro_next(&text, place, &macro))
            return false;
        if (macro.letter != 0)
            append_value(evaluation, out, &macro, domain);
        else
            buffer_append(out, macro.literal.start, macro.literal.length);
    }
    return true;
}

/* --- what they stand in --- */

/* Whole labels are cut, from the left. */
static const char *shorten(const char *name)
{
    while (name != NULL && strlen(name) > SPF_DOMAIN_NAME) {
        name = strchr(name, '.');
        name = name != NULL ? name + 1 : NULL;
    }
    return name != NULL ? name : "";
}

const char *spf_expand_domain(struct spf_evaluation *evaluation, struct spf_text spec,
                              const char *domain)
{
    struct buffer out = {0};
    expand(evaluation, &out, spec, SPF_IN_RECORD, domain, SIZE_MAX);
    if (out.length > 0 && out.data[out.length - 1] == '.')
        out.data[--out.length] = '\0';
    const char *name = postern_strdup(evaluation->arena, shorten(out.length > 0 ? out.data : ""));
    buffer_free(&out);
    return name;
}

const char *spf_expand_explanation(struct spf_evaluation *evaluation, struct spf_text text,
                                   const char *domain)
{
    struct buffer out = {0};
    if (!spf_macro_is_valid(text, SPF_IN_EXPLANATION))
        return "";
    expand(evaluation, &out, text, SPF_IN_EXPLANATION, domain, EXPLANATION);
    char *explanation =
        postern_strndup(evaluation->question->arena, out.data != NULL ? out.data : "",
                        out.length < EXPLANATION ? out.length : EXPLANATION);
    buffer_free(&out);
    for (char *c = explanation; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return explanation;
}
