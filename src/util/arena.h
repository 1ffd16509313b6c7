/* The making and ending of arenas; taking memory from one is <postern/arena.h>. */
#ifndef POSTERN_UTIL_ARENA_H
#define POSTERN_UTIL_ARENA_H

#include <postern/arena.h>

struct postern_arena *arena_new(void);
void arena_free(struct postern_arena *arena); /* NULL is fine */

/* Bytes handed out since arena_new. */
size_t arena_used(const struct postern_arena *arena);

#endif
