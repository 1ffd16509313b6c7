#include "db/network_list.h"

#include "runtime/fiber.h"
#include "util/arena.h"
#include "util/memory.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PAGE_ROWS     1000
#define LOADING_SHARE 20 /* a load is kept for so many times what it took */
#define PREFIXES      129

struct key {
    uint8_t family, prefix;
    uint8_t bytes[16];
};

struct item {
    UT_hash_handle hh;
    struct key key;
    struct item *same; /* the next row of this network */
    const char *text;
};

/* All that one load has read; the items live in the arena. */
struct networks {
    struct postern_arena *arena;
    struct item *table;
    size_t count;
    bool prefixes[2][PREFIXES]; /* those that occur, by family */
};

struct db_network_list {
    const struct postern_statement *statement;
    struct networks *networks; /* the last complete load; never used when it is too old */
    double started, took;      /* of that load */
    bool loading;
    struct fiber_cond loaded;
    uint64_t failures; /* loads that failed so far */
    struct postern_error error;
    bool late; /* the last one failed at its match's deadline */
};

struct db_network_list *db_network_list_new(const struct postern_statement *statement)
{
    struct db_network_list *list = memory_new(sizeof *list);
    list->statement = statement;
    return list;
}

static void networks_free(struct networks *networks)
{
    if (networks == NULL)
        return;
    HASH_CLEAR(hh, networks->table);
    arena_free(networks->arena);
    free(networks);
}

void db_network_list_free(struct db_network_list *list)
{
    if (list == NULL)
        return;
    networks_free(list->networks);
    free(list);
}

/* --- loading --- */

static struct key key_of(const struct postern_network *network)
{
    struct key key = {.family = (uint8_t)network->address.family,
                      .prefix = (uint8_t)network->prefix};
    memcpy(key.bytes, network->address.bytes, sizeof key.bytes);
    return key;
}

static bool *prefixes_of(struct networks *networks, enum postern_family family)
{
    return networks->prefixes[family == POSTERN_IPV6];
}

static void networks_add(struct networks *networks, const char *text)
{
    struct postern_network network;
    if (!postern_network_parse(text, &network))
        return;
    struct item *item = postern_alloc(networks->arena, sizeof *item), *first;
    item->key = key_of(&network);
    item->text = postern_strdup(networks->arena, text);
    networks->count++;
    HASH_FIND(hh, networks->table, &item->key, sizeof item->key, first);
    if (first != NULL) {
        item->same = first->same;
        first->same = item;
        return;
    }
    HASH_ADD(hh, networks->table, key, sizeof item->key, item);
    prefixes_of(networks, network.address.family)[network.prefix] = true;
}

static bool page_read(struct networks *networks, const struct postern_rows *rows, int64_t *last,
                      struct db *db, struct postern_error *error)
{
    for (size_t i = 0; i < rows->count; i++) {
        int64_t id = postern_row_integer(rows, i, 0);
        if (id <= *last)
            return postern_error_set(
                error, "database %s: networks are not in the order of their id", db_name(db));
        *last = id;
        networks_add(networks, postern_row_text(rows, i, 1));
    }
    if (networks->count > NETWORK_LIST_MAX)
        return postern_error_set(error, "database %s: a table has more than %d networks",
                                 db_name(db), NETWORK_LIST_MAX);
    return true;
}

/* False when it failed; *more says whether there may be another page. */
static bool page_load(const struct db_network_list *list, struct networks *networks, struct db *db,
                      double deadline, int64_t *last, bool *more, struct postern_error *error)
{
    struct postern_arena *arena = arena_new();
    struct db_query query = {list->statement,
                             POSTERN_VALUES(postern_integer(*last), postern_integer(PAGE_ROWS)),
                             arena, deadline};
    struct postern_rows rows;
    enum postern_lookup lookup = db_query(db, &query, &rows, error);
    *more = rows.count >= PAGE_ROWS;
    bool good = lookup != POSTERN_FAILED && page_read(networks, &rows, last, db, error);
    arena_free(arena);
    return good;
}

static struct networks *networks_load(const struct db_network_list *list, struct db *db,
                                      double deadline, struct postern_error *error)
{
    struct networks *networks = memory_new(sizeof *networks);
    networks->arena = arena_new();
    int64_t last = -1;
    bool more = true, good = true;
    while (good && more) {
        good = page_load(list, networks, db, deadline, &last, &more, error);
        if (good && more)
            fiber_yield();
    }
    if (good)
        return networks;
    networks_free(networks);
    return NULL;
}

static void list_load(struct db_network_list *list, struct db *db, double deadline)
{
    list->loading = true;
    double started = fiber_now();
    struct networks *networks = networks_load(list, db, deadline, &list->error);
    if (networks != NULL) {
        networks_free(list->networks);
        list->networks = networks;
        list->started = started;
        list->took = fiber_now() - started;
    } else {
        list->failures++;
        list->late = fiber_now() >= deadline;
    }
    list->loading = false;
    fiber_cond_broadcast(&list->loaded);
}

/* --- matching --- */

/* With a ttl of 0 only a load that began after the question is new enough. */
static bool list_is_fresh(const struct db_network_list *list, int64_t ttl, double asked)
{
    if (list->networks == NULL)
        return false;
    double least = list->took * LOADING_SHARE;
    double kept = ttl > 0 && least > (double)ttl ? least : (double)ttl;
    return list->started + kept >= (ttl > 0 ? fiber_now() : asked);
}

static bool list_wait(struct db_network_list *list, double deadline, struct db *db,
                      struct postern_error *error)
{
    uint64_t failures = list->failures;
    if (!fiber_cond_wait(&list->loaded, deadline))
        return postern_error_set(error, "database %s: its networks were not read by the deadline",
                                 db_name(db));
    if (list->failures == failures || (list->late && fiber_now() < deadline))
        return true;
    *error = list->error;
    return false;
}

static bool list_refresh(struct db_network_list *list, struct db *db, int64_t ttl, double deadline,
                         struct postern_error *error)
{
    double asked = fiber_now();
    while (!list_is_fresh(list, ttl, asked)) {
        if (list->loading) {
            if (!list_wait(list, deadline, db, error))
                return false;
            continue;
        }
        uint64_t failures = list->failures;
        list_load(list, db, deadline);
        if (list->failures != failures) {
            *error = list->error;
            return false;
        }
    }
    return true;
}

static void match_prefix(const struct networks *networks, const struct postern_ip *ip,
                         unsigned prefix, struct postern_arena *arena, struct postern_names *texts)
{
    struct postern_network network = postern_network_of(ip, prefix);
    struct key key = key_of(&network);
    struct item *item;
    HASH_FIND(hh, networks->table, &key, sizeof key, item);
    for (; item != NULL; item = item->same)
        names_add(arena, texts, postern_strdup(arena, item->text));
}

enum postern_lookup db_network_list_match(struct db_network_list *list, struct db *db, int64_t ttl,
                                          double deadline, struct postern_arena *arena,
                                          const struct postern_ip *ip, struct postern_names *texts,
                                          struct postern_error *error)
{
    *texts = (struct postern_names){0};
    if (ip->family == POSTERN_NO_IP)
        return POSTERN_NOT_FOUND;
    if (!list_refresh(list, db, ttl, deadline, error))
        return POSTERN_FAILED;
    const bool *prefixes = prefixes_of(list->networks, ip->family);
    for (int prefix = PREFIXES - 1; prefix >= 0; prefix--)
        if (prefixes[prefix])
            match_prefix(list->networks, ip, (unsigned)prefix, arena, texts);
    return texts->count > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND;
}
