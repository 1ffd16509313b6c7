#include "throttle.h"

#include <string.h>

/*
 * To a listing, a row says something of its account (a subject, which may be a network) to a kind
 * of traffic.
 */
#define SELECT                                                                                     \
    "SELECT id, kind, account, id, priority, period, max_msgs, max_quota, msg_size, max_rcpts,"    \
    " shared FROM throttle"

/* Their values, in this order. */
enum { ID, PRIORITY, PERIOD, FIRST_LIMIT, SHARED = FIRST_LIMIT + LIMITS };

static const struct postern_listing_table table = {
    .database = "iredapd",
    .page = {.sql = SELECT " WHERE id > ? ORDER BY id LIMIT ?"},
    .networks = {.sql = SELECT " WHERE id > ? AND (account LIKE '%/%' OR account LIKE '%*%')"
                               " ORDER BY id LIMIT ?"},
    .find = {.sql = SELECT " WHERE kind IN (?...) AND account IN (?...)"}};

struct postern_listing *settings_listing(void)
{
    return postern_listing_new(&table);
}

static struct postern_names one_name(struct postern_request *req, const char *name)
{
    const char **item = postern_alloc(req->arena, sizeof *item);
    *item = name;
    return (struct postern_names){1, item};
}

struct postern_names settings_names(struct postern_request *req, const char *user)
{
    return postern_names_join(req->arena, postern_address_candidates(req->arena, user),
                              postern_user_anywhere(req->arena, user, ""));
}

struct postern_names settings_client_names(struct postern_request *req,
                                           const struct options *options)
{
    if (req->client.family == POSTERN_NO_IP)
        return (struct postern_names){0};
    return postern_names_join(
        req->arena, postern_ip_candidates(req->arena, &req->client, options->all_wildcards),
        one_name(req, "@ip"));
}

static struct throttle_row row_of(const struct postern_listing_row *from)
{
    struct throttle_row row = {.kind = from->account,
                               .account = from->subject,
                               .id = from->values[ID],
                               .priority = from->values[PRIORITY],
                               .period = from->values[PERIOD],
                               .shared = from->values[SHARED] != 0};
    memcpy(row.limits, &from->values[FIRST_LIMIT], sizeof row.limits);
    return row;
}

enum postern_lookup settings_find(struct postern_request *req, struct postern_names kinds,
                                  struct postern_names names, struct settings *settings)
{
    struct postern_listing_rows found;
    enum postern_lookup lookup =
        postern_listing_match(req, postern_state(req), kinds, names, &req->client, &found);
    settings->count = found.count;
    settings->rows = postern_alloc(req->arena, (found.count + 1) * sizeof *settings->rows);
    for (size_t i = 0; i < found.count; i++)
        settings->rows[i] = row_of(&found.items[i]);
    return lookup;
}
