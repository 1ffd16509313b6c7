#include "srs/local_part.h"

#include <stdbool.h>
#include <string.h>

static bool is_atom_byte(unsigned char c)
{
    return c > ' ' && c != 0x7f && strchr("\"(),.:;<>@[\\]", c) == NULL;
}

static bool is_dot_atom(const char *text)
{
    bool is_empty = true;
    for (; *text != '\0'; text++) {
        bool is_dot = *text == '.';
        if (is_dot ? is_empty : !is_atom_byte((unsigned char)*text))
            return false;
        is_empty = is_dot;
    }
    return !is_empty;
}

char *local_part_unquote(struct postern_arena *arena, const char *text)
{
    char *plain = postern_strdup(arena, text), *to = plain;
    bool quoted = false;
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            quoted = !quoted;
            continue;
        }
        if (*text == '\\' && quoted && text[1] != '\0')
            text++;
        *to++ = *text;
    }
    *to = '\0';
    return plain;
}

char *local_part_quote(struct postern_arena *arena, const char *text)
{
    if (is_dot_atom(text))
        return postern_strdup(arena, text);
    char *quoted = postern_alloc(arena, 2 * strlen(text) + 3), *to = quoted;
    *to++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    *to++ = '"';
    return quoted;
}
