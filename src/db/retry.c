#include "db/retry.h"

#include "runtime/fiber.h"

#include <sys/random.h>

#define SHORTEST 0.005
#define LONGEST  0.25
#define DOUBLED  6 /* times at most */

bool retry_pause(int tries, double deadline)
{
    unsigned char random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (unsigned char)tries;
    double longest = SHORTEST * (1 << (tries < DOUBLED ? tries : DOUBLED));
    if (longest > LONGEST)
        longest = LONGEST;
    return fiber_sleep(longest * (1 + random) / 256, deadline);
}
