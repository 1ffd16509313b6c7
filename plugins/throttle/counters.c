/*
 * A message has sides: its sender's, and that of each recipient. A side's rows decide its limits;
 * those with a sum are counters, and what several sides count under one key is one counter.
 */
#include "throttle.h"

#include <inttypes.h>
#include <string.h>
#include <uthash.h>

#define SIDES_AT_ONCE 32  /* asked for together: their names are compared with each other */
#define KEY_LENGTH    255 /* of the column account */
#define COUNTERS_MAX  2048

struct side {
    UT_hash_handle hh;
    const char *user;
    const char *kind;
    int64_t messages; /* that it counts */
    struct postern_names names;
};

/* The counters of a message as they are found. */
struct gathering {
    struct postern_request *req;
    const struct options *options;
    struct postern_names client_names;
    const char *client;
    struct side *sides;
    size_t count;
    struct entry *entries; /* by name, and in the order in which they were added */
    size_t left_out;
    bool refused;
};

struct entry {
    UT_hash_handle hh;
    struct counter counter;
};

/* --- sides --- */

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

/* What is neither an address nor a plain name is nobody. */
static const char *user_of(const char *text)
{
    return postern_address_is_valid(text) || is_ascii(text) ? text : "";
}

static struct side sender_side(struct postern_request *req)
{
    bool is_ours = req->sasl_username[0] != '\0' || postern_ip_is_loopback(&req->client);
    return (struct side){.user = user_of(req->sasl_username[0] != '\0' ? req->sasl_username
                                                                       : req->sender_without_ext),
                         .kind = is_ours ? "outbound" : "external",
                         .messages = req->recipient_count > 0 ? req->recipient_count : 1};
}

static const char *recipient_user(struct postern_request *req, const char *recipient)
{
    return user_of(postern_address_without_ext(req->arena, recipient, req->recipient_delimiters));
}

struct seen {
    UT_hash_handle hh;
};

static bool is_first(struct postern_request *req, struct seen **all, const char *name)
{
    struct seen *seen;
    size_t length = strlen(name);
    HASH_FIND(hh, *all, name, length, seen);
    if (seen != NULL)
        return false;
    seen = postern_alloc(req->arena, sizeof *seen);
    HASH_ADD_KEYPTR(hh, *all, name, length, seen);
    return true;
}

/* Each address counts once, though a client may have named it twice. */
static void recipient_sides_add(struct gathering *all)
{
    struct postern_request *req = all->req;
    struct seen *addresses = NULL;
    struct side *users = NULL, *side;
    for (size_t i = 0; i < req->recipients_length; i++) {
        if (!is_first(req, &addresses, req->recipients[i]))
            continue;
        const char *user = recipient_user(req, req->recipients[i]);
        size_t length = strlen(user);
        HASH_FIND(hh, users, user, length, side);
        if (side == NULL) {
            side = &all->sides[all->count++];
            *side = (struct side){.user = user, .kind = "inbound"};
            HASH_ADD_KEYPTR(hh, users, side->user, length, side);
        }
        side->messages++;
    }
    HASH_CLEAR(hh, addresses);
    HASH_CLEAR(hh, users);
}

static void sides_find(struct gathering *all)
{
    struct postern_request *req = all->req;
    all->sides = postern_alloc(req->arena, (1 + req->recipients_length) * sizeof *all->sides);
    all->sides[all->count++] = sender_side(req);
    if (req->sasl_username[0] == '\0' || !all->options->bypass_local_recipient)
        recipient_sides_add(all);
}

/* --- counters --- */

static struct counter *counter_find(struct gathering *all, const struct throttle_row *row,
                                    const char *key)
{
    const char *name = postern_printf(all->req->arena, "%" PRId64 " %s", row->id, key);
    struct entry *entry;
    size_t length = strlen(name);
    HASH_FIND(hh, all->entries, name, length, entry);
    if (entry != NULL)
        return &entry->counter;
    if (HASH_COUNT(all->entries) == COUNTERS_MAX) {
        all->left_out++;
        return NULL;
    }
    entry = postern_alloc(all->req->arena, sizeof *entry);
    entry->counter = (struct counter){.row = row, .key = key, .name = name};
    HASH_ADD_KEYPTR(hh, all->entries, entry->counter.name, length, entry);
    return &entry->counter;
}

static void counter_add(struct gathering *all, const struct side *side,
                        const struct throttle_row *row, const int64_t limits[LIMITS])
{
    if (row->period <= 0 || (limits[LIMIT_MESSAGES] == 0 && limits[LIMIT_SIZE_SUM] == 0))
        return;
    const char *key =
        postern_shorten(all->req->arena, limits_key(row, side->user, all->client), KEY_LENGTH);
    struct counter *counter = counter_find(all, row, key);
    if (counter == NULL)
        return;
    counter->messages += side->messages;
    if (limits[LIMIT_MESSAGES] > 0)
        counter->max_messages = limits[LIMIT_MESSAGES];
    if (limits[LIMIT_SIZE_SUM] > 0)
        counter->max_size = limits[LIMIT_SIZE_SUM];
}

/* --- the limits of a side --- */

static void refuse(struct gathering *all, const struct throttle_row *row, enum limit limit,
                   const char *reply, uint64_t has)
{
    postern_reason(all->req, "%s of %s (%s): %" PRId64 ", and the message has %" PRIu64,
                   limit_names[limit], row->account, row->kind, row->limits[limit], has);
    postern_reject(all->req, "%s", reply);
    all->refused = true;
}

static bool is_over(int64_t limit, uint64_t has)
{
    return limit > 0 && has > (uint64_t)limit;
}

static bool may_pass_alone(struct gathering *all, const struct throttle_row *row,
                           const int64_t limits[LIMITS])
{
    const struct postern_request *req = all->req;
    if (is_over(limits[LIMIT_MESSAGE_SIZE], req->size))
        refuse(all, row, LIMIT_MESSAGE_SIZE, "Message size is too large", req->size);
    else if (is_over(limits[LIMIT_RECIPIENTS], req->recipient_count))
        refuse(all, row, LIMIT_RECIPIENTS, "Too many recipients in single message",
               req->recipient_count);
    return !all->refused;
}

/* Rows on addresses of clients were only found when they hold this one. */
static bool is_for(const struct throttle_row *row, const struct side *side)
{
    if (strcmp(row->kind, side->kind) != 0)
        return false;
    switch (postern_account_form(row->account)) {
    case POSTERN_ACCOUNT_IP:
    case POSTERN_ACCOUNT_IP_WILDCARD:
    case POSTERN_ACCOUNT_NETWORK:
    case POSTERN_ACCOUNT_EACH_IP:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < side->names.count; i++)
        if (strcmp(side->names.items[i], row->account) == 0)
            return true;
    return false;
}

static void side_apply(struct gathering *all, const struct side *side,
                       const struct settings *settings)
{
    const struct throttle_row **rows =
        postern_alloc(all->req->arena, (settings->count + 1) * sizeof *rows);
    size_t count = 0;
    for (size_t i = 0; i < settings->count; i++)
        if (is_for(&settings->rows[i], side))
            rows[count++] = &settings->rows[i];
    int64_t(*limits)[LIMITS] = postern_alloc(all->req->arena, (count + 1) * sizeof *limits);
    limits_apply(rows, count, limits);
    for (size_t i = 0; i < count && may_pass_alone(all, rows[i], limits[i]); i++)
        counter_add(all, side, rows[i], limits[i]);
}

/* --- all together --- */

/* Those of the client and of these sides, without repeats. */
static struct postern_names names_of(struct gathering *all, struct side *sides, size_t count)
{
    struct seen *seen = NULL;
    struct postern_names names = {0};
    size_t most = all->client_names.count;
    for (size_t i = 0; i < count; i++)
        most += sides[i].names.count;
    names.items = postern_alloc(all->req->arena, (most + 1) * sizeof *names.items);
    for (size_t i = 0; i < all->client_names.count; i++)
        names.items[names.count++] = all->client_names.items[i];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < sides[i].names.count; k++)
            if (is_first(all->req, &seen, sides[i].names.items[k]))
                names.items[names.count++] = sides[i].names.items[k];
    HASH_CLEAR(hh, seen);
    return names;
}

static enum postern_lookup sides_apply(struct gathering *all, struct side *sides, size_t count)
{
    const char *kind_names[] = {all->sides[0].kind, "inbound"};
    struct postern_names kinds = {2, kind_names};
    for (size_t i = 0; i < count; i++)
        sides[i].names = settings_names(all->req, sides[i].user);
    struct settings settings;
    enum postern_lookup lookup =
        settings_find(all->req, kinds, names_of(all, sides, count), &settings);
    for (size_t i = 0; i < count && lookup == POSTERN_FOUND && !all->refused; i++)
        side_apply(all, &sides[i], &settings);
    return lookup;
}

static void counters_take(struct gathering *all, struct counters *counters)
{
    struct entry *entry, *next;
    counters->refused = all->refused;
    counters->items =
        postern_alloc(all->req->arena, (HASH_COUNT(all->entries) + 1) * sizeof *counters->items);
    HASH_ITER(hh, all->entries, entry, next)
    {
        counters->items[counters->count++] = entry->counter;
    }
    HASH_CLEAR(hh, all->entries);
    if (all->left_out > 0)
        postern_log(all->req,
                    "a message with %zu recipients touches more than %d counters:"
                    " the last ones are not counted",
                    all->req->recipients_length, COUNTERS_MAX);
}

enum postern_lookup counters_find(struct postern_request *req, const struct options *options,
                                  struct counters *counters)
{
    struct gathering all = {
        .req = req,
        .options = options,
        .client_names = settings_client_names(req, options),
        .client = postern_ip_text(&req->client, postern_alloc(req->arena, POSTERN_IP_TEXT))};
    sides_find(&all);
    *counters = (struct counters){0};
    enum postern_lookup lookup = POSTERN_NOT_FOUND;
    for (size_t first = 0; first < all.count && lookup != POSTERN_FAILED && !all.refused;
         first += SIDES_AT_ONCE) {
        size_t rest = all.count - first;
        lookup = sides_apply(&all, &all.sides[first], rest < SIDES_AT_ONCE ? rest : SIDES_AT_ONCE);
    }
    counters_take(&all, counters);
    return lookup;
}
