/* Bytes that grow at the end. A zeroed structure is an empty buffer. */
#ifndef POSTERN_UTIL_BUFFER_H
#define POSTERN_UTIL_BUFFER_H

#include <stdarg.h>
#include <stddef.h>

struct buffer {
    char *data; /* NUL-terminated whenever it is not NULL */
    size_t length;
    size_t capacity;
};

void buffer_append(struct buffer *buffer, const void *data, size_t length);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_char(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *buffer, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

void buffer_consume(struct buffer *buffer, size_t length); /* drops bytes it has, at the front */
void buffer_clear(struct buffer *buffer);                  /* empty, memory kept */
void buffer_free(struct buffer *buffer);                   /* empty, memory given back */

#endif
