#include "greylisting.h"

#include <stdlib.h>
#include <string.h>

#define NETWORK_PAGE(table)                                                                        \
    {                                                                                              \
        .sql = "SELECT id, sender FROM " table " WHERE id > ? AND sender LIKE '%/%'"               \
               " ORDER BY id LIMIT ?"                                                              \
    }

/* Each table whose senders may be networks. */
static const struct postern_statement network_pages[] = {
    NETWORK_PAGE("greylisting"),
    NETWORK_PAGE("greylisting_whitelists"),
    NETWORK_PAGE("greylisting_whitelist_domain_spf"),
};

#define NETWORK_LISTS (sizeof network_pages / sizeof network_pages[0])

struct settings {
    struct postern_network_list *networks[NETWORK_LISTS];
};

struct settings *settings_new(void)
{
    struct settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        abort();
    for (size_t i = 0; i < NETWORK_LISTS; i++)
        settings->networks[i] = postern_network_list_new("iredapd", &network_pages[i]);
    return settings;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < NETWORK_LISTS; i++)
        postern_network_list_free(settings->networks[i]);
    free(settings);
}

/* Columns: 'W' or 'S', sender, priority, sender_priority, active. */
static const struct postern_statement find_configured = {
    .sql = "SELECT 'W', sender, 0, 0, 1 FROM greylisting_whitelists"
           " WHERE account IN (?...) AND sender IN (?...)"
           " UNION ALL"
           " SELECT 'W', sender, 0, 0, 1 FROM greylisting_whitelist_domain_spf"
           " WHERE account IN (?...) AND sender IN (?...)"
           " UNION ALL"
           " SELECT 'S', sender, priority, sender_priority, active FROM greylisting"
           " WHERE account IN (?...) AND sender IN (?...)"};

/* An address and, where it has an extension, the same without it. */
static struct postern_names address_names(struct postern_request *req, const char *address,
                                          const char *without_ext)
{
    struct postern_names names = postern_address_candidates(req->arena, without_ext);
    if (without_ext[0] == '\0' || strcmp(address, without_ext) == 0)
        return names;
    return postern_names_join(req->arena, postern_address_candidates(req->arena, address), names);
}

/* user@*, or nothing for an address that has no local part. */
static struct postern_names user_anywhere(struct postern_request *req)
{
    const char *at = strrchr(req->sender_without_ext, '@');
    if (at == NULL)
        return (struct postern_names){0};
    const char **item = postern_alloc(req->arena, sizeof *item);
    *item = postern_printf(req->arena, "%.*s@*", (int)(at - req->sender_without_ext),
                           req->sender_without_ext);
    return (struct postern_names){1, item};
}

/* S of the rules: the sender's names, the client's, and the networks that hold the client. */
static bool sender_names(struct postern_request *req, struct settings *settings,
                         const struct options *options, struct postern_names *names)
{
    *names = postern_names_join(
        req->arena, address_names(req, req->sender, req->sender_without_ext), user_anywhere(req));
    struct postern_names client =
        postern_ip_candidates(req->arena, &req->client, options->all_wildcards);
    *names = postern_names_join(req->arena, *names, client);
    for (size_t i = 0; i < NETWORK_LISTS; i++) {
        struct postern_names networks = {0};
        if (postern_network_list_match(req, settings->networks[i], &req->client, &networks) ==
            POSTERN_FAILED)
            return false;
        *names = postern_names_join(req->arena, *names, networks);
    }
    return true;
}

static bool is_stronger(const struct postern_rows *rows, size_t row, size_t than)
{
    int64_t priority = postern_row_integer(rows, row, 2);
    int64_t other = postern_row_integer(rows, than, 2);
    if (priority != other)
        return priority > other;
    return postern_row_integer(rows, row, 3) > postern_row_integer(rows, than, 3);
}

/* A whitelist row beats every setting; of the settings the one of highest priority counts. */
static enum greylisting_setting choose(const struct postern_rows *rows, const char **why)
{
    size_t best = rows->count;
    for (size_t row = 0; row < rows->count; row++) {
        if (postern_row_text(rows, row, 0)[0] == 'W') {
            *why = postern_row_text(rows, row, 1);
            return SETTING_WHITELISTED;
        }
        if (best == rows->count || is_stronger(rows, row, best))
            best = row;
    }
    if (best == rows->count || postern_row_integer(rows, best, 4) == 0)
        return SETTING_OFF;
    return SETTING_ON;
}

enum greylisting_setting settings_find(struct postern_request *req, struct settings *settings,
                                       const struct options *options, const char **why)
{
    struct postern_names senders;
    if (!sender_names(req, settings, options, &senders))
        return SETTING_FAILED;
    struct postern_value account =
        postern_texts(address_names(req, req->recipient, req->recipient_without_ext));
    struct postern_value sender = postern_texts(senders);
    struct postern_rows rows;
    enum postern_lookup result = postern_query_cached(
        req, "iredapd", &find_configured,
        POSTERN_VALUES(account, sender, account, sender, account, sender), &rows);
    if (result == POSTERN_FAILED)
        return SETTING_FAILED;
    if (result == POSTERN_NOT_FOUND)
        return SETTING_OFF;
    return choose(&rows, why);
}
