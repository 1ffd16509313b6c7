/*
 * One statement checks all counters of a message and adds to all of them, or to none: that is the
 * usual message, in one round trip. It does nothing when a counter refuses, and when one has no row
 * yet. Then the rows that are missing are made, and if there were any it is asked once more; if
 * not, a look at the rows tells who refused. That look decides nothing.
 *
 * A row of throttle that was deleted a moment ago, and is still remembered here, gets no counter
 * any more and so does not count.
 */
#include "throttle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 4 /* of a message whose counters are changed by hand while it is looked at */

/*
 * ?1 "tid key"  ?2 tid  ?3 key  ?4 messages to add  ?5 most messages, and  ?6 bytes, that may be
 * there before  ?7 the start of a window that is over by now  ?8 period  ?9 bytes to add
 * ?10 now  ?11 how many counters
 */
#define WANTED                                                                                     \
    "WITH wanted (tid, account, messages, room_messages, room_size, expired, period, size) AS"     \
    " (VALUES {(CAST(?2 AS BIGINT), CAST(?3 AS TEXT), CAST(?4 AS BIGINT), CAST(?5 AS BIGINT),"     \
    "   CAST(?6 AS BIGINT), CAST(?7 AS BIGINT), CAST(?8 AS BIGINT), CAST(?9 AS BIGINT))}),"        \
    " held AS MATERIALIZED"                                                                        \
    " (SELECT t.id, wanted.messages, wanted.size, wanted.period, t.init_time <= wanted.expired "   \
    "AS is_over"

#define IS_WANTED "t.tid = wanted.tid AND t.account = wanted.account"

#define FITS                                                                                       \
    "(t.init_time <= wanted.expired"                                                               \
    " OR (t.cur_msgs <= wanted.room_messages AND t.cur_quota <= wanted.room_size))"

#define ADD_TO_HELD                                                                                \
    " UPDATE throttle_tracking SET"                                                                \
    " cur_msgs = CASE WHEN is_over THEN 0 ELSE cur_msgs END + held.messages,"                      \
    " cur_quota = CASE WHEN is_over THEN 0 ELSE cur_quota END + held.size,"                        \
    " init_time = CASE WHEN is_over THEN ?10 ELSE init_time END,"                                  \
    " period = held.period, last_time = ?10"                                                       \
    " FROM held WHERE throttle_tracking.id = held.id"                                              \
    " AND (SELECT COUNT(DISTINCT id) FROM held) = ?11"

#define ADD_SQLITE                                                                                 \
    WANTED " FROM wanted JOIN throttle_tracking AS t ON " IS_WANTED " WHERE " FITS ")" ADD_TO_HELD

/*
 * The rows are locked one by one in the order of the list, and found by their index even by a plan
 * that was made when the table was empty. Of one that it had to wait for, PostgreSQL looks at the
 * new values again.
 */
#define ADD_PGSQL                                                                                  \
    WANTED " FROM wanted CROSS JOIN LATERAL (SELECT id, init_time FROM throttle_tracking AS t"     \
           " WHERE " IS_WANTED " AND " FITS " FOR UPDATE) AS t)" ADD_TO_HELD

/*
 * MySQL finds a value by the place of "tid key" in its list, so that columns are compared with
 * values only, and indexes are used whatever collation a table has. The locking subquery runs
 * once, and reads rows as they are, not as they were when the statement began; its sum keeps it
 * apart from the update. Assignments see the earlier ones, or do not: init_time is the last.
 */
#define PLACE         "FIELD(CONCAT(tid, ' ', account), {?1})"
#define MESSAGES      "CAST(ELT(" PLACE ", {?4}) AS SIGNED)"
#define ROOM_MESSAGES "CAST(ELT(" PLACE ", {?5}) AS SIGNED)"
#define ROOM_SIZE     "CAST(ELT(" PLACE ", {?6}) AS SIGNED)"
#define IS_OVER       "init_time <= CAST(ELT(" PLACE ", {?7}) AS SIGNED)"
#define PERIOD        "CAST(ELT(" PLACE ", {?8}) AS SIGNED)"
#define SIZE          "CAST(ELT(" PLACE ", {?9}) AS SIGNED)"
#define ROWS          "tid IN ({?2}) AND account IN ({?3})"

#define ADD_MYSQL                                                                                  \
    "UPDATE throttle_tracking SET cur_msgs = IF(" IS_OVER ", 0, cur_msgs) + " MESSAGES             \
    ", cur_quota = IF(" IS_OVER ", 0, cur_quota) + " SIZE ", period = " PERIOD                     \
    ", last_time = ?10, init_time = IF(" IS_OVER ", ?10, init_time)"                               \
    " WHERE " ROWS " AND " PLACE " > 0 AND ?11 = (SELECT fitting FROM (SELECT SUM(" IS_OVER        \
    "   OR (cur_msgs <= " ROOM_MESSAGES " AND cur_quota <= " ROOM_SIZE ")) AS fitting"             \
    "  FROM throttle_tracking WHERE " ROWS " FOR UPDATE) AS held)"

static const struct postern_statement add = {.sqlite = ADD_SQLITE,
                                             .pgsql = ADD_PGSQL,
                                             .mysql = ADD_MYSQL,
                                             .merge = additions_merge,
                                             .numbered = true};

/* With a window that is over, so that the first message begins one. */
#define ENSURE                                                                                     \
    "WITH wanted (tid, account, period, expired) AS"                                               \
    " (VALUES {(CAST(?2 AS BIGINT), CAST(?3 AS TEXT), CAST(?8 AS BIGINT), CAST(?7 AS BIGINT))})"   \
    " INSERT INTO throttle_tracking (tid, account, period, init_time)"                             \
    " SELECT tid, account, period, expired FROM wanted"                                            \
    " WHERE NOT EXISTS (SELECT 1 FROM throttle_tracking AS t"                                      \
    "   WHERE t.tid = wanted.tid AND t.account = wanted.account)"                                  \
    " AND EXISTS (SELECT 1 FROM throttle WHERE throttle.id = wanted.tid)"                          \
    " ON CONFLICT (tid, account) DO NOTHING"

/* An id in MySQL that is there already makes a row a duplicate before anything is written. */
#define ENSURE_MYSQL                                                                               \
    "INSERT IGNORE INTO throttle_tracking (id, tid, account, period, init_time) VALUES"            \
    " {((/*!50700 SELECT id FROM ( */ SELECT MAX(id) AS id FROM throttle_tracking"                 \
    "   WHERE tid = ?2 AND account = ?3 /*!50700 ) AS same */), ?2, ?3, ?8, ?7)}"

static const struct postern_statement ensure = {
    .sqlite = ENSURE, .pgsql = ENSURE, .mysql = ENSURE_MYSQL, .numbered = true, .repeatable = true};

static const struct postern_statement look = {
    .sql = "SELECT tid, account, cur_msgs, cur_quota, init_time, last_notify_time"
           " FROM throttle_tracking WHERE tid IN ({?1}) AND account IN ({?2})",
    .numbered = true};

/* What a look at a counter's row said. */
struct seen {
    bool exists;
    bool is_over; /* the window */
    int64_t messages, size, init_time, last_notify_time;
};

/* --- values --- */

static int64_t room(int64_t limit, int64_t wanted)
{
    return limit > 0 ? limit - wanted : INT64_MAX;
}

static int64_t size_of(const struct postern_request *req)
{
    return req->size < INT64_MAX ? (int64_t)req->size : INT64_MAX;
}

static const struct postern_value *values_of(struct postern_request *req,
                                             const struct counters *counters)
{
    struct addition *additions =
        postern_alloc(req->arena, (counters->count + 1) * sizeof *additions);
    for (size_t i = 0; i < counters->count; i++) {
        const struct counter *counter = &counters->items[i];
        additions[i] = (struct addition){
            .name = counter->name,
            .key = counter->key,
            .tid = counter->row->id,
            .messages = counter->messages,
            .size = size_of(req),
            .room_messages = room(counter->max_messages, counter->messages),
            .room_size = room(counter->max_size, size_of(req)),
            .expired = req->now - counter->row->period,
            .period = counter->row->period,
        };
    }
    return additions_values(req->arena, additions, counters->count, req->now);
}

static enum postern_lookup run(struct postern_request *req,
                               const struct postern_statement *statement,
                               const struct postern_value *values)
{
    struct postern_rows rows;
    return postern_query(req, "iredapd", statement, values, ADDED_VALUES, &rows);
}

/* --- who refused --- */

static void see(const struct postern_request *req, const struct counter *counter,
                const struct postern_rows *rows, size_t i, struct seen *seen)
{
    if (postern_row_integer(rows, i, 0) != counter->row->id ||
        strcmp(postern_row_text(rows, i, 1), counter->key) != 0)
        return;
    *seen = (struct seen){.exists = true,
                          .messages = postern_row_integer(rows, i, 2),
                          .size = postern_row_integer(rows, i, 3),
                          .init_time = postern_row_integer(rows, i, 4),
                          .last_notify_time = postern_row_integer(rows, i, 5)};
    seen->is_over = seen->init_time <= req->now - counter->row->period;
    if (seen->is_over)
        seen->messages = seen->size = 0;
}

/* One item per counter. */
static enum postern_lookup look_at(struct postern_request *req, const struct counters *counters,
                                   const struct postern_value *values, struct seen *seen)
{
    struct postern_rows rows;
    enum postern_lookup lookup = postern_query(
        req, "iredapd", &look, POSTERN_VALUES(values[ADDED_TIDS], values[ADDED_KEYS]), &rows);
    for (size_t i = 0; i < counters->count; i++) {
        seen[i] = (struct seen){0};
        for (size_t row = 0; row < rows.count && !seen[i].exists; row++)
            see(req, &counters->items[i], &rows, row, &seen[i]);
    }
    return lookup;
}

static bool is_over_messages(const struct counter *counter, int64_t counted)
{
    return counted > room(counter->max_messages, counter->messages);
}

static bool is_over_size(const struct postern_request *req, const struct counter *counter,
                         int64_t counted)
{
    return counted > room(counter->max_size, size_of(req));
}

static bool refuses(const struct postern_request *req, const struct counter *counter,
                    const struct seen *seen, struct refusal *refusal)
{
    bool by_messages = is_over_messages(counter, seen->messages);
    if (!by_messages && !is_over_size(req, counter, seen->size))
        return false;
    *refusal = (struct refusal){counter, !by_messages, by_messages ? seen->messages : seen->size};
    return true;
}

/* --- marking the first refusal of a window --- */

/*
 * A negative last_notify_time asks for a mail. One of this window, of either sign, says that it
 * was asked for. The clocks of two hosts may differ, so it never lies before the window's start.
 */
static const struct postern_statement mark = {
    .sql = "UPDATE throttle_tracking SET"
           " last_notify_time = CASE WHEN init_time > ?1 THEN -init_time ELSE -?1 END,"
           " cur_msgs = CASE WHEN init_time <= ?2 THEN 0 ELSE cur_msgs END,"
           " cur_quota = CASE WHEN init_time <= ?2 THEN 0 ELSE cur_quota END,"
           " init_time = CASE WHEN init_time <= ?2 THEN ?1 ELSE init_time END, period = ?3"
           " WHERE tid = ?4 AND account = ?5"
           " AND (init_time <= ?2 OR ABS(last_notify_time) < init_time)",
    .numbered = true,
    .repeatable = true};

static bool is_marked(const struct seen *seen)
{
    return seen->exists && !seen->is_over && llabs(seen->last_notify_time) >= seen->init_time;
}

static enum postern_lookup mark_refusal(struct postern_request *req, const struct counter *counter,
                                        const struct seen *seen)
{
    if (is_marked(seen))
        return POSTERN_FOUND;
    struct counters alone = {.count = 1, .items = (struct counter *)counter};
    const struct postern_value *values = values_of(req, &alone);
    if (!seen->exists && run(req, &ensure, values) == POSTERN_FAILED)
        return POSTERN_FAILED;
    struct postern_rows rows;
    return postern_query(
        req, "iredapd", &mark,
        POSTERN_VALUES(postern_integer(req->now), postern_integer(req->now - counter->row->period),
                       postern_integer(counter->row->period), postern_integer(counter->row->id),
                       postern_text(counter->key)),
        &rows);
}

/* --- counting --- */

static bool exceeds_alone(const struct postern_request *req, const struct counters *counters)
{
    for (size_t i = 0; i < counters->count; i++)
        if (is_over_messages(&counters->items[i], 0) || is_over_size(req, &counters->items[i], 0))
            return true;
    return false;
}

/* A row that can't be made is one whose throttle is gone. */
static struct counters without_missing(struct postern_request *req, const struct counters *counters,
                                       const struct seen *seen)
{
    struct counters left = {
        .items = postern_alloc(req->arena, (counters->count + 1) * sizeof *left.items)};
    for (size_t i = 0; i < counters->count; i++)
        if (seen[i].exists)
            left.items[left.count++] = counters->items[i];
    return left;
}

/* Whether somebody refuses; if not, those that can't count are taken out. */
static enum postern_lookup find_refusal(struct postern_request *req, struct counters *counters,
                                        const struct postern_value *values, struct refusal *refusal)
{
    struct seen *seen = postern_alloc(req->arena, counters->count * sizeof *seen);
    if (look_at(req, counters, values, seen) == POSTERN_FAILED)
        return POSTERN_FAILED;
    for (size_t i = 0; i < counters->count; i++)
        if (refuses(req, &counters->items[i], &seen[i], refusal))
            return mark_refusal(req, &counters->items[i], &seen[i]) == POSTERN_FAILED
                       ? POSTERN_FAILED
                       : POSTERN_FOUND;
    *counters = without_missing(req, counters, seen);
    return POSTERN_NOT_FOUND;
}

static enum count_status status_of(enum postern_lookup lookup, enum count_status found)
{
    return lookup == POSTERN_FAILED ? COUNT_FAILED : found;
}

/* One round; false when nobody has added, and nobody refused. */
static bool try_round(struct postern_request *req, struct counters *counters, bool may_add,
                      struct refusal *refusal, enum count_status *status)
{
    const struct postern_value *values = values_of(req, counters);
    enum postern_lookup added = may_add ? run(req, &add, values) : POSTERN_NOT_FOUND;
    *status = status_of(added, COUNT_ADDED);
    if (added != POSTERN_NOT_FOUND)
        return true;
    enum postern_lookup made = may_add ? run(req, &ensure, values) : POSTERN_NOT_FOUND;
    *status = status_of(made, COUNT_ADDED);
    if (made != POSTERN_NOT_FOUND)
        return made == POSTERN_FAILED;
    enum postern_lookup refused = find_refusal(req, counters, values, refusal);
    *status = status_of(refused, COUNT_REFUSED);
    return refused != POSTERN_NOT_FOUND;
}

enum count_status count_message(struct postern_request *req, const struct counters *given,
                                struct refusal *refusal)
{
    struct counters counters = *given;
    enum count_status status;
    bool may_add = !exceeds_alone(req, &counters);
    for (int round = 0; round < ROUNDS; round++) {
        if (counters.count == 0)
            return COUNT_ADDED;
        if (try_round(req, &counters, may_add, refusal, &status))
            return status;
    }
    postern_fail(req, "the counters of throttle change too fast");
    return COUNT_FAILED;
}
