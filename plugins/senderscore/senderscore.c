/*
 * The reputation of a client as a DNS zone publishes it: the last octet of the address that it has
 * for the client, 0 to 100.
 */
#include <inttypes.h>
#include <postern/dns.h>
#include <postern/plugin.h>
#include <string.h>

#define BEST_SCORE 100
#define ZONE_MAX   237 /* with "255.255.255.255." a name of 253 */

/* The time of rows that an admin has whitelisted (posternctl senderscore whitelist). */
#define FOREVER INT32_MAX

struct options {
    int64_t reject_score;
    int64_t cache;
    const char *zone;
};

enum score_status { SCORE_KNOWN, SCORE_UNKNOWN, SCORE_FAILED };

/* --- the table --- */

static const struct postern_statement find = {
    .sql = "SELECT score, time FROM senderscore_cache WHERE client_address = ?"};

/* What an admin has whitelisted meanwhile stays so. */
#define KEEP                                                                                       \
    "INSERT INTO senderscore_cache (client_address, score, time) VALUES (?, ?, ?)"                 \
    " ON CONFLICT (client_address) DO UPDATE SET score = excluded.score, time = excluded.time"     \
    " WHERE senderscore_cache.time <> 2147483647"

/* MySQL assigns one after another. */
static const struct postern_statement keep = {
    .sqlite = KEEP,
    .pgsql = KEEP,
    .mysql = "INSERT INTO senderscore_cache (client_address, score, time) VALUES (?, ?, ?)"
             " ON DUPLICATE KEY UPDATE score = IF(time <> 2147483647, VALUES(score), score),"
             " time = IF(time <> 2147483647, VALUES(time), time)",
    .repeatable = true};

/* A time far ahead was written by a clock that was wrong, and would count until it has come. */
static bool is_fresh(int64_t time, int64_t now, int64_t cache)
{
    return time == FOREVER || (time > now - cache && time < now + cache);
}

static enum score_status find_score(struct postern_request *req, const struct options *options,
                                    const char *client, int64_t *score)
{
    struct postern_rows rows;
    switch (postern_query(req, "iredapd", &find, POSTERN_VALUES(postern_text(client)), &rows)) {
    case POSTERN_FAILED:
        return SCORE_FAILED;
    case POSTERN_NOT_FOUND:
        return SCORE_UNKNOWN;
    case POSTERN_FOUND:
        break;
    }
    int64_t time = postern_row_integer(&rows, 0, 1);
    if (!is_fresh(time, req->now, options->cache))
        return SCORE_UNKNOWN;
    *score = postern_row_integer(&rows, 0, 0);
    return SCORE_KNOWN;
}

static void keep_score(struct postern_request *req, const char *client, int64_t score)
{
    struct postern_rows rows;
    postern_query_optional(
        req, "iredapd", &keep,
        POSTERN_VALUES(postern_text(client), postern_integer(score), postern_integer(req->now)),
        &rows);
}

/* --- the zone --- */

/* Zones answer from 127.0.0.0/8; anything else comes from who answers for names that don't exist.
 */
static enum score_status read_score(struct postern_request *req, const char *name,
                                    const struct postern_dns_answer *answer, int64_t *score)
{
    const struct postern_ip *ip = &answer->records[0].ip;
    char text[POSTERN_IP_TEXT];
    if (!postern_ip_is_loopback(ip) || ip->bytes[3] > BEST_SCORE) {
        postern_fail(req, "%s has the address %s, which is no score", name,
                     postern_ip_text(ip, text));
        return SCORE_FAILED;
    }
    *score = ip->bytes[3];
    return SCORE_KNOWN;
}

static enum score_status ask_score(struct postern_request *req, const char *zone, int64_t *score)
{
    struct postern_dns_answer answer;
    const char *name =
        postern_printf(req->arena, "%s.%s", postern_dns_reversed(req->arena, &req->client), zone);
    switch (postern_dns(req, POSTERN_DNS_A, name, &answer)) {
    case POSTERN_DNS_FOUND:
        return read_score(req, name, &answer, score);
    case POSTERN_DNS_NO_DATA:
    case POSTERN_DNS_NO_NAME:
        *score = BEST_SCORE;
        return SCORE_KNOWN;
    case POSTERN_DNS_FAILED:
        break;
    }
    postern_fail(req, "%s", answer.failure);
    return SCORE_FAILED;
}

/* --- the plugin --- */

static bool validate(const void *given, struct postern_error *error)
{
    const struct options *options = given;
    if (options->zone[0] == '\0' || options->zone[0] == '.' || strlen(options->zone) > ZONE_MAX)
        return postern_error_set(error, "zone must be a name like score.senderscore.com");
    return true;
}

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    char client[POSTERN_IP_TEXT];
    int64_t score = 0;
    if (req->sasl_username[0] || req->client_is_trusted || req->client.family != POSTERN_IPV4)
        return;
    postern_ip_text(&req->client, client);
    enum score_status status = find_score(req, options, client, &score);
    if (status == SCORE_UNKNOWN) {
        status = ask_score(req, options->zone, &score);
        if (status == SCORE_KNOWN)
            keep_score(req, client, score);
    }
    if (status != SCORE_KNOWN)
        return;
    postern_reason(req, "score %" PRId64, score);
    if (score <= options->reject_score)
        postern_reject(req,
                       "Server IP address has bad reputation. FYI: "
                       "https://www.senderscore.org/lookup.php?lookup=%s",
                       client);
}

static const struct postern_option option_table[] = {
    POSTERN_OPTION(INTEGER, struct options, reject_score, "30",
                   "clients with this score or a lower one are refused", .maximum = BEST_SCORE),
    POSTERN_OPTION(DURATION, struct options, cache, "2d", "how long a score is kept", .minimum = 1,
                   .maximum = 3650LL * 86400),
    POSTERN_OPTION(STRING, struct options, zone, "score.senderscore.com",
                   "the zone that is asked, as w.x.y.z is asked for z.y.x.w.ZONE"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(senderscore, .summary = "refuses clients with a bad reputation", .priority = 10,
               .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options = option_table, .validate = validate, .check = check);
