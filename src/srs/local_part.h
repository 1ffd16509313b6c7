/* Local parts of addresses with quotes, and without (RFC 5321, 4.1.2; RFC 5322, 3.2.4). */
#ifndef POSTERN_SRS_LOCAL_PART_H
#define POSTERN_SRS_LOCAL_PART_H

#include <postern/arena.h>

/* What it means: "a b" is `a b`, a\"b within quotes is a"b. All in arena. */
char *local_part_unquote(struct postern_arena *arena, const char *text);

/* In quotes where it can't be written without. */
char *local_part_quote(struct postern_arena *arena, const char *text);

#endif
