/*
 * Escaping for log lines: what comes from the network stays on its line and can't move the
 * cursor of a terminal. In text, `\"`, `\\`, `\n`, `\r`, `\t`, and `\xNN` for every byte of
 * other control characters (C1, line separators and changes of writing direction included)
 * and for bytes that are not UTF-8.
 *
 * All append to out and stop, at a whole character, before out would be longer than end;
 * they return false when they did.
 */
#ifndef POSTERN_RUNTIME_LOG_ESCAPE_H
#define POSTERN_RUNTIME_LOG_ESCAPE_H

#include "util/buffer.h"
#include <stdbool.h>

/* A message: quotes and spaces stay as they are. */
bool log_escape_message(struct buffer *out, const char *text, size_t length, size_t end);

/* The value of a field, in quotes when it has a space, an '=' or anything to be escaped. */
bool log_escape_value(struct buffer *out, const char *text, size_t length, size_t end);

/* The inside of a JSON string; text[length] is readable. */
bool log_escape_json(struct buffer *out, const char *text, size_t length, size_t end);

/* The length of the longest part of at most limit bytes that does not end inside a character. */
size_t log_text_cut(const char *text, size_t length, size_t limit);

#endif
