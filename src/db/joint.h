/*
 * Callers that share a statement. While one is under way, others that want the same wait, and
 * then go together as one statement with a row for each: the server commits, and the
 * network carries, once for all of them.
 *
 * Nobody waits for company: who comes when few are under way goes at once.
 */
#ifndef POSTERN_DB_JOINT_H
#define POSTERN_DB_JOINT_H

#include "db/driver.h"

#define JOINT_CALLERS 16 /* in one statement */

struct joints;

/* run asks one statement for all. */
struct joints *joints_new(enum db_result (*run)(void *context, const struct db_query *query,
                                                struct postern_rows *rows,
                                                struct postern_error *error),
                          void *context);

/* Nobody may be asking. */
void joints_free(struct joints *joints);

enum joint_answer {
    JOINT_ANSWERED, /* rows are the caller's own */
    JOINT_FAILED,   /* with error set; it may have been run */
    JOINT_ALONE     /* it has done nothing, and is to be asked alone: there is too little time left
                       to depend on others, or together it had no answer for each */
};

/* Of a statement that can be merged, or has that joint form. */
enum joint_answer joints_ask(struct joints *joints, const struct db_query *query, const char *sql,
                             struct postern_rows *rows, struct postern_error *error);

#endif
