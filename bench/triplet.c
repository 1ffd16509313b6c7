#include "triplet.h"

#include <stdio.h>
#include <string.h>

static void client_make(char *to, size_t room, uint64_t number)
{
    snprintf(to, room, "%u.%u.%u.%u", (unsigned)(128 + number / (150 * 150 * 150) % 64),
             (unsigned)(100 + number / (150 * 150) % 150), (unsigned)(100 + number / 150 % 150),
             (unsigned)(100 + number % 150));
}

void triplet_make(struct triplet *triplet, uint64_t number)
{
    snprintf(triplet->sender, sizeof triplet->sender, "n%016llx@d%03x.example",
             (unsigned long long)number, (unsigned)(number & 0xfff));
    snprintf(triplet->recipient, sizeof triplet->recipient, "user%02x@" TRIPLET_RECIPIENT_DOMAIN,
             (unsigned)(number & 0xff));
    client_make(triplet->client, sizeof triplet->client, number);
    triplet->sender_domain = strchr(triplet->sender, '@') + 1;
}
