#include "db/answer.h"

#include <string.h>

#define ROWS_MAX   100000
#define BYTES_MAX  (64 * 1024 * 1024)
#define FIRST_ROWS 4

struct postern_value *answer_row(struct answer *answer, struct postern_error *error)
{
    if (answer->count == ROWS_MAX) {
        postern_error_set(error, "an answer has more than %d rows: %s", ROWS_MAX, answer->sql);
        return NULL;
    }
    if (answer->count == answer->capacity) {
        size_t capacity = answer->capacity > 0 ? answer->capacity * 2 : FIRST_ROWS;
        struct postern_value *cells =
            postern_alloc(answer->arena, capacity * answer->columns * sizeof *cells);
        if (answer->count > 0)
            memcpy(cells, answer->cells, answer->count * answer->columns * sizeof *cells);
        answer->cells = cells;
        answer->capacity = capacity;
    }
    answer->bytes += answer->columns * sizeof(struct postern_value);
    return &answer->cells[answer->count++ * answer->columns];
}

bool answer_fits(const struct answer *answer, struct postern_error *error)
{
    return answer->bytes <= BYTES_MAX ||
           postern_error_set(error, "an answer is larger than %d MB: %s", BYTES_MAX / (1024 * 1024),
                             answer->sql);
}

struct postern_rows answer_rows(const struct answer *answer)
{
    return (struct postern_rows){.count = answer->count,
                                 .columns = answer->columns,
                                 .cells = answer->cells,
                                 .changed = answer->changed};
}
