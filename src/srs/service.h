/*
 * The SRS service of one worker: lookups of Postfix's canonical maps, over tcp_table and
 * socketmap.
 */
#ifndef POSTERN_SRS_SERVICE_H
#define POSTERN_SRS_SERVICE_H

#include "db/db.h"
#include "runtime/config.h"
#include "runtime/listener.h"

struct srs_service;

/* In the master, before fork. */
void srs_register_metrics(void);

/* Config, which has an SRS domain, and databases must outlive the service. NULL: no memory. */
struct srs_service *srs_service_new(const struct config *config, struct databases *databases);

/*
 * Serves a connection to a listener of that kind in a fiber of its own; the service owns fd
 * (non-blocking) from now on. False, fd closed, when there is no memory for it.
 */
bool srs_service_adopt(struct srs_service *service, enum listener_kind kind, int fd);

size_t srs_service_connections(const struct srs_service *service);

/*
 * From now on connections leave as soon as they are idle between two requests: each is given to
 * handoff (which owns fd when it returns true), or closed when handoff is NULL or says false.
 * Postfix waits a second before it connects again to a tcp_table that it has lost, so a reload
 * should not cost it the connection. Called as policy_server_drain is.
 */
typedef bool (*srs_handoff)(void *context, enum listener_kind kind, int fd);
void srs_service_drain(struct srs_service *service, srs_handoff handoff, void *context);

/* When no connection is left. */
void srs_service_free(struct srs_service *service);

#endif
