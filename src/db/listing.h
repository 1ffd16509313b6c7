/*
 * <postern/listing.h> without requests: the wrapper in src/policy/ takes database, cache,
 * cache_ttl, deadline and arena from the request.
 */
#ifndef POSTERN_DB_LISTING_H
#define POSTERN_DB_LISTING_H

#include "db/db.h"
#include <postern/listing.h>

struct listing;

/* Tables of more than max_rows rows are not kept whole. The table must outlive the listing. */
struct listing *listing_new(const struct postern_listing_table *table, size_t max_rows);
void listing_free(struct listing *listing); /* no match may be under way */

struct listing_question {
    struct postern_names accounts, subjects;
    const struct postern_ip *ip;
    struct postern_arena *arena; /* for the answer */
    double deadline;
    int64_t ttl;            /* seconds; 0 reads the table anew for each match */
    struct db_cache *cache; /* for the rows of a table that is not kept whole */
};

/*
 * Reads the table when what is in memory is older than ttl seconds, or than 20 times what
 * reading took, so that reading takes little of the time however large the table is. At three
 * quarters of that age one match reads it anew while the others go on, so that they seldom wait.
 * Matches that need the same load share it.
 */
enum postern_lookup listing_match(struct listing *listing, struct db *db,
                                  const struct listing_question *question,
                                  struct postern_listing_rows *rows, struct postern_error *error);

#endif
