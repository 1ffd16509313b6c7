/*
 * What a logical database must have to be of any use is what iRedAPD (iRedMail, amavisd) has made
 * as well: that is how the daemon runs on their tables before they are migrated. A plugin that
 * needs more asks for a version.
 */
#include "db/schema_tables.h"

#include "util/arena.h"
#include <stdio.h>
#include <string.h>

#define NEEDED_MAX 5

/* What an upsert meets is a unique key of exactly these columns, which are in order of name. */
struct needed_key {
    const char *table, *columns;
};

static const struct needed {
    const char *database;
    const char *tables[NEEDED_MAX];
    struct needed_key keys[NEEDED_MAX];
} needs[] = {
    {"iredapd",
     {"greylisting", "greylisting_tracking", "greylisting_whitelists",
      "greylisting_whitelist_domain_spf"},
     {{"greylisting_tracking", "client_address,recipient,sender"},
      {"greylisting", "account,sender"},
      {"greylisting_whitelists", "account,sender"}}},
    {"vmail", {"domain", "alias_domain", "mailbox"}, {{0}}},
    {"amavisd", {"users", "mailaddr", "wblist", "outbound_wblist"}, {{0}}},
};

static const struct postern_statement tables_present = {
    .sqlite = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN (?...)",
    .pgsql = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'f')"
             " AND pg_table_is_visible(oid) AND relname::text IN (?...)",
    .mysql = "SELECT table_name FROM information_schema.tables"
             " WHERE table_schema = DATABASE() AND table_name IN (?...)"};

static const struct postern_statement key_present = {
    .sqlite = "SELECT 1 FROM pragma_index_list(?) AS list WHERE list.\"unique\" = 1 AND"
              " (SELECT group_concat(name, ',') FROM"
              "  (SELECT name FROM pragma_index_info(list.name) ORDER BY name)) = ?",
    .pgsql = "SELECT 1 FROM pg_index WHERE indrelid = to_regclass(?::text)"
             " AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL"
             " AND (SELECT string_agg(attname::text, ',' ORDER BY attname) FROM pg_attribute"
             "      WHERE attrelid = indrelid AND attnum = ANY (indkey)) = ?",
    .mysql = "SELECT 1 FROM information_schema.statistics"
             " WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0"
             " GROUP BY index_name"
             " HAVING GROUP_CONCAT(column_name ORDER BY column_name) = ?"};

static const struct postern_statement newest_applied = {
    .sql = "SELECT COALESCE(MAX(version), 0) FROM postern_schema WHERE name = ?"};

struct search {
    struct db *db;
    const struct needed *needed;
    struct db_query query; /* its arena and deadline are for all */
    struct postern_rows rows;
    struct schema_found *found;
    struct postern_error *error;
};

static enum postern_lookup ask(struct search *search, const struct postern_statement *statement,
                               const struct postern_value *values, size_t count)
{
    search->query.statement = statement;
    search->query.values = values;
    search->query.count = count;
    return db_query(search->db, &search->query, &search->rows, search->error);
}

static const struct needed *needed_of(const char *database)
{
    size_t i = 0;
    while (strcmp(needs[i].database, database) != 0)
        i++;
    return &needs[i];
}

static bool is_listed(const struct postern_rows *rows, const char *table)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(postern_row_text(rows, i, 0), table) == 0)
            return true;
    return false;
}

static void lack(struct schema_found *found, const char *format, const char *what, const char *more)
{
    if (found->lacking[0] == '\0')
        snprintf(found->lacking, sizeof found->lacking, format, what, more);
}

/* *versioned: there is a postern_schema. */
static bool find_tables(struct search *search, bool *versioned)
{
    const char *names[NEEDED_MAX + 1] = {"postern_schema"};
    size_t count = 1;
    while (search->needed->tables[count - 1] != NULL) {
        names[count] = search->needed->tables[count - 1];
        count++;
    }
    struct postern_value list = postern_texts((struct postern_names){count, names});
    if (ask(search, &tables_present, &list, 1) == POSTERN_FAILED)
        return false;
    *versioned = is_listed(&search->rows, names[0]);
    search->found->any = search->rows.count > *versioned;
    for (size_t i = 1; i < count; i++)
        if (!is_listed(&search->rows, names[i]))
            lack(search->found, "table %s%s", names[i], "");
    return true;
}

static bool find_keys(struct search *search)
{
    for (const struct needed_key *key = search->needed->keys; key->table != NULL; key++) {
        enum postern_lookup lookup =
            ask(search, &key_present,
                POSTERN_VALUES(postern_text(key->table), postern_text(key->columns)));
        if (lookup == POSTERN_FAILED)
            return false;
        if (lookup == POSTERN_NOT_FOUND)
            lack(search->found, "a unique key of %s (%s)", key->table, key->columns);
    }
    return true;
}

static bool find_version(struct search *search)
{
    if (ask(search, &newest_applied, POSTERN_VALUES(postern_text(search->needed->database))) !=
        POSTERN_FOUND)
        return false;
    search->found->version = (int)postern_row_integer(&search->rows, 0, 0);
    return true;
}

bool schema_find(struct db *db, double deadline, struct schema_found *found,
                 struct postern_error *error)
{
    bool versioned = false;
    struct search search = {
        .db = db, .needed = needed_of(db_name(db)), .found = found, .error = error};
    *found = (struct schema_found){0};
    search.query.arena = arena_new();
    search.query.deadline = deadline;
    bool good = find_tables(&search, &versioned) && (!versioned || find_version(&search)) &&
                (!found->any || find_keys(&search));
    arena_free(search.query.arena);
    return good;
}
