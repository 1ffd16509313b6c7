#include "dns/whitelisted_domain.h"

#include "util/arena.h"
#include "util/buffer.h"
#include "util/json.h"
#include "util/names.h"

#include <string.h>

#define COMMENT "AUTO-UPDATE: "
#define PAGE    500 /* domains */

/* --- the steps of a transaction, and their values --- */

static const struct postern_statement LOCK = {
    .sql = "SELECT name FROM postern_leases WHERE name = 'whitelisted domains' FOR UPDATE",
    .sqlite = "SELECT 1"}; /* has begun with a lock of the whole file */

/* domain */
static const struct postern_statement FORGET_DOMAIN = {
    .sql = "DELETE FROM greylisting_whitelist_domains WHERE domain = ?", .repeatable = true};

/* domain, networks */
static const struct postern_statement GIVE_UP_NETWORKS = {
    .sqlite = "DELETE FROM greylisting_whitelist_domain_networks WHERE domain = ?"
              " AND network NOT IN (SELECT value FROM json_each(?))",
    .pgsql = "DELETE FROM greylisting_whitelist_domain_networks WHERE domain = ?"
             " AND network NOT IN (SELECT json_array_elements_text(CAST(? AS json)))",
    .mysql = "DELETE FROM greylisting_whitelist_domain_networks WHERE domain = ?"
             " AND network NOT IN (SELECT item.network FROM JSON_TABLE(?, '$[*]' COLUMNS"
             "  (network VARCHAR(50) CHARACTER SET utf8mb4 PATH '$')) AS item)",
    .repeatable = true};

/* networks, domain */
static const struct postern_statement ADD_NETWORKS = {
    .sqlite = "INSERT INTO greylisting_whitelist_domain_networks (domain, network)"
              " SELECT whitelisted.domain, item.value"
              " FROM greylisting_whitelist_domains AS whitelisted, json_each(?) AS item"
              " WHERE whitelisted.domain = ? ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO greylisting_whitelist_domain_networks (domain, network)"
             " SELECT whitelisted.domain, item.network"
             " FROM greylisting_whitelist_domains AS whitelisted"
             " CROSS JOIN json_array_elements_text(CAST(? AS json)) AS item (network)"
             " WHERE whitelisted.domain = ? ON CONFLICT DO NOTHING",
    .mysql = "INSERT INTO greylisting_whitelist_domain_networks (domain, network)"
             " SELECT whitelisted.domain, item.network"
             " FROM greylisting_whitelist_domains AS whitelisted, JSON_TABLE(?, '$[*]' COLUMNS"
             "  (network VARCHAR(50) CHARACTER SET utf8mb4 PATH '$')) AS item"
             " WHERE whitelisted.domain = ? AND NOT EXISTS"
             "  (SELECT 1 FROM greylisting_whitelist_domain_networks AS present"
             "   WHERE present.domain = whitelisted.domain AND present.network = item.network)",
    .repeatable = true};

#define OF_ANOTHER                                                                                 \
    "FROM greylisting_whitelist_domain_networks AS other"                                          \
    " WHERE other.network = greylisting_whitelist_domain_spf.sender"
#define GIVEN_UP                                                                                   \
    "account = '@.' AND comment = ? AND NOT EXISTS"                                                \
    " (SELECT 1 FROM greylisting_whitelist_domain_networks AS own WHERE own.domain = ?"            \
    "  AND own.network = greylisting_whitelist_domain_spf.sender)"

/* comment, domain */
static const struct postern_statement HAND_ON_ROWS = {
    .sql = "UPDATE greylisting_whitelist_domain_spf SET comment ="
           " (SELECT '" COMMENT "' || MIN(other.domain) " OF_ANOTHER ")"
           " WHERE " GIVEN_UP " AND EXISTS (SELECT 1 " OF_ANOTHER ")",
    .mysql = "UPDATE greylisting_whitelist_domain_spf SET comment ="
             " (SELECT CONCAT('" COMMENT "', MIN(other.domain)) " OF_ANOTHER ")"
             " WHERE " GIVEN_UP " AND EXISTS (SELECT 1 " OF_ANOTHER ")",
    .repeatable = true};

/* comment, domain */
static const struct postern_statement DELETE_ROWS = {
    .sql = "DELETE FROM greylisting_whitelist_domain_spf WHERE " GIVEN_UP, .repeatable = true};

#define ADD_MISSING(comment)                                                                       \
    "INSERT INTO greylisting_whitelist_domain_spf (account, sender, comment)"                      \
    " SELECT '@.', own.network, " comment                                                          \
    " FROM greylisting_whitelist_domain_networks AS own WHERE own.domain = ? AND NOT EXISTS"       \
    "  (SELECT 1 FROM greylisting_whitelist_domain_spf AS present"                                 \
    "   WHERE present.account = '@.' AND present.sender = own.network)"

/* domain; one whom an admin overtakes leaves the admin's row alone */
static const struct postern_statement ADD_ROWS = {
    .sql = ADD_MISSING("'" COMMENT "' || own.domain") " ON CONFLICT DO NOTHING",
    .mysql =
        ADD_MISSING("CONCAT('" COMMENT "', own.domain)") " ON DUPLICATE KEY UPDATE "
                                                         "greylisting_whitelist_domain_spf.id = "
                                                         "greylisting_whitelist_domain_spf.id",
    .repeatable = true};

/* What stands for the values of a step: d domain, n networks, c comment. */
static const struct step {
    const struct postern_statement *statement;
    const char *values;
} steps[] = {
    {&LOCK, ""},           {&FORGET_DOMAIN, "d"}, {&GIVE_UP_NETWORKS, "dn"}, {&ADD_NETWORKS, "nd"},
    {&HAND_ON_ROWS, "cd"}, {&DELETE_ROWS, "cd"},  {&ADD_ROWS, "d"},
};
enum { STEP_FORGET = 1, STEP_DELETE = 5, STEP_ADD = 6, STEPS = sizeof steps / sizeof steps[0] };

/* --- domains --- */

static const struct postern_statement NEXT = {
    .sql = "SELECT domain FROM greylisting_whitelist_domains WHERE domain > ?"
           " ORDER BY domain LIMIT ?"};

static const struct postern_statement GONE = {
    .sql = "SELECT gone.domain FROM"
           " (SELECT domain FROM greylisting_whitelist_domain_networks"
           "  UNION SELECT SUBSTR(comment, 14) FROM greylisting_whitelist_domain_spf"
           "   WHERE account = '@.' AND comment LIKE '" COMMENT "%') AS gone"
           " WHERE gone.domain > ? AND gone.domain NOT IN"
           "  (SELECT domain FROM greylisting_whitelist_domains)"
           " ORDER BY gone.domain LIMIT ?"};

/* --- asking --- */

/* A single address without its prefix, as lists have it. */
static const char *network_text(const struct postern_network *network, char *text)
{
    bool is_address = network->prefix == (network->address.family == POSTERN_IPV4 ? 32 : 128);
    return is_address ? postern_ip_text(&network->address, text)
                      : postern_network_text(network, text);
}

static struct postern_value networks_value(struct postern_arena *arena,
                                           const struct spf_networks *networks)
{
    char text[POSTERN_NETWORK_TEXT];
    struct buffer list = {0};
    struct json json = json_on(&list);
    json_array(&json);
    for (size_t i = 0; i < networks->count; i++)
        json_string(&json, network_text(&networks->items[i], text));
    json_array_end(&json);
    struct postern_value value = postern_text(postern_strdup(arena, list.data));
    buffer_free(&list);
    return value;
}

struct given {
    struct postern_value domain, networks, comment;
};

static const struct postern_value *values_of(struct postern_arena *arena, const struct step *step,
                                             const struct given *given)
{
    size_t count = strlen(step->values);
    struct postern_value *values = postern_alloc(arena, (count + 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = step->values[i] == 'd'   ? given->domain
                    : step->values[i] == 'n' ? given->networks
                                             : given->comment;
    return values;
}

/* rows has room for all steps; one that is left out asks what the first does. */
static bool run(struct db *db, struct postern_arena *arena, const char *domain,
                const struct spf_networks *networks, bool forget, double deadline,
                struct postern_rows *rows, struct postern_error *error)
{
    struct db_query queries[STEPS];
    struct given given = {.domain = postern_text(domain),
                          .networks = networks_value(arena, networks),
                          .comment = postern_text(postern_printf(arena, COMMENT "%s", domain))};
    for (int i = 0; i < STEPS; i++) {
        const struct step *step = &steps[i == STEP_FORGET && !forget ? 0 : i];
        queries[i] = (struct db_query){.statement = step->statement,
                                       .values = values_of(arena, step, &given),
                                       .count = strlen(step->values),
                                       .arena = arena,
                                       .deadline = deadline};
    }
    return db_transaction(db, queries, STEPS, rows, error);
}

static bool change_domain(struct db *db, const char *domain, const struct spf_networks *networks,
                          bool forget, double deadline, struct whitelisted_change *change,
                          bool *forgotten, struct postern_error *error)
{
    struct postern_rows rows[STEPS];
    struct postern_arena *arena = arena_new();
    bool done = run(db, arena, domain, networks, forget, deadline, rows, error);
    *change = (struct whitelisted_change){rows[STEP_ADD].changed, rows[STEP_DELETE].changed};
    *forgotten = rows[STEP_FORGET].changed > 0;
    arena_free(arena);
    return done;
}

bool whitelisted_domain_replace(struct db *db, const char *domain,
                                const struct spf_networks *networks, double deadline,
                                struct whitelisted_change *change, struct postern_error *error)
{
    bool forgotten;
    return change_domain(db, domain, networks, false, deadline, change, &forgotten, error);
}

static const struct spf_networks no_networks = {.result = SPF_NETWORKS_NONE};

bool whitelisted_domain_clear(struct db *db, const char *domain, double deadline,
                              struct whitelisted_change *change, struct postern_error *error)
{
    return whitelisted_domain_replace(db, domain, &no_networks, deadline, change, error);
}

enum postern_lookup whitelisted_domain_remove(struct db *db, const char *domain, double deadline,
                                              struct whitelisted_change *change,
                                              struct postern_error *error)
{
    bool forgotten;
    if (!change_domain(db, domain, &no_networks, true, deadline, change, &forgotten, error))
        return POSTERN_FAILED;
    return forgotten ? POSTERN_FOUND : POSTERN_NOT_FOUND;
}

static bool list(struct db *db, const struct postern_statement *statement, const char *after,
                 struct postern_arena *arena, double deadline, struct postern_names *domains,
                 struct postern_error *error)
{
    struct postern_value values[] = {postern_text(after), postern_integer(PAGE)};
    struct postern_rows rows;
    struct db_query query = {
        .statement = statement, .values = values, .count = 2, .arena = arena, .deadline = deadline};
    *domains = (struct postern_names){0};
    if (db_query(db, &query, &rows, error) == POSTERN_FAILED)
        return false;
    for (size_t i = 0; i < rows.count; i++)
        names_add(arena, domains, postern_row_text(&rows, i, 0));
    return true;
}

bool whitelisted_domains_next(struct db *db, const char *after, struct postern_arena *arena,
                              double deadline, struct postern_names *domains,
                              struct postern_error *error)
{
    return list(db, &NEXT, after, arena, deadline, domains, error);
}

bool whitelisted_domains_gone(struct db *db, const char *after, struct postern_arena *arena,
                              double deadline, struct postern_names *domains,
                              struct postern_error *error)
{
    return list(db, &GONE, after, arena, deadline, domains, error);
}
