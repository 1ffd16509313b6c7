/*
 * Memory that is freed in one go. A request has one (req->arena): whatever a
 * plugin takes from it lives until the reply is sent and is never freed by hand.
 * Allocation never returns NULL: a process without memory ends, and its parent
 * starts another.
 */
#ifndef POSTERN_ARENA_H
#define POSTERN_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct postern_arena;

/* Zeroed, aligned for any type. */
void *postern_alloc(struct postern_arena *arena, size_t size);
char *postern_strdup(struct postern_arena *arena, const char *text);
char *postern_strndup(struct postern_arena *arena, const char *text, size_t length); /* all bytes */
/* The text, or as much of it as `length` bytes hold, cut between UTF-8 characters. */
const char *postern_shorten(struct postern_arena *arena, const char *text, size_t length);
char *postern_lower(struct postern_arena *arena, const char *text); /* ASCII lower-case copy */
char *postern_printf(struct postern_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *postern_vprintf(struct postern_arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

#endif
