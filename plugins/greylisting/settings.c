#include "greylisting.h"

#include <stdlib.h>

/* Columns that only settings have; a whitelist row needs none. */
#define PRIORITY        0
#define SENDER_PRIORITY 1
#define ACTIVE          2

#define PAGE     " WHERE id > ? ORDER BY id LIMIT ?"
#define NETWORKS " WHERE id > ? AND (sender LIKE '%/%' OR sender LIKE '%*%') ORDER BY id LIMIT ?"
#define FIND     " WHERE account IN (?...) AND sender IN (?...)"
#define TABLE(columns, table)                                                                      \
    {                                                                                              \
        .database = "iredapd", .page = {.sql = "SELECT " columns " FROM " table PAGE},             \
        .networks = {.sql = "SELECT " columns " FROM " table NETWORKS}, .find = {                  \
            .sql = "SELECT " columns " FROM " table FIND                                           \
        }                                                                                          \
    }

static const struct postern_listing_table whitelist_tables[] = {
    TABLE("id, account, sender", "greylisting_whitelists"),
    TABLE("id, account, sender", "greylisting_whitelist_domain_spf"),
};
static const struct postern_listing_table settings_table =
    TABLE("id, account, sender, priority, sender_priority, active", "greylisting");

#define WHITELISTS (sizeof whitelist_tables / sizeof whitelist_tables[0])

struct settings {
    struct postern_listing *whitelists[WHITELISTS];
    struct postern_listing *settings;
};

struct settings *settings_new(void)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        abort();
    for (size_t i = 0; i < WHITELISTS; i++)
        settings->whitelists[i] = postern_listing_new(&whitelist_tables[i]);
    settings->settings = postern_listing_new(&settings_table);
    return settings;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < WHITELISTS; i++)
        postern_listing_free(settings->whitelists[i]);
    postern_listing_free(settings->settings);
    free(settings);
}

/* S of the rules but for networks: the sender's names and the client's. */
static struct postern_names sender_names(struct postern_request *req, const struct options *options)
{
    struct postern_arena *arena = req->arena;
    struct postern_names sender =
        postern_address_names(arena, req->sender, req->recipient_delimiters);
    struct postern_names anywhere =
        postern_user_anywhere(arena, req->sender, req->recipient_delimiters);
    struct postern_names client =
        postern_ip_candidates(arena, &req->client, options->all_wildcards);
    return postern_names_join(arena, postern_names_join(arena, sender, anywhere), client);
}

static bool is_stronger(const struct postern_listing_row *row,
                        const struct postern_listing_row *than)
{
    if (row->values[PRIORITY] != than->values[PRIORITY])
        return row->values[PRIORITY] > than->values[PRIORITY];
    return row->values[SENDER_PRIORITY] > than->values[SENDER_PRIORITY];
}

/* The setting of highest priority decides. */
static enum greylisting_setting choose(const struct postern_listing_rows *rows)
{
    const struct postern_listing_row *best = NULL;
    for (size_t i = 0; i < rows->count; i++)
        if (best == NULL || is_stronger(&rows->items[i], best))
            best = &rows->items[i];
    return best != NULL && best->values[ACTIVE] != 0 ? SETTING_ON : SETTING_OFF;
}

enum greylisting_setting settings_find(struct postern_request *req, struct settings *settings,
                                       const struct options *options, const char **why)
{
    struct postern_names senders = sender_names(req, options);
    struct postern_names accounts =
        postern_address_names(req->arena, req->recipient, req->recipient_delimiters);
    struct postern_listing_rows rows;
    for (size_t i = 0; i < WHITELISTS; i++) {
        switch (postern_listing_match(req, settings->whitelists[i], accounts, senders, &req->client,
                                      &rows)) {
        case POSTERN_FAILED:
            return SETTING_FAILED;
        case POSTERN_FOUND:
            *why = rows.items[0].subject;
            return SETTING_WHITELISTED;
        case POSTERN_NOT_FOUND:
            break;
        }
    }
    if (postern_listing_match(req, settings->settings, accounts, senders, &req->client, &rows) ==
        POSTERN_FAILED)
        return SETTING_FAILED;
    return choose(&rows);
}
