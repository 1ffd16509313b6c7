#include "db/listing_rows.h"

#include "util/arena.h"
#include "util/memory.h"

#include <stdlib.h>
#include <string.h>
#define HASH_FUNCTION(key, length, hash) ((hash) = hash_bytes(key, length))
#include <uthash.h>

struct listing_account {
    UT_hash_handle hh;
    char name[];
};

/* All rows with the same account and subject stand under one key, "account NUL subject". */
struct listing_entry {
    UT_hash_handle hh;
    struct listing_entry *same;
    struct postern_listing_row row;
    size_t values;
    char key[];
};

struct listing_rows *listing_rows_new(bool whole)
{
    struct listing_rows *rows = memory_new(sizeof *rows);
    rows->arena = arena_new();
    rows->whole = whole;
    return rows;
}

void listing_rows_free(struct listing_rows *rows)
{
    if (rows == NULL)
        return;
    network_table_clear(&rows->networks);
    HASH_CLEAR(hh, rows->accounts);
    HASH_CLEAR(hh, rows->entries);
    hash_filter_clear(&rows->filter);
    arena_free(rows->arena);
    free(rows);
}

/* They follow the key, the account and the subject. */
static size_t count_values(const struct postern_rows *page, size_t key)
{
    return page->columns > key + 2 ? page->columns - key - 2 : 0;
}

struct postern_listing_row listing_row_read(const struct postern_rows *page, size_t row, size_t key,
                                            struct postern_arena *arena)
{
    size_t values = count_values(page, key);
    int64_t *copy = postern_alloc(arena, (values + 1) * sizeof *copy);
    for (size_t i = 0; i < values; i++)
        copy[i] = postern_row_integer(page, row, key + 2 + i);
    return (struct postern_listing_row){
        .account = postern_strdup(arena, postern_row_text(page, row, key)),
        .subject = postern_strdup(arena, postern_row_text(page, row, key + 1)),
        .values = copy};
}

static void add_account(struct listing_rows *rows, const char *name)
{
    struct listing_account *account;
    size_t length = strlen(name);
    HASH_FIND(hh, rows->accounts, name, length, account);
    if (account != NULL)
        return;
    account = postern_alloc(rows->arena, sizeof *account + length + 1);
    memcpy(account->name, name, length + 1);
    HASH_ADD_KEYPTR(hh, rows->accounts, account->name, length, account);
}

static size_t make_key(char *key, const char *account, const char *subject)
{
    size_t account_length = strlen(account), subject_length = strlen(subject);
    memcpy(key, account, account_length + 1);
    memcpy(key + account_length + 1, subject, subject_length);
    return account_length + 1 + subject_length;
}

static unsigned hash_of(const char *key, size_t length)
{
    unsigned hash;
    HASH_VALUE(key, length, hash);
    return hash;
}

static struct listing_entry *entry_find(const struct listing_rows *rows, const char *key,
                                        size_t length, unsigned hash)
{
    struct listing_entry *entry = NULL;
    if (hash_filter_passes(&rows->filter, hash))
        HASH_FIND_BYHASHVALUE(hh, rows->entries, key, length, hash, entry);
    return entry;
}

static void add_entry(struct listing_rows *rows, struct postern_listing_row row, size_t values)
{
    struct listing_entry *entry = postern_alloc(rows->arena, sizeof *entry + strlen(row.account) +
                                                                 1 + strlen(row.subject) + 1);
    entry->row = row;
    entry->values = values;
    size_t length = make_key(entry->key, row.account, row.subject);
    unsigned hash = hash_of(entry->key, length);
    struct listing_entry *first = entry_find(rows, entry->key, length, hash);
    if (first != NULL) {
        entry->same = first->same;
        first->same = entry;
        return;
    }
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, rows->entries, entry->key, length, hash, entry);
}

void listing_rows_add(struct listing_rows *rows, const struct postern_rows *page, size_t index,
                      size_t key)
{
    struct postern_listing_row row = listing_row_read(page, index, key, rows->arena);
    rows->count++;
    if (strpbrk(row.subject, "/*") != NULL)
        network_table_add(&rows->networks, rows->arena, row.subject);
    if (!rows->whole)
        return;
    add_account(rows, row.account);
    add_entry(rows, row, count_values(page, key));
}

void listing_rows_finish(struct listing_rows *rows)
{
    network_table_finish(&rows->networks);
    hash_filter_make(&rows->filter, HASH_COUNT(rows->entries));
    for (const struct listing_entry *entry = rows->entries; entry != NULL; entry = entry->hh.next)
        hash_filter_add(&rows->filter, entry->hh.hashv);
}

void listing_rows_append(struct postern_listing_rows *list, struct postern_arena *arena,
                         struct postern_listing_row row)
{
    bool is_full = list->count == 0 || (list->count >= 8 && (list->count & (list->count - 1)) == 0);
    if (is_full) {
        size_t room = list->count == 0 ? 8 : list->count * 2;
        struct postern_listing_row *larger = postern_alloc(arena, room * sizeof *larger);
        if (list->count > 0)
            memcpy(larger, list->items, list->count * sizeof *larger);
        list->items = larger;
    }
    list->items[list->count++] = row;
}

/* The reading may be replaced while the request goes on, so what it has found is its own. */
static struct postern_listing_row entry_copy(const struct listing_entry *entry,
                                             struct postern_arena *arena)
{
    int64_t *values = postern_alloc(arena, (entry->values + 1) * sizeof *values);
    memcpy(values, entry->row.values, entry->values * sizeof *values);
    return (struct postern_listing_row){.account = postern_strdup(arena, entry->row.account),
                                        .subject = postern_strdup(arena, entry->row.subject),
                                        .values = values};
}

static bool knows_account(const struct listing_rows *rows, const char *name)
{
    struct listing_account *account;
    HASH_FIND(hh, rows->accounts, name, strlen(name), account);
    return account != NULL;
}

static size_t longest(struct postern_names names)
{
    size_t longest = 0;
    for (size_t i = 0; i < names.count; i++) {
        size_t length = strlen(names.items[i]);
        if (length > longest)
            longest = length;
    }
    return longest;
}

void listing_rows_match(const struct listing_rows *rows, struct postern_names accounts,
                        struct postern_names subjects, struct postern_arena *arena,
                        struct postern_listing_rows *found)
{
    if (rows->entries == NULL)
        return;
    char *key = postern_alloc(arena, longest(accounts) + longest(subjects) + 2);
    for (size_t a = 0; a < accounts.count; a++) {
        if (!knows_account(rows, accounts.items[a]))
            continue;
        for (size_t s = 0; s < subjects.count; s++) {
            size_t length = make_key(key, accounts.items[a], subjects.items[s]);
            const struct listing_entry *entry = entry_find(rows, key, length, hash_of(key, length));
            for (; entry != NULL; entry = entry->same)
                listing_rows_append(found, arena, entry_copy(entry, arena));
        }
    }
}
