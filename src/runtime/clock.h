/*
 * Wall-clock time, for what is stored in databases.
 *
 * Builds with -Dtest_hooks=true obey POSTERN_FAKE_TIME: "1700000000" stands still at
 * that time, "+3600" and "-3600" move the real clock, and a path names a file that
 * holds either and is read at every call, so that a test can move a running daemon.
 */
#ifndef POSTERN_RUNTIME_CLOCK_H
#define POSTERN_RUNTIME_CLOCK_H

#include <stdint.h>

/* Unix seconds. */
int64_t clock_wall(void);

#endif
