/* Names of the system's users and groups. */
#ifndef POSTERN_UTIL_USER_H
#define POSTERN_UTIL_USER_H

#include <stddef.h>

/* The user that this process runs as: its name, or its number when it has none. Returns text. */
char *user_self(char *text, size_t size);

#endif
