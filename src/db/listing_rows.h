/* What one reading of a listing's table has brought. */
#ifndef POSTERN_DB_LISTING_ROWS_H
#define POSTERN_DB_LISTING_ROWS_H

#include "db/network_table.h"
#include <postern/listing.h>

struct listing_account;
struct listing_entry;

struct listing_rows {
    struct postern_arena *arena;
    struct listing_account *accounts;
    struct listing_entry *entries;
    struct hash_filter filter; /* of entries */
    struct network_table networks;
    size_t count;
    bool whole; /* entries hold every row; otherwise only networks are there */
};

struct listing_rows *listing_rows_new(bool whole);
void listing_rows_free(struct listing_rows *rows); /* NULL is fine */

/* A row of the table: its key, which is so many columns, then account, subject, values. */
void listing_rows_add(struct listing_rows *rows, const struct postern_rows *page, size_t row,
                      size_t key);

/* All rows are added: makes matching faster. */
void listing_rows_finish(struct listing_rows *rows);

/* Copies those that match to the arena. */
void listing_rows_match(const struct listing_rows *rows, struct postern_names accounts,
                        struct postern_names subjects, struct postern_arena *arena,
                        struct postern_listing_rows *found);

/* The same row form from a page of a query. */
struct postern_listing_row listing_row_read(const struct postern_rows *page, size_t row, size_t key,
                                            struct postern_arena *arena);
void listing_rows_append(struct postern_listing_rows *list, struct postern_arena *arena,
                         struct postern_listing_row row);

#endif
