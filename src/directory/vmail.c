#include "directory/vmail.h"

/* An alias domain is hosted as its target is. What is a domain of its own is that first. */
static const struct postern_statement DOMAIN = {
    .sql = "SELECT 0 AS is_alias, backupmx, '' AS target FROM domain "
           "WHERE domain = ? AND active = 1 "
           "UNION ALL SELECT 1 AS is_alias, domain.backupmx, domain.domain AS target "
           "FROM alias_domain INNER JOIN domain ON domain.domain = alias_domain.target_domain "
           "WHERE alias_domain.alias_domain = ? AND alias_domain.active = 1 "
           "AND domain.active = 1 ORDER BY 1 LIMIT 1"};

enum { IS_ALIAS, BACKUP_MX, TARGET };

static struct postern_domain domain_of(const struct postern_rows *rows)
{
    struct postern_domain domain = {.kind = POSTERN_DOMAIN_LOCAL, .target = ""};
    if (postern_row_integer(rows, 0, BACKUP_MX) != 0) {
        domain.kind = POSTERN_DOMAIN_BACKUP_MX;
    } else if (postern_row_integer(rows, 0, IS_ALIAS) != 0) {
        domain.kind = POSTERN_DOMAIN_ALIAS;
        domain.target = postern_row_text(rows, 0, TARGET);
    }
    return domain;
}

static enum postern_lookup ask(const struct directory *directory, const struct db_query *query,
                               struct postern_rows *rows, struct postern_error *error)
{
    struct db *db = databases_find(directory->databases, "vmail");
    if (directory->cache == NULL)
        return db_query(db, query, rows, error);
    return db_query_cached(directory->cache, db, query, rows, error);
}

enum postern_lookup vmail_domain(const struct directory *directory, const char *domain,
                                 struct postern_arena *arena, double deadline,
                                 struct postern_domain *found, struct postern_error *error)
{
    const struct database_config *config = config_database(directory->config, "vmail");
    if (config == NULL || !config->configured)
        return POSTERN_NOT_FOUND;
    const struct postern_value values[] = {postern_text(domain), postern_text(domain)};
    struct db_query query = {&DOMAIN, values, sizeof values / sizeof values[0], arena, deadline};
    struct postern_rows rows;
    struct postern_error cause;
    enum postern_lookup lookup = ask(directory, &query, &rows, &cause);
    if (lookup == POSTERN_FOUND)
        *found = domain_of(&rows);
    if (lookup == POSTERN_FAILED)
        postern_error_set(error, "cannot tell whether mail for %.100s is received here: %s", domain,
                          cause.text);
    return lookup;
}
