/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates. */
#ifndef POSTERN_UTIL_UTF8_H
#define POSTERN_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the character that text begins with; 0 at its end and when it is not UTF-8. */
size_t utf8_length(const char *text);

bool utf8_is_valid(const char *text);

#endif
