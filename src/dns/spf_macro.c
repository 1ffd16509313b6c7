#include "dns/spf_macro.h"

#include <string.h>

#define MOST_PARTS 128 /* no name has more labels */

/* The length of the literal that text begins with. */
static size_t literal_length(struct spf_text text, enum spf_macro_place place)
{
    char first = place == SPF_IN_EXPLANATION ? ' ' : '!';
    size_t i = 0;
    while (i < text.length && text.start[i] >= first && text.start[i] <= '~' &&
           text.start[i] != '%')
        i++;
    return i;
}

static bool read_letter(struct spf_text *rest, enum spf_macro_place place, struct spf_macro *macro)
{
    if (rest->length == 0 || !spf_is_alpha(rest->start[0]))
        return false;
    macro->letter = (char)(rest->start[0] | 0x20);
    macro->is_escaped = macro->letter != rest->start[0];
    *rest = spf_text_from(*rest, 1);
    return strchr(place == SPF_IN_EXPLANATION ? "slodiphvcrt" : "slodiphv", macro->letter) != NULL;
}

static bool read_parts(struct spf_text *rest, struct spf_macro *macro)
{
    size_t i = 0;
    for (; i < rest->length && spf_is_digit(rest->start[i]); i++)
        if (macro->parts <= MOST_PARTS)
            macro->parts = macro->parts * 10 + (unsigned)(rest->start[i] - '0');
    if (macro->parts > MOST_PARTS)
        macro->parts = MOST_PARTS;
    *rest = spf_text_from(*rest, i);
    return i == 0 || macro->parts > 0;
}

/* What follows "%{". */
static bool read_braces(struct spf_text *rest, enum spf_macro_place place, struct spf_macro *macro)
{
    if (!read_letter(rest, place, macro) || !read_parts(rest, macro))
        return false;
    if (rest->length > 0 && (rest->start[0] | 0x20) == 'r') {
        macro->is_reversed = true;
        *rest = spf_text_from(*rest, 1);
    }
    size_t i = 0;
    while (i < rest->length && rest->start[i] != '\0' && strchr(".-+,/_=", rest->start[i]) != NULL)
        i++;
    macro->delimiters = spf_text_first(*rest, i);
    if (i == rest->length || rest->start[i] != '}')
        return false;
    *rest = spf_text_from(*rest, i + 1);
    return true;
}

static bool read_expansion(struct spf_text *rest, enum spf_macro_place place,
                           struct spf_macro *macro)
{
    static const struct {
        char sign;
        struct spf_text meaning;
    } signs[] = {{'%', {"%", 1}}, {'_', {" ", 1}}, {'-', {"%20", 3}}};

    if (rest->length < 2)
        return false;
    char sign = rest->start[1];
    *rest = spf_text_from(*rest, 2);
    macro->is_expansion = true;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (sign == signs[i].sign) {
            macro->literal = signs[i].meaning;
            return true;
        }
    return sign == '{' && read_braces(rest, place, macro);
}

bool spf_macro_next(struct spf_text *rest, enum spf_macro_place place, struct spf_macro *macro)
{
    *macro = (struct spf_macro){0};
    if (rest->start[0] == '%')
        return read_expansion(rest, place, macro);
    size_t length = literal_length(*rest, place);
    macro->literal = spf_text_first(*rest, length);
    *rest = spf_text_from(*rest, length);
    return length > 0;
}

bool spf_macro_is_valid(struct spf_text text, enum spf_macro_place place)
{
    struct spf_macro macro;
    while (text.length > 0)
        if (!spf_macro_next(&text, place, &macro))
            return false;
    return true;
}
