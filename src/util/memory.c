#include "util/memory.h"

#include <stdio.h>
#include <stdlib.h>

void *memory_new(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return memory;
}
