/* The lookups of <postern/db.h> and <postern/listing.h>: the database layer, told of a
 * request. */
#include "db/listing.h"
#include "policy/chain.h"
#include "policy/request.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/memory.h"

#include <math.h>
#include <stdlib.h>

#define OPTIONAL_TIMEOUT 1.0

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

/* cache: NULL to ask in any case. */
static enum postern_lookup ask(struct postern_request *req, const char *database,
                               const struct db_query *query, struct db_cache *cache,
                               struct postern_rows *rows)
{
    struct db *db = database_of(req, database);
    if (db == NULL)
        return POSTERN_FAILED;
    struct postern_error error;
    enum postern_lookup result = cache != NULL ? db_query_cached(cache, db, query, rows, &error)
                                               : db_query(db, query, rows, &error);
    return told(req, result, &error);
}

enum postern_lookup postern_query(struct postern_request *req, const char *database,
                                  const struct postern_statement *statement,
                                  const struct postern_value *values, size_t count,
                                  struct postern_rows *rows)
{
    struct db_query query = {statement, values, count, req->arena, req->deadline};
    return ask(req, database, &query, NULL, rows);
}

enum postern_lookup postern_query_cached(struct postern_request *req, const char *database,
                                         const struct postern_statement *statement,
                                         const struct postern_value *values, size_t count,
                                         struct postern_rows *rows)
{
    struct db_query query = {statement, values, count, req->arena, req->deadline};
    return ask(req, database, &query, req->work->cache, rows);
}

enum postern_lookup postern_query_optional(struct postern_request *req, const char *database,
                                           const struct postern_statement *statement,
                                           const struct postern_value *values, size_t count,
                                           struct postern_rows *rows)
{
    double deadline = fmin(req->deadline, fiber_now() + OPTIONAL_TIMEOUT);
    struct db_query query = {statement, values, count, req->arena, deadline};
    struct postern_error error = {.text = "there is no such database"};
    struct db *db = databases_find(req->work->databases, database);
    enum postern_lookup result = POSTERN_FAILED;
    if (db != NULL)
        result = db_query(db, &query, rows, &error);
    if (result == POSTERN_FAILED)
        log_warning("plugin %s: the mail goes on without a write: %s",
                    req->work->link->config->plugin->name, error.text);
    return result;
}

struct postern_listing {
    const struct postern_listing_table *table;
    struct listing *listing;
};

struct postern_listing *postern_listing_new(const struct postern_listing_table *table)
{
    struct postern_listing *listing = memory_new(sizeof *listing);
    listing->table = table;
    listing->listing = listing_new(table, POSTERN_LISTING_ROWS);
    return listing;
}

void postern_listing_free(struct postern_listing *listing)
{
    listing_free(listing->listing);
    free(listing);
}

enum postern_lookup
postern_listing_match(struct postern_request *req, struct postern_listing *listing,
                      struct postern_names accounts, struct postern_names subjects,
                      const struct postern_ip *ip, struct postern_listing_rows *rows)
{
    struct db *db = database_of(req, listing->table->database);
    if (db == NULL)
        return POSTERN_FAILED;
    struct listing_question question = {.accounts = accounts,
                                        .subjects = subjects,
                                        .ip = ip,
                                        .arena = req->arena,
                                        .deadline = req->deadline,
                                        .ttl = req->work->config->cache_ttl,
                                        .cache = req->work->cache};
    struct postern_error error;
    return told(req, listing_match(listing->listing, db, &question, rows, &error), &error);
}
