#include "greylisting.h"

struct triplet triplet_of(struct postern_request *req, const struct options *options)
{
    int64_t prefix =
        req->client.family == POSTERN_IPV4 ? options->ipv4_prefix : options->ipv6_prefix;
    struct postern_network network = postern_network_of(&req->client, (unsigned)prefix);
    char *client = postern_alloc(req->arena, POSTERN_IP_TEXT);
    return (struct triplet){
        .sender = req->sender_without_ext,
        .recipient = req->recipient_without_ext,
        .sender_domain = req->sender_domain,
        .recipient_domain = req->recipient_domain,
        .client = postern_ip_text(&network.address, client),
    };
}

/*
 * All three statements may be run twice: at worst a triplet counts one attempt more, or one that
 * passes now is taken for one of a client that has passed before.
 */

/* What all dialects begin with, and the number that says what has come of it. */
#define ATTEMPT                                                                                    \
    "INSERT INTO greylisting_tracking (sender, recipient, client_address, sender_domain,"          \
    " rcpt_domain, init_time, block_expired, record_expired, blocked_count, passed)"               \
    " SELECT ?, ?, ?, ?, ?, ?, ?, ?, 0, 0"

#define UNLESS_PASSED                                                                              \
    " WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM greylisting_tracking"                             \
    "   WHERE client_address = ? AND passed = 1 AND record_expired > ? LIMIT ?) AS c) < ?"         \
    " AND NOT EXISTS (SELECT 1 FROM greylisting_tracking WHERE sender = ? AND recipient = ?"       \
    "   AND client_address = ? AND passed = 1 AND record_expired > ?)"

#define OUTCOME                                                                                    \
    "-1 - 4 * ABS(CASE WHEN passed = 1 THEN ? - init_time ELSE block_expired - ? END)"             \
    " - 2 * passed - (CASE WHEN blocked_count > 0 THEN 1 ELSE 0 END)"

/*
 * No row comes back when the client has passed often enough, or this triplet has: then nothing
 * is written either. In the update, `excluded` holds the values of a triplet first seen
 * now, so excluded.init_time is the present.
 */
#define TRY_TRIPLET                                                                                \
    ATTEMPT UNLESS_PASSED                                                                          \
        " ON CONFLICT (sender, recipient, client_address) DO UPDATE SET"                           \
        " passed = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time THEN 0"     \
        "   WHEN greylisting_tracking.block_expired <= excluded.init_time THEN 1"                  \
        "   ELSE greylisting_tracking.passed END,"                                                 \
        " blocked_count = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time "    \
        "THEN 0"                                                                                   \
        "   WHEN greylisting_tracking.block_expired <= excluded.init_time"                         \
        "   THEN greylisting_tracking.blocked_count"                                               \
        "   ELSE greylisting_tracking.blocked_count + 1 END,"                                      \
        " record_expired = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"    \
        "   THEN excluded.record_expired"                                                          \
        "   WHEN greylisting_tracking.block_expired <= excluded.init_time THEN ?"                  \
        "   ELSE greylisting_tracking.record_expired END,"                                         \
        " block_expired = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"     \
        "   THEN excluded.block_expired ELSE greylisting_tracking.block_expired END,"              \
        " init_time = CASE WHEN greylisting_tracking.record_expired <= excluded.init_time"         \
        "   THEN excluded.init_time ELSE greylisting_tracking.init_time END"                       \
        " RETURNING " OUTCOME

/*
 * The same, for a server that assigns one after another and lets the later see what the earlier
 * made. So record_expired, which all others look at, comes last, and block_expired, once
 * it is changed, is not looked at any more. What comes of it is known after that.
 */
#define TRY_TRIPLET_MYSQL                                                                          \
    ATTEMPT " FROM DUAL" UNLESS_PASSED " ON DUPLICATE KEY UPDATE"                                  \
            " passed = CASE WHEN record_expired <= VALUES(init_time) THEN 0"                       \
            "   WHEN block_expired <= VALUES(init_time) THEN 1 ELSE passed END,"                   \
            " blocked_count = CASE WHEN record_expired <= VALUES(init_time) THEN 0"                \
            "   WHEN block_expired <= VALUES(init_time) THEN blocked_count"                        \
            "   ELSE blocked_count + 1 END,"                                                       \
            " init_time = CASE WHEN record_expired <= VALUES(init_time) THEN VALUES(init_time)"    \
            "   ELSE init_time END,"                                                               \
            " block_expired = CASE WHEN record_expired <= VALUES(init_time)"                       \
            "   THEN VALUES(block_expired) ELSE block_expired END,"                                \
            " record_expired = CASE WHEN record_expired <= VALUES(init_time)"                      \
            "   THEN VALUES(record_expired)"                                                       \
            "   WHEN block_expired <= VALUES(init_time) THEN ? ELSE record_expired END,"           \
            " passed = passed + 0 * LAST_INSERT_ID(" OUTCOME ")"

static const struct postern_statement try_triplet = {.sqlite = TRY_TRIPLET,
                                                     .pgsql = TRY_TRIPLET,
                                                     .mysql = TRY_TRIPLET_MYSQL,
                                                     .repeatable = true,
                                                     .mysql_number = true};

/* A positive number is the id of a new row, which is all that MySQL says of one. */
static enum triplet_status status_of(const struct options *options, int64_t number,
                                     struct triplet *triplet)
{
    int64_t outcome = number > 0 ? 4 * options->block_expire : -1 - number;
    triplet->seconds = outcome / 4;
    if ((outcome & 2) != 0)
        return TRIPLET_PASSED_NOW;
    return (outcome & 1) != 0 ? TRIPLET_TOO_EARLY : TRIPLET_FIRST_SEEN;
}

enum triplet_status triplet_try(struct postern_request *req, const struct options *options,
                                struct triplet *triplet)
{
    struct postern_value sender = postern_text(triplet->sender);
    struct postern_value recipient = postern_text(triplet->recipient);
    struct postern_value client = postern_text(triplet->client);
    struct postern_value now = postern_integer(req->now);
    struct postern_value needed = postern_integer(options->auto_whitelist_after);
    struct postern_rows rows;
    enum postern_lookup result = postern_query(
        req, "iredapd", &try_triplet,
        POSTERN_VALUES(sender, recipient, client, postern_text(triplet->sender_domain),
                       postern_text(triplet->recipient_domain), now,
                       postern_integer(req->now + options->block_expire),
                       postern_integer(req->now + options->unauth_triplet_expire),
                       /* the client */ client, now, needed, needed,
                       /* this triplet */ sender, recipient, client, now,
                       /* passing */ postern_integer(req->now + options->auth_triplet_expire),
                       /* outcome */ now, now),
        &rows);
    if (result == POSTERN_FAILED)
        return TRIPLET_FAILED;
    if (result == POSTERN_NOT_FOUND)
        return TRIPLET_CLIENT_PASSED;
    return status_of(options, postern_row_integer(&rows, 0, 0), triplet);
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
