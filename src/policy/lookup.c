/* The lookups of <postern/db.h> and <postern/network_list.h>: the database layer, told of a
 * request. */
#include "db/network_list.h"
#include "policy/request.h"
#include "util/memory.h"

#include <stdlib.h>

/* NULL, with the request failed, when a plugin asks for a database that does not exist. */
static struct db *database_of(struct postern_request *req, const char *name)
{
    struct db *db = databases_find(req->work->databases, name);
    if (db == NULL)
        postern_fail(req, "there is no database \"%s\"", name);
    return db;
}

static enum postern_lookup told(struct postern_request *req, enum postern_lookup result,
                                const struct postern_error *error)
{
    if (result == POSTERN_FAILED)
        postern_fail(req, "%s", error->text);
    return result;
}

enum postern_lookup postern_query(struct postern_request *req, const char *database,
                                  const struct postern_statement *statement,
                                  const struct postern_value *values, size_t count,
                                  struct postern_rows *rows)
{
    struct db *db = database_of(req, database);
    if (db == NULL)
        return POSTERN_FAILED;
    struct db_query query = {statement, values, count, req->arena, req->deadline};
    struct postern_error error;
    return told(req, db_query(db, &query, rows, &error), &error);
}

enum postern_lookup postern_query_cached(struct postern_request *req, const char *database,
                                         const struct postern_statement *statement,
                                         const struct postern_value *values, size_t count,
                                         struct postern_rows *rows)
{
    struct db *db = database_of(req, database);
    if (db == NULL)
        return POSTERN_FAILED;
    struct db_query query = {statement, values, count, req->arena, req->deadline};
    struct postern_error error;
    return told(req, db_query_cached(req->work->cache, db, &query, rows, &error), &error);
}

struct postern_network_list {
    const char *database;
    struct db_network_list *networks;
};

struct postern_network_list *postern_network_list_new(const char *database,
                                                      const struct postern_statement *statement)
{
    struct postern_network_list *list = memory_new(sizeof *list);
    list->database = database;
    list->networks = db_network_list_new(statement);
    return list;
}

void postern_network_list_free(struct postern_network_list *list)
{
    db_network_list_free(list->networks);
    free(list);
}

enum postern_lookup postern_network_list_match(struct postern_request *req,
                                               struct postern_network_list *list,
                                               const struct postern_ip *ip,
                                               struct postern_names *texts)
{
    struct db *db = database_of(req, list->database);
    if (db == NULL)
        return POSTERN_FAILED;
    struct postern_error error;
    enum postern_lookup result =
        db_network_list_match(list->networks, db, req->work->config->cache_ttl, req->deadline,
                              req->arena, ip, texts, &error);
    return told(req, result, &error);
}
