/* Reading the daemon's metrics endpoint. */
#ifndef POSTERN_CTL_SCRAPE_H
#define POSTERN_CTL_SCRAPE_H

#include "util/buffer.h"
#include <postern/plugin.h>

/* Appends the answer to GET /metrics, headers included; false with error set. */
bool scrape(const char *address, double deadline, struct buffer *out, struct postern_error *error);

/* The sum over all series of that name; -1 when there is none. */
int64_t scrape_sum(const char *answer, const char *name);

#endif
