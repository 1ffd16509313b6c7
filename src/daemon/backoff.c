#include "daemon/backoff.h"

#define SHORT_LIFE  1.0
#define LONG_LIFE   10.0
#define FIRST_DELAY 0.1
#define LAST_DELAY  30.0

double backoff_next(struct backoff *backoff, double lived)
{
    if (lived >= LONG_LIFE)
        backoff->delay = 0;
    if (lived >= SHORT_LIFE)
        return 0;
    backoff->delay = backoff->delay > 0 ? backoff->delay * 2 : FIRST_DELAY;
    if (backoff->delay > LAST_DELAY)
        backoff->delay = LAST_DELAY;
    return backoff->delay;
}
