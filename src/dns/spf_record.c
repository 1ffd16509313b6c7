#include "dns/spf_record.h"

#include "dns/spf_macro.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define QUOTED 60 /* bytes of a term, in a message */

static bool refuse(struct postern_error *error, struct spf_text term, const char *why)
{
    if (term.length <= QUOTED)
        return postern_error_set(error, "\"%.*s\": %s", SPF_TEXT(term), why);
    return postern_error_set(error, "\"%.*s...\": %s", QUOTED, term.start, why);
}

/* --- domain-spec --- */

/* ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum ) */
static bool is_top_label(struct spf_text text)
{
    bool is_number = true;
    for (size_t i = 0; i < text.length; i++) {
        if (!spf_is_alphanumeric(text.start[i]) && text.start[i] != '-')
            return false;
        is_number = is_number && spf_is_digit(text.start[i]);
    }
    return !is_number && spf_is_alphanumeric(text.start[0]) &&
           spf_is_alphanumeric(text.start[text.length - 1]);
}

/* "." toplabel [ "." ] at the end of a literal */
static bool has_domain_end(struct spf_text text)
{
    if (text.length > 0 && text.start[text.length - 1] == '.')
        text.length--;
    size_t label = text.length;
    while (label > 0 && text.start[label - 1] != '.')
        label--;
    return label > 0 && is_top_label(spf_text_from(text, label));
}

static bool is_domain_spec(struct spf_text text)
{
    struct spf_macro last = {0};
    if (text.length == 0 || text.length > SPF_DOMAIN_SPEC)
        return false;
    while (text.length > 0)
        if (!spf_macro_next(&text, SPF_IN_RECORD, &last))
            return false;
    return last.is_expansion || has_domain_end(last.literal);
}

/* --- prefix lengths --- */

/* "0", or digits that do not begin with it. */
static bool read_number(struct spf_text text, unsigned most, unsigned *number)
{
    if (text.length == 0 || text.length > 3 || (text.length > 1 && text.start[0] == '0'))
        return false;
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!spf_is_digit(text.start[i]))
            return false;
        *number = *number * 10 + (unsigned)(text.start[i] - '0');
    }
    return *number <= most;
}

/* Cuts `slashes` and digits off the end of *text, if it ends so; false for no proper length. */
static bool cut_prefix(struct spf_text *text, const char *slashes, unsigned most, unsigned *prefix)
{
    size_t end = text->length, length = strlen(slashes);
    while (end > 0 && spf_is_digit(text->start[end - 1]))
        end--;
    if (end == text->length || end < length ||
        memcmp(text->start + end - length, slashes, length) != 0)
        return true;
    if (!read_number(spf_text_from(*text, end), most, prefix))
        return false;
    text->length = end - length;
    return true;
}

static bool cut_dual_prefix(struct spf_text *text, struct spf_term *term)
{
    term->prefix4 = 32;
    term->prefix6 = 128;
    return cut_prefix(text, "//", 128, &term->prefix6) && cut_prefix(text, "/", 32, &term->prefix4);
}

/* --- what follows a mechanism's name --- */

static const char *const no_domain = "is not followed by a domain name";

static const char *read_nothing(struct spf_text rest, struct spf_term *term)
{
    (void)term;
    return rest.length == 0 ? NULL : "nothing may follow this mechanism";
}

static const char *read_domain(struct spf_text rest, struct spf_term *term)
{
    if (rest.length == 0 || rest.start[0] != ':')
        return no_domain;
    term->domain = spf_text_from(rest, 1);
    return is_domain_spec(term->domain) ? NULL : no_domain;
}

static const char *read_domain_if_any(struct spf_text rest, struct spf_term *term)
{
    return rest.length == 0 ? NULL : read_domain(rest, term);
}

static const char *read_domain_and_prefixes(struct spf_text rest, struct spf_term *term)
{
    if (!cut_dual_prefix(&rest, term))
        return "has an impossible prefix length";
    return read_domain_if_any(rest, term);
}

static const char *read_network(struct spf_text rest, struct spf_term *term, int family,
                                unsigned most)
{
    char text[INET6_ADDRSTRLEN] = "";
    unsigned prefix = most;
    if (rest.length == 0 || rest.start[0] != ':')
        return "is not followed by an address";
    rest = spf_text_from(rest, 1);
    if (!cut_prefix(&rest, "/", most, &prefix))
        return "has an impossible prefix length";
    if (rest.length >= sizeof text)
        return "is not followed by an address";
    memcpy(text, rest.start, rest.length);
    struct postern_ip ip = {.family = family == AF_INET ? POSTERN_IPV4 : POSTERN_IPV6};
    if (strlen(text) != rest.length || inet_pton(family, text, ip.bytes) != 1)
        return "is not followed by an address";
    term->network = postern_network_of(&ip, prefix);
    return NULL;
}

static const char *read_network4(struct spf_text rest, struct spf_term *term)
{
    return read_network(rest, term, AF_INET, 32);
}

static const char *read_network6(struct spf_text rest, struct spf_term *term)
{
    return read_network(rest, term, AF_INET6, 128);
}

/* --- terms --- */

static const struct {
    const char *name;
    const char *(*read)(struct spf_text rest, struct spf_term *term); /* what is wrong, or NULL */
} mechanisms[SPF_MECHANISMS] = {
    [SPF_ALL] = {"all", read_nothing},         [SPF_INCLUDE] = {"include", read_domain},
    [SPF_A] = {"a", read_domain_and_prefixes}, [SPF_MX] = {"mx", read_domain_and_prefixes},
    [SPF_PTR] = {"ptr", read_domain_if_any},   [SPF_IP4] = {"ip4", read_network4},
    [SPF_IP6] = {"ip6", read_network6},        [SPF_EXISTS] = {"exists", read_domain},
};

static bool is_name(struct spf_text text, const char *name)
{
    return text.length == strlen(name) && strncasecmp(text.start, name, text.length) == 0;
}

/* ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) at the beginning of text. */
static struct spf_text name_of(struct spf_text text)
{
    size_t i = 0;
    if (text.length > 0 && spf_is_alpha(text.start[0]))
        while (i < text.length && text.start[i] != '\0' &&
               (spf_is_alphanumeric(text.start[i]) || strchr("-_.", text.start[i]) != NULL))
            i++;
    return spf_text_first(text, i);
}

static struct spf_text cut_qualifier(struct spf_text text, struct spf_term *term)
{
    static const struct {
        char sign;
        enum postern_spf_result result;
    } qualifiers[] = {{'+', POSTERN_SPF_PASS},
                      {'-', POSTERN_SPF_FAIL},
                      {'~', POSTERN_SPF_SOFTFAIL},
                      {'?', POSTERN_SPF_NEUTRAL}};
    term->result = POSTERN_SPF_PASS;
    for (size_t i = 0; i < sizeof qualifiers / sizeof qualifiers[0]; i++)
        if (text.start[0] == qualifiers[i].sign) {
            term->result = qualifiers[i].result;
            return spf_text_from(text, 1);
        }
    return text;
}

static const char *read_mechanism(struct spf_term *term)
{
    struct spf_text text = cut_qualifier(term->text, term);
    struct spf_text name = name_of(text);
    for (term->kind = 0; term->kind < SPF_MECHANISMS; term->kind++)
        if (is_name(name, mechanisms[term->kind].name))
            return mechanisms[term->kind].read(spf_text_from(text, name.length), term);
    return "there is no such mechanism";
}

static const char *read_modifier(struct spf_text name, struct spf_term *term)
{
    struct spf_text value = spf_text_from(term->text, name.length + 1);
    term->kind = is_name(name, "redirect") ? SPF_REDIRECT
                 : is_name(name, "exp")    ? SPF_EXP
                                           : SPF_UNKNOWN_MODIFIER;
    if (term->kind == SPF_UNKNOWN_MODIFIER)
        return spf_macro_is_valid(value, SPF_IN_EXPLANATION) ? NULL : "is not a modifier";
    term->domain = value;
    return is_domain_spec(value) ? NULL : no_domain;
}

/* What is wrong with term->text, or NULL. */
static const char *read_term(struct spf_term *term)
{
    struct spf_text name = name_of(term->text);
    if (name.length > 0 && name.length < term->text.length && term->text.start[name.length] == '=')
        return read_modifier(name, term);
    return read_mechanism(term);
}

static bool next_word(struct spf_text *rest, struct spf_text *word)
{
    size_t start = 0;
    while (start < rest->length && rest->start[start] == ' ')
        start++;
    *rest = spf_text_from(*rest, start);
    const char *space = memchr(rest->start, ' ', rest->length);
    *word = spf_text_first(*rest, space != NULL ? (size_t)(space - rest->start) : rest->length);
    *rest = spf_text_from(*rest, word->length);
    return word->length > 0;
}

/* --- records --- */

#define VERSION "v=spf1"

bool spf_record_is(struct spf_text text)
{
    size_t length = sizeof VERSION - 1;
    return text.length >= length && strncasecmp(text.start, VERSION, length) == 0 &&
           (text.length == length || text.start[length] == ' ');
}

/* Modifiers that may be there once. */
static bool note(struct spf_text *place, const struct spf_term *term, struct postern_error *error)
{
    if (place->length > 0)
        return refuse(error, term->text, "is there twice");
    *place = term->domain;
    return true;
}

static bool note_term(struct spf_record *record, const struct spf_term *term,
                      struct postern_error *error)
{
    if (term->kind == SPF_REDIRECT)
        return note(&record->redirect, term, error);
    if (term->kind == SPF_EXP)
        return note(&record->explanation, term, error);
    return true;
}

bool spf_record_read(struct spf_text text, struct spf_record *record, struct postern_error *error)
{
    *record = (struct spf_record){.terms = spf_text_from(text, sizeof VERSION - 1)};
    struct spf_text rest = record->terms;
    struct spf_term term = {0};
    while (next_word(&rest, &term.text)) {
        const char *wrong = read_term(&term);
        if (wrong != NULL)
            return refuse(error, term.text, wrong);
        if (!note_term(record, &term, error))
            return false;
        term = (struct spf_term){0};
    }
    return true;
}

bool spf_record_next(struct spf_text *rest, struct spf_term *term)
{
    *term = (struct spf_term){0};
    return next_word(rest, &term->text) && read_term(term) == NULL;
}
