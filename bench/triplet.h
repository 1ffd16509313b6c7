/* The new triplets that the floors write: those of postern-load's first-seen. */
#ifndef POSTERN_BENCH_TRIPLET_H
#define POSTERN_BENCH_TRIPLET_H

#include <stdint.h>

#define TRIPLET_RECIPIENT_DOMAIN "example.com"

struct triplet {
    char sender[48], recipient[24], client[16];
    const char *sender_domain; /* inside of sender */
};

/* Each number gives another sender and, for the first 216 million, another client. */
void triplet_make(struct triplet *triplet, uint64_t number);

#endif
