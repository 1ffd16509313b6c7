/*
 * The rules of limits that need nothing but themselves: which rows decide, and under which key
 * they count.
 *
 * For each of the four limits the highest priority decides at which a matching row does not say
 * -1. All matching rows of that priority that do not say -1 apply; one that says 0 has no limit
 * of its own.
 */
#ifndef PLUGINS_THROTTLE_LIMITS_H
#define PLUGINS_THROTTLE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limit { LIMIT_MESSAGES, LIMIT_SIZE_SUM, LIMIT_MESSAGE_SIZE, LIMIT_RECIPIENTS, LIMITS };

/* The column: "max_msgs", "max_quota", "msg_size", "max_rcpts". */
extern const char *const limit_names[LIMITS];

/* A row of the table throttle. */
struct throttle_row {
    const char *kind;
    const char *account;
    int64_t id;
    int64_t priority;
    int64_t period; /* seconds */
    int64_t limits[LIMITS];
    bool shared;
};

/*
 * applied[i] gets the limits that rows[i] sets, where 0 is none. Both are of `count` items, and
 * all rows match.
 */
void limits_apply(const struct throttle_row *const *rows, size_t count, int64_t (*applied)[LIMITS]);

/*
 * Whose counter it is: the client's address for a row on an address or on @ip, the row's own
 * account where it is shared or names several (a network, a '*'), else the user. The null sender,
 * which is nobody, counts by the client.
 */
const char *limits_key(const struct throttle_row *row, const char *user, const char *client);

#endif
