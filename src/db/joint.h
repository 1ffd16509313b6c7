/*
 * Callers that share a statement. While one is under way, others that want the same wait, and
 * then go together as one statement with a row for each: the server commits, and the
 * network carries, once for all of them.
 *
 * Nobody waits for company: who comes when few are under way goes at once.
 */
#ifndef POSTERN_DB_JOINT_H
#define POSTERN_DB_JOINT_H

#include "db/db.h"

#define JOINT_CALLERS 16 /* in one statement */

struct joints;

/* run asks a joint statement: as db_query, false when there is no answer. */
struct joints *joints_new(bool (*run)(void *context, const struct db_query *query,
                                      struct postern_rows *rows),
                          void *context);

/* Nobody may be asking. */
void joints_free(struct joints *joints);

/*
 * sql is the statement's joint form. False, with nothing in rows, when it is to be asked alone:
 * there is too little time left to depend on others, or the joint statement had no answer for each.
 */
bool joints_ask(struct joints *joints, const struct db_query *query, const char *sql,
                struct postern_rows *rows);

#endif
