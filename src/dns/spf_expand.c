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

/* Bytes of a name's end that say what it is: one more than it may have, and its last dot. */
#define NAME_END (SPF_DOMAIN_NAME + 2)

/* --- the letters --- */

static bool is_in_domain(const char *name, const char *domain)
{
    size_t length = strlen(name), suffix = strlen(domain);
    if (length < suffix || strcasecmp(name + length - suffix, domain) != 0)
        return false;
    return length == suffix || name[length - suffix - 1] == '.';
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
                spf_reverse_is_validated(evaluation, reverse->names[i].name))
                return reverse->names[i].name;
    return "unknown";
}

static const char *dot_client(struct spf_evaluation *evaluation)
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

/* %{i}: dotted, and IPv6 by nibbles. A record may say it a thousand times. */
static const char *dotted_client(struct spf_evaluation *evaluation)
{
    if (evaluation->dotted_client == NULL)
        evaluation->dotted_client = dot_client(evaluation);
    return evaluation->dotted_client;
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

/* The parts that are kept: in a reversed value those on the right are the first. */
static struct spf_text kept_parts(const struct spf_macro *macro, struct spf_text value)
{
    unsigned parts = 0;
    for (size_t i = 0; macro->is_reversed && i < value.length; i++)
        if (is_delimiter(macro, value.start[i]) && ++parts == macro->parts)
            return spf_text_first(value, i);
    for (size_t i = value.length; !macro->is_reversed && i > 0; i--)
        if (is_delimiter(macro, value.start[i - 1]) && ++parts == macro->parts)
            return spf_text_from(value, i);
    return value;
}

static bool is_unreserved(char c)
{
    return spf_is_alphanumeric(c) || (c != '\0' && strchr("-._~", c) != NULL);
}

static void append_parts(struct buffer *out, const struct spf_macro *macro, struct spf_text parts)
{
    for (size_t i = 0; i < parts.length; i++) {
        char c = parts.start[i];
        if (is_delimiter(macro, c))
            buffer_char(out, '.');
        else if (!macro->is_escaped || is_unreserved(c))
            buffer_char(out, c);
        else
            buffer_printf(out, "%%%02X", (unsigned char)c);
    }
}

static void append_reversed(struct buffer *out, const struct spf_macro *macro,
                            struct spf_text parts)
{
    size_t start = parts.length;
    for (; start > 0; start--) {
        if (!is_delimiter(macro, parts.start[start - 1]))
            continue;
        append_parts(out, macro, spf_text_from(parts, start));
        buffer_char(out, '.');
        parts.length = start - 1;
    }
    append_parts(out, macro, parts);
}

static void append_value(struct spf_evaluation *evaluation, struct buffer *out,
                         const struct spf_macro *macro, const char *domain)
{
    const char *value = value_of(evaluation, macro->letter, domain);
    struct spf_text parts = kept_parts(macro, (struct spf_text){value, strlen(value)});
    if (macro->is_reversed)
        append_reversed(out, macro, parts);
    else
        append_parts(out, macro, parts);
}

/* What nobody will see is dropped: of a name the beginning, of an explanation the end. */
static bool keep_in_bounds(struct buffer *out, enum spf_macro_place place)
{
    if (place == SPF_IN_EXPLANATION)
        return out->length <= EXPLANATION;
    if (out->length > NAME_END)
        buffer_consume(out, out->length - NAME_END);
    return true;
}

/* Up to where text is not a macro-string, if it is not. */
static void expand(struct spf_evaluation *evaluation, struct buffer *out, struct spf_text text,
                   enum spf_macro_place place, const char *domain)
{
    struct spf_macro macro;
    while (text.length > 0 && spf_macro_next(&text, place, &macro)) {
        if (macro.letter != 0)
            append_value(evaluation, out, &macro, domain);
        else
            buffer_append(out, macro.literal.start, macro.literal.length);
        if (!keep_in_bounds(out, place))
            return;
    }
}

/* --- what they stand in --- */

/* Whole labels are cut, from the left. */
static const char *shorten(const char *name)
{
    size_t length = strlen(name);
    if (length <= SPF_DOMAIN_NAME)
        return name;
    const char *dot = strchr(name + length - SPF_DOMAIN_NAME - 1, '.');
    return dot != NULL ? dot + 1 : "";
}

const char *spf_expand_domain(struct spf_evaluation *evaluation, struct spf_text spec,
                              const char *domain)
{
    struct buffer out = {0};
    expand(evaluation, &out, spec, SPF_IN_RECORD, domain);
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
    expand(evaluation, &out, text, SPF_IN_EXPLANATION, domain);
    char *explanation =
        postern_strndup(evaluation->question->arena, out.data != NULL ? out.data : "",
                        out.length < EXPLANATION ? out.length : EXPLANATION);
    buffer_free(&out);
    spf_make_printable(explanation);
    return explanation;
}
