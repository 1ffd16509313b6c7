/* What the fuzzers of what comes over the network have in common. */
#ifndef TESTS_LONG_FUZZ_H
#define TESTS_LONG_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What came out: how many requests, a sum of what they ask, and how it ended. */
struct reading {
    size_t requests;
    uint64_t sum;
    bool failed;
};

static inline void require(bool condition)
{
    if (!condition)
        abort();
}

static inline void add_text(struct reading *reading, const char *text)
{
    for (; *text != '\0'; text++)
        reading->sum = reading->sum * 31 + (unsigned char)*text;
    reading->sum = reading->sum * 31 + 7;
}

#endif
