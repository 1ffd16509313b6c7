/* Networks by what they are called in a table, found by an address that they hold. */
#ifndef POSTERN_DB_NETWORK_TABLE_H
#define POSTERN_DB_NETWORK_TABLE_H

#include "db/hash_filter.h"
#include <postern/address.h>
#include <postern/network.h>

struct network_item;

/* A zeroed structure is an empty table; its items live in the arena given to add. */
struct network_table {
    struct network_item *items;
    size_t count;
    bool prefixes[2][129]; /* those that occur, by family */
    struct hash_filter filter;
};

/* Nothing happens when text is not a network; text must live as long as the table. */
void network_table_add(struct network_table *table, struct postern_arena *arena, const char *text);

/* All are added: makes matching faster. */
void network_table_finish(struct network_table *table);

/* Adds the texts of all networks that hold ip to names, longest prefix first. */
void network_table_match(const struct network_table *table, const struct postern_ip *ip,
                         struct postern_arena *arena, struct postern_names *names);

/* Gives back what is not in the arena. */
void network_table_clear(struct network_table *table);

#endif
