#include "util/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request fits into the first chunk; what does not gets chunks of its own. */
#define CHUNK_SIZE 4096

struct chunk {
    struct chunk *next;
    size_t size, used;
    alignas(max_align_t) char data[];
};

struct postern_arena {
    struct chunk *chunks; /* the newest first */
    size_t used;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}

struct postern_arena *arena_new(void)
{
    return must(calloc(1, sizeof(struct postern_arena)));
}

void arena_free(struct postern_arena *arena)
{
    if (arena == NULL)
        return;
    for (struct chunk *chunk = arena->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

size_t arena_used(const struct postern_arena *arena)
{
    return arena->used;
}

static struct chunk *chunk_add(struct postern_arena *arena, size_t size)
{
    size_t room = size > CHUNK_SIZE / 4 ? size : CHUNK_SIZE - sizeof(struct chunk);
    struct chunk *chunk = must(malloc(sizeof *chunk + room));
    *chunk = (struct chunk){.size = room};
    if (size > CHUNK_SIZE / 4 && arena->chunks != NULL) { /* keep filling the current one */
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    } else {
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

static void *take(struct postern_arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        must(NULL);
    size = (size + align - 1) / align * align;
    struct chunk *chunk = arena->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size)
        chunk = chunk_add(arena, size);
    void *memory = chunk->data + chunk->used;
    chunk->used += size;
    arena->used += size;
    return memory;
}

void *postern_alloc(struct postern_arena *arena, size_t size)
{
    return memset(take(arena, size), 0, size);
}

char *postern_strndup(struct postern_arena *arena, const char *text, size_t length)
{
    char *copy = take(arena, length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *postern_strdup(struct postern_arena *arena, const char *text)
{
    return postern_strndup(arena, text, strlen(text));
}

const char *postern_shorten(struct postern_arena *arena, const char *text, size_t length)
{
    if (strlen(text) <= length)
        return text;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return postern_strndup(arena, text, length);
}

char *postern_lower(struct postern_arena *arena, const char *text)
{
    char *copy = postern_strdup(arena, text);
    for (char *c = copy; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c += 'a' - 'A';
    return copy;
}

char *postern_vprintf(struct postern_arena *arena, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    char *text = take(arena, (size_t)(length < 0 ? 0 : length) + 1);
    if (length < 0)
        text[0] = '\0';
    else
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *postern_printf(struct postern_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = postern_vprintf(arena, format, args);
    va_end(args);
    return text;
}
