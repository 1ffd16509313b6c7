/*
 * Who has named their hosts badly, or well: lists of the names that clients' addresses have in
 * the DNS, and of the domains of such names.
 */
#include <postern/plugin.h>
#include <string.h>

#define NAME_LENGTH_MAX 253 /* of a name in the DNS */

struct options {
    bool discard;
};

enum { WB }; /* a row's value: whether it is a W */

static const struct postern_listing_table table = {
    .database = "iredapd",
#define COLUMNS                                                                                    \
    "SELECT id, '@.', rdns, CASE wb WHEN 'W' THEN 1 ELSE 0 END FROM wblist_rdns"                   \
    " WHERE wb IN ('W', 'B')"
    .page = {.sql = COLUMNS " AND id > ? ORDER BY id LIMIT ?"},
    .find = {.sql = COLUMNS " AND '@.' IN (?...) AND rdns IN (?...)"},
};

static bool init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)error;
    *state = postern_listing_new(&table);
    return true;
}

static void cleanup(void *state)
{
    postern_listing_free(state);
}

/* mx.a.example.com: itself, .mx.a.example.com, .a.example.com, .example.com, .com */
static struct postern_names candidates(struct postern_request *req)
{
    const char *name = req->reverse_client_name;
    size_t length = strlen(name), count = 1;
    const char **items = postern_alloc(req->arena, (length + 2) * sizeof *items);
    items[0] = name;
    for (const char *parent = name; parent != NULL;) {
        if (strlen(parent) <= NAME_LENGTH_MAX)
            items[count++] = postern_printf(req->arena, ".%s", parent);
        parent = strchr(parent, '.');
        parent = parent != NULL ? parent + 1 : NULL;
    }
    return (struct postern_names){count, items};
}

static const struct postern_listing_row *strongest(const struct postern_listing_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (rows->items[i].values[WB])
            return &rows->items[i];
    return &rows->items[0];
}

static void refuse(struct postern_request *req, const struct options *options)
{
    if (options->discard)
        postern_discard(req, "Policy discard");
    else
        postern_reject(req, "Blacklisted");
}

static void check(struct postern_request *req)
{
    const char *name = req->reverse_client_name;
    if (req->sasl_username[0] || req->client_is_trusted || !name[0] || strcmp(name, "unknown") == 0)
        return;
    struct postern_names everybody = {1, (const char *[]){"@."}};
    struct postern_ip none = {.family = POSTERN_NO_IP};
    struct postern_listing_rows rows;
    if (postern_listing_match(req, postern_state(req), everybody, candidates(req), &none, &rows) !=
        POSTERN_FOUND)
        return;
    const struct postern_listing_row *row = strongest(&rows);
    postern_reason(req, "%s of client names: %s", row->values[WB] ? "whitelist" : "blacklist",
                   row->subject);
    if (!row->values[WB])
        refuse(req, postern_options(req));
}

POSTERN_PLUGIN(wblist_rdns, .summary = "refuses clients whose name in the DNS is blacklisted",
               .priority = 99, .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options =
                   (const struct postern_option[]){
                       POSTERN_OPTION(BOOL, struct options, discard, "false",
                                      "accept mail of the blacklisted and throw it away"),
                       POSTERN_OPTIONS_END},
               .init = init, .check = check, .cleanup = cleanup);
