#include "written.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* The table keeps the order in which items were added: the oldest comes first. */
struct item {
    UT_hash_handle hh;
    int64_t time;
    char key[]; /* account NUL name NUL */
};

struct written {
    struct item *items;
};

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL)
        abort();
    return memory;
}

struct written *written_new(void)
{
    return allocate(sizeof(struct written));
}

static void forget(struct written *written, struct item *item)
{
    HASH_DEL(written->items, item);
    free(item);
}

void written_free(struct written *written)
{
    while (written->items != NULL)
        forget(written, written->items);
    free(written);
}

static struct item *item_new(const char *account, const char *name, size_t *length)
{
    size_t first = strlen(account) + 1, second = strlen(name) + 1;
    struct item *item = allocate(sizeof *item + first + second);
    memcpy(item->key, account, first);
    memcpy(item->key + first, name, second);
    *length = first + second;
    return item;
}

static struct item *find(const struct written *written, const struct item *like, size_t length)
{
    struct item *found;
    HASH_FIND(hh, written->items, like->key, length, found);
    return found;
}

bool written_has(const struct written *written, const char *account, const char *name, int64_t now)
{
    size_t length;
    struct item *like = item_new(account, name, &length);
    const struct item *found = find(written, like, length);
    free(like);
    return found != NULL && now < found->time + WRITTEN_SECONDS;
}

void written_add(struct written *written, const char *account, const char *name, int64_t now)
{
    size_t length;
    struct item *item = item_new(account, name, &length);
    struct item *old = find(written, item, length);
    if (old != NULL)
        forget(written, old);
    if (HASH_COUNT(written->items) >= WRITTEN_MAX)
        forget(written, written->items);
    item->time = now;
    HASH_ADD_KEYPTR(hh, written->items, item->key, length, item);
}
