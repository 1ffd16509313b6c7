#include "util/names.h"

#include <string.h>

void names_add(struct postern_arena *arena, struct postern_names *names, const char *item)
{
    bool full =
        names->count == 0 || (names->count >= 8 && (names->count & (names->count - 1)) == 0);
    if (full) {
        size_t room = names->count == 0 ? 8 : names->count * 2;
        const char **items = postern_alloc(arena, room * sizeof *items);
        if (names->count > 0)
            memcpy(items, names->items, names->count * sizeof *items);
        names->items = items;
    }
    names->items[names->count++] = item;
}

bool names_hold(const struct postern_names *names, const char *item)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], item) == 0)
            return true;
    return false;
}
