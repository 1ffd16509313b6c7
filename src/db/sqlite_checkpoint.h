/*
 * Carries an SQLite database's write-ahead log over into its file, for all processes.
 *
 * Syncing has no asynchronous interface, so this is done in the housekeeper by a thread with
 * a connection of its own, the only thread of the daemon. Once a second it looks at the
 * size of PATH-wal; from 4 MB on it checkpoints without holding anybody, and only when the log
 * has outgrown 16 MB all the same (readers kept it from starting over) does it cut it, for
 * which writers wait a moment.
 */
#ifndef POSTERN_DB_SQLITE_CHECKPOINT_H
#define POSTERN_DB_SQLITE_CHECKPOINT_H

#include "runtime/config.h"

struct sqlite_checkpoint;

/*
 * Needs the fiber runtime, and does not keep its loop running. The file need not exist yet.
 * Failures are logged, once per cause. NULL with error set when there can be no thread.
 */
struct sqlite_checkpoint *sqlite_checkpoint_start(const struct database_config *config,
                                                  struct postern_error *error);

/* Checkpoints once more and waits for that; NULL is fine. Before fiber_runtime_end. */
void sqlite_checkpoint_stop(struct sqlite_checkpoint *checkpoint);

#endif
