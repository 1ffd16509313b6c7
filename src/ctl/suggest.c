#include "ctl/suggest.h"

#include <string.h>

#define LONGEST_WORD 32
#define FARTHEST     2 /* typing errors */

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Letters to add, drop or replace (Levenshtein). */
static size_t distance(const char *from, const char *to)
{
    size_t length = strlen(to), row[LONGEST_WORD + 1];
    if (strlen(from) > LONGEST_WORD || length > LONGEST_WORD)
        return LONGEST_WORD;
    for (size_t i = 0; i <= length; i++)
        row[i] = i;
    for (size_t done = 1; *from != '\0'; from++, done++) {
        size_t diagonal = row[0];
        row[0] = done;
        for (size_t i = 1; i <= length; i++) {
            size_t replaced = diagonal + (*from != to[i - 1]);
            diagonal = row[i];
            row[i] = least(replaced, row[i] + 1, row[i - 1] + 1);
        }
    }
    return row[length];
}

const char *suggest(const char *word, const struct postern_names *names)
{
    const char *nearest = NULL;
    size_t length = strlen(word), best = FARTHEST + 1;
    for (size_t i = 0; i < names->count; i++) {
        bool is_start = length > 0 && strncmp(names->items[i], word, length) == 0;
        size_t apart = is_start ? 1 : distance(word, names->items[i]);
        if (apart < best && apart < length) {
            best = apart;
            nearest = names->items[i];
        }
    }
    return nearest;
}
