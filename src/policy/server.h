/*
 * The policy service of one worker: connections, their sessions, the chain.
 */
#ifndef POSTERN_POLICY_SERVER_H
#define POSTERN_POLICY_SERVER_H

#include "db/db.h"
#include "runtime/config.h"

struct policy_server;

/* In the master, before fork: the metrics of the policy layer for this config. */
void policy_register_metrics(const struct config *config);

/*
 * In the worker: makes the chain and runs each plugin's init. NULL with error set when one
 * refuses. Config and databases must outlive the server.
 */
struct policy_server *policy_server_new(const struct config *config, struct databases *databases,
                                        struct postern_error *error);

/*
 * Serves a connection in a fiber of its own; the server owns fd (non-blocking) from now on.
 * session is what a handoff gave, or NULL for a new connection. False, fd closed, when
 * there is no memory for it.
 */
bool policy_server_adopt(struct policy_server *server, int fd, const void *session, size_t length);

size_t policy_server_connections(const struct policy_server *server);

/*
 * From now on connections leave as soon as they are idle between two requests: each is given
 * to handoff (which owns fd when it returns true and copies the session memory), or closed
 * when handoff is NULL or says false. Requests under way are answered first. Called from a
 * fiber or from the loop; handoff is called from fibers and may wait.
 */
typedef bool (*policy_handoff)(void *context, int fd, const void *session, size_t length);
void policy_server_drain(struct policy_server *server, policy_handoff handoff, void *context);

/* When no connection is left. Runs each plugin's cleanup. */
void policy_server_free(struct policy_server *server);

#endif
