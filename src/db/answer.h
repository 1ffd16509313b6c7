/*
 * The rows of a query while a driver reads them. Bounded: an answer of more than 100,000 rows or
 * 64 MB is refused, whatever the server is willing to send.
 */
#ifndef POSTERN_DB_ANSWER_H
#define POSTERN_DB_ANSWER_H

#include <postern/plugin.h>

struct answer {
    struct postern_arena *arena; /* of the rows */
    const char *sql;             /* for messages */
    struct postern_value *cells; /* row by row */
    size_t count, capacity, columns;
    size_t bytes; /* so far; drivers add those of texts */
    int64_t changed;
};

/* The cells of another row, all NULL; NULL with error set when there are too many rows. */
struct postern_value *answer_row(struct answer *answer, struct postern_error *error);

/* False with error set when the answer has become too large. */
bool answer_fits(const struct answer *answer, struct postern_error *error);

struct postern_rows answer_rows(const struct answer *answer);

#endif
