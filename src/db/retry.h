/* The wait before a statement that a deadlock or the like has undone is run again. */
#ifndef POSTERN_DB_RETRY_H
#define POSTERN_DB_RETRY_H

#include <stdbool.h>

/* Random, so that those who met do not meet again, and longer with each try (0, 1, ...), up to a
 * quarter of a second. False: no time is left. */
bool retry_pause(int tries, double deadline);

#endif
