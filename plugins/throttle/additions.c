/*
 * Messages that are counted at once. If all that they add fits together, each would have fitted in
 * whatever order they came: so one statement can count them all. If it does not, some may fit and
 * some not, and each is tried alone.
 */
#include "throttle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNTERS_MAX 64 /* in one statement: servers compare each with all */

/* The values, in the order of the statement's. */
enum { NAMES, TIDS, KEYS, MESSAGES, ROOM_MESSAGES, ROOM_SIZE, EXPIRED, PERIODS, SIZES, NOW, COUNT };

struct item {
    const char *name, *tid, *key, *period;
    int64_t messages, size;
    int64_t max_messages, max_size; /* INT64_MAX: not limited */
    int64_t expired;
};

static int64_t number_at(const struct postern_value *values, int list, size_t i)
{
    return strtoll(values[list].texts[i], NULL, 10);
}

/* Room is what may be there before. */
static int64_t limit_of(int64_t room, int64_t added)
{
    return room == INT64_MAX ? room : room + added;
}

static struct item item_read(const struct postern_value *values, size_t i)
{
    int64_t messages = number_at(values, MESSAGES, i), size = number_at(values, SIZES, i);
    return (struct item){.name = values[NAMES].texts[i],
                         .tid = values[TIDS].texts[i],
                         .key = values[KEYS].texts[i],
                         .period = values[PERIODS].texts[i],
                         .messages = messages,
                         .size = size,
                         .max_messages = limit_of(number_at(values, ROOM_MESSAGES, i), messages),
                         .max_size = limit_of(number_at(values, ROOM_SIZE, i), size),
                         .expired = number_at(values, EXPIRED, i)};
}

static int compare(const void *a, const void *b)
{
    const struct item *left = a, *right = b;
    int64_t left_tid = strtoll(left->tid, NULL, 10), right_tid = strtoll(right->tid, NULL, 10);
    if (left_tid != right_tid)
        return left_tid < right_tid ? -1 : 1;
    return strcmp(left->key, right->key);
}

/* The same counter twice. False when it can't be one. */
static bool item_join(struct item *item, const struct item *other)
{
    if (strcmp(item->period, other->period) != 0 ||
        __builtin_add_overflow(item->messages, other->messages, &item->messages) ||
        __builtin_add_overflow(item->size, other->size, &item->size))
        return false;
    if (other->max_messages < item->max_messages)
        item->max_messages = other->max_messages;
    if (other->max_size < item->max_size)
        item->max_size = other->max_size;
    if (other->expired < item->expired)
        item->expired = other->expired;
    return true;
}

/* How many there are without repeats; 0 when they can't go together. */
static size_t items_join(struct item *items, size_t count)
{
    size_t last = 0;
    qsort(items, count, sizeof *items, compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(items[last].name, items[i].name) != 0)
            items[++last] = items[i];
        else if (!item_join(&items[last], &items[i]))
            return 0;
    }
    return last + 1;
}

static bool fits_alone(const struct item *item)
{
    return item->messages <= item->max_messages && item->size <= item->max_size;
}

static const char *number(struct postern_arena *arena, int64_t value)
{
    return postern_printf(arena, "%" PRId64, value);
}

static const char *room(struct postern_arena *arena, int64_t limit, int64_t added)
{
    return number(arena, limit == INT64_MAX ? limit : limit - added);
}

static struct postern_value *values_of(struct postern_arena *arena, const struct item *items,
                                       size_t count, int64_t now)
{
    struct postern_value *values = postern_alloc(arena, (COUNT + 1) * sizeof *values);
    const char **texts[NOW];
    for (int list = 0; list < NOW; list++) {
        texts[list] = postern_alloc(arena, count * sizeof *texts[list]);
        values[list] = postern_texts((struct postern_names){count, texts[list]});
    }
    for (size_t i = 0; i < count; i++) {
        const struct item *item = &items[i];
        texts[NAMES][i] = item->name;
        texts[TIDS][i] = item->tid;
        texts[KEYS][i] = item->key;
        texts[MESSAGES][i] = number(arena, item->messages);
        texts[ROOM_MESSAGES][i] = room(arena, item->max_messages, item->messages);
        texts[ROOM_SIZE][i] = room(arena, item->max_size, item->size);
        texts[EXPIRED][i] = number(arena, item->expired);
        texts[PERIODS][i] = item->period;
        texts[SIZES][i] = number(arena, item->size);
    }
    values[NOW] = postern_integer(now);
    values[COUNT] = postern_integer((int64_t)count);
    return values;
}

const struct postern_value *counters_merge(struct postern_arena *arena,
                                           const struct postern_value *const *given,
                                           size_t messages)
{
    struct item items[COUNTERS_MAX];
    size_t count = 0;
    int64_t now = 0;
    for (size_t i = 0; i < messages; i++) {
        if (given[i][NAMES].length > COUNTERS_MAX - count)
            return NULL;
        for (size_t k = 0; k < given[i][NAMES].length; k++)
            items[count++] = item_read(given[i], k);
        if (given[i][NOW].integer > now)
            now = given[i][NOW].integer;
    }
    count = items_join(items, count);
    for (size_t i = 0; i < count; i++)
        if (!fits_alone(&items[i]))
            return NULL;
    return count > 0 ? values_of(arena, items, count, now) : NULL;
}
