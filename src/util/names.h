/* Growing lists of strings in an arena (struct postern_names of <postern/address.h>). */
#ifndef POSTERN_UTIL_NAMES_H
#define POSTERN_UTIL_NAMES_H

#include <postern/address.h>

/* The string is not copied. */
void names_add(struct postern_arena *arena, struct postern_names *names, const char *item);
bool names_hold(const struct postern_names *names, const char *item);

#endif
