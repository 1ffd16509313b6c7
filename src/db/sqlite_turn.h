/*
 * How the processes of one daemon tell each other that an SQLite file is free again. SQLite has no
 * such word: who finds the file locked can only try again later, and the loop's shortest sleep is
 * a millisecond, in which another process has written a hundred rows. Processes that do not
 * take part (posternctl) are waited for with sleeps.
 */
#ifndef POSTERN_DB_SQLITE_TURN_H
#define POSTERN_DB_SQLITE_TURN_H

#include <stdbool.h>

struct sqlite_turn;

/* In the master, before fork. Asking again for the same path changes nothing. Where it can't be
 * had, sleeps remain. */
void sqlite_turn_prepare(const char *path);

/* NULL when nothing was prepared for that path. */
struct sqlite_turn *sqlite_turn_find(const char *path);

/* After a transaction: wakes those that wait. Cheap when nobody does. NULL is fine. */
void sqlite_turn_pass(struct sqlite_turn *turn);

/* Until somebody passes the turn on, or for so many seconds; false at the deadline. */
bool sqlite_turn_wait(struct sqlite_turn *turn, double seconds, double deadline);

#endif
