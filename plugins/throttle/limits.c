#include "limits.h"

#include <postern/address.h>

const char *const limit_names[LIMITS] = {[LIMIT_MESSAGES] = "max_msgs",
                                         [LIMIT_SIZE_SUM] = "max_quota",
                                         [LIMIT_MESSAGE_SIZE] = "msg_size",
                                         [LIMIT_RECIPIENTS] = "max_rcpts"};

static bool says(const struct throttle_row *row, enum limit limit)
{
    return row->limits[limit] >= 0;
}

static int64_t deciding_priority(const struct throttle_row *const *rows, size_t count,
                                 enum limit limit)
{
    int64_t highest = INT64_MIN;
    for (size_t i = 0; i < count; i++)
        if (says(rows[i], limit) && rows[i]->priority > highest)
            highest = rows[i]->priority;
    return highest;
}

void limits_apply(const struct throttle_row *const *rows, size_t count, int64_t (*applied)[LIMITS])
{
    for (enum limit limit = 0; limit < LIMITS; limit++) {
        int64_t deciding = deciding_priority(rows, count, limit);
        for (size_t i = 0; i < count; i++)
            applied[i][limit] =
                says(rows[i], limit) && rows[i]->priority == deciding ? rows[i]->limits[limit] : 0;
    }
}

const char *limits_key(const struct throttle_row *row, const char *user, const char *client)
{
    if (row->shared)
        return row->account;
    switch (postern_account_form(row->account)) {
    case POSTERN_ACCOUNT_IP:
    case POSTERN_ACCOUNT_EACH_IP:
        return client;
    case POSTERN_ACCOUNT_IP_WILDCARD:
    case POSTERN_ACCOUNT_NETWORK:
    case POSTERN_ACCOUNT_USER_ANYWHERE:
        return row->account;
    default:
        return user[0] != '\0' ? user : client;
    }
}
