/* Memory for what lives longer than a request. Never NULL: a process without memory ends. */
#ifndef POSTERN_UTIL_MEMORY_H
#define POSTERN_UTIL_MEMORY_H

#include <stddef.h>

/* Zeroed; given back with free(). */
void *memory_new(size_t size);

#endif
