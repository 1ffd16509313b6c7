/* Growing lists of strings in an arena (struct postern_names of <postern/address.h>). */
#ifndef POSTERN_UTIL_NAMES_H
#define POSTERN_UTIL_NAMES_H

#include <postern/address.h>

/*
 * The string is not copied. The list must have begun empty or come from <postern/address.h>: one
 * made in another way has no room that is known of. Copies of the structure share their items, so
 * add to one of them only.
 */
void names_add(struct postern_arena *arena, struct postern_names *names, const char *item);
bool names_hold(const struct postern_names *names, const char *item);

#endif
