/*
 * What this process has written lately, so that a recipient who is written to again and again costs
 * a statement now and then. A row that was deleted meanwhile comes back after WRITTEN_SECONDS.
 */
#ifndef PLUGINS_WRITTEN_H
#define PLUGINS_WRITTEN_H

#include <postern/plugin.h>

#define WRITTEN_SECONDS 600
#define WRITTEN_MAX     10000 /* pairs; the oldest are forgotten */

struct written;

struct written *written_new(void);
void written_free(struct written *written);

bool written_has(const struct written *written, const char *account, const char *name, int64_t now);
void written_add(struct written *written, const char *account, const char *name, int64_t now);

#endif
