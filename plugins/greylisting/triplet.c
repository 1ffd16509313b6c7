#include "greylisting.h"

#define COLUMN_LENGTH 255 /* of the table */

/* What is longer, which only a sender that means harm has, is not to fail. */
static const char *column_of(struct postern_request *req, const char *text)
{
    return postern_shorten(req->arena, text, COLUMN_LENGTH);
}

struct triplet triplet_of(struct postern_request *req, const struct options *options)
{
    int64_t prefix =
        req->client.family == POSTERN_IPV4 ? options->ipv4_prefix : options->ipv6_prefix;
    struct postern_network network = postern_network_of(&req->client, (unsigned)prefix);
    char *client = postern_alloc(req->arena, POSTERN_IP_TEXT);
    return (struct triplet){
        .sender = column_of(req, req->sender_without_ext),
        .recipient = column_of(req, req->recipient_without_ext),
        .sender_domain = column_of(req, req->sender_domain),
        .recipient_domain = column_of(req, req->recipient_domain),
        .client = postern_ip_text(&network.address, client),
    };
}

/*
 * All three statements may be run twice: at worst a triplet counts one attempt more, or one that
 * passes now is taken for one of a client that has passed before.
 */

#define COLUMNS                                                                                    \
    "sender, recipient, client_address, sender_domain, rcpt_domain, init_time, block_expired,"     \
    " record_expired, blocked_count, passed"

/* The row that makes as many as are needed; with them the client has passed. */
#define PASSED_ROW                                                                                 \
    "greylisting_tracking WHERE client_address = ? AND passed = 1 AND record_expired > ?"          \
    " LIMIT 1 OFFSET ?"

/*
 * No row comes back when the client has passed often enough, or this triplet has: then nothing
 * is written either. In the update, `excluded` holds the values of a triplet first seen
 * now, so excluded.init_time is the present. Otherwise what comes back is -1 - status - 4 * the
 * time that goes with it, in 64 bits, which iRedAPD's columns may not have.
 */
#define TRY_TRIPLET                                                                                \
    "INSERT INTO greylisting_tracking (" COLUMNS ") SELECT ?, ?, ?, ?, ?, ?, ?, ?, 0, 0"           \
    " WHERE (SELECT id FROM " PASSED_ROW ") IS NULL"                                               \
    " ON CONFLICT (sender, recipient, client_address) DO UPDATE SET"                               \
    " passed = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time THEN 0"         \
    "   WHEN greylisting_tracking.block_expired <= excluded.init_time THEN 1"                      \
    "   ELSE greylisting_tracking.passed END,"                                                     \
    " blocked_count = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time THEN 0"  \
    "   WHEN greylisting_tracking.block_expired <= excluded.init_time"                             \
    "   THEN greylisting_tracking.blocked_count"                                                   \
    "   ELSE greylisting_tracking.blocked_count + 1 END,"                                          \
    " record_expired = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"        \
    "   THEN excluded.record_expired"                                                              \
    "   WHEN greylisting_tracking.block_expired <= excluded.init_time THEN ?"                      \
    "   ELSE greylisting_tracking.record_expired END,"                                             \
    " block_expired = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"         \
    "   THEN excluded.block_expired ELSE greylisting_tracking.block_expired END,"                  \
    " init_time = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"             \
    "   THEN excluded.init_time ELSE greylisting_tracking.init_time END"                           \
    " WHERE greylisting_tracking.passed = 0"                                                       \
    "   OR greylisting_tracking.record_expired <= excluded.init_time"                              \
    " RETURNING CASE WHEN passed = 1 THEN -4 - 4 * CAST(init_time AS BIGINT)"                      \
    "   WHEN blocked_count > 0 THEN -3 - 4 * CAST(block_expired AS BIGINT)"                        \
    "   ELSE -2 - 4 * CAST(block_expired AS BIGINT) END"

/*
 * MySQL locks the whole table's counter for an INSERT ... SELECT. So what is inserted is given the
 * id of the passed row, if there is one: then that row is the duplicate, and is left alone.
 *
 * MySQL assigns one after another, and the later see what the earlier made. So the answer comes
 * first; record_expired, which the others look at, after them; and passed last, which knows by
 * init_time that the triplet has started over. MySQL takes the table in a subquery only when
 * it is in another one, for which MariaDB would make a table in memory; it ignores the comments.
 */
#define TRY_TRIPLET_MYSQL                                                                          \
    "INSERT INTO greylisting_tracking (" COLUMNS ", id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0,"     \
    "  (SELECT id FROM /*!50700 (SELECT id FROM */ " PASSED_ROW " /*!50700 ) AS passed_row */))"   \
    " ON DUPLICATE KEY UPDATE"                                                                     \
    " sender_domain = IF(LAST_INSERT_ID(CASE"                                                      \
    "   WHEN record_expired <= VALUES(init_time) THEN -2 - 4 * VALUES(block_expired)"              \
    "   WHEN passed = 1 THEN -1"                                                                   \
    "   WHEN block_expired <= VALUES(init_time) THEN -4 - 4 * init_time"                           \
    "   ELSE -3 - 4 * block_expired END) = 0, '', sender_domain),"                                 \
    " blocked_count = CASE WHEN record_expired <= VALUES(init_time) THEN 0"                        \
    "   WHEN passed = 1 OR block_expired <= VALUES(init_time) THEN blocked_count"                  \
    "   ELSE blocked_count + 1 END,"                                                               \
    " init_time = CASE WHEN record_expired <= VALUES(init_time) THEN VALUES(init_time)"            \
    "   ELSE init_time END,"                                                                       \
    " block_expired = CASE WHEN record_expired <= VALUES(init_time) THEN VALUES(block_expired)"    \
    "   ELSE block_expired END,"                                                                   \
    " record_expired = CASE WHEN record_expired <= VALUES(init_time) THEN VALUES(record_expired)"  \
    "   WHEN passed = 0 AND block_expired <= VALUES(init_time) THEN ? ELSE record_expired END,"    \
    " passed = CASE WHEN init_time = VALUES(init_time) THEN 0"                                     \
    "   WHEN block_expired <= VALUES(init_time) THEN 1 ELSE passed END"

static const struct postern_statement try_triplet = {.sqlite = TRY_TRIPLET,
                                                     .pgsql = TRY_TRIPLET,
                                                     .mysql = TRY_TRIPLET_MYSQL,
                                                     .repeatable = true,
                                                     .mysql_number = true};

/*
 * MySQL plans a statement anew each time it is run, and the one above costs it more than the
 * insert. Most triplets are new ones of clients that have not passed, or come from clients that
 * have: of these this statement knows, at half the price, by the newest passed row of the client,
 * which it finds without a plan (MAX of what an index ends with). Where that row, or the
 * triplet's own, is a duplicate that says less, nothing is done and the statement above is run.
 * It takes the same values, some of them for nothing.
 */
#define LOOK_CLOSER (-5)
#define TRY_NEW_MYSQL                                                                              \
    "INSERT INTO greylisting_tracking (" COLUMNS ", id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0,"     \
    "  (/*!50700 SELECT id FROM ( */ SELECT MAX(id) AS id FROM greylisting_tracking"               \
    "   WHERE client_address = ? AND passed = 1 /*!50700 ) AS passed_row */))"                     \
    " ON DUPLICATE KEY UPDATE sender_domain = IF(LAST_INSERT_ID(IF(passed = 1"                     \
    "  AND record_expired > ? AND ? = 0 AND ? > 0, -1, -5)) = 0, '', sender_domain)"

/*
 * Where many triplets are tried at once, the server is asked once for all of them: which are new,
 * which come too early (that is counted), and whose client has passed. Anything else is
 * LOOK_CLOSER.
 *
 * MySQL's row is the triplet's own or the client's passed one. PostgreSQL can
 * touch a row once only, so a repeated triplet counts for all; where nothing was written the
 * columns are NULL, which reads as expired.
 */
#define TOO_EARLY(now)                                                                             \
    "greylisting_tracking.passed = 0 AND greylisting_tracking.block_expired > " now                \
    " AND greylisting_tracking.record_expired > " now

#define TRY_JOINT_MYSQL                                                                            \
    "INSERT INTO greylisting_tracking (" COLUMNS ", id) VALUES"                                    \
    " [(?, ?, ?, ?, ?, ?, ?, ?, 0, 0,"                                                             \
    "  (SELECT MAX(id) FROM greylisting_tracking WHERE client_address = ? AND passed = 1))]"       \
    " ON DUPLICATE KEY UPDATE blocked_count = blocked_count + (" TOO_EARLY(                        \
        "VALUES(init_time)") ")"                                                                   \
                             " RETURNING passed, blocked_count, init_time, block_expired, "        \
                             "record_expired"

#define TRY_JOINT_PGSQL                                                                            \
    "WITH given (place, sender, recipient, client, sender_domain, rcpt_domain, init_time,"         \
    "  block_expired, record_expired) AS (SELECT row_number() OVER (), * FROM (VALUES"             \
    "  [(?::text, ?::text, ?::text, ?::text, ?::text, ?::bigint, ?::bigint, ?::bigint)]) AS "      \
    "list),"                                                                                       \
    " judged AS (SELECT *, count(*) OVER (PARTITION BY sender, recipient, client) AS times,"       \
    "  row_number() OVER (PARTITION BY sender, recipient, client ORDER BY place) AS nth,"          \
    "  EXISTS (SELECT FROM greylisting_tracking WHERE client_address = client AND passed = 1"      \
    "   AND greylisting_tracking.record_expired > given.init_time) AS has_passed FROM given),"     \
    " tried AS (INSERT INTO greylisting_tracking (" COLUMNS ")"                                    \
    "  SELECT sender, recipient, client, sender_domain, rcpt_domain, init_time, block_expired,"    \
    "   record_expired, times - 1, 0 FROM judged WHERE nth = 1 AND NOT has_passed"                 \
    "  ORDER BY sender, recipient, client"                                                         \
    "  ON CONFLICT (sender, recipient, client_address) DO UPDATE"                                  \
    "  SET blocked_count = greylisting_tracking.blocked_count + excluded.blocked_count + 1"        \
    "  WHERE " TOO_EARLY("excluded.init_time") "  RETURNING greylisting_tracking.*)"               \
                                               " SELECT CASE WHEN has_passed THEN 1 ELSE 0 END, "  \
                                               "blocked_count - times + nth, tried.init_time,"     \
                                               "  tried.block_expired, CASE WHEN has_passed THEN " \
                                               "judged.init_time + 1"                              \
                                               "  ELSE tried.record_expired END FROM judged LEFT " \
                                               "JOIN tried ON tried.sender = judged.sender"        \
                                               "  AND tried.recipient = judged.recipient AND "     \
                                               "client_address = client ORDER BY place"

enum joint_column {
    JOINT_PASSED,
    JOINT_BLOCKED_COUNT,
    JOINT_INIT_TIME,
    JOINT_BLOCK_EXPIRED,
    JOINT_RECORD_EXPIRED,
    JOINT_COLUMNS
};

static const struct postern_statement try_new = {.sqlite = TRY_TRIPLET,
                                                 .pgsql = TRY_TRIPLET,
                                                 .mysql = TRY_NEW_MYSQL,
                                                 .pgsql_joint = TRY_JOINT_PGSQL,
                                                 .mysql_joint = TRY_JOINT_MYSQL,
                                                 .repeatable = true,
                                                 .mysql_number = true};

/* What the other statements would have answered. */
static int64_t number_of_joint(const struct postern_request *req, const struct postern_rows *rows)
{
    bool passed = postern_row_integer(rows, 0, JOINT_PASSED) != 0;
    int64_t blocked_count = postern_row_integer(rows, 0, JOINT_BLOCKED_COUNT);
    int64_t block_expired = postern_row_integer(rows, 0, JOINT_BLOCK_EXPIRED);
    bool expired = postern_row_integer(rows, 0, JOINT_RECORD_EXPIRED) <= req->now;
    if (passed && !expired)
        return -1 - TRIPLET_CLIENT_PASSED;
    if (passed || expired)
        return LOOK_CLOSER;
    if (blocked_count == 0 && postern_row_integer(rows, 0, JOINT_INIT_TIME) == req->now)
        return -1 - TRIPLET_FIRST_SEEN - 4 * block_expired;
    if (block_expired > req->now)
        return -1 - TRIPLET_TOO_EARLY - 4 * block_expired;
    return LOOK_CLOSER;
}

static int64_t number_of(const struct postern_request *req, const struct postern_rows *rows)
{
    return rows->columns == JOINT_COLUMNS ? number_of_joint(req, rows)
                                          : postern_row_integer(rows, 0, 0);
}

/* A positive number is the id of a new row, which is all that MySQL says of one. */
static enum triplet_status status_of(const struct postern_request *req,
                                     const struct options *options, int64_t number,
                                     struct triplet *triplet)
{
    if (number > 0) {
        triplet->seconds = options->block_expire;
        return TRIPLET_FIRST_SEEN;
    }
    enum triplet_status status = (enum triplet_status)((-1 - number) % 4);
    int64_t time = (-1 - number) / 4;
    triplet->seconds = status == TRIPLET_PASSED_NOW ? req->now - time : time - req->now;
    return status;
}

static enum postern_lookup try_with(struct postern_request *req,
                                    const struct postern_statement *statement,
                                    const struct options *options, const struct triplet *triplet,
                                    struct postern_rows *rows)
{
    struct postern_value client = postern_text(triplet->client);
    struct postern_value now = postern_integer(req->now);
    return postern_query(
        req, "iredapd", statement,
        POSTERN_VALUES(
            postern_text(triplet->sender), postern_text(triplet->recipient), client,
            postern_text(triplet->sender_domain), postern_text(triplet->recipient_domain), now,
            postern_integer(req->now + options->block_expire),
            postern_integer(req->now + options->unauth_triplet_expire),
            /* the client */ client, now, postern_integer(options->auto_whitelist_after - 1),
            /* passing */ postern_integer(req->now + options->auth_triplet_expire)),
        rows);
}

enum triplet_status triplet_try(struct postern_request *req, const struct options *options,
                                struct triplet *triplet)
{
    const struct postern_statement *first =
        options->auto_whitelist_after == 1 ? &try_new : &try_triplet;
    struct postern_rows rows;
    enum postern_lookup result = try_with(req, first, options, triplet, &rows);
    if (result == POSTERN_FOUND && number_of(req, &rows) == LOOK_CLOSER)
        result = try_with(req, &try_triplet, options, triplet, &rows);
    if (result == POSTERN_FAILED)
        return TRIPLET_FAILED;
    if (result == POSTERN_NOT_FOUND)
        return TRIPLET_CLIENT_PASSED;
    return status_of(req, options, number_of(req, &rows), triplet);
}

/* Bounded: what is left of a client that tried thousands of addresses expires soon anyway. */
static const struct postern_statement forget_others = {
    .sql = "DELETE FROM greylisting_tracking WHERE id IN (SELECT id FROM"
           " (SELECT id FROM greylisting_tracking WHERE client_address = ? AND passed = 0"
           "  LIMIT 1000) AS others)"
           " AND (SELECT COUNT(*) FROM (SELECT 1 FROM greylisting_tracking"
           "  WHERE client_address = ? AND passed = 1 AND record_expired > ? LIMIT ?) AS c) >= ?",
    .mysql = "DELETE FROM greylisting_tracking WHERE client_address = ? AND passed = 0"
             " AND (SELECT COUNT(*) FROM (SELECT 1 FROM greylisting_tracking"
             "  WHERE client_address = ? AND passed = 1 AND record_expired > ? LIMIT ?) AS c) >= ?"
             " LIMIT 1000",
    .repeatable = true};

enum postern_lookup triplet_forget_others(struct postern_request *req,
                                          const struct options *options,
                                          const struct triplet *triplet)
{
    struct postern_value client = postern_text(triplet->client);
    struct postern_value needed = postern_integer(options->auto_whitelist_after);
    struct postern_rows rows;
    return postern_query(req, "iredapd", &forget_others,
                         POSTERN_VALUES(client, client, postern_integer(req->now), needed, needed),
                         &rows);
}

static const struct postern_statement extend = {
    .sql = "UPDATE greylisting_tracking SET record_expired = ? WHERE client_address = ?"
           " AND passed = 1 AND record_expired > ? AND record_expired <= ?",
    .repeatable = true};

enum postern_lookup triplet_extend(struct postern_request *req, const struct options *options,
                                   const struct triplet *triplet)
{
    int64_t end = req->now + options->auth_triplet_expire;
    struct postern_rows rows;
    return postern_query(req, "iredapd", &extend,
                         POSTERN_VALUES(postern_integer(end), postern_text(triplet->client),
                                        postern_integer(req->now),
                                        postern_integer(end - options->auth_triplet_expire / 10)),
                         &rows);
}
