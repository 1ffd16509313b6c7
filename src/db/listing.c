#include "db/listing.h"

#include "db/listing_rows.h"
#include "runtime/fiber.h"
#include "util/arena.h"
#include "util/memory.h"
#include "util/names.h"

#include <stdlib.h>

#define PAGE_ROWS      1000
#define LOADING_SHARE  20    /* a reading is kept for so many times what it took */
#define EARLY          0.75  /* of its age limit, after which one match reads it anew */
#define EARLY_SECONDS  2.0   /* that this match may lose by it */
#define STAY_LARGE     600.0 /* seconds until a large table is tried whole again */
#define NETWORKS_LIMIT 1000000

struct listing {
    const struct postern_listing_table *table;
    size_t max_rows;
    struct listing_rows *rows; /* the last complete reading; never used when it is too old */
    double started, took;      /* of that reading */
    double large_until;
    double early_from; /* no early reading before */
    bool loading;
    struct fiber_cond loaded;
    uint64_t failures; /* readings that failed so far */
    struct postern_error error;
    bool late; /* the last one failed at its match's deadline */
};

struct listing *listing_new(const struct postern_listing_table *table, size_t max_rows)
{
    struct listing *listing = memory_new(sizeof *listing);
    listing->table = table;
    listing->max_rows = max_rows;
    return listing;
}

void listing_free(struct listing *listing)
{
    if (listing == NULL)
        return;
    listing_rows_free(listing->rows);
    free(listing);
}

/* --- reading the table --- */

struct key {
    int64_t first, second; /* second: of a pair */
};

static const struct key BEFORE_ALL = {-1, -1};

/* One reading: where it stands and what it has. */
struct reading {
    struct listing *listing;
    struct db *db;
    double deadline;
    struct listing_rows *rows;
    struct key last;
    bool more;
};

static size_t key_columns(const struct postern_listing_table *table)
{
    return table->pair ? 2 : 1;
}

static struct key key_read(const struct postern_rows *page, size_t row, size_t columns)
{
    return (struct key){postern_row_integer(page, row, 0),
                        columns == 2 ? postern_row_integer(page, row, 1) : 0};
}

static bool is_after(struct key key, struct key last)
{
    return key.first != last.first ? key.first > last.first : key.second > last.second;
}

static bool has_text(const struct postern_statement *statement)
{
    return statement->sql != NULL || statement->sqlite != NULL || statement->pgsql != NULL ||
           statement->mysql != NULL;
}

static bool is_too_large(const struct reading *reading)
{
    return reading->rows->whole && reading->rows->count > reading->listing->max_rows;
}

static bool take_page(struct reading *reading, const struct postern_rows *page, size_t columns,
                      struct postern_error *error)
{
    for (size_t i = 0; i < page->count; i++) {
        struct key key = key_read(page, i, columns);
        if (!is_after(key, reading->last))
            return postern_error_set(error, "database %s: rows are not in the order of their id",
                                     db_name(reading->db));
        reading->last = key;
        listing_rows_add(reading->rows, page, i, columns);
    }
    if (reading->rows->networks.count > NETWORKS_LIMIT)
        return postern_error_set(error, "database %s: a table has more than %d networks",
                                 db_name(reading->db), NETWORKS_LIMIT);
    return true;
}

/* Networks have a simple id also where the table's key is a pair. */
static bool read_page(struct reading *reading, struct postern_error *error)
{
    const struct postern_listing_table *table = reading->listing->table;
    bool whole = reading->rows->whole;
    size_t columns = whole ? key_columns(table) : 1;
    struct postern_value first = postern_integer(reading->last.first);
    struct postern_value wanted = postern_integer(PAGE_ROWS);
    struct postern_value pair[] = {first, first, postern_integer(reading->last.second), wanted};
    struct postern_value single[] = {first, wanted};
    struct postern_arena *arena = arena_new();
    struct db_query query = {whole ? &table->page : &table->networks, columns == 2 ? pair : single,
                             columns == 2 ? 4 : 2, arena, reading->deadline};
    struct postern_rows page;
    enum postern_lookup lookup = db_query(reading->db, &query, &page, error);
    reading->more = page.count >= PAGE_ROWS;
    bool good = lookup != POSTERN_FAILED && take_page(reading, &page, columns, error);
    arena_free(arena);
    return good;
}

static void begin(struct reading *reading, bool whole)
{
    reading->rows = listing_rows_new(whole);
    reading->last = BEFORE_ALL;
    reading->more = whole || has_text(&reading->listing->table->networks);
}

/* Begins again, for networks only, when the table turns out to be too large. */
static bool read_pages(struct reading *reading, struct postern_error *error)
{
    while (reading->more) {
        if (!read_page(reading, error))
            return false;
        if (is_too_large(reading)) {
            listing_rows_free(reading->rows);
            begin(reading, false);
            reading->listing->large_until = fiber_now() + STAY_LARGE;
        }
        if (reading->more)
            fiber_yield();
    }
    return true;
}

static void listing_load(struct listing *listing, struct db *db, double deadline)
{
    listing->loading = true;
    double started = fiber_now();
    struct reading reading = {.listing = listing, .db = db, .deadline = deadline};
    begin(&reading, started >= listing->large_until);
    if (read_pages(&reading, &listing->error)) {
        listing_rows_free(listing->rows);
        listing->rows = reading.rows;
        listing_rows_finish(listing->rows);
        listing->started = started;
        listing->took = fiber_now() - started;
    } else {
        listing_rows_free(reading.rows);
        listing->failures++;
        listing->late = fiber_now() >= deadline;
    }
    listing->loading = false;
    fiber_cond_broadcast(&listing->loaded);
}

/* --- keeping it fresh --- */

static double age_limit(const struct listing *listing, int64_t ttl)
{
    double least = listing->took * LOADING_SHARE;
    return least > (double)ttl ? least : (double)ttl;
}

/* With a ttl of 0 only a reading that began after the question is new enough. */
static bool is_fresh(const struct listing *listing, int64_t ttl, double asked)
{
    if (listing->rows == NULL)
        return false;
    if (ttl == 0)
        return listing->started >= asked;
    return fiber_now() - listing->started <= age_limit(listing, ttl);
}

static bool wait_for_load(struct listing *listing, double deadline, struct db *db,
                          struct postern_error *error)
{
    uint64_t failures = listing->failures;
    if (!fiber_cond_wait(&listing->loaded, deadline))
        return postern_error_set(error, "database %s: a list was not read by the deadline",
                                 db_name(db));
    if (listing->failures == failures || (listing->late && fiber_now() < deadline))
        return true;
    *error = listing->error;
    return false;
}

static bool listing_refresh(struct listing *listing, struct db *db, int64_t ttl, double deadline,
                            struct postern_error *error)
{
    double asked = fiber_now();
    while (!is_fresh(listing, ttl, asked)) {
        if (listing->loading) {
            if (!wait_for_load(listing, deadline, db, error))
                return false;
            continue;
        }
        uint64_t failures = listing->failures;
        listing_load(listing, db, deadline);
        if (listing->failures != failures) {
            *error = listing->error;
            return false;
        }
    }
    return true;
}

/* One match reads the table early; the others go on with what is there, which is fresh. */
static void listing_refresh_early(struct listing *listing, struct db *db, int64_t ttl,
                                  double deadline)
{
    double now = fiber_now();
    double due = listing->started + EARLY * age_limit(listing, ttl);
    if (ttl == 0 || listing->loading || now < due || now < listing->early_from)
        return;
    listing->early_from = now + 1;
    listing_load(listing, db, deadline < now + EARLY_SECONDS ? deadline : now + EARLY_SECONDS);
}

/* --- matching --- */

static enum postern_lookup match_by_query(struct listing *listing, struct db *db,
                                          const struct listing_question *question,
                                          struct postern_names subjects,
                                          struct postern_listing_rows *rows,
                                          struct postern_error *error)
{
    struct db_query query = {
        &listing->table->find,
        POSTERN_VALUES(postern_texts(question->accounts), postern_texts(subjects)), question->arena,
        question->deadline};
    struct postern_rows page;
    enum postern_lookup lookup = db_query_cached(question->cache, db, &query, &page, error);
    for (size_t i = 0; i < page.count; i++)
        listing_rows_append(
            rows, question->arena,
            listing_row_read(&page, i, key_columns(listing->table), question->arena));
    return lookup;
}

enum postern_lookup listing_match(struct listing *listing, struct db *db,
                                  const struct listing_question *question,
                                  struct postern_listing_rows *rows, struct postern_error *error)
{
    *rows = (struct postern_listing_rows){0};
    if (!listing_refresh(listing, db, question->ttl, question->deadline, error))
        return POSTERN_FAILED;
    listing_refresh_early(listing, db, question->ttl, question->deadline);
    struct postern_names networks = {0};
    network_table_match(&listing->rows->networks, question->ip, question->arena, &networks);
    struct postern_names subjects =
        postern_names_join(question->arena, question->subjects, networks);
    if (!listing->rows->whole)
        return match_by_query(listing, db, question, subjects, rows, error);
    listing_rows_match(listing->rows, question->accounts, subjects, question->arena, rows);
    return rows->count > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND;
}
